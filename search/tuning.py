"""Runs as Ray Tune trials: one fresh Tuner over the work that is left, and the store kept in step with it."""

from __future__ import annotations

import logging
import math
import os
import re
import socket
import sys
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the older output keeps quiet when told to
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # a user's relative paths mean the driver's folder
import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.plan import Job
from search.progress import Display
from search.store import ANSWER_WITHIN, Store
from search.trial import train_trial
from trainers.cache import cache_folder

WAIT, DONE = "wait", "done"  # answers of a work that has no job now, or no more
PARTS = ("trainers", "spaces", "search", "reports")


class Work(ABC):
    """What is to be run: hands out jobs, whose runs are open in the store, and learns how they went."""

    @abstractmethod
    def next(self) -> tuple[str, Job] | str:
        """The next job with its run id; WAIT while there may be one later, DONE when there are no more."""

    @abstractmethod
    def ended(self, job: Job, run_id: str, state: str) -> None:
        """A run ended and the store has it."""

    def stops(self, job: Job, images: int, value: float) -> bool:
        """Whether a run that is not yet at its budget is to be stopped at this row."""
        return False


@dataclass(frozen=True)
class Cluster:
    """Where trials run, and what one takes: cores and GPUs, fractions of which may be shared; `address` names a Ray
    cluster, None this machine. Raises ValueError for amounts that no trial can have.
    """

    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    address: str | None = None
    verbose: bool = False

    def __post_init__(self) -> None:
        cpus, gpus = self.cpus_per_trial, self.gpus_per_trial
        if not (math.isfinite(cpus) and cpus > 0):
            raise ValueError(f"cpus-per-trial = {cpus:g} should be greater than 0")
        if not (math.isfinite(gpus) and gpus >= 0) or (gpus > 1 and gpus != int(gpus)):
            raise ValueError(f"gpus-per-trial = {gpus:g} should be 0, a fraction of 1, or a whole number")

    def start(self) -> int:
        """Start Ray, or join what runs; returns the number of trials that it has room for at a time.

        Ray ends with the process, so that a search and the table of its winner start it once. Raises ValueError if no
        node has what a trial asks for, or modules of the user's would hide ours.
        """
        _refuse_namesakes()
        if not ray.is_initialized():
            try:
                _probe(self.address)
                ray.init(
                    address=self.address or "local",
                    log_to_driver=self.verbose,
                    logging_level=logging.INFO if self.verbose else logging.ERROR,
                    **({} if self.address else {"include_dashboard": False}),
                )
            except (OSError, ValueError) as error:
                raise ValueError(f"the Ray cluster {self.address!r} does not answer: {type(error).__name__}") from None
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        asked = {"CPU": self.cpus_per_trial, "GPU": self.gpus_per_trial}
        asked = {name: amount for name, amount in asked.items() if amount}
        for name, amount in asked.items():
            most = max(node.get(name, 0) for node in nodes)
            if amount > most:
                raise ValueError(f"a trial asks for {amount:g} {name}s, but the largest machine has {most:g}")
        return sum(min(int(node.get(name, 0) / amount) for name, amount in asked.items()) for node in nodes)


def _refuse_namesakes() -> None:
    """Raise ValueError for modules in the working directory that workers would take for ours."""
    home = Path(__file__).resolve().parent.parent
    for name in PARTS:
        for path in (Path(f"{name}.py"), Path(name) / "__init__.py"):
            if path.exists() and not path.resolve().is_relative_to(home):
                raise ValueError(f"{path} in this folder hides a part of ganablate from its workers; rename or move it")


def _probe(address: str | None) -> None:
    """Connect to the host and port that an address names, since Ray would wait for minutes. Raises OSError."""
    match = re.fullmatch(r"(?:ray://)?\[?([^\]/]+?)\]?:(\d+)", address or "")
    if match:
        socket.create_connection((match[1], int(match[2])), timeout=ANSWER_WITHIN).close()


