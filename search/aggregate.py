"""Aggregates of a cell over its seeds: the one place where mean, std and n are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class Aggregate(NamedTuple):
    """Mean and sample standard deviation (NaN below two) over the n finished seeds, and how many others diverged."""

    mean: float
    std: float
    n: int
    diverged: int


def aggregate(runs: pd.DataFrame, metric: str) -> Aggregate:
    """Aggregate of one metric over the runs of one cell; only done runs enter, diverged ones are counted."""
    done = runs.loc[runs["state"] == "done", metric].astype(float).dropna()
    diverged = int((runs["state"] == "diverged").sum())
    return Aggregate(float(done.mean()), float(done.std(ddof=1)), len(done), diverged)
