"""Tables and figures, from the store alone."""

from reports.table import ablation_table

__all__ = ["ablation_table"]
