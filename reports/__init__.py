"""Reads the store: statistics, tables, figures."""

from typing import Any

__all__ = ["ablation_table"]


def __getattr__(name: str) -> Any:
    """ablation_table, imported when it is asked for: pandas and SciPy take a second."""
    if name == "ablation_table":
        from reports.statistics import ablation_table

        return ablation_table
    raise AttributeError(f"module 'reports' has no attribute {name!r}")
