"""Runs as Ray Tune trials: one fresh Tuner over the work that is left, and the store kept in step with it."""

from __future__ import annotations

import logging
import math
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.plan import Job
from search.store import Store
from search.store.delivery import Delivery
from search.store.identity import database_lost, origin
from search.store.outbox import Outbox
from search.tune.cluster import Cluster, is_alive
from search.tune.progress import SweepProgress, label
from search.tune.queue import DONE, WAIT, RunQueue
from search.tune.watch import Watch
from search.tune.worker import GPU_LOST, HALTED, surroundings, train_trial
from trainers.files import storage_lost, storage_mark
from trainers.messages import clock
from trainers.run_folder import mark_end
from trainers.run_state import ENDED, IN_TABLE, RunState
from trainers.signals import stopping_signals

logger = logging.getLogger(__name__)

LOOK_EVERY = 5.0  # seconds between two looks at whether Ray lives
SILENCE = 300.0  # seconds for which a sweep that has nothing to do waits for a store that is away
LAST_WORDS = 5.0  # seconds that the store has for what is to be said before an interrupted sweep leaves
SILENT = 600.0  # seconds without a sign of life after which a trial is named
DOUBTFUL = 60.0  # seconds after which the checkpoint of a silent trial is not waited for
SHOWN = 4  # names of trials
DEATHS = 3  # of a trial's worker or its machine, behind which the trial goes on from its checkpoint


