"""Embedded data and weights, and the script that made them."""
