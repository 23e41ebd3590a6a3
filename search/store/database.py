"""Runs read straight from the database of an MLflow store, without MLflow.

Importing MLflow and opening a database through it takes 2.5 s, and it is asked run by run for what a database says of
all at once. The tables that are read here (experiments, runs, tags, metrics, latest_metrics) are the same in every
MLflow since 1.0; tests check that both ways give the same.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from search.store.address import sqlite_file
from trainers.run_state import ENDED, RunState

if TYPE_CHECKING:
    from sqlalchemy import Connection

CHUNK = 2_000  # values in a question: databases bound its parameters, the least by 2,100
TABLES = {"alembic_version", "experiments", "experiment_tags", "runs", "tags", "params", "metrics", "latest_metrics"}
TABLES |= {"logged_models"}  # which MLflow's own making adds late
FILLED = {"experiments", "runs"}  # of which a new store has one row, the experiment "Default"
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


class StoredRun(NamedTuple):
    """What the store holds of one run; times in milliseconds since 1970, `end` None while it was never ended."""

    run_id: str
    experiment_id: str
    start: int
    end: int | None
    tags: dict[str, str]
    metrics: dict[str, float]  # the latest values
    is_deleted: bool = False
    params: Mapping[str, str] = {}  # of runs that may have a former key alone

    @property
    def is_ours(self) -> bool:
        """Whether it has the tags and numbers of a run of ours as we write them: anyone may change them in MLflow."""
        numbers = [self.tags[name] for name in ("seed", "trial") if name in self.tags]
        finite = [self.metrics.get(name, 0.0) for name in ("images", "seconds", "eval_seconds")]
        return (
            self.tags.keys() >= {"cell_key", "study", "row", "column"}
            and ("seed" not in self.tags or self.tags.get("state") in set(RunState))
            and all(re.fullmatch("[0-9]{1,18}", number) for number in numbers)
            and all(map(math.isfinite, finite))
        )

    @property
    def rank(self) -> tuple[Any, ...]:
        """Of several runs of one (cell_key, seed), or of one trial, the first by this counts: the one that is done, or
        has ended, or has more evaluations, or is older."""
        state = self.tags.get("state")
        ended = state in ENDED
        return state != RunState.DONE, not ended, -self.metrics.get("images", -1.0), self.start, self.run_id

    @property
    def guard(self) -> tuple[str, int]:
        """What a driver locks that makes the run: the run, or the search that it is a trial of."""
        return (self.tags["search"], 0) if "search" in self.tags else (self.cell_key, self.seed)

    @property
    def cell_key(self) -> str:
        return self.tags["cell_key"]

    @property
    def seed(self) -> int:
        return int(self.tags["seed"])

    @property
    def state(self) -> RunState:
        return RunState(self.tags["state"])


def is_database(uri: str) -> bool:
    """Whether a tracking URI names a database rather than a server."""
    return uri.split(":", 1)[0].split("+", 1)[0] in DATABASES


def is_half_made(path: Path) -> bool:
    """Whether a process was killed while it made this SQLite file: tables of MLflow's are missing, and there is neither
    a run nor an experiment but MLflow's own. A file of other tables is someone else's."""
    import sqlite3

    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as held:
            tables = {name for (name,) in held.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables >= TABLES or (tables and "experiments" not in tables):
                return False
            counts = [held.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in sorted(tables & FILLED)]
            return sum(counts) <= 1
    except sqlite3.Error:  # locked, or no database: MLflow will say
        return False


def connect(uri: str) -> Connection:
    """Connect to a database. Raises sqlalchemy.exc.SQLAlchemyError, ImportError if its driver is missing."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    return create_engine(uri, poolclass=NullPool).connect()


_ACTIVE = (
    "SELECT r.run_uuid FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid JOIN experiments e "
    "ON e.experiment_id = r.experiment_id WHERE t.key = :tag "
    "AND r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active'"
)


def runs_from_database(uri: str, tag: str, values: Iterable[str] | None) -> list[StoredRun]:
    """The active runs whose tag has one of the values, or any, oldest first.

    Raises sqlalchemy.exc.SQLAlchemyError if the database does not answer, or is none of MLflow's.
    """
    if values is None:
        return _stored_runs(uri, f"{_ACTIVE} AND t.run_uuid NOT IN :wanted", [""], {}, tag=tag)
    return _stored_runs(uri, f"{_ACTIVE} AND t.value IN :wanted", values, {}, tag=tag)


def unmarked_experiments_in_database(uri: str, mark: str) -> list[str]:
    """Ids of the active experiments that lack the tag, and have runs with a cell_key. Raises as above."""
    query = (
        f"SELECT DISTINCT experiment_id FROM runs WHERE run_uuid IN ({_ACTIVE}) AND experiment_id NOT IN "
        "(SELECT experiment_id FROM experiment_tags WHERE key IN :wanted)"
    )
    (rows,) = _ask(uri, [query], [mark], tag="cell_key")
    return [str(experiment) for (experiment,) in rows]


