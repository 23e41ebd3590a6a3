"""What other processes make now of a study or a search: by the store, the locks and the signs of life."""

from __future__ import annotations

import contextlib
import json
import math
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from search.locks import is_file_locked, lock_path
from search.plan import Job, make_plan, seconds_left, state_of
from search.store import Store
from search.store.database import StoredRun
from search.store.folders import ObjectStore
from search.store.queries import find_runs, first_of_each, seed_runs
from spaces import Cell, Study
from trainers.config import Config
from trainers.messages import clock, counted
from trainers.names import METRICS
from trainers.run_state import RunState

SEARCH = "search "  # how the titles of searches begin
WAITS = "waits for a worker"
SILENT = 60.0  # seconds without a sign of life that are told


@dataclass(frozen=True)
class Status:
    """The runs of a study, or the trials of a search, each once; those that the store has by their ids."""

    title: str
    store: Store
    jobs: list[Job]
    stored: dict[str, StoredRun]

    @cached_property
    def running(self) -> list[tuple[Job, StoredRun]]:
        """Those that a process has in hand, and that the store knows."""
        running = [job for job in self.jobs if job.state == RunState.RUNNING]
        return [(job, self.stored[job.run_id]) for job in running if job.run_id in self.stored]

    @property
    def locks(self) -> set[Path]:
        """The lock files that processes hold of these runs, those that score them too."""
        guards = {self.stored[job.run_id].guard if job.run_id in self.stored else job.key for job in self.jobs}
        return {path for path in (lock_path(self.store.storage, *guard) for guard in guards) if is_file_locked(path)}

    def to_text(self) -> Iterator[str]:
        """A line of counts, one a run that is being made, and when all is likely over."""
        states = Counter(job.state for job in self.jobs)
        counts = ", ".join(f"{states[state]} {state}" for state in RunState if states[state])
        yield f"{self.title}: {counted(len(self.jobs), self.unit)}, {counts or 'none'}"
        width = max((len(job.cell.label) for job, _ in self.running), default=0)
        signs = [self._sign(run) for _, run in self.running]
        for (job, run), sign in zip(self.running, signs, strict=True):
            label = f"{job.cell.label:<{width}}" + ("" if self.is_search else f"  seed {job.seed}")
            yield f"  {label}  {job.images / job.cell.config.n_images:>4.0%}  {_value(job, run)}{sign}".rstrip()
        if not self.running:
            yield "No process makes runs of it now."
            return
        beside = sum(not sign.endswith(WAITS) for sign in signs)
        if left := None if self.is_search else self._seconds_left(max(1, beside)):
            over = time.strftime("%a %H:%M", time.localtime(time.time() + left))
            yield f"About {clock(left)} left, until {over}."

    @property
    def is_search(self) -> bool:
        """Whether it is of trials."""
        return self.title.startswith(SEARCH)

    @property
    def unit(self) -> str:
        """What one of its jobs is called."""
        return "trial" if self.is_search else "run"

    def _sign(self, run: StoredRun) -> str:
        """What is to be said of a run's worker: that it has none yet, or shows no sign of life."""
        if isinstance(self.store.folders, ObjectStore):  # where signs go through Ray
            return ""
        sign = re.fullmatch(r"(.*) at (\d+)", self.store.folders.sign_of_life(run.run_id))
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            begun = lock_path(self.store.storage, *run.guard).stat().st_mtime
            if sign is None or int(sign[2]) < int(begun):  # or an earlier process showed it
                return f"  {WAITS}"
        if sign is None:
            return ""
        silence = time.time() - int(sign[2])
        return f"  no sign of life for {clock(silence)} ({sign[1]})" if silence > SILENT else ""

    def _seconds_left(self, abreast: int) -> float | None:
        """Until the runs that are being made, and those that wait for these, are over."""
        waiting = {RunState.RUNNING, RunState.MISSING, RunState.INTERRUPTED, RunState.STOPPED}
        left = [job for job in self.jobs if job.state in waiting]
        by_key = {(run.cell_key, run.seed): run for run in self.stored.values()}
        return seconds_left(left, by_key, abreast)


def status_of(study: Study, store: Store) -> Status:
    """The status of a study. Raises ValueError as make_plan."""
    plan = make_plan(study, store)
    stored = seed_runs(store, (cell.config for cell in plan.study.cells()))
    jobs = {job.key: job for job in reversed(plan.jobs)}
    return Status(study.title, store, list(jobs.values())[::-1], {run.run_id: run for run in stored.values()})


def search_status(title: str, store: Store) -> Status:
    """The status of a search, by the title that its experiment bears. Raises ValueError if no trial has it."""
    runs = [run for run in find_runs(store, "study", [title]) if {"search", "trial", "config"} <= run.tags.keys()]
    if not runs:
        raise ValueError(f"there is no trial of {title!r} here; `ganablate` names the searches of this store")
    firsts, _ = first_of_each(runs, lambda run: int(run.tags["trial"]))
    jobs = []
    for number, run in sorted(firsts.items()):
        cell = Cell(f"trial {number}", "", Config(**json.loads(run.tags["config"])))
        state = state_of(store, run.guard, run)
        jobs.append(Job(cell, run.seed, state, run.run_id, int(run.metrics.get("images", 0))))
    return Status(title, store, jobs, {run.run_id: run for run in firsts.values()})


def _value(job: Job, run: StoredRun) -> str:
    """The latest value of a run; "" while there is none."""
    metric = job.cell.config.metric
    value = run.metrics.get(metric, math.nan)
    return "" if math.isnan(value) else f"{METRICS[f'{metric}_final'].label} {value:.4g}"
