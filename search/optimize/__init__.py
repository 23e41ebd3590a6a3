"""Hyper-parameter search: Optuna proposes, rules stop."""
