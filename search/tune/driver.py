"""Runs as Ray Tune trials: one fresh Tuner over the work that is left, and the store kept in step with it."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the older output keeps quiet when told to
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # a user's relative paths mean the driver's folder
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # the run folder has it all
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # we have our own
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.plan import Job
from search.progress import SweepProgress, label
from search.store import Store
from search.store.delivery import Delivery
from search.store.folders import ObjectStore
from search.store.identity import database_lost, database_stamp, origin
from search.store.outbox import Outbox
from search.tune.cluster import Cluster, is_alive
from search.tune.worker import HALTED, train_trial
from trainers.files import cache_folder, storage_lost, storage_mark
from trainers.loop import digests
from trainers.run_folder import code_version, mark_end
from trainers.run_state import ENDED, IN_TABLE, RunState
from trainers.signals import stopping_signals

logger = logging.getLogger(__name__)

WAIT, DONE = "wait", "done"  # answers of a queue that has no job now, or no more
LOOK_EVERY = 5.0  # seconds between two looks at whether Ray lives
DEATHS = 3  # of a trial's worker or its machine, behind which the trial goes on from its checkpoint


class RunQueue(ABC):
    """What is to be run: hands out jobs, which the store holds, and learns how they went."""

    has_own_code = False  # whether a job's Config names code of the user's own

    @abstractmethod
    def next(self) -> Job | str:
        """The next job; WAIT while there may be one later, DONE when there are no more."""

    def ended(self, job: Job, state: RunState) -> None:  # noqa: B027 - most queues need not know
        """A run ended."""

    @abstractmethod
    def update_parent(self, job: Job, delivery: Delivery) -> None:
        """Bring the parent of an ended run up to date. May raise anything; is then called again."""

    def stops(self, job: Job, images: int, value: float) -> bool:
        """Whether a run that is not yet at its budget is to be stopped at this evaluation."""
        return False


def tune_runs(queue: RunQueue, store: Store, progress: SweepProgress, cluster: Cluster) -> list[str]:
    """Make all jobs of the queue; what Tune writes for itself is removed.

    A store that goes away costs nothing but delay; the names of what it has not taken in the end are returned. Raises
    KeyboardInterrupt after a signal, at whose second the running trials' checkpoints are not waited for, and ValueError
    if no trial can be made any more: the disk is full, or a node lacks the data.
    """
    callback, failures = StoreCallback(queue, store, progress), tune.FailureConfig(max_failures=DEATHS)
    searcher, scheduler = QueueSearcher(callback), QueueScheduler(callback)
    level = logging.INFO if cluster.verbose else logging.CRITICAL  # a worker's death is no page of traceback
    logging.getLogger("ray.tune.execution").setLevel(level)
    with tempfile.TemporaryDirectory(dir=store.storage, prefix="tune-", ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            tune.with_resources(train_trial, {"cpu": cluster.cpus_per_trial, "gpu": cluster.gpus_per_trial}),
            tune_config=tune.TuneConfig(
                metric="images",
                mode="max",
                search_alg=searcher,
                scheduler=scheduler,
                num_samples=-1,
                reuse_actors=not queue.has_own_code,  # what that sets process-wide reaches no other
            ),
            run_config=tune.RunConfig(
                storage_path=scratch, verbose=2 if cluster.verbose else 0, callbacks=[callback], failure_config=failures
            ),
        )
        with _signals(callback):
            tuner.fit()
    callback.look()
    waiting = callback.outbox.close()
    if callback.halted:
        raise ValueError(callback.halted)
    if callback.signal:
        raise KeyboardInterrupt(callback.signal)
    return waiting


@contextmanager
def _signals(callback: StoreCallback) -> Iterator[None]:
    """First Ctrl-C, SIGTERM or SIGHUP: trials write a checkpoint. Second: leave after Tune's step. Third: at once."""

    def handle(number: int, _: object) -> None:
        callback.signals += 1
        if callback.signals > 2:
            raise KeyboardInterrupt(number)
        if callback.signals > 1:
            return
        callback.signal = number
        callback.progress.console.print("finishing the checkpoints of what is running; once more to leave at once")
        callback.stop()

    former = {number: signal.signal(number, handle) for number in stopping_signals()}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class _Unsaved:
    """Ray pickles searchers, schedulers and callbacks for Tuner.restore, which is not used: the store has all state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class QueueSearcher(_Unsaved, Searcher):
    """Hands out the jobs of the queue."""

    def __init__(self, callback: StoreCallback) -> None:
        super().__init__(metric="images", mode="max")
        self.callback = callback

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.callback.stopping:
            return Searcher.FINISHED
        try:
            job = self.callback.queue.next()
        except ValueError as error:  # it cannot be made beside what others made
            self.callback.halt(str(error))
            return Searcher.FINISHED
        if isinstance(job, Job):
            return self.callback.begin(job)
        return Searcher.FINISHED if job == DONE else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The queue learns it when the store has it."""


class QueueScheduler(_Unsaved, FIFOScheduler):
    """Stops a trial where the queue says so."""

    def __init__(self, callback: StoreCallback) -> None:
        super().__init__()
        self.callback = callback

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        job = self.callback.jobs[trial.config["run_id"]]
        value = self.callback.value(job, result)
        stops = math.isfinite(value) and self.callback.queue.stops(job, result["images"], value)
        if stops and result["state"] == RunState.RUNNING:
            self.callback.stopped.add(trial.config["run_id"])
            return TrialScheduler.STOP
        return TrialScheduler.CONTINUE


