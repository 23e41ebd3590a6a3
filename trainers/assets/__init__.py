"""Embedded data and weights; benchmarks/make_assets.py makes them."""