def tune_runs(work: Work, store: Store, display: Display, cluster: Cluster) -> None:
    """Make all jobs of the work; what Tune writes for itself is of no use afterwards."""
    log = StoreLog(work, store, display)
    with tempfile.TemporaryDirectory(dir=store.storage, prefix="tune-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(train_trial, {"cpu": cluster.cpus_per_trial, "gpu": cluster.gpus_per_trial}),
            tune_config=tune.TuneConfig(
                search_alg=Jobs(log),
                scheduler=Stopping(log),
                num_samples=-1,
                reuse_actors=True,
                metric="images",
                mode="max",
            ),
            run_config=tune.RunConfig(storage_path=scratch, verbose=2 if cluster.verbose else 0, callbacks=[log]),
        )
        tuner.fit()


class _Unsaved:
    """Ray pickles searchers, schedulers and callbacks for Tuner.restore, which is not used: the store has all state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Jobs(_Unsaved, Searcher):
    """Hands out the jobs of the work."""

    def __init__(self, log: StoreLog) -> None:
        super().__init__(metric="images", mode="max")
        self.log = log

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        found = self.log.work.next()
        if isinstance(found, tuple):
            return self.log.begin(*found)
        return Searcher.FINISHED if found == DONE else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The work learns it when the store has it."""


class Stopping(_Unsaved, FIFOScheduler):
    """Stops a trial where the work says so."""

    def __init__(self, log: StoreLog) -> None:
        super().__init__()
        self.log = log

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        job = self.log.jobs[trial.config["run_id"]]
        value = self.log.value(job, result)
        if math.isfinite(value) and self.log.work.stops(job, result["images"], value) and result["state"] == "running":
            self.log.stopped.add(trial.config["run_id"])
            return TrialScheduler.STOP
        return TrialScheduler.CONTINUE


class StoreLog(_Unsaved, tune.Callback):
    """Keeps store, display and work in step with the trials; runs in the driver."""

    def __init__(self, work: Work, store: Store, display: Display) -> None:
        self.work, self.store, self.display = work, store, display
        self.jobs: dict[str, Job] = {}
        self.stopped: set[str] = set()

    def begin(self, run_id: str, job: Job) -> dict[str, Any]:
        """What the job's worker needs: besides the run, where the driver looks for a user's own files and modules."""
        self.jobs[run_id] = job
        return {
            "run_id": run_id,
            "run_dir": str(self.store.folder(run_id)),
            "config": job.config.model_dump(mode="json"),
            "folder": str(Path.cwd()),
            "path": sys.path,
            "cache": str(cache_folder()),
        }

    def value(self, job: Job, result: dict[str, Any] | None) -> float:
        """What the run is judged by, NaN where there is no row."""
        return (result or {}).get(job.config.metric, math.nan)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        run_id = trial.config["run_id"]
        self.store.deliver(run_id)
        self.display.row(self.jobs[run_id], result["images"], self.value(self.jobs[run_id], result))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        state = (trial.last_result or {}).get("state", "running")
        if trial.config["run_id"] in self.stopped:
            state = "stopped"
        if state != "running":  # it is where Ctrl-C ends a trial: its run waits to be resumed
            self._end(trial, state)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        self._end(trial, "failed", error=_last_line(trial))

    def _end(self, trial: Trial, state: str, error: str = "") -> None:
        run_id = trial.config["run_id"]
        job = self.jobs[run_id]
        self.store.deliver(run_id)
        self.store.finish(run_id, state, error)
        if state == "stopped":  # nothing goes on from it
            (self.store.folder(run_id) / "checkpoint.pt").unlink(missing_ok=True)
        self.work.ended(job, run_id, state)
        self.display.end(job, state + (f": {error}" if error else ""), self.value(job, trial.last_result))


def _last_line(trial: Trial) -> str:
    """The last line of a failed trial's traceback."""
    path = trial.error_file
    lines = Path(path).read_text().strip().splitlines() if path and Path(path).exists() else []
    return lines[-1][:500] if lines else "the worker died"
