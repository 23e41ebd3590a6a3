"""Aggregates of a cell over its seeds: the one place where mean, std and n are computed."""

from __future__ import annotations

import math
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
    states, values = runs["state"].to_numpy(), runs[metric].to_numpy(float)  # arrays: pandas takes ten times as long
    done = values[(states == "done") & (values == values)]  # not NaN
    mean = float(done.mean()) if len(done) else math.nan
    std = float(done.std(ddof=1)) if len(done) > 1 else math.nan
    return Aggregate(mean, std, len(done), int((states == "diverged").sum()))
