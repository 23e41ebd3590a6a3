"""Makes runs in the store and fills them from their run folders.

Delivery is idempotent: evaluations and grids that MLflow already has are not stored twice, so repeated, reordered or
concurrent deliveries of a folder, after a crash of either side, leave the store the same.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.store.client import MOST_METRICS
from search.store.connection import Store
from search.store.database import StoredRun
from search.store.parents import Parents, cell_tags, log_params
from search.store.queries import stored_grids
from search.store.summaries import final_metrics
from spaces import Cell, Search, Study
from trainers.config import Config
from trainers.run_folder import end_of, mark_end, read_evaluations, read_provenance, read_run
from trainers.run_state import IN_TABLE, RunState
from trainers.score_request import read_scores

if TYPE_CHECKING:
    from mlflow.entities import Metric, RunTag
    from PIL.Image import Image

logger = logging.getLogger(__name__)


class Delivery:
    """What writes runs into a store. Methods raise ValueError if the store does not answer."""

    def __init__(self, store: Store) -> None:
        self.store, self.parents = store, Parents(store)
        self._opened: set[str] = set()  # runs whose provenance this process has stored
        self._steps: dict[str, set[int]] = {}  # images at which the store has a run's evaluation
        self._grids: dict[str, set[int]] = {}  # steps of a run that have their grid
        self._closed: dict[str, tuple[RunState, str, int]] = {}  # with how many evaluations

    def create(self, study: Study | Search, cell: Cell, seed: int, parent: Cell | None = None, **tags: str) -> str:
        """A new run of one seed of a cell, with further tags, below the cell's parent or another's; returns its id."""
        below = {"mlflow.parentRunId": self.parents.parent(study, parent or cell)}
        all_tags = {**cell_tags(study, cell), **tags, "seed": str(seed), "state": RunState.MISSING, **below}
        client, experiment = self.store.client, self.parents.experiment(study)
        name = f"seed {seed}, {cell.label}"  # first what the row above does not say: the UI's column is narrow
        run_id = str(client.create_run(experiment, tags=all_tags, run_name=name).info.run_id)
        self._steps[run_id] = set()
        with contextlib.suppress(ValueError):  # it is made: whoever asked must not make another
            client.update_run(run_id, status=RunState.MISSING.mlflow_status)
        return run_id

    def propose(self, run_id: str, search: Search, cell: Cell, tags: Mapping[str, str]) -> None:
        """Write into a trial's run, which may have been created before it was proposed, what it trains."""
        self.store.client.log_batch(run_id, tags=_tags({**cell_tags(search, cell), **tags}))

    def mark_duplicates(self, duplicates: Iterable[tuple[StoredRun, StoredRun]]) -> None:
        """Say of runs that another one counts in their place; nothing is deleted."""
        for run, first in duplicates:
            if run.tags.get("duplicate_of") != first.run_id:
                self.store.client.set_tag(run.run_id, "duplicate_of", first.run_id)

    def begin(self, run_id: str, config: Config) -> None:
        """Mark a run as running, again if it was interrupted or failed, and complete what a crash may have left out."""
        self.store.client.update_run(run_id, status=RunState.RUNNING.mlflow_status)
        self.store.client.set_tag(run_id, "state", RunState.RUNNING)
        self._log_config(run_id, config)

    def interrupt(self, run_id: str) -> None:
        """Store what the folder of a run holds that a signal ended; MLflow shows it as killed, not as running."""
        self.deliver(run_id)
        if not end_of(self.store.folder(run_id))[0].has_ended:
            self.store.client.update_run(run_id, status=RunState.INTERRUPTED.mlflow_status)

    def recover(self, runs: Iterable[StoredRun]) -> list[str]:
        """Store what earlier processes left in the folders of runs that have not ended in the store; their ids."""
        open_ids = [run.run_id for run in runs if not run.state.has_ended]
        for run_id in open_ids:
            self.store.folders.download(run_id)
        begun = [run_id for run_id in open_ids if (self.store.folder(run_id) / "config.json").exists()]
        for run_id in begun:
            self.complete(run_id)
        return begun

    def complete(self, run_id: str) -> None:
        """Store all that a run folder holds and the store does not, its config included."""
        config, _ = read_run(self.store.folder(run_id))
        self._log_config(run_id, config)
        self.deliver(run_id)

    def _log_config(self, run_id: str, config: Config) -> None:
        log_params(self.store, run_id, config)
        self.store.client.log_dict(run_id, config.model_dump(mode="json"), "config.json")

    def deliver(self, run_id: str, end: tuple[RunState, str] | None = None) -> None:
        """Store what the run folder holds and the store does not: evaluations with their time, grids, provenance, end.

        `end`, a state and an error, is for a folder that cannot be written to.
        """
        folder, client = self.store.folder(run_id), self.store.client
        self.store.folders.download(run_id)
        state, error = end or end_of(folder)
        if state in IN_TABLE and end_of(folder)[0] != state:
            raise OSError(f"{folder} does not show its last row yet")  # a file system over a network takes its time
        rows = read_evaluations(folder)  # after its end, lest a row that comes meanwhile end a run without counting
        if run_id not in self._opened and (provenance := read_provenance(folder)):
            client.log_batch(run_id, tags=_tags(provenance))
            self._opened.add(run_id)
        if run_id not in self._steps:
            self._steps[run_id] = {point.step for point in client.get_metric_history(run_id, "images")}
        self._deliver_rows(run_id, [row for row in rows if row["images"] not in self._steps[run_id]])
        for row in rows:
            self._deliver_grid(run_id, row["images"])
        if state.has_ended and self._closed.get(run_id) != (state, error, len(rows)):
            self._close(run_id, rows, state, error)
            self._closed[run_id] = state, error, len(rows)
        if state == RunState.DONE:
            self.deliver_scores(run_id)

    def _deliver_rows(self, run_id: str, rows: list[dict[str, Any]]) -> None:
        """Store evaluations, each whole, and as many at a time as MLflow takes: a slow server has many to catch up."""
        size = max(1, MOST_METRICS // max(map(len, rows), default=1))
        for some in (rows[at : at + size] for at in range(0, len(rows), size)):
            self.store.client.log_batch(run_id, metrics=[metric for row in some for metric in mlflow_metrics(row)])
            self._steps[run_id] |= {row["images"] for row in some}

    def _deliver_grid(self, run_id: str, images: int) -> None:
        """Store an evaluation's grid as the image of its step, unless it is there: MLflow would keep both."""
        if run_id not in self._grids:
            self._grids[run_id] = set(stored_grids(self.store, run_id))
        path = self.store.folder(run_id) / "samples" / f"{images:012d}.png"
        if path.exists() and images not in self._grids[run_id]:
            if picture := _png(path):
                self.store.client.log_image(run_id, picture, key="samples", step=images)
            self._grids[run_id].add(images)

    def deliver_scores(self, run_id: str) -> None:
        """Store the scores of kept generators that the run folder holds and the store does not, with their protocols.
        Raises ValueError if the folder's cannot be read."""
        from mlflow.entities import Metric

        scores = read_scores(self.store.folder(run_id))
        known = self.store.client.get_run(run_id).data.metrics if scores else {}
        new = [score for score in scores if score.name not in known]
        if new:
            metrics = [Metric(score.name, score.value, int(score.logged_at * 1000), 0) for score in new]
            tags = {score.name.rpartition("/")[0]: score.protocol for score in new}
            self.store.client.log_batch(run_id, metrics=metrics, tags=_tags(tags))

    def finish(self, run_id: str, state: RunState, error: str = "") -> None:
        """Close a run, in its folder and in the store."""
        mark_end(self.store.folder(run_id), state, error)
        self.deliver(run_id)

    def _close(self, run_id: str, rows: list[dict[str, Any]], state: RunState, error: str) -> None:
        """Finals and bests of a run's evaluations, its MLflow status, and last its state, by which it counts."""
        from mlflow.entities import Metric

        metrics = []
        if rows and state in IN_TABLE:
            stamp = int(rows[-1]["logged_at"] * 1000)
            values = {**final_metrics(rows), "evaluations": len(rows)}
            metrics = [Metric(name, value, stamp, rows[-1]["images"]) for name, value in values.items()]
        self.store.client.set_terminated(run_id, state.mlflow_status)
        self.store.client.log_batch(run_id, metrics=metrics, tags=_tags({"error": error, "state": state}))


def _tags(values: Mapping[str, str]) -> list[RunTag]:
    """As MLflow takes them."""
    from mlflow.entities import RunTag

    return [RunTag(name, value) for name, value in values.items()]


def mlflow_metrics(row: dict[str, Any]) -> list[Metric]:
    """An evaluation's numbers as MLflow metrics against images, at the time they were made."""
    from mlflow.entities import Metric

    stamp = int(row["logged_at"] * 1000)
    names = [name for name in row if name not in ("state", "logged_at")]
    # MLflow would store infinity as 1.8e308
    values = {name: row[name] if math.isfinite(row[name]) else math.nan for name in names}
    return [Metric(name, value, stamp, row["images"]) for name, value in values.items()]


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