class StoreCallback(_Unsaved, tune.Callback):
    """Keeps store, progress and queue in step with the trials; runs in the driver."""

    def __init__(self, queue: RunQueue, store: Store, progress: SweepProgress) -> None:
        self.queue, self.store, self.progress = queue, store, progress
        self.outbox, self.delivery = Outbox(store), Delivery(store)
        self.jobs: dict[str, Job] = {}
        self.stopped: set[str] = set()
        self.running: set[str] = set()
        self.signal, self.signals = 0, 0  # the first that asked to stop, and how many did
        self._next_look = 0.0  # at whether Ray lives
        self.halted = ""  # why no more trials can be made
        self.mark = storage_mark(store.storage)
        self.origin, self.database = origin(store), database_stamp(store)

    @property
    def stopping(self) -> bool:
        """Whether no more trials are to begin."""
        return bool(self.signal or self.halted)

    def stop(self) -> None:
        """Have all trials write a checkpoint and end."""
        for run_id in self.running:
            with _disk(self, run_id):
                self.store.folders.ask_to_stop(run_id)

    def begin(self, job: Job) -> dict[str, Any]:
        """What the job's worker needs: besides the run, where the driver looks for a user's own files and modules."""
        assert job.run_id is not None
        run_id, folders = job.run_id, self.store.folders
        self.jobs[run_id] = job
        self.running.add(run_id)
        with _disk(self, run_id):
            folders.clear_stop(run_id)
        self.outbox.submit(f"begin of {run_id}", partial(self.delivery.begin, run_id, job.config))
        return {
            "run_id": run_id,
            "folders": str(folders.root),
            "object_store": folders.uri if isinstance(folders, ObjectStore) else None,
            "storage_mark": self.mark,
            "origin": {**self.origin, "cell_key": job.key[0], **job.origin},
            "config": job.config.model_dump(mode="json"),
            "data": job.config.data_digest if job.config.is_at_path else None,
            "digests": digests(job.config),
            "code_version": code_version(),
            "folder": str(Path.cwd()),
            "path": sys.path,
            "cache": str(cache_folder()),
        }

    def value(self, job: Job, result: dict[str, Any] | None) -> float:
        """What the run is judged by, NaN where there is no evaluation."""
        return (result or {}).get(job.config.metric, math.nan)

    def on_step_end(self, **_: Any) -> None:
        self.outbox.flush()
        if self.signals > 1:
            raise KeyboardInterrupt(self.signal)
        if time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + LOOK_EVERY
            self.look()
            if not is_alive():  # Tune would wait for ever
                raise ConnectionError("Ray died on this machine (out of memory?); the same command goes on")

    def on_trial_result(self, trial: Trial, result: dict[str, Any], **_: Any) -> None:
        run_id = trial.config["run_id"]
        if result["state"] not in {RunState.RUNNING, *IN_TABLE}:  # no evaluation, but why there are no more
            return
        self.outbox.submit(f"evaluations of {run_id}", partial(self.delivery.deliver, run_id))
        self.progress.update(self.jobs[run_id], result["images"], self.value(self.jobs[run_id], result))

    def on_trial_complete(self, trial: Trial, **_: Any) -> None:
        last = trial.last_result or {}
        if trial.config["run_id"] in self.stopped:
            self._end(trial, RunState.STOPPED)
        elif last.get("state") == HALTED:
            self.halt(last["error"])
        elif last.get("state") in ENDED:
            self._end(trial, RunState(last["state"]), last.get("error", ""))
        else:  # a signal ended the trial: its run waits to be resumed
            run_id = trial.config["run_id"]
            self.outbox.submit(f"interruption of {run_id}", partial(self.delivery.interrupt, run_id))

    def on_trial_recover(self, trial: Trial, **_: Any) -> None:
        name = label(self.jobs[trial.config["run_id"]])
        self.progress.console.print(f"{name}: its worker or its machine died; it goes on from its checkpoint")

    def on_trial_error(self, trial: Trial, **_: Any) -> None:
        self._end(trial, RunState.FAILED, f"its worker died {DEATHS + 1} times (out of memory?)")

    def look(self) -> None:
        """End in order if the storage folder, or the database of the store, is gone or another one."""
        lost = storage_lost(self.store.storage, self.mark) or database_lost(self.store, self.database)
        if lost:
            self.halt(lost)

    def halt(self, error: str) -> None:
        """Begin nothing more, end what runs, and remember what to say."""
        if not self.halted:
            self.halted = f"{error}, and the same command goes on"
            self.stop()

    def _end(self, trial: Trial, state: RunState, error: str = "") -> None:
        run_id = trial.config["run_id"]
        job = self.jobs[run_id]
        self.running.discard(run_id)
        with _disk(self, run_id) as folder:
            mark_end(folder, state, error)
            if state == RunState.STOPPED:  # nothing goes on from it
                self.store.folders.drop_checkpoints(run_id)
        self.outbox.submit(f"evaluations of {run_id}", partial(self.delivery.deliver, run_id, (state, error)))
        self.queue.ended(job, state)
        self.outbox.submit(f"parent of {job.cell.label}", partial(self.queue.update_parent, job, self.delivery))
        self.progress.end(job, state + (f": {error}" if error else ""), self.value(job, trial.last_result))


@contextmanager
def _disk(callback: StoreCallback, run_id: str) -> Iterator[Path]:
    """The folder of a run, to be written to: an error of the disk ends no sweep, and a full one ends it in order."""
    folder = callback.store.folder(run_id)
    try:
        yield folder
    except OSError as error:
        if lost := storage_lost(callback.store.storage, callback.mark, error):
            callback.halt(lost)
        else:
            logger.warning("%s: %s", folder, error)
