"""What the evaluations of a run come to: its finals, bests and means of late ones, and whether it is lost. All that
tables, parent runs and claims say of a run goes by this."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from search.store.connection import Store
from search.store.database import StoredRun
from search.store.queries import histories
from spaces import Cell, Study
from trainers.config import Config
from trainers.names import METRICS, Metric, When
from trainers.run_state import RunState

if TYPE_CHECKING:
    import pandas as pd

LATE = 0.8  # share of a run's images from which its evaluations are late
LEAST_LATE = 3  # evaluations of a mean of late ones


def final_metrics(evaluations: list[dict[str, Any]]) -> dict[str, float]:
    """What a finished run's evaluations come to, by the names of METRICS; NaN for a diverged run."""
    values = {}
    last = evaluations[-1]
    for name, metric in METRICS.items():
        if metric.key in last:
            diverged = last["state"] == RunState.DIVERGED
            # D has no step before the first evaluation
            series = [(each["images"], each[metric.key]) for each in evaluations if metric.key in each]
            values[name] = math.nan if diverged else summary(series, metric)
            if math.isnan(values[name]) and not diverged:  # too few evaluations
                del values[name]
    return values


def summary(series: list[tuple[int, float]], metric: Metric) -> float:
    """The value of a metric by the (images, value) of a run's evaluations; NaN where there is none. Late is the mean of
    those in the last fifth of the run, of logarithms for a ratio."""
    values = [value for _, value in series]
    if metric.when == "untrained":
        return values[0] if series[0][0] == 0 else math.nan
    if metric.when == "final":
        return values[-1]
    if metric.when == "best":
        return min(values) if metric.lower_is_better else max(values)
    late = [value for images, value in series if images >= LATE * series[-1][0]]
    if len(late) < LEAST_LATE or not all(map(math.isfinite, late)):
        return math.nan
    if metric.scale != "ratio":
        return math.fsum(late) / len(late)
    return math.exp(math.fsum(map(math.log, late)) / len(late)) if min(late) > 0 else 0.0


def completed(store: Store, cells: Iterable[Cell], runs: Mapping[tuple[str, int], StoredRun]) -> dict[Any, StoredRun]:
    """The runs, with what those of earlier versions did not write at their end, by their evaluations in the store."""
    keys = {cell.config.cell_key: cell.config.metric for cell in cells}
    lacking: dict[str, list[str]] = {}  # runs by the score that they are judged by
    for (key, _), run in runs.items():
        if run.state == RunState.DONE and key in keys and _name(keys[key], "untrained") not in run.metrics:
            lacking.setdefault(keys[key], []).append(run.run_id)
    found: dict[str, dict[str, float]] = {}
    for key, run_ids in lacking.items():
        for run_id, points in histories(store, run_ids, key).items():
            series = list({images: value for _, images, value in points if math.isfinite(value)}.items())
            metrics = metrics_judged(key).items() if series else ()
            values = {name: summary(series, metric) for name, metric in metrics}
            found[run_id] = {name: value for name, value in values.items() if math.isfinite(value)}
    return {key: run._replace(metrics={**found.get(run.run_id, {}), **run.metrics}) for key, run in runs.items()}


def metrics_judged(key: str) -> dict[str, Metric]:
    """The metrics of the score that runs are judged by, by name."""
    return {name: metric for name, metric in METRICS.items() if metric.key == key}


def _name(key: str, when: When) -> str:
    return next(name for name, metric in metrics_judged(key).items() if metric.when == when)


def is_lost(config: Config, state: str, values: Mapping[str, float], *, tiny: bool) -> bool:
    """Whether a run, of such metrics by name, cannot be used: it diverged; or it is done, and by the score that it is
    judged by it ended no better than untrained, or far above its own best evaluation. Of --tiny runs nobody expects to
    learn; what is not known of a run does not speak against it."""
    if state != RunState.DONE or tiny:
        return state == RunState.DIVERGED
    metrics = metrics_judged(config.metric)
    told = {metric.when: values.get(name, math.nan) for name, metric in metrics.items()}
    metric, last, untrained = next(iter(metrics.values())), told["final"], told["untrained"]
    if last >= untrained if metric.lower_is_better else last <= untrained:
        return True
    return metric.scale == "ratio" and last > config.data_source.collapse * told["best"]


def judged(runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Runs in the form of load_runs, of an earlier version too, with a column `lost` by `is_lost`."""
    import pandas as pd

    missing = pd.DataFrame(math.nan, runs.index, [name for name in METRICS if name not in runs])
    configs = {(cell.row, cell.column): cell.config for cell in study.cells()}
    names = ("row", "column", "state")
    lost = [
        (label := (line["row"], line["column"])) in configs
        and is_lost(configs[label], line["state"], line, tiny=study.tiny)
        for line in pd.concat([runs, missing], axis=1)[[*names, *METRICS]].to_dict("records")
    ]
    wanted = [name for name in study.metrics if name in missing]  # by the table, of whatever version the runs are
    return pd.concat([runs, missing[wanted]], axis=1).assign(lost=pd.Series(lost, runs.index, dtype=bool))
