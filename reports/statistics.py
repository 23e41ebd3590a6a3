"""Statistics of a study over training seeds: means, differences, ranks. Functions of frames as load_runs gives them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pandas as pd
from scipy.stats import ttest_ind

from reports.published import Beside, beside
from search.store.frames import Aggregate, aggregate
from spaces import Study
from spaces.claims import Label
from trainers.names import METRICS
from trainers.run_state import IN_TABLE, RunState

STATISTICS = (*Aggregate._fields, "published")
Groups = Mapping[Label, pd.DataFrame]  # the runs of each cell


def ablation_table(runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Aggregates of a study's runs over seeds.

    `runs` is what load_runs gives. Index (row, column) in the study's order, then what the published table holds
    beside; columns (metric, mean | std | n | diverged | published), std being the sample standard deviation. Only done
    runs enter mean, std and n. Raises ValueError if the runs of one column were scored by different protocols or data.
    """
    refuse_mixtures(runs)
    return aggregate_cells(by_cell(runs, study), study.metrics, beside(study))


def refuse_mixtures(runs: pd.DataFrame) -> None:
    """Raise ValueError if the runs of one column were scored by different protocols, data or features."""
    ended = runs[runs["state"].isin(IN_TABLE)]
    for name in ("protocol", "data_digest", "features_digest"):
        for column, group in ended.groupby("column"):
            kinds = sorted(set(group[name]))
            if len(kinds) > 1:
                where = f"column {column!r}" if column else "the table"
                raise ValueError(f"{where} would mix runs of different {name}: {'; '.join(kinds)}")


def by_cell(runs: pd.DataFrame, study: Study) -> dict[Label, pd.DataFrame]:
    """The runs of each cell, in the study's order; an empty frame for a cell that has none."""
    groups = dict(iter(runs.groupby(["row", "column"])))
    none = runs.iloc[:0]
    labels = [(cell.row, cell.column) for cell in study.cells()]
    return {label: groups.get(label, none) for label in labels}


def done_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """Those runs that reached their budget."""
    return runs[runs["state"] == RunState.DONE]


def aggregate_cells(
    cells: Groups, metrics: Iterable[str], published: Mapping[tuple[str, str, str], Beside]
) -> pd.DataFrame:
    """The table of ablation_table, of the runs of each cell and what is published by (row, column, metric)."""
    metrics = list(metrics)
    labels = list(dict.fromkeys([*cells, *((row, column) for row, column, _ in published)]))
    lines = []
    for label in labels:
        line: list[float] = []
        for metric in metrics:
            ours = aggregate(cells[label], metric) if label in cells else Aggregate(math.nan, math.nan, 0, 0)
            line += [*ours, published.get((*label, metric), Beside()).value]
        lines.append(line)
    index = pd.MultiIndex.from_tuples(labels, names=["row", "column"])
    columns = pd.MultiIndex.from_product([metrics, STATISTICS], names=["metric", "statistic"])
    return pd.DataFrame(lines, index=index, columns=columns)


class Difference(NamedTuple):
    """Difference of two means with its 95% Welch interval, NaN where a side has fewer than two seeds."""

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan


def difference(values: pd.Series, reference: pd.Series) -> Difference:
    """Mean of values minus mean of reference, with Welch's t interval."""
    mean = float(values.mean() - reference.mean())
    if min(len(values), len(reference)) < 2:
        return Difference(mean, math.nan, math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal values: the interval is a point
        interval = ttest_ind(values, reference, equal_var=False).confidence_interval(0.95)
    return Difference(mean, float(interval.low), float(interval.high))


def mean_differences(
    done_cells: Groups, metrics: Iterable[str], references: Mapping[str, str]
) -> dict[tuple[str, str, str], Difference]:
    """Difference of each cell's done runs to those of its column's reference row, by (row, column, metric)."""
    differences = {}
    for metric in metrics:
        values = {cell: group[metric].astype(float) for cell, group in done_cells.items()}
        for row, column in done_cells:
            differences[row, column, metric] = difference(values[row, column], values[references[column], column])
    return differences


def reference_rows(study: Study) -> dict[str, str]:
    """The row of each column that the others are compared with: the first that it has."""
    return {cell.column: cell.row for cell in reversed(study.cells())}


def ranks(table: pd.DataFrame, seeds: int) -> pd.DataFrame:
    """1 for the best mean of a final metric in its column, 2 for the second, else 0; same shape as the table's means.

    Only a cell with all its seeds done has a rank: the mean of the survivors of a divergence flatters it. The best of
    several evaluations has none, since it flatters noisy runs; nor has a cell without another to beat.
    """
    result = {}
    for metric in table.columns.unique("metric"):
        ranked_at_all = (table[metric]["n"] == seeds) & (METRICS[metric].when == "final")
        clean = table[metric]["mean"].where(ranked_at_all)
        columns = clean.groupby(level="column")
        ranked = columns.rank(method="dense", ascending=METRICS[metric].lower_is_better)
        result[metric] = ranked.where((ranked <= 2) & (columns.transform("count") > 1), 0).fillna(0).astype(int)
    return pd.DataFrame(result, index=table.index)
