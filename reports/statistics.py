"""Statistics of a study's runs over training seeds: the ablation table, differences of means, ranks."""

import math
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd
from scipy.stats import ttest_ind

from reports.published import PublishedValue, published_values
from search.store.frames import Aggregate, aggregate
from spaces import Study
from spaces.claims import Label
from trainers.names import METRICS
from trainers.run_state import IN_TABLE

STATISTICS = (*Aggregate._fields, "published")


def ablation_table(runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Aggregates of a study's runs over seeds.

    `runs` is what load_runs gives. Index (row, column) in the study's order, then what the published table holds
    beside; columns (metric, mean | std | n | diverged | published), std being the sample standard deviation. Only done
    runs enter mean, std and n. Raises ValueError if the runs of one column were scored by different protocols or data.
    """
    for column, scored in runs[runs["state"].isin(IN_TABLE)].groupby("column"):
        if mixed := mixture(scored):
            raise ValueError(f"{f'column {column!r}' if column else 'the table'} would mix runs of different {mixed}")
    cells, published = by_cell(runs, study), published_values(study)
    labels = list(dict.fromkeys([*cells, *((row, column) for row, column, _ in published)]))
    lines = []
    for label in labels:
        group = cells.get(label, runs.iloc[:0])
        line: list[float] = []
        for name in study.metrics:
            line += [*aggregate(group, name), published.get((*label, name), PublishedValue()).value]
        lines.append(line)
    index = pd.MultiIndex.from_tuples(labels, names=["row", "column"])
    columns = pd.MultiIndex.from_product([study.metrics, STATISTICS], names=["metric", "statistic"])
    return pd.DataFrame(lines, index=index, columns=columns)


def by_cell(runs: pd.DataFrame, study: Study) -> dict[Label, pd.DataFrame]:
    """The runs of each cell, in the study's order; an empty frame for a cell that has none."""
    groups = dict(iter(runs.groupby(["row", "column"])))
    return {(cell.row, cell.column): groups.get((cell.row, cell.column), runs.iloc[:0]) for cell in study.cells()}


def mixture(runs: pd.DataFrame, names: tuple[str, ...] = ("protocol", "data_digest", "features_digest")) -> str:
    """The first of these fields in which runs differ, and its values; empty where they agree."""
    values = {name: sorted(set(runs[name])) for name in names}
    return next((f"{name}: {'; '.join(several)}" for name, several in values.items() if len(several) > 1), "")


def over_seeds(points: Iterable[tuple[Any, ...]], names: list[str]) -> pd.DataFrame:
    """Values over seeds, the last in each point: mean, std and n of those whose other parts, so named, are the same."""
    values = pd.DataFrame(points, columns=[*names, "value"]).groupby(names, sort=False)["value"]
    return values.agg(mean="mean", std="std", n="count").reset_index()


class Difference(NamedTuple):
    """Difference of two means with its 95% Welch interval, NaN where a side has fewer than two seeds."""

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan


def difference(values: pd.Series, reference: pd.Series) -> Difference:
    """Mean of values minus mean of reference, with Welch's t interval."""
    values, reference = values.astype(float), reference.astype(float)
    mean = float(values.mean() - reference.mean())
    if min(len(values), len(reference)) < 2:
        return Difference(mean)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal values: the interval is a point
        interval = ttest_ind(values, reference, equal_var=False).confidence_interval(0.95)
    return Difference(mean, float(interval.low), float(interval.high))


def ranks(table: pd.DataFrame, seeds: int) -> pd.DataFrame:
    """1 for the best mean of a final metric in its column, 2 for the second, else 0; same shape as the table's means.

    Only a cell with all its seeds done has a rank: the mean of the survivors of a divergence flatters it. The best of
    several evaluations has none, since it flatters noisy runs; nor has a cell without another to beat.
    """
    result = {}
    for metric in table.columns.unique("metric"):
        clean = table[metric]["mean"].where((table[metric]["n"] == seeds) & (METRICS[metric].when == "final"))
        columns = clean.groupby(level="column")
        ranked = columns.rank(method="dense", ascending=METRICS[metric].lower_is_better)
        result[metric] = ranked.where((ranked <= 2) & (columns.transform("count") > 1), 0).fillna(0).astype(int)
    return pd.DataFrame(result, index=table.index)
