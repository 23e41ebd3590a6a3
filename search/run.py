"""Runs a study's missing (cell, seed) runs as Ray Tune trials, and keeps the store in step with them."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the older output keeps quiet when told to
import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import Searcher
from rich.console import Console

from search.locks import Claims
from search.plan import Job, make_plan
from search.progress import Display, label
from search.store import Store
from search.trial import train_trial
from spaces import Study
from trainers.loop import check


def run_study(
    study: Study,
    store: Store,
    *,
    cpus_per_trial: float = 1.0,
    gpus_per_trial: float = 0.0,
    address: str | None = None,
    retry_failed: bool = False,
    console: Console | None = None,
    verbose: bool = False,
) -> dict[str, str]:
    """Make every missing run of a study, without early stopping; returns the state of each run it made, by label.

    As many trials go at once as the machine (or the Ray cluster at `address`) has room for; workers are reused from
    trial to trial. Raises ValueError, before anything starts, if a cell cannot be trained or a trial asks for more than
    the machine has; KeyboardInterrupt if Ctrl-C ended it.
    """
    console = console or Console()
    _check(study, store)
    _check_resources(cpus_per_trial, gpus_per_trial)
    claims = Claims(store.storage)
    try:
        jobs, elsewhere = _claim(study, store, claims, retry_failed)
        if elsewhere:
            console.print(f"{elsewhere} runs are being made by another process; they are left to it.")
        store.update_parents(study, study.cells())  # of runs that other studies, or a driver that died, made
        if not jobs:
            console.print(f"{study.title}: nothing to run.")
            return {}
        console.print(f"{study.title}: {len(jobs)} runs to make.")
        with _cluster(address, cpus_per_trial, gpus_per_trial, verbose), Display(jobs, console) as display:
            log = StoreLog(study, store, jobs, display)
            _tune(log, cpus_per_trial, gpus_per_trial, verbose)
        if display.done < len(jobs):  # Tune ends early at Ctrl-C, and at nothing else
            raise KeyboardInterrupt(f"{len(jobs) - display.done} runs are left, and the same command goes on with them")
        return log.states
    finally:
        claims.release()


def _check(study: Study, store: Store) -> None:
    """Raise ValueError if a cell cannot be trained, or was trained before on other data or scored by other weights."""
    records = store.records(cell.config for cell in study.cells())
    for cell in study.cells():
        digests = check(cell.config)
        for (key, _), record in records.items():
            for name, digest in digests.items():
                held = record.tags.get(name, digest)
                if key == cell.config.cell_key and held != digest:
                    raise ValueError(
                        f"{name} of {cell.config.dataset} is {digest}, but run {record.run_id} has {held}: "
                        f"the data set or the feature weights changed; restore them, or delete that run in MLflow"
                    )


def _claim(study: Study, store: Store, claims: Claims, retry_failed: bool) -> tuple[list[Job], int]:
    """The missing runs, claimed, and how many others are being made elsewhere.

    The store is asked again once they are claimed: another driver may have ended some in between.
    """
    for job in make_plan(study, store, retry_failed=retry_failed).missing:
        claims.claim(*job.key)
    plan = make_plan(study, store, retry_failed=retry_failed, claims=claims)
    return [job for job in plan.missing if claims.holds(*job.key)], sum(job.state == "running" for job in plan.jobs)


def _check_resources(cpus: float, gpus: float) -> None:
    """Raise ValueError for amounts that no trial can have, and for modules of the user's that would hide ours."""
    if not (math.isfinite(cpus) and cpus > 0):
        raise ValueError(f"cpus-per-trial = {cpus:g} should be greater than 0")
    if not (math.isfinite(gpus) and gpus >= 0) or (gpus > 1 and gpus != int(gpus)):
        raise ValueError(f"gpus-per-trial = {gpus:g} should be 0, a fraction of 1, or a whole number")
    for name in ("trainers", "spaces", "search", "reports"):
        for path in (Path(f"{name}.py"), Path(name) / "__init__.py"):
            if path.exists() and not path.resolve().is_relative_to(Path(__file__).resolve().parent.parent):
                raise ValueError(f"{path} in this folder hides a part of ganablate from its workers; rename or move it")


