"""The MLflow store: an experiment a study or a search, a parent run a cell, a child run a seed.

A seed's run is found by its tags (cell_key, seed) over the whole store, whatever study made it, and is filled from its
run folder: rows and grids that MLflow already has are not stored twice, so delivering a folder again, after a crash of
either side, changes nothing. MLflow is imported when it is first needed, since that takes two seconds.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from search.address import bare, complaint, in_time, knock, sign_in
from search.aggregate import aggregate
from search.folders import ObjectStore, RunFolders
from search.locks import exclusive
from search.records import Record, from_database, greet, is_database, points_from_database
from spaces import STUDIES, Cell, Search, Study
from trainers.checkpoint import end_of, mark_end, read_provenance, read_rows, read_run
from trainers.config import METRICS, Config, choose

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from PIL.Image import Image

    from search.plan import Job

T = TypeVar("T")
logger = logging.getLogger(__name__)
STORAGE = Path("runs")
ANSWER_WITHIN = 5  # seconds that a server or a database has for its first answer
ASKED_AT_ONCE = 8  # questions to a tracking server
LARGEST = 1e150  # of a metric that counts: its square is finite; MLflow keeps infinity as 1.8e308
VIEW = "table"  # key of the experiments' shared view in the MLflow UI
_MLFLOW = {  # what MLflow and libpq do, unless the user says otherwise
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # their defaults take minutes to give up
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "PGCONNECT_TIMEOUT": "10",
}
FINISHED = {"done": "FINISHED", "diverged": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


class Store:
    """One MLflow store, by default the SQLite file under the storage folder, which is made when it is first written to.

    Storage is a folder, or the URI of an object store, of which the folder STORAGE then holds what is delivered.

    Its methods raise ValueError if it does not answer.
    """

    def __init__(self, tracking_uri: str | None = None, storage: Path | str = STORAGE) -> None:
        is_uri = "://" in str(storage)
        self.storage = (STORAGE if is_uri else Path(storage)).absolute()
        self.folders = (
            ObjectStore(str(storage), self.storage / "trials") if is_uri else RunFolders(self.storage / "trials")
        )
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.storage}/mlflow.db"
        self.uri = sign_in(uri)
        self._locked = False
        self._parents: dict[tuple[str, str, str], str] = {}  # by experiment, cell_key and label
        self._opened: set[str] = set()  # runs that this process has brought up to date
        self._rows: dict[str, set[int]] = {}  # images at which the store has a run's row
        self._pictures: dict[str, set[int]] = {}  # steps of a run that have their grid

    @property
    def shared(self) -> Path | None:
        """The folder that all nodes of a cluster should see, unless they share an object store."""
        return None if isinstance(self.folders, ObjectStore) else self.storage

    @property
    def server(self) -> str | None:
        """Where the tracking server is, if the store is one."""
        return self.uri.rstrip("/") if self.uri.startswith("http") else None

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client of this store, which has answered once."""
        for name, value in _MLFLOW.items():
            os.environ.setdefault(name, value)
        import mlflow
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)  # what it raises need not be told twice
        if self.uri.startswith("sqlite:"):
            Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        self.probe()
        try:
            client = mlflow.MlflowClient(self.uri)
            if is_database(self.uri):
                client.search_experiments(max_results=1)  # makes the tables, which takes its time
            else:
                with _once():
                    in_time(lambda: client.search_experiments(max_results=1), ANSWER_WITHIN)
        except (MlflowException, SQLAlchemyError, TimeoutError) as error:
            raise self._silent(error) from None
        return client

    def probe(self) -> None:
        """Get a first answer of a server or a database, in time: MLflow itself would try for minutes."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self.server:
                in_time(lambda: knock(str(self.server)), ANSWER_WITHIN)
            elif is_database(self.uri) and not self.uri.startswith("sqlite:"):
                in_time(lambda: greet(self.uri), ANSWER_WITHIN)
        except (SQLAlchemyError, ImportError, OSError, ValueError, HTTPException) as error:
            raise self._silent(error) from None

    def _silent(self, error: Exception) -> ValueError:
        return ValueError(f"the MLflow store {self.place} {complaint(error, self.uri)}")

    @property
    def place(self) -> str:
        """Where the store is, without a password."""
        return bare(self.uri)

    def folder(self, run_id: str) -> Path:
        """The run folder of a run, named by its MLflow id. Raises ValueError for an id that would lead elsewhere."""
        if not re.fullmatch(r"\w+", run_id, re.ASCII):
            raise ValueError(f"the MLflow store has a run whose id, {run_id!r}, is none")
        return self.folders[run_id]

    # finding

    def find(self, tag: str, values: Iterable[str]) -> list[Record]:
        """The active runs of ours whose tag has one of the values, oldest first."""
        return [record for record in self._find(tag, values) if record.is_ours]

    def _find(self, tag: str, values: Iterable[str]) -> list[Record]:
        if is_database(self.uri):
            return self._from_database(from_database, tag, values)
        return self._from_server(tag, values)

    def _from_database(self, read: Callable[..., T], *arguments: Any) -> T:
        """What read(uri, ...) finds."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return read(self.uri, *arguments)
        except (SQLAlchemyError, ImportError) as error:  # a database's driver may be missing
            raise self._silent(error) from None

    def _from_server(self, tag: str, values: Iterable[str]) -> list[Record]:
        """The same by MLflow's client: a question a value, since its filters know no IN for tags, some at a time."""
        from mlflow.exceptions import MlflowException

        try:
            experiments = [str(e.experiment_id) for e in _pages(self.client.search_experiments)]
            with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
                found = pool.map(lambda value: self._tagged(experiments, tag, value), values)
                records = [record for some in found for record in some]
        except MlflowException as error:
            raise self._silent(error) from None
        return sorted(records, key=lambda record: (record.start, record.run_id))

    def _tagged(self, experiments: list[str], tag: str, value: str) -> list[Record]:
        """The active runs of some experiments whose tag has a value."""
        ask = partial(self.client.search_runs, experiments, f"tags.`{tag}` = '{value}'")
        return [
            Record(info.run_id, info.experiment_id, info.start_time, info.end_time, data.tags, data.metrics)
            for info, data in ((run.info, run.data) for run in _pages(ask))
        ]

    def records(self, configs: Iterable[Config]) -> dict[tuple[str, int], Record]:
        """The seed runs of these cells, of any study, by (cell_key, seed); of several a done one, then the oldest."""
        found: dict[tuple[str, int], Record] = {}
        for record in self.find("cell_key", {config.cell_key for config in configs}):
            if "seed" not in record.tags:  # a parent
                continue
            key = record.cell_key, record.seed
            if key not in found or (found[key].state != "done" and record.state == "done"):
                found[key] = record
        return found

    def all_runs(self) -> dict[str, Record]:
        """All seed runs by their ids, also what was deleted in MLflow, whose state is "deleted" here."""
        from mlflow.entities import ViewType
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        found: dict[str, Record] = {}
        token: str | None = None
        try:
            experiments = {e.experiment_id: e for e in self.client.search_experiments(view_type=ViewType.ALL)}
            while token != "":
                page = self.client.search_runs(list(experiments), "tags.seed LIKE '%'", ViewType.ALL, page_token=token)
                token = page.token or ""
                for info, data in ((run.info, run.data) for run in page):
                    stages = {info.lifecycle_stage, experiments[info.experiment_id].lifecycle_stage}
                    tags = {**data.tags, "state": data.tags["state"] if stages == {"active"} else "deleted"}
                    times = info.start_time, info.end_time
                    found[info.run_id] = Record(info.run_id, info.experiment_id, *times, tags, data.metrics)
        except (MlflowException, SQLAlchemyError) as error:
            raise self._silent(error) from None
        return found

    def trials(self, search: Search) -> list[Record]:
        """The trials of a search in the order of their numbers."""
        records = self.find("search", [search.key])
        return sorted(records, key=lambda record: int(record.tags["trial"]))

    # writing

    def experiment(self, study: Study | Search) -> str:
        """Id of the experiment of a study or search, made if there is none. Raises ValueError if it was deleted."""
        held = self.client.get_experiment_by_name(study.title)
        if held is None:
            served = self.uri.startswith("http")  # a server knows where its artifacts lie
            local = None if served else (self.storage / "artifacts").as_uri()
            tags = {"mlflow.experimentKind": "custom_model_development", f"mlflow.sharedViewState.{VIEW}": _view(study)}
            return str(self.client.create_experiment(study.title, artifact_location=local, tags=tags))
        if held.lifecycle_stage != "active":
            raise ValueError(
                f"experiment {study.title!r} is deleted in MLflow; restore it there, or remove it for good"
            )
        return str(held.experiment_id)

    def create(
        self,
        study: Study | Search,
        cell: Cell,
        seed: int,
        *,
        parent: Cell | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """A new run of one seed of a cell, below the cell's parent or another's; returns its id."""
        held = {
            **_cell_tags(study, cell),
            **(tags or {}),
            "seed": str(seed),
            "state": "missing",
            "mlflow.parentRunId": self.parent(study, parent or cell),
        }
        run = self.client.create_run(self.experiment(study), tags=held, run_name=f"{cell.label}, seed {seed}")
        run_id = str(run.info.run_id)
        self.client.update_run(run_id, status="SCHEDULED")
        self._rows[run_id] = set()
        return run_id

    def begin(self, run_id: str, config: Config) -> None:
        """Mark a run as running, again if it was interrupted or failed, and complete what a crash may have left out."""
        self.client.update_run(run_id, status="RUNNING")
        self.client.set_tag(run_id, "state", "running")
        self._log_config(run_id, config)

    def reserve(self, study: Study, jobs: Iterable[Job]) -> list[Job]:
        """The jobs, each with its run, made if there is none: from then on they can be made while the store is away."""
        with self.exclusive():  # two drivers must not make two
            records = self.records(job.cell.config for job in jobs)
            reserved = []
            for job in jobs:
                held = records.get(job.key)
                run_id = held.run_id if held else self.create(study, job.cell, job.seed)
                reserved.append(replace(job, run_id=run_id))
        return reserved

    def take_up(self, records: Iterable[Record]) -> list[str]:
        """Store what earlier processes left in the folders of runs that the store holds as not ended; their ids."""
        left = [record.run_id for record in records if record.state not in FINISHED and self._has_begun(record)]
        for run_id in left:
            self.complete(run_id)
        return left

    def _has_begun(self, record: Record) -> bool:
        self.folders.fetch(record.run_id)
        return (self.folder(record.run_id) / "config.json").exists()

    def complete(self, run_id: str) -> None:
        """Store all that a run folder holds and the store does not, its config included."""
        config, _ = read_run(self.folder(run_id))
        self._log_config(run_id, config)
        self.deliver(run_id)

    def _log_config(self, run_id: str, config: Config) -> None:
        self._log_params(run_id, config)
        self.client.log_dict(run_id, config.model_dump(mode="json"), "config.json")

    def _log_params(self, run_id: str, config: Config) -> None:
        from mlflow.entities import Param

        params = [Param(name, str(value)) for name, value in config.changed().items()]
        self.client.log_batch(run_id, params=params)

    def deliver(self, run_id: str, end: tuple[str, str] | None = None) -> None:
        """Store what the run folder holds and the store does not: rows with their own time, grids, provenance, the end.

        Whoever delivers it how often, in whatever order, the store holds the same. `end`, a state and an error, is for
        a folder that cannot be written to.
        """
        folder = self.folder(run_id)
        self.folders.fetch(run_id)
        rows = read_rows(folder)
        if run_id not in self._opened and (made_with := read_provenance(folder)):
            for name, value in made_with.items():
                self.client.set_tag(run_id, name, value)
            self._opened.add(run_id)
        if run_id not in self._rows:
            self._rows[run_id] = {point.step for point in self.client.get_metric_history(run_id, "images")}
        for row in rows:
            if row["images"] not in self._rows[run_id]:
                self.client.log_batch(run_id, metrics=_metrics(row))
                self._rows[run_id].add(row["images"])
            self._picture(run_id, row)
        state, error = end or end_of(folder)
        if state in ("done", "diverged") and end_of(folder)[0] != state:
            raise OSError(f"{folder} does not show its last row yet")  # a file system over a network takes its time
        if state in FINISHED:
            self._close(run_id, rows, state, error)

    def _picture(self, run_id: str, row: dict[str, Any]) -> None:
        """Store a row's grid as the image of its step, unless it is there: MLflow would keep both."""
        if run_id not in self._pictures:
            self._pictures[run_id] = set(self._grids(run_id))
        path = self.folder(run_id) / "samples" / f"{row['images']:012d}.png"
        if path.exists() and row["images"] not in self._pictures[run_id]:
            if picture := _png(path):
                self.client.log_image(run_id, picture, key="samples", step=row["images"])
            self._pictures[run_id].add(row["images"])

    def finish(self, run_id: str, state: str, error: str = "") -> None:
        """Close a run, in its folder and in the store."""
        mark_end(self.folder(run_id), state, error)
        self.deliver(run_id)

    def _close(self, run_id: str, rows: list[dict[str, Any]], state: str, error: str) -> None:
        """Finals and bests of a run's rows, its MLflow status, and last its state, by which it counts."""
        from mlflow.entities import Metric, RunTag

        if rows and state in ("done", "diverged"):
            stamp = int(rows[-1]["logged_at"] * 1000)
            values = {**summary(rows), "evaluations": len(rows)}
            metrics = [Metric(name, value, stamp, rows[-1]["images"]) for name, value in values.items()]
            self.client.log_batch(run_id, metrics=metrics)
        self.client.set_terminated(run_id, FINISHED[state])
        self.client.log_batch(run_id, tags=[RunTag("error", error), RunTag("state", state)])

    def parent(self, study: Study | Search, cell: Cell) -> str:
        """Id of the cell's closed parent run in the study's experiment, made if there is none."""
        with self.exclusive():  # two drivers must not make two
            experiment = self.experiment(study)
            key = experiment, cell.config.cell_key, cell.label
            run_id = self._parents.get(key) or self._find_parent(experiment, cell)
            if run_id is None:
                self._rename_former(experiment, study, cell)
                run = self.client.create_run(experiment, tags=_cell_tags(study, cell), run_name=cell.label)
                run_id = str(run.info.run_id)
                self._log_params(run_id, cell.config)
                self.client.set_terminated(run_id, "FINISHED")
            self._parents[key] = run_id
        return run_id

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the store's lock, which this process may already hold."""
        with nullcontext() if self._locked else exclusive(self.storage):
            before, self._locked = self._locked, True
            try:
                yield
            finally:
                self._locked = before

    def _find_parent(self, experiment: str, cell: Cell) -> str | None:
        for record in self.find("cell_key", [cell.config.cell_key]):
            held, place = record.tags, (record.experiment_id, record.tags["row"], record.tags["column"])
            if "seed" not in held and place == (experiment, cell.row, cell.column):
                return record.run_id
        return None

    def _rename_former(self, experiment: str, study: Study | Search, cell: Cell) -> None:
        """Tell the parent of what a row was before it changed from the new one, which has the same label."""
        for record in self.find("study", [study.title]):
            place = (record.experiment_id, record.tags["row"], record.tags["column"])
            if "seed" not in record.tags and place == (experiment, cell.row, cell.column):
                self.client.update_run(record.run_id, name=f"{cell.label} (before)")

    def update_parents(self, study: Study, cells: Iterable[Cell]) -> None:
        """Write the aggregates of these cells over the study's seeds into their parents, in place of older ones."""
        cells = list(cells)
        runs = _frame(self, study, cells)
        for cell in cells:
            of_cell = runs[(runs["row"] == cell.row) & (runs["column"] == cell.column)]
            values: dict[str, float] = {}
            for metric in study.metrics:
                mean, std, n, diverged = aggregate(of_cell, metric)
                values |= {f"{metric}_mean": mean, f"{metric}_std": std, f"{metric}_n": n, "diverged": diverged}
            ids = ",".join(of_cell.loc[of_cell["state"] == "done", "run_id"])
            parent = self.parent(study, cell)
            self.summarize(parent, values, {"run_ids": ids})
            self._log_params(parent, cell.config)
            self.client.set_terminated(parent, "FINISHED")

    def summarize(self, parent: str, values: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Write what a parent says of the runs below it, in place of what it said before.

        The latest value of a metric is, to MLflow, that of the highest step: whatever the clock says, each change is a
        step further.
        """
        from mlflow.entities import Metric, RunTag

        stamp = time.time_ns() // 1_000_000
        with self.exclusive():
            held = self.client.get_run(parent).data.metrics
            metrics = []
            for name, value in values.items():
                if name in held and (held[name] == value or (math.isnan(held[name]) and math.isnan(value))):
                    continue
                steps = [point.step for point in self.client.get_metric_history(parent, name)] if name in held else []
                metrics.append(Metric(name, value, stamp, max(steps, default=-1) + 1))
            self.client.log_batch(parent, metrics=metrics, tags=[RunTag(name, value) for name, value in tags.items()])

    # reading back

    def links(self, address: str) -> dict[str, str]:
        """Where the MLflow UI at an address shows each study as its ablation table, by title."""
        from mlflow.entities import ViewType

        page = f"runs?workflowType=machine_learning&viewStateShareKey={VIEW}"
        return {
            e.name: f"{address}/#/experiments/{e.experiment_id}/{page}"
            for e in self.client.search_experiments(view_type=ViewType.ACTIVE_ONLY)
            if f"mlflow.sharedViewState.{VIEW}" in e.tags
        }

    def pictures(self, run_id: str, target: Path, nearest: Iterable[float] = (math.inf,)) -> dict[int, Path]:
        """The run's grids of samples nearest to these images, by default its last, by images: in its run folder, else
        MLflow's into `target`; those alone that can be had here."""
        made = {int(path.stem): path for path in (self.folder(run_id) / "samples").glob("*.png")}
        if made:
            return {images: made[images] for images in _nearest(made, nearest)}
        from mlflow.exceptions import MlflowException  # takes a second

        try:
            grids = self._grids(run_id)
        except MlflowException:  # a server keeps it, and the store is the server's database
            return {}
        chosen = _nearest(grids, nearest)
        return {n: Path(self.client.download_artifacts(run_id, grids[n], str(target))) for n in chosen}

    def _grids(self, run_id: str) -> dict[int, str]:
        """Artifact paths of a run's grids by step, which MLflow writes into their names."""
        paths = [item.path for item in self.client.list_artifacts(run_id, "images")]
        matches = [re.search(r"samples[+%]step[+%](\d+)[+%].*\.png$", path) for path in paths]
        return {int(match[1]): match.string for match in matches if match}

    def histories(self, run_ids: Iterable[str], metric: str) -> dict[str, list[tuple[int, int, float]]]:
        """Each run's values of one row metric as (milliseconds since 1970, images, value), by images, then by time."""
        held: dict[str, list[tuple[int, int, float]]] = {run_id: [] for run_id in run_ids}
        if is_database(self.uri):  # one question instead of one a run
            for run_id, stamp, images, value in self._from_database(points_from_database, held, metric):
                held[run_id].append((stamp, images, value))
        else:
            for run_id, points in held.items():
                points += [(m.timestamp, m.step, m.value) for m in self.client.get_metric_history(run_id, metric)]
        return {run_id: sorted(points, key=lambda point: (point[1], point[0])) for run_id, points in held.items()}

    def points(self, run_id: str, metric: str) -> list[tuple[int, int, float]]:
        """The history of one run."""
        return self.histories([run_id], metric)[run_id]


def load_runs(study: Study | str, tracking_uri: str | None = None, *, store: Store | None = None) -> pd.DataFrame:
    """All runs of a study's cells and seeds that the store holds, one a row, in the study's order.

    Columns: row, column, seed, state, run_id, cell_key; the tags protocol, code_version, data_digest, features_digest,
    own_code_digest, device, torch; finals and bests by the names of METRICS, evaluations and seconds (NaN where a run
    has none). Raises ValueError for a study that is not known.
    """
    if isinstance(study, str):
        if study not in STUDIES:
            raise ValueError(f"study {study!r} is unknown; {choose(study, STUDIES)}")
        study = STUDIES[study]
    return _frame(store or Store(tracking_uri), study, study.cells())


def _frame(store: Store, study: Study, cells: list[Cell]) -> pd.DataFrame:
    """The runs of some cells of a study, one a line."""
    import pandas as pd

    records = store.records(cell.config for cell in cells)
    lines = []
    for cell in cells:
        for seed in range(study.seeds):
            record = records.get((cell.config.cell_key, seed))
            if record:
                lines.append({"row": cell.row, "column": cell.column, **_line(record)})
    columns = ["row", "column", "seed", "state", "run_id", "cell_key", *_TAGS, *METRICS, "evaluations", "seconds"]
    return pd.DataFrame(lines, columns=columns)


_TAGS = ("protocol", "code_version", "data_digest", "features_digest", "own_code_digest", "device", "torch")


def _line(record: Record) -> dict[str, Any]:
    names = ("run_id", "cell_key", "seed", "state")
    metrics = {name: value for name, value in record.metrics.items() if abs(value) < LARGEST}
    values = {name: metrics.get(name, math.nan) for name in (*METRICS, "evaluations")}
    seconds = metrics.get("seconds", math.nan) + metrics.get("eval_seconds", 0.0)
    tags = {name: record.tags.get(name, "") for name in _TAGS}
    return {**{name: getattr(record, name) for name in names}, **tags, **values, "seconds": seconds}


def _pages(ask: Callable[..., Any]) -> Iterator[Any]:
    """All that a search of MLflow finds, page by page."""
    token: str | None = None
    while True:
        page = ask(page_token=token)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def _once() -> Iterator[None]:
    """Let MLflow ask a server once rather than again and again."""
    usual = os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    try:
        yield
    finally:
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = usual


def _png(path: Path) -> Image | None:
    """A picture of a run folder; None, with a warning, for what is none, since a run counts without its pictures."""
    import PIL.Image

    try:
        picture = PIL.Image.open(path, formats=["PNG"])
        picture.load()
    except Exception as error:  # a damaged one raises anything
        logger.warning("%s is left out: %s", path, error)
        return None
    return picture


def _nearest(held: Collection[int], wanted: Iterable[float]) -> list[int]:
    """The numbers that are nearest to those wanted, in ascending order; infinity asks for the largest."""
    return sorted({min(held, key=lambda n: (abs(n - want), -n)) for want in wanted}) if held else []


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Finals and bests of a finished run's rows, by the names of METRICS; NaN for a diverged run."""
    values = {}
    for name, metric in METRICS.items():
        if metric.row not in rows[-1]:
            continue
        series = [row[metric.row] for row in rows if metric.row in row]  # D has no step before the first row
        best = min(series) if metric.lower_is_better else max(series)
        diverged = rows[-1]["state"] == "diverged"
        values[name] = math.nan if diverged else series[-1] if metric.when == "final" else best
    return values


def _metrics(row: dict[str, Any]) -> list[Metric]:
    """A row's numbers as MLflow metrics against images, at the time they were made."""
    from mlflow.entities import Metric

    stamp = int(row["logged_at"] * 1000)
    names = [name for name in row if name not in ("state", "logged_at")]
    # MLflow would store infinity as 1.8e308
    values = {name: row[name] if math.isfinite(row[name]) else math.nan for name in names}
    return [Metric(name, value, stamp, row["images"]) for name, value in values.items()]


def _cell_tags(study: Study | Search, cell: Cell) -> dict[str, str]:
    return {
        "cell_key": cell.config.cell_key,
        "study": study.title,
        "row": cell.row,
        "column": cell.column,
        "protocol": cell.config.protocol,
    }


def _view(study: Study | Search) -> str:
    """A shared view of the MLflow UI whose columns are what the parents say, so that its table is the study's."""
    columns = [f"metrics.`{name}`" for name in study.summary]
    return json.dumps({"selectedColumns": columns, "orderByKey": "attributes.start_time", "orderByAsc": True})
