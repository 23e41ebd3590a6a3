"""What a study holds and what it lacks: the set difference of cells x seeds and the store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pandas as pd

from search.locks import is_claimed
from search.store import Store, load_runs
from spaces import Cell, Study

ENDED = ("done", "diverged", "stopped", "failed")


@dataclass(frozen=True)
class Job:
    """One run of a study and its state; `run_id` is None while the store holds nothing of it."""

    cell: Cell
    seed: int
    state: str
    run_id: str | None


@dataclass(frozen=True)
class Plan:
    """All runs of a study, those that `run` would start now, and an estimate of the seconds these take, if any."""

    study: Study
    jobs: list[Job]
    missing: list[Job]
    seconds_left: float | None

    def to_json(self) -> dict[str, Any]:
        """What `plan --json` prints."""
        cells = []
        for cell in self.study.cells():
            runs = [
                {"seed": job.seed, "state": job.state, "run_id": job.run_id}
                for job in self.jobs
                if job.cell is cell or job.cell == cell
            ]
            key = cell.config.cell_key
            cells.append({"row": cell.row, "column": cell.column, "cell_key": key, "published": {}, "runs": runs})
        missing = [{"row": job.cell.row, "column": job.cell.column, "seed": job.seed} for job in self.missing]
        return {"study": self.study.title, "cells": cells, "missing": missing, "seconds_left": self.seconds_left}


def make_plan(study: Study, store: Store, *, retry_failed: bool = False, slots: float | None = None) -> Plan:
    """The plan of a study by what the store holds.

    A run that was begun and that no living process holds is missing: it goes on from its checkpoint, in its own MLflow
    run. A stopped run has no place in a table, so it is missing too; a failed one is with `retry_failed`. Cells that
    share a Config share their runs.
    """
    records = store.records(cell.config for cell in study.cells())
    jobs, missing, seen = [], [], set()
    for cell in study.cells():
        for seed in range(study.seeds):
            key = (cell.config.cell_key, seed)
            record = records.get(key)
            state = record.state if record else "missing"
            if state not in ENDED:
                state = "running" if is_claimed(store.storage, *key) else "missing"
            job = Job(cell, seed, state, record.run_id if record else None)
            jobs.append(job)
            wanted = state in ("missing", "stopped") or (state == "failed" and retry_failed)
            if wanted and key not in seen:
                missing.append(job)
            seen.add(key)
    return Plan(study, jobs, missing, _seconds_left(missing, load_runs(study, store=store), slots))


def _seconds_left(missing: list[Job], runs: pd.DataFrame, slots: float | None) -> float | None:
    """Seconds of a done run of the same row, else of any row, for each missing one, over the runs that go at once."""
    done = runs[runs["state"] == "done"].dropna(subset="seconds")
    if not missing:
        return 0.0
    if done.empty:
        return None
    by_cell = done.groupby(["row", "column"])["seconds"].mean()
    total = sum(by_cell.get((job.cell.row, job.cell.column), done["seconds"].mean()) for job in missing)
    at_once = slots or os.cpu_count() or 1
    return float(total / max(1.0, min(at_once, len(missing))))
