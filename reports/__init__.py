"""A study's results: statistics, tables, figures, verdicts on claims. pandas and SciPy are imported when asked for."""

from typing import TYPE_CHECKING

from trainers.lazy import exports

if TYPE_CHECKING:
    from reports.ablation import ablation_table

__all__ = ["ablation_table"]
__getattr__ = exports(__name__, {"ablation_table": "reports.ablation"})
