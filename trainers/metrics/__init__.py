"""Scores of a generator: one file a metric. SCORES in trainers/names.py says which of them count where."""

from typing import TYPE_CHECKING

from trainers.lazy import exports

if TYPE_CHECKING:
    from trainers.metrics.frechet import frechet_distance

BATCH = 500  # examples generated or scored at a time

__all__ = ["BATCH", "frechet_distance"]
__getattr__ = exports(__name__, {"frechet_distance": "trainers.metrics.frechet"})
