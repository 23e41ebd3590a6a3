"""Runs as Ray Tune trials: driver, worker, cluster."""
