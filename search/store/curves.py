"""Curves of a cell against images: what its seeds' evaluations have at the same images comes to one point."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from typing import TYPE_CHECKING

from search.store.connection import Store
from search.store.database import StoredRun
from search.store.frames import LARGEST
from search.store.queries import histories
from trainers.names import METRICS

if TYPE_CHECKING:
    from mlflow.entities import Metric

NO_CURVES = {*METRICS, "images", "evaluations", "seconds", "eval_seconds"}


def curves_of(store: Store, runs: Collection[StoredRun], scores: Collection[str]) -> list[Metric]:
    """The mean over runs of each number that their evaluations have, under its own name; of the scores also the sample
    standard deviation, under NAME_std. A point for each number of images at which all runs have a finite value, with
    the time of the last: of the same runs they are the same points whenever they are asked for."""
    from mlflow.entities import Metric

    names = set.intersection(*(set(run.metrics) for run in runs)) - NO_CURVES
    points = []
    for name in sorted(name for name in names if not {*name} & {*"/ "}):  # those are of kept generators
        values: dict[int, dict[str, tuple[int, float]]] = {}  # time and value by images, then by run
        for run_id, series in histories(store, [run.run_id for run in runs], name).items():
            for stamp, images, value in series:
                values.setdefault(images, {})[run_id] = stamp, value
        for images, of_runs in sorted(values.items()):
            at = [value for _, value in of_runs.values()]
            if len(at) < len(runs) or not all(abs(value) < LARGEST for value in at):
                continue
            stamp = max(stamp for stamp, _ in of_runs.values())
            points.append(Metric(name, statistics.fmean(at), stamp, images))
            if name in scores and len(at) > 1:
                points.append(Metric(f"{name}_std", statistics.stdev(at), stamp, images))
    return points
