"""Runs as Ray Tune trials: driver, worker, cluster. Ray Tune, a second to import, waits until the workers start."""

from typing import TYPE_CHECKING

from trainers.lazy import exports

if TYPE_CHECKING:
    from search.tune.driver import tune_runs

__all__ = ["tune_runs"]
__getattr__ = exports(__name__, {"tune_runs": "search.tune.driver"})
