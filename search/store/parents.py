"""Experiments, and the parent runs that stand for cells in them: one closed run a cell, with its seeds' aggregates."""

import json
import math
import time
from collections.abc import Iterable, Mapping

from search.store.connection import Store
from search.store.database import StoredRun
from search.store.former import IDENTITY_TAG
from search.store.frames import aggregate, runs_frame
from search.store.queries import VIEW, StoredCells, find_runs, stored_cells
from search.store.summaries import completed
from spaces import Cell, Search, Study
from spaces.study import summary_name
from trainers.config import Config
from trainers.run_state import RunState

STEP = "ganablate.step"  # tag of a parent: of its latest change
IMAGES = "ganablate.images"  # tag of an experiment: the digests of the image files that its study is of


class Parents:
    """The experiments and parent runs of a store. Methods raise ValueError if the store does not answer."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._experiments: dict[str, str] = {}  # ids by title
        self._ids: dict[tuple[str, str, str, str], str] = {}  # by experiment, cell_key, row and column
        self._asked: set[str] = set()  # cell keys whose parents are known
        self._former: dict[str, list[StoredRun]] = {}  # parents that a study had before, by its title
        self._whole: set[str] = set()  # parents that have their params and are closed

    def experiment(self, study: Study | Search) -> str:
        """Id of the experiment of a study or search, made if there is none. Raises ValueError if it was deleted."""
        if study.title not in self._experiments:
            self._experiments[study.title] = self._found(study) or self._made(study, study.title)
        return self._experiments[study.title]

    def _found(self, study: Study | Search) -> str | None:
        """Id of the experiment in the store. One of the same title on other images is not it: where there is one, both
        carry the first digits of their images' digests, and ours is renamed if it does not yet."""
        client, title = self.store.client, study.title
        if study.images:
            plain, told = study.titles()
            other = client.get_experiment_by_name(plain)
            is_own = other is not None and other.tags.get(IMAGES) == study.images
            if is_own and title == told != plain:
                client.rename_experiment(other.experiment_id, told)
            if other is not None and not is_own and client.get_experiment_by_name(told) is None:
                return self._made(study, told)
            title = title if other is None or is_own else told
        experiment = client.get_experiment_by_name(title)
        if experiment and experiment.lifecycle_stage != "active":
            raise ValueError(f"experiment {title!r} is deleted in MLflow; restore it there, or remove it for good")
        return str(experiment.experiment_id) if experiment else None

    def _made(self, study: Study | Search, title: str) -> str:
        self._former[study.title] = []
        # a server knows where its artifacts lie
        local = None if self.store.server else (self.store.storage / "artifacts").as_uri()
        view = {f"mlflow.sharedViewState.{VIEW}": _view(study), **({IMAGES: study.images} if study.images else {})}
        tags = {"mlflow.experimentKind": "custom_model_development", **view, **IDENTITY_TAG}
        return str(self.store.client.create_experiment(title, artifact_location=local, tags=tags))

    def remember(self, cells: Iterable[Cell], stored: StoredCells) -> None:
        """Note the parents of these cells in the store, so that it is not asked for them again."""
        self._asked |= {cell.config.cell_key for cell in cells}
        for run in stored.parents:
            self._ids.setdefault((run.experiment_id, run.cell_key, run.tags["row"], run.tags["column"]), run.run_id)

    def parent(self, study: Study | Search, cell: Cell) -> str:
        """Id of the cell's closed parent run in the study's experiment, made if there is none."""
        client = self.store.client
        with self.store.exclusive():  # two drivers must not make two
            experiment = self.experiment(study)
            key = experiment, cell.config.cell_key, cell.row, cell.column
            if cell.config.cell_key not in self._asked:
                self.remember([cell], stored_cells(self.store, [cell.config]))
            if key not in self._ids:
                self._rename_former(experiment, study, cell)
                run = client.create_run(experiment, tags=cell_tags(study, cell), run_name=cell.label)
                self._ids[key] = str(run.info.run_id)
                self._complete(self._ids[key], cell)
        return self._ids[key]

    def _complete(self, parent: str, cell: Cell) -> None:
        """Write what stays of a parent, which a crash may have left out, once a process."""
        if parent not in self._whole:
            log_params(self.store, parent, cell.config)
            self.store.client.set_terminated(parent, "FINISHED")
            self._whole.add(parent)

    def _rename_former(self, experiment: str, study: Study | Search, cell: Cell) -> None:
        """Tell the parent of what a row was before it changed from the new one, which has the same label."""
        if study.title not in self._former:
            self._former[study.title] = find_runs(self.store, "study", [study.title])
        for run in self._former[study.title]:
            labels = run.experiment_id, run.tags["row"], run.tags["column"]
            if "seed" not in run.tags and labels == (experiment, cell.row, cell.column):
                self.store.client.update_run(run.run_id, name=f"{cell.label} (before)")

    def update(self, study: Study, cells: Iterable[Cell], stored: StoredCells | None = None) -> None:
        """Write the aggregates of these cells over the study's seeds into their parents, in place of older ones.
        `stored` is what the store holds of the cells, if it was just asked."""
        cells = list(cells)
        stored = stored or stored_cells(self.store, (cell.config for cell in cells))
        self.remember(cells, stored)
        runs = runs_frame(study, cells, completed(self.store, cells, stored.seeds), strict=False)
        for cell in cells:
            of_cell = runs[(runs["row"] == cell.row) & (runs["column"] == cell.column)]
            values: dict[str, float] = {}
            for metric in study.metrics:
                mean, std, n, diverged, lost = aggregate(of_cell, metric)
                name = summary_name(metric)
                values |= {f"{name}_mean": mean, f"{name}_std": std, f"{name}_n": n}
                values |= {"diverged": diverged, "lost": lost}
            ids = ",".join(of_cell.loc[of_cell["state"] == RunState.DONE, "run_id"])
            parent = self.parent(study, cell)
            self.write(parent, values, {"run_ids": ids})
            self._complete(parent, cell)

    def write(self, parent: str, values: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Write what a parent says of the runs below it, in place of what it said before.

        Each change is a step further, since MLflow's latest value of a metric is that of the highest step.
        """
        from mlflow.entities import Metric, RunTag

        client, stamp = self.store.client, time.time_ns() // 1_000_000
        with self.store.exclusive():  # two drivers must not take one step
            before = client.get_run(parent).data
            if STEP in before.tags:
                step = int(before.tags[STEP]) + 1
            else:  # a new one, or of an earlier version
                told = [client.get_metric_history(parent, name) for name in values if name in before.metrics]
                step = max((point.step for points in told for point in points), default=-1) + 1
            metrics = [
                Metric(name, value, stamp, step)
                for name, value in values.items()
                if not (name in before.metrics and _equal(before.metrics[name], value))
            ]
            all_tags = {**tags, STEP: str(step)}
            client.log_batch(parent, metrics=metrics, tags=[RunTag(name, value) for name, value in all_tags.items()])


def _equal(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def cell_tags(study: Study | Search, cell: Cell) -> dict[str, str]:
    """The tags of a cell's parent and of its seeds."""
    labels = {"study": study.title, "row": cell.row, "column": cell.column}
    return {"cell_key": cell.config.cell_key, **labels, "protocol": cell.config.protocol, **data_tags(cell.config)}


def data_tags(config: Config) -> dict[str, str]:
    """What a run on image files keeps of them: short name, spelling, digest."""
    if not config.is_at_path:
        return {}
    return {"data": config.data_name, "data_spelling": config.data_spelling, "data_digest": config.data_digest}


def log_params(store: Store, run_id: str, config: Config) -> None:
    """Log the fields of a Config that act and differ from their defaults. What a run has stays: MLflow changes none."""
    from mlflow.entities import Param

    fields = config.acting().non_defaults() | ({"dataset": config.data_name} if config.is_at_path else {})
    there = store.client.get_run(run_id).data.params
    params = [Param(name, str(value)) for name, value in fields.items() if name not in there]
    store.client.log_batch(run_id, params=params)


def _view(study: Study | Search) -> str:
    """A shared view of the MLflow UI whose columns are what the parents say, so that its table is the study's."""
    columns = [f"metrics.`{name}`" for name in study.summary]
    return json.dumps({"selectedColumns": columns, "orderByKey": "attributes.start_time", "orderByAsc": True})
