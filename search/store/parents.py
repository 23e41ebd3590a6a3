"""Experiments, and the parent runs that stand for cells in them: one closed run a cell, with its seeds' aggregates and,
once all of them have ended, their curves. MLflow forgets no point of a metric, so a cell whose curves change gets a new
parent in place of the old one."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from search.store.client import MOST_METRICS
from search.store.connection import Store
from search.store.curves import curves_of
from search.store.database import StoredRun
from search.store.former import IDENTITY_TAG
from search.store.frames import aggregate, runs_frame
from search.store.queries import StoredCells, find_runs, stored_cells
from search.store.summaries import completed
from search.store.view import VIEW_TAG, colour, logged_fields, view_of
from spaces import Cell, Search, Study
from spaces.study import summary_name
from trainers.config import Config
from trainers.run_state import RunState

if TYPE_CHECKING:
    import pandas as pd

STEP = "ganablate.step"  # tag of a parent: of its latest change
CURVES = "ganablate.curves"  # tag of a parent: the digest of the runs that its curves are of
DRAWN = "ganablate.drawn"  # tag of the first row's parent: the digest of metric and runs in the picture there
BEGUN = " begun"  # after it, until all points are there
REPLACES = "ganablate.replaces"  # tag of a parent: the id of the one that it stands for
ABOVE = "mlflow.parentRunId"
NOTE = "mlflow.note.content"  # tag of an experiment: its description
NOTES = "ganablate.notes"  # and the digests of what we wrote there last
LONGEST_NOTE = 5_000  # letters that MLflow takes
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
        self._stored: dict[str, StoredRun] = {}  # parents as the store had them when it was last asked
        self._replaced: set[str] = set()  # parents that others stand for

    def experiment(self, study: Study | Search) -> str:
        """Id of the experiment of a study or search, made if there is none. Raises ValueError if it was deleted."""
        if study.title not in self._experiments:
            found = self._found(study)
            self._experiments[study.title] = found or self._made(study, study.title)
            if found and isinstance(study, Study):  # an earlier version, or other metrics, had other columns
                self.show(study)
        return self._experiments[study.title]

    def show(self, study: Study | Search, configs: Iterable[Config] = ()) -> None:
        """Give a study's table in the MLflow UI its columns; a search's also the params in which the Configs of its
        trials differ."""
        experiment, view = self.experiment(study), view_of(study, configs)
        if self.store.client.get_experiment(experiment).tags.get(VIEW_TAG) != view:
            self.store.client.set_experiment_tag(experiment, VIEW_TAG, view)

    def describe(self, study: Study, text: str) -> None:
        """Make a text in Markdown the description of a study's experiment, in place of an earlier one of ours; what
        someone else wrote there stays. Raises ValueError for a text that MLflow does not take."""
        if len(text) > LONGEST_NOTE:
            raise ValueError(f"a description has at most {LONGEST_NOTE:,} letters, not {len(text):,}")
        client, experiment = self.store.client, self.experiment(study)
        with self.store.exclusive():
            tags = client.get_experiment(experiment).tags
            before, after = (_digest([note]) for note in (tags.get(NOTE, ""), text))
            if before != after and (not tags.get(NOTE) or before in tags.get(NOTES, "").split()):
                client.set_experiment_tag(experiment, NOTES, f"{before} {after}")  # whichever a crash leaves is ours
                client.set_experiment_tag(experiment, NOTE, text)

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
        view = {VIEW_TAG: view_of(study), **({IMAGES: study.images} if study.images else {})}
        tags = {"mlflow.experimentKind": "custom_model_development", **view, **IDENTITY_TAG}
        return str(self.store.client.create_experiment(title, artifact_location=local, tags=tags))

    def remember(self, cells: Iterable[Cell], stored: StoredCells) -> None:
        """Note the parents of these cells in the store, so that it is not asked for them again. Of several of one cell
        the oldest counts that none replaces."""
        self._asked |= {cell.config.cell_key for cell in cells}
        self._replaced = {run.tags[REPLACES] for run in stored.parents if REPLACES in run.tags}
        for run in reversed(stored.parents):
            self._stored[run.run_id] = run
            if run.run_id not in self._replaced:
                self._ids[_place(run)] = run.run_id

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
                tags = cell_tags(study, cell) | colour(study, cell)
                run = client.create_run(experiment, tags=tags, run_name=cell.label)
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

    def update(self, study: Study, cells: Iterable[Cell]) -> None:
        """Write what these cells come to over the study's seeds into their parents, in place of what was there: the
        aggregates and, where all seeds have ended, the curves.

        It may end anywhere: the same call goes on. Until then two parents of a cell may be there, whose seeds are below
        one of them.
        """
        cells = list(cells)
        with self.store.exclusive():  # another driver may replace a parent
            stored = stored_cells(self.store, (cell.config for cell in cells))
            self.remember(cells, stored)
            held = completed(self.store, cells, stored.seeds)
            runs = runs_frame(study, cells, held, strict=False)
            for cell in cells:
                of_cell = runs[(runs["row"] == cell.row) & (runs["column"] == cell.column)]
                done = of_cell[of_cell["state"] == RunState.DONE]
                has_ended = len(of_cell) == study.seeds and all(RunState(state).has_ended for state in of_cell["state"])
                kept = [held[cell.config.cell_key, seed] for seed in done[~done["lost"].astype(bool)]["seed"]]
                drawn = kept if has_ended else []
                parent = self._to_draw(study, cell, _digest(run.run_id for run in drawn) if drawn else "")
                self.write(parent, _aggregates(study, of_cell), {"run_ids": ",".join(done["run_id"])})
                self._complete(parent, cell)
                if drawn:
                    self._draw(study, parent, drawn)
                self._gather(study, cell, parent, stored)
                self._name_scores(study, of_cell, held)

    def _to_draw(self, study: Study, cell: Cell, digest: str) -> str:
        """Id of the cell's parent, a new one if that has curves of other runs than those of the digest, if any."""
        parent = self.parent(study, cell)
        before = self._stored.get(parent)
        if not digest or before is None or before.tags.get(CURVES, digest).removesuffix(BEGUN) == digest:
            return parent
        tags = {name: value for name, value in before.tags.items() if name not in (CURVES, DRAWN, STEP)}
        name, tags = tags.get("mlflow.runName"), {**tags, REPLACES: parent}
        run = self.store.client.create_run(before.experiment_id, before.start, tags, name)  # its time orders the rows
        new = str(run.info.run_id)
        self._ids[_place(before)] = new
        self._replaced.add(parent)
        return new

    def _draw(self, study: Study, parent: str, runs: list[StoredRun]) -> None:
        """Write the curves of runs into a parent that has none of others."""
        client, digest = self.store.client, _digest(run.run_id for run in runs)
        if parent in self._stored and self._stored[parent].tags.get(CURVES) == digest:
            return
        client.set_tag(parent, CURVES, digest + BEGUN)
        points = curves_of(self.store, runs, {study.metric(name).key for name in study.metrics})
        for at in range(0, len(points), MOST_METRICS):  # MLflow keeps once what a process that was killed wrote already
            client.log_batch(parent, metrics=points[at : at + MOST_METRICS])
        client.set_tag(parent, CURVES, digest)

    def _gather(self, study: Study, cell: Cell, parent: str, stored: StoredCells) -> None:
        """Bring a cell's seeds below its parent, then delete the parents that it replaces."""
        place = self.experiment(study), cell.config.cell_key, cell.row, cell.column
        for run in [*stored.seeds.values(), *(run for run, _ in stored.duplicates)]:
            if _place(run) == place and run.tags.get(ABOVE) != parent:
                self.store.client.set_tag(run.run_id, ABOVE, parent)
        for run in stored.parents:
            if _place(run) == place and run.run_id in self._replaced:
                self.store.client.delete_run(run.run_id)

    def _name_scores(self, study: Study, of_cell: pd.DataFrame, held: Mapping[tuple[str, int], StoredRun]) -> None:
        """Give seeds in a study's experiment their scores of kept generators under their parent's names, so that these
        stand in its columns."""
        from mlflow.entities import Metric

        names = {metric: summary_name(metric) for metric in study.metrics if study.metric(metric).features}
        for line in of_cell.to_dict("records") if names else ():
            run = held[line["cell_key"], line["seed"]]
            told = {name: line[metric] for metric, name in names.items() if math.isfinite(line[metric])}
            new = {name: value for name, value in told.items() if run.metrics.get(name) != value}
            if new and _place(run) == (self.experiment(study), line["cell_key"], line["row"], line["column"]):
                stamp = time.time_ns() // 1_000_000  # of two values the later counts
                self.store.client.log_batch(run.run_id, metrics=[Metric(*each, stamp, 0) for each in new.items()])

    def compare(self, study: Study, cells: Mapping[tuple[str, str], Mapping[str, float]]) -> None:
        """Write how cells, by row and column, compare with others; NaN only in place of what was there before."""
        for cell in study.cells():
            values = cells.get((cell.row, cell.column), {})
            with self.store.exclusive():
                parent = self.parent(study, cell)
                known = self.store.client.get_run(parent).data.metrics
                told = {name: value for name, value in values.items() if math.isfinite(value) or name in known}
                self.write(parent, told, {})

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
            if not metrics and tags.items() <= before.tags.items():
                return
            all_tags = {**tags, STEP: str(step)}
            client.log_batch(parent, metrics=metrics, tags=[RunTag(name, value) for name, value in all_tags.items()])


def _aggregates(study: Study, of_cell: pd.DataFrame) -> dict[str, float]:
    """What a parent says of the runs of its cell. A mean also has the name under which each seed has its value, so that
    both stand in one column; `n` is of the first metric."""
    values: dict[str, float] = {}
    for metric in study.metrics:
        mean, std, n, diverged, lost = aggregate(of_cell, metric)
        name = summary_name(metric)
        values |= {name: mean, f"{name}_mean": mean, f"{name}_std": std, f"{name}_n": n}
        values |= {"diverged": diverged, "lost": lost}
    return values | {"n": values[f"{summary_name(study.metrics[0])}_n"]}


def _place(run: StoredRun) -> tuple[str, str, str, str]:
    """Where a run stands: experiment, cell_key, row and column."""
    return run.experiment_id, run.cell_key, run.tags["row"], run.tags["column"]


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


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

    fields = logged_fields(config)
    there = store.client.get_run(run_id).data.params
    params = [Param(name, str(value)) for name, value in fields.items() if name not in there]
    store.client.log_batch(run_id, params=params)
