"""What a study holds and what it lacks: the set difference of cells x seeds and the store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Any

from search.locks import Claims, is_claimed
from search.records import Record
from search.store import Store
from spaces import Cell, Study
from spaces.published import published_cells
from trainers.checkpoint import ENDS
from trainers.config import Config


@dataclass(frozen=True)
class Job:
    """One run of a study and its state; `run_id` is None while the store holds nothing of it."""

    cell: Cell
    seed: int
    state: str
    run_id: str | None

    @property
    def config(self) -> Config:
        """What it trains."""
        return self.cell.config.replace(seed=self.seed)

    @property
    def key(self) -> tuple[str, int]:
        """What the run is found by: cell_key and seed."""
        return self.cell.config.cell_key, self.seed


@dataclass(frozen=True)
class Plan:
    """All runs of a study, those that `run` would start now, and an estimate of the seconds these take, if any."""

    study: Study
    jobs: list[Job]
    missing: list[Job]
    seconds_left: float | None

    def by_cell(self) -> list[tuple[Cell, list[Job]]]:
        """Each cell with its runs."""
        groups = (list(jobs) for _, jobs in groupby(self.jobs, key=lambda job: (job.cell.row, job.cell.column)))
        return [(jobs[0].cell, jobs) for jobs in groups]

    def to_json(self) -> dict[str, Any]:
        """What `plan --json` prints: the study's cells, then the published ones that are only quoted."""
        said = published_cells(self.study.published)
        cells: list[dict[str, Any]] = []
        for cell, jobs in self.by_cell():
            runs = [{"seed": job.seed, "state": job.state, "run_id": job.run_id} for job in jobs]
            values = said.pop((cell.row, cell.column), {})
            key = cell.config.cell_key
            cells.append({"row": cell.row, "column": cell.column, "cell_key": key, "published": values, "runs": runs})
        for (row, column), values in said.items():
            cells.append({"row": row, "column": column, "cell_key": None, "published": values, "runs": []})
        missing = [{"row": job.cell.row, "column": job.cell.column, "seed": job.seed} for job in self.missing]
        return {"study": self.study.title, "cells": cells, "missing": missing, "seconds_left": self.seconds_left}


def make_plan(study: Study, store: Store, *, retry_failed: bool = False, claims: Claims | None = None) -> Plan:
    """The plan of a study by what the store holds.

    A run that was begun and that no living process holds, `claims` aside, is missing: it goes on from its checkpoint,
    in its own MLflow run. A stopped run has no place in a table, so it is missing too; a failed one is with
    `retry_failed`. Cells that share a Config share their runs.
    """
    cells = study.cells()
    records = store.records(cell.config for cell in cells)
    jobs = []
    for cell in cells:
        cell_key = cell.config.cell_key
        for seed in range(study.seeds):
            key = (cell_key, seed)
            record = records.get(key)
            state = record.state if record else "missing"
            if state not in ENDS:
                elsewhere = is_claimed(store.storage, *key) and not (claims and claims.holds(*key))
                state = "running" if elsewhere else "missing"
            jobs.append(Job(cell, seed, state, record.run_id if record else None))
    wanted = ("missing", "stopped", "failed") if retry_failed else ("missing", "stopped")
    missing = list({job.key: job for job in reversed(jobs) if job.state in wanted}.values())[::-1]
    missing.sort(key=lambda job: job.seed)  # so that a table fills evenly, and the load of the machine meets all rows
    return Plan(study, jobs, missing, _seconds_left(missing, records))


def _seconds_left(missing: list[Job], records: Mapping[tuple[str, int], Record]) -> float | None:
    """Images left of the missing runs by the measured seconds an image of their cells, else of all, a run on each core.

    None while no run of the study has shown an image.
    """
    if not missing:
        return 0.0
    seconds: dict[str, list[float]] = {}
    for (key, _), record in records.items():
        if record.metrics.get("images", 0) > 0:
            spent = record.metrics.get("seconds", 0.0) + record.metrics.get("eval_seconds", 0.0)
            seconds.setdefault(key, []).append(spent / record.metrics["images"])
    if not seconds:
        return None
    by_cell = {key: fmean(values) for key, values in seconds.items()}
    total = 0.0
    for job in missing:
        held = records.get(job.key)
        resumed = held is not None and held.state != "stopped"
        shown = held.metrics.get("images", 0) if held and resumed else 0
        pace = by_cell.get(job.cell.config.cell_key, fmean(by_cell.values()))
        total += pace * max(0, job.cell.config.n_images - shown)
    return total / min(len(os.sched_getaffinity(0)), len(missing))