@contextmanager
def _cluster(address: str | None, cpus: float, gpus: float, verbose: bool) -> Iterator[None]:
    """Ray, for as long as the block lasts. Raises ValueError if no node has what a trial asks for."""
    was_running = ray.is_initialized()
    if not was_running:
        ray.init(
            address=address or "local",
            log_to_driver=verbose,
            logging_level=logging.INFO if verbose else logging.ERROR,
            **({} if address else {"include_dashboard": False}),
        )
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        for name, asked in (("CPU", cpus), ("GPU", gpus)):
            most = max(node.get(name, 0) for node in nodes)
            if asked > most:
                raise ValueError(f"a trial asks for {asked:g} {name}s, but the largest machine has {most:g}")
        yield
    finally:
        if not was_running:
            ray.shutdown()


def _tune(log: StoreLog, cpus: float, gpus: float, verbose: bool) -> None:
    """One fresh Tuner over the jobs; what it writes for itself is of no use afterwards."""
    with tempfile.TemporaryDirectory(dir=log.store.storage, prefix="tune-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(train_trial, {"cpu": cpus, "gpu": gpus}),
            tune_config=tune.TuneConfig(
                search_alg=MissingRuns(log), num_samples=len(log.jobs), reuse_actors=True, metric="images", mode="max"
            ),
            run_config=tune.RunConfig(storage_path=scratch, verbose=2 if verbose else 0, callbacks=[log]),
        )
        tuner.fit()


class MissingRuns(Searcher):
    """Hands out the missing runs in the study's order; a run's MLflow run is made or reopened when it is handed out."""

    def __init__(self, log: StoreLog) -> None:
        super().__init__(metric="images", mode="max")
        self.log = log
        self.left = list(log.jobs)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles searchers and callbacks for Tuner.restore, which is not used

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: what is missing is asked of the store at each start."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        return self.log.begin(self.left.pop(0)) if self.left else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing to learn: all runs are made."""


class StoreLog(tune.Callback):
    """Keeps store and display in step with the trials; runs in the driver."""

    def __init__(self, study: Study, store: Store, jobs: list[Job], display: Display) -> None:
        self.study, self.store, self.jobs, self.display = study, store, jobs, display
        self.by_run: dict[str, Job] = {}
        self.states: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as in MissingRuns

    def begin(self, job: Job) -> dict[str, Any]:
        """Open the job's MLflow run; returns what its worker needs."""
        run_id = job.run_id or self.store.create(self.study, job.cell, job.seed)
        config = job.cell.config.replace(seed=job.seed)
        if job.run_id:
            self.store.begin(run_id, config)
        self.by_run[run_id] = job
        return {"run_id": run_id, "run_dir": str(self.store.folder(run_id)), "config": config.model_dump(mode="json")}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        run_id = trial.config["run_id"]
        job = self.by_run[run_id]
        self.store.deliver(run_id)
        self.display.row(job, result["images"], result.get(job.cell.config.metric, math.nan))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        state = (trial.last_result or {}).get("state", "running")
        if state in ("done", "diverged"):  # not so where Ctrl-C ends a trial: its run waits to be resumed
            self._end(trial, state)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        self._end(trial, "failed", error=_last_line(trial))

    def _end(self, trial: Trial, state: str, error: str = "") -> None:
        run_id = trial.config["run_id"]
        job = self.by_run[run_id]
        self.store.deliver(run_id)
        self.store.finish(run_id, state, error)
        self.store.update_parents(self.study, [job.cell])
        self.states[label(job)] = state + (f": {error}" if error else "")
        value = (trial.last_result or {}).get(job.cell.config.metric, math.nan)
        self.display.end(job, state, value)


def _last_line(trial: Trial) -> str:
    """The last line of a failed trial's traceback."""
    path = trial.error_file
    lines = Path(path).read_text().strip().splitlines() if path and Path(path).exists() else []
    return lines[-1][:500] if lines else "the worker died"