def tune_runs(queue: RunQueue, store: Store, progress: SweepProgress, cluster: Cluster) -> list[str]:
    """Make all jobs of the queue; what Tune writes for itself is removed.

    A store that goes away costs nothing but delay, and no trial waits for it; the names of what it has not taken in the
    end are returned. Raises KeyboardInterrupt after a signal, at whose second the running trials' checkpoints are not
    waited for, and ValueError if no trial can be made any more: the disk is full, or a node lacks the data.
    """
    share = cluster.share
    callback, failures = StoreCallback(queue, store, progress, share), tune.FailureConfig(max_failures=DEATHS)
    searcher, scheduler = QueueSearcher(callback, cluster), QueueScheduler(callback)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(cluster.room)  # workers start beside each other
    level = logging.INFO if cluster.verbose else logging.CRITICAL  # a worker's death is no page of traceback
    logging.getLogger("ray.tune.execution").setLevel(level)
    with tempfile.TemporaryDirectory(dir=store.storage, prefix="tune-", ignore_cleanup_errors=True) as scratch:
        shutil.copymode(store.storage, scratch)  # so that who cleans up after a killed one can be another of a team
        tuner = tune.Tuner(
            tune.with_resources(cluster.sent(train_trial), {"cpu": cluster.cpus_per_trial, "gpu": share}),
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
        callback.reserve()
        try:
            with _signals(callback):
                tuner.fit()
        finally:
            callback.look()
            waiting = callback.outbox.close(LAST_WORDS if callback.stopping or sys.exc_info()[0] else math.inf)
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
        callback.interrupt(number)

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

    def __init__(self, callback: StoreCallback, cluster: Cluster) -> None:
        super().__init__(metric="images", mode="max")
        self.callback, self.cluster = callback, cluster
        self.idle_since = math.inf  # when nothing ran any more, since the store took nothing

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.callback.stopping:
            return Searcher.FINISHED
        if len(self.callback.running) > self.cluster.room:  # one waits for the next that ends, and no more
            return None
        try:
            job = self.callback.queue.next()
            if isinstance(job, Job):
                self.idle_since = math.inf
                return self.callback.begin(job)
        except ValueError as error:  # a space gives what cannot be compared, or code that is not there
            self.callback.halt(str(error))
            return Searcher.FINISHED
        if job == WAIT and not self.callback.running:
            self.idle_since = min(self.idle_since, time.monotonic())
        is_over = job == DONE or time.monotonic() - self.idle_since > SILENCE
        return Searcher.FINISHED if is_over else None

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

    def __init__(self, queue: RunQueue, store: Store, progress: SweepProgress, share: float) -> None:
        self.queue, self.store, self.progress, self.share = queue, store, progress, share
        self.outbox, self.delivery = Outbox(store), Delivery(store)
        self.jobs: dict[str, Job] = {}
        self.stopped: set[str] = set()
        self.running: set[str] = set()
        self.signal, self.signals = 0, 0  # the first that asked to stop, and how many did
        self._next_look = 0.0  # at whether Ray lives
        self.halted = ""  # why no more trials can be made
        self.mark = storage_mark(store.storage)
        self.watch = Watch(store.folders)
        store.folders.root.mkdir(parents=True, exist_ok=True)  # where a worker's signs of life go
        self.named: set[str] = set()  # trials of which was said that they are silent
        self.origin = origin(store)

    @property
    def stopping(self) -> bool:
        """Whether no more trials are to begin."""
        return bool(self.signal or self.halted)

    def stop(self) -> None:
        """Have all trials write a checkpoint and end."""
        for run_id in self.running:
            with _disk(self, run_id):
                self.store.folders.ask_to_stop(run_id)

    def reserve(self) -> None:
        """Have the runs of what comes next created, a few at a time, among what else goes to the store."""

        def create() -> None:
            if self.queue.reserve(self.delivery):
                self.reserve()

        self.outbox.submit("runs of what comes next", create)

    def interrupt(self, number: int) -> None:
        """At the first signal: have the trials write their checkpoints, and say whose are waited for."""
        self.signal, self._next_look = number, 0.0
        alive = [id_ for id_, (seconds, _) in self.watch.silences().items() if seconds < DOUBTFUL]
        names = [label(self.jobs[run_id]) for run_id in alive[:SHOWN]]
        more = f" and {len(alive) - SHOWN} more" if len(alive) > SHOWN else ""
        said = f"finishing the checkpoints of {', '.join(names)}{more}" if names else "no trial shows a sign of life"
        self.progress.say(f"{said}; once more to leave at once")
        self.stop()

    def _look_after_trials(self) -> None:
        """Name what shows no sign of life, once; after a signal leave if nothing, or nothing yet, shows one whose
        checkpoint could be waited for."""
        silences = self.watch.silences()
        for run_id, (seconds, worker) in silences.items():
            if seconds > SILENT and run_id not in self.named:
                self.named.add(run_id)
                self.progress.say(f"{label(self.jobs[run_id])}: no sign of life for {clock(SILENT)} ({worker})")
        if self.signal and all(seconds > DOUBTFUL for seconds, _ in silences.values()):
            raise KeyboardInterrupt(self.signal)

    def begin(self, job: Job) -> dict[str, Any]:
        """What the job's worker needs."""
        assert job.run_id is not None
        run_id, folders = job.run_id, self.store.folders
        self.jobs[run_id] = job
        self.running.add(run_id)
        with _disk(self, run_id):
            folders.clear_stop(run_id)
        self.outbox.submit(f"begin of {run_id}", partial(self.queue.begin, job, self.delivery))
        self.reserve()
        return {
            **surroundings(folders, self.mark, self.share),
            "run_id": run_id,
            "origin": {**self.origin, "cell_key": job.key[0], **job.origin},
            "config": job.config.model_dump(mode="json"),
            "data": job.config.data_digest if job.config.is_at_path else None,
            "digests": dict(self.queue.digests(job)),
        }

    def value(self, job: Job, result: dict[str, Any] | None) -> float:
        """What the run is judged by, NaN where there is no evaluation."""
        return (result or {}).get(job.config.metric, math.nan)

    def on_step_end(self, trials: list[Trial], **_: Any) -> None:
        if self.signals > 1:
            raise KeyboardInterrupt(self.signal)
        if self.queue.refused:
            self.halt(self.queue.refused)
        if time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + LOOK_EVERY
            self._look_after_trials()
            for trial in trials:  # an error that Tune tells nobody of, as of a worker that takes no second trial
                if trial.status == Trial.ERROR and (run_id := trial.config["run_id"]) in self.running:
                    self.halt(f"Ray Tune gave up {label(self.jobs[run_id])}, which did not begin")
            self.look()
            if not is_alive():  # Tune would wait for ever
                raise ConnectionError("Ray died on this machine (out of memory?); the same command goes on")

    def on_trial_result(self, trial: Trial, result: dict[str, Any], **_: Any) -> None:
        run_id = trial.config["run_id"]
        if result["state"] not in {RunState.RUNNING, *IN_TABLE}:  # no evaluation, but why there are no more
            return
        self.outbox.submit(f"evaluations of {run_id}", partial(self.delivery.deliver, run_id))
        self.progress.update(self.jobs[run_id], result["images"], self.value(self.jobs[run_id], result))

    def on_trial_start(self, trial: Trial, **_: Any) -> None:
        self.watch.begin(trial.config["run_id"])

    def on_trial_complete(self, trial: Trial, **_: Any) -> None:
        last = trial.last_result or {}
        self.watch.end(trial.config["run_id"])
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
        what = _gpu_error(trial) or "its worker or its machine died"
        self.progress.say(f"{name}: {what}; it goes on from its checkpoint")

    def on_trial_error(self, trial: Trial, **_: Any) -> None:
        self.watch.end(trial.config["run_id"])
        error, times = _gpu_error(trial), f"{DEATHS + 1} times"
        self._end(trial, RunState.FAILED, f"{error}, {times}" if error else f"its worker died {times} (out of memory?)")

    def look(self) -> None:
        """End in order if the storage folder, or the database of the store, is gone or another one."""
        if lost := storage_lost(self.store.storage, self.mark):
            self.halt(lost)
        elif lost := database_lost(self.store):
            self.outbox.close(within=0)  # what it still wrote would meet the file that is there now
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


def _gpu_error(trial: Trial) -> str:
    """The error of CUDA at which a trial's worker ended itself; "" if it died."""
    last = trial.last_result or {}
    return last["error"] if last.get("state") == GPU_LOST else ""


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
