"""Runs as data frames: one row a run, and what its evaluations come to; the aggregates of a cell over its seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from search.store.connection import Store
from search.store.database import StoredRun
from search.store.queries import seed_runs
from search.store.scores import scored_columns
from search.store.summaries import completed, judged
from spaces import STUDIES, Cell, Study
from trainers.messages import did_you_mean
from trainers.names import METRICS, is_of_d
from trainers.run_state import RunState

if TYPE_CHECKING:
    import pandas as pd

PROTOCOL = "_protocol"  # how the column ends that has the protocol of a score
LARGEST = 1e150  # of a metric that counts: its square is finite; MLflow keeps infinity as 1.8e308
TAGS = ("protocol", "code_version", "data_digest", "features_digest", "own_code_digest", "device", "torch")


def load_runs(study: Study | str, tracking_uri: str | None = None, *, store: Store | None = None) -> pd.DataFrame:
    """All runs of a study's cells and seeds that the store holds, one a row, in the study's order.

    Columns: row, column, seed, state, run_id, cell_key; the tags protocol, code_version, data_digest, features_digest,
    own_code_digest, device, torch; finals, bests and the like by the names of METRICS, evaluations and seconds (NaN
    where a run has none); what the study's metrics of kept generators are, `fid@lite0` say, and their protocols in
    words, `fid@lite0_protocol`; lost. Raises ValueError for a study that is not known, and if a column has scores by
    several protocols.
    """
    if isinstance(study, str):
        if study not in STUDIES:
            raise ValueError(f"study {study!r} is unknown; {did_you_mean(study, STUDIES)}")
        study = STUDIES[study]
    from search.store.image_sets import resolved  # which asks the store itself

    store = store or Store(tracking_uri)
    study = resolved(study, store)
    cells = study.cells()
    return runs_frame(study, cells, completed(store, cells, seed_runs(store, (cell.config for cell in cells))))


def runs_frame(
    study: Study, cells: Iterable[Cell], runs: Mapping[tuple[str, int], StoredRun], *, strict: bool = True
) -> pd.DataFrame:
    """The frame of load_runs of some cells, of what the store holds of them by (cell_key, seed); if not `strict`, with
    one of several protocols of a score."""
    import pandas as pd

    scored, lines = scored_columns(study, cells, runs, strict=strict), []
    for cell in cells:
        for seed in range(study.seeds):
            run = runs.get((cell.config.cell_key, seed))
            if run:
                line = {"row": cell.row, "column": cell.column, **_line(run), "protocol": cell.config.protocol}
                for metric, held in scored.items():
                    value, protocol = held.get(run.run_id, (math.nan, ""))
                    line |= {metric: value, f"{metric}{PROTOCOL}": protocol}
                lines.append(line)
    columns = ["row", "column", "seed", "state", "run_id", "cell_key", *TAGS, *METRICS, "evaluations", "seconds"]
    columns += [name for metric in scored for name in (metric, f"{metric}{PROTOCOL}")]
    return judged(pd.DataFrame(lines, columns=columns), study)


def _line(run: StoredRun) -> dict[str, Any]:
    names = ("run_id", "cell_key", "seed", "state")
    metrics = {name: value for name, value in run.metrics.items() if abs(value) < LARGEST}
    values = {name: metrics.get(name, math.nan) for name in (*METRICS, "evaluations")}
    seconds = metrics.get("seconds", math.nan) + metrics.get("eval_seconds", 0.0)
    tags = {name: run.tags.get(name, "") for name in TAGS}
    return {**{name: getattr(run, name) for name in names}, **tags, **values, "seconds": seconds}


class Aggregate(NamedTuple):
    """Mean and sample standard deviation (NaN below two) over the n finished seeds that are not lost, how many of the
    others diverged, and how many others there are. What D alone is scored by counts in a lost run too, unless it
    diverged."""

    mean: float
    std: float
    n: int
    diverged: int
    lost: int


def aggregate(runs: pd.DataFrame, metric: str) -> Aggregate:
    """Aggregate of one metric over the runs of one cell."""
    states, values = runs["state"].to_numpy(), runs[metric].to_numpy(float)  # arrays: pandas takes ten times as long
    lost = states == RunState.DIVERGED if is_of_d(metric) else runs["lost"].to_numpy(bool)
    done = values[(states == RunState.DONE) & ~lost & (values == values)]  # not NaN
    mean = float(done.mean()) if len(done) else math.nan
    std = float(done.std(ddof=1)) if len(done) > 1 else math.nan
    return Aggregate(mean, std, len(done), int((states == RunState.DIVERGED).sum()), int(lost.sum()))
