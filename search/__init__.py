"""Schedules a study's missing runs on Ray Tune, and keeps them in MLflow."""