def experiment_tags_in_database(uri: str, names: Iterable[str]) -> dict[str, str]:
    """All tags of the experiments of these names. Raises as above."""
    query = "SELECT key, value FROM experiment_tags t JOIN experiments e ON e.experiment_id = t.experiment_id"
    (rows,) = _ask(uri, [f"{query} WHERE e.name IN :wanted"], names)
    return dict(rows)


def runs_of_experiment_in_database(uri: str, experiment: str, tag: str) -> list[StoredRun]:
    """The active runs of an experiment that have the tag, with their params, oldest first. Raises as above."""
    chosen = f"{_ACTIVE} AND r.experiment_id = CAST(:experiment AS INTEGER) AND t.run_uuid NOT IN :wanted"
    return _stored_runs(uri, chosen, [""], {"params": "run_uuid, key, value"}, tag=tag, experiment=experiment)


def _stored_runs(uri: str, chosen: str, values: Iterable[str], more: dict[str, str], **asked: str) -> list[StoredRun]:
    """The runs that a query gives the ids of, with their tags and latest metrics and, if asked for, their params."""
    columns = {
        "runs": "run_uuid, experiment_id, start_time, end_time",
        "tags": "run_uuid, key, value",
        "latest_metrics": "run_uuid, key, value, is_nan",
        **more,
    }
    queries = [f"SELECT {columns[table]} FROM {table} WHERE run_uuid IN ({chosen})" for table in columns]
    runs, tags, metrics, *params = _ask(uri, queries, values, **asked)
    params_of: dict[str, dict[str, str]] = {}
    for run_id, key, value in (row for rows in params for row in rows):
        params_of.setdefault(run_id, {})[key] = value
    stored = {
        run_id: StoredRun(run_id, str(experiment), start, end, {}, {}, params=params_of.get(run_id, {}))
        for run_id, experiment, start, end in sorted(runs, key=lambda run: (run.start_time, run.run_uuid))
    }
    for run_id, key, value in tags:
        if run_id in stored:  # else it was made between the two questions
            stored[run_id].tags[key] = value
    for run_id, key, value, is_nan in metrics:
        if run_id in stored:
            stored[run_id].metrics[key] = math.nan if is_nan else value
    return list(stored.values())


def run_ids_from_database(uri: str, ids: Iterable[str]) -> set[str]:
    """Those of the ids that runs have, deleted ones too. Raises as above."""
    (rows,) = _ask(uri, ["SELECT run_uuid FROM runs WHERE run_uuid IN :wanted"], ids)
    return {run_id for (run_id,) in rows}


def run_from_database(uri: str, run_id: str) -> StoredRun | None:
    """The run of this id, with whether it, or its experiment, was deleted; None if there is none. Raises as above."""
    found = _stored_runs(uri, "SELECT run_uuid FROM runs WHERE run_uuid IN :wanted", [run_id], {})
    active = "SELECT run_uuid FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id WHERE run_uuid IN "
    active += ":wanted AND r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active'"
    (rows,) = _ask(uri, [active], [run_id])
    return found[0]._replace(is_deleted=not rows) if found else None


def points_from_database(uri: str, run_ids: Iterable[str], metric: str) -> list[tuple[str, int, int, float]]:
    """All values of one metric of these runs, as (run id, milliseconds since 1970, step, value). Raises as above."""
    query = "SELECT run_uuid, timestamp, step, value, is_nan FROM metrics WHERE key = :metric AND run_uuid IN :wanted"
    (points,) = _ask(uri, [query], run_ids, metric=metric)
    return [(run_id, stamp, step, math.nan if is_nan else value) for run_id, stamp, step, value, is_nan in points]


def _ask(uri: str, queries: list[str], wanted: Iterable[str], **parameters: str) -> list[list[Any]]:
    """The rows of each query, in which :wanted stands for the values; none if there is no SQLite file or table yet."""
    file = sqlite_file(uri)
    if file and (not file.exists() or is_half_made(file)):
        return [[] for _ in queries]
    from sqlalchemy import bindparam, inspect, text

    values = list(wanted)
    parts = [{**parameters, "wanted": values[start : start + CHUNK]} for start in range(0, len(values), CHUNK)]
    statements = [text(query).bindparams(bindparam("wanted", expanding=True)) for query in queries]
    with connect(uri) as connection:
        if not inspect(connection).get_table_names():
            return [[] for _ in queries]
        return [[row for part in parts for row in connection.execute(statement, part)] for statement in statements]
