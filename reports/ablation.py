"""A study's runs by cell, and what is told of each over its seeds: the ablation table."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from reports.published import PublishedValue, published_values
from search.store.frames import Aggregate, aggregate
from search.store.summaries import judged
from spaces import Study
from spaces.claims import Label
from trainers.run_state import IN_TABLE

STATISTICS = (*Aggregate._fields, "published")


def ablation_table(runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Aggregates of a study's runs over seeds.

    `runs` is what load_runs gives. Index (row, column) in the study's order, then what the published table holds
    beside; columns (metric, mean | std | n | diverged | lost | published), std being the sample standard deviation.
    Only done runs that are not lost enter mean, std and n; of those lost some diverged. Raises ValueError if the runs
    of one column were scored by different protocols or data.
    """
    runs = runs if "lost" in runs else judged(runs, study)
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
    return {label: groups.get(label, runs.iloc[:0]) for label in study.places}


def by_seed(runs: pd.DataFrame, metric: str, seeds: int) -> np.ndarray:
    """[seeds] values of a cell's runs; NaN where a seed has none. Runs made elsewhere, whose seeds may be any numbers,
    have a `place`."""
    values = np.full(seeds, np.nan)
    values[runs["place" if "place" in runs else "seed"].to_numpy(int)] = runs[metric].to_numpy(float)
    return values


def mixture(runs: pd.DataFrame, names: tuple[str, ...] = ("protocol", "data_digest", "features_digest")) -> str:
    """The first of these fields in which runs differ, and its values; empty where they agree."""
    values = {name: sorted(set(runs[name])) for name in names}
    return next((f"{name}: {'; '.join(several)}" for name, several in values.items() if len(several) > 1), "")


def over_seeds(points: Iterable[tuple[Any, ...]], names: list[str]) -> pd.DataFrame:
    """Values over seeds, the last in each point: mean, std and n of those whose other parts, so named, are the same."""
    values = pd.DataFrame(points, columns=[*names, "value"]).groupby(names, sort=False)["value"]
    return values.agg(mean="mean", std="std", n="count").reset_index()
