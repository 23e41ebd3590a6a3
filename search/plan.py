"""What a study lacks: the set difference of its cells x seeds and the store."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from statistics import median
from typing import Any

from search.locks import is_locked
from search.store import Store
from search.store.database import StoredRun
from search.store.image_sets import absent, other_content, resolved
from search.store.queries import seed_runs
from spaces import Cell, Search, Study
from spaces.papers import published_cells
from trainers.config import Config
from trainers.data.sources import known_images
from trainers.foresight import check_sources
from trainers.messages import clock, counted, printable
from trainers.run_state import RunState
from trainers.score_request import requested

CORES = len(os.sched_getaffinity(0))  # of this machine
MOST_LETTERS = 500  # of an experiment's name in MLflow
MUCH_SCORING = 2  # samples scored an image trained on, above which a user is told; 0.6 and less as recipes stand


@dataclass(frozen=True)
class Job:
    """One run of a study, or a trial of a search, and its state; `run_id` is None while the store holds nothing of it.
    `origin` are the tags of a trial by which its search can be rebuilt."""

    cell: Cell
    seed: int
    state: RunState
    run_id: str | None
    images: int = 0  # shown to D so far, as the store has it
    origin: Mapping[str, str] = field(default_factory=dict, hash=False)  # of a trial: the tags that hold its proposal

    @property
    def shown(self) -> str:
        """The state in words, and how far an interrupted run had come."""
        share = self.images / self.cell.config.n_images
        return f"{self.state} at {share:.0%}" if self.state == RunState.INTERRUPTED else str(self.state)

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

    def numbered(self) -> list[tuple[int, Job]]:
        """What is missing by its number, by which `train --job` makes it (Study.job_number), in that order."""
        numbers = {self.study.job_number(job.cell, job.seed): job for job in self.missing}
        return sorted(numbers.items(), key=itemgetter(0))

    def to_jobs(self) -> Iterator[str]:
        """What `plan --jobs` prints: number, row, column and seed of each missing run, with tabs between, which labels
        then have as spaces."""
        for number, job in self.numbered():
            yield "\t".join(map(printable, (number, job.cell.row, job.cell.column, job.seed)))

    def to_array(self) -> str:
        """The numbers of the missing runs as sbatch's --array takes them, as 3,7,9-12; empty if nothing is missing."""
        numbers = [number for number, _ in self.numbered()]
        runs = groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])  # of numbers that follow one another
        spans = [[number for _, number in run] for _, run in runs]
        return ",".join(str(span[0]) if len(span) == 1 else f"{span[0]}-{span[-1]}" for span in spans)

    def to_json(self) -> dict[str, Any]:
        """What `plan --json` prints: the study's cells, then the published ones that are only quoted."""
        said = published_cells(self.study.published)
        cells: list[dict[str, Any]] = []
        for cell, jobs in self.by_cell():
            runs = [{"seed": job.seed, "state": job.state, "run_id": job.run_id} for job in jobs]
            values = said.pop((cell.row, cell.column), {})
            key = cell.known_key
            cells.append({"row": cell.row, "column": cell.column, "cell_key": key, "published": values, "runs": runs})
        for (row, column), values in said.items():
            cells.append({"row": row, "column": column, "cell_key": None, "published": values, "runs": []})
        missing = [
            {"job": n, "row": job.cell.row, "column": job.cell.column, "seed": job.seed} for n, job in self.numbered()
        ]
        return {"study": self.study.title, "cells": cells, "missing": missing, "seconds_left": self.seconds_left}

    def to_text(self) -> Iterator[str]:
        """What `plan` prints: a line a cell with its key, its seeds' states and what is published; then the sum."""
        shown = {(job.cell.row, job.cell.column, job.seed): job.shown for job in self.jobs}
        for cell in self.to_json()["cells"]:
            row, column = cell["row"], cell["column"]
            states = [f"{run['seed']}: {shown[row, column, run['seed']]}" for run in cell["runs"]] or ["quoted"]
            values = [f"{metric} {value:g}" for metric, value in cell["published"].items()]
            published = f"  published {', '.join(values)}" if values else ""
            key = cell["cell_key"] or ("no data" if cell["runs"] else "–")
            yield f"{' / '.join(filter(None, (row, column)))}  [{key}]  {', '.join(states)}{published}"
        yield from much_scoring(job.cell.config for job in self.missing)
        left = f", about {clock(self.seconds_left)}" if self.seconds_left else ""
        yield f"{self.study.title}: {counted(len(self.jobs), 'run')}, {len(self.missing)} to run{left}"


def make_plan(
    study: Study, store: Store, *, retry_failed: bool = False, stored: Mapping[tuple[str, int], StoredRun] | None = None
) -> Plan:
    """The plan of a study by what the store holds.

    A started run that no live process has locked is interrupted, and so among the missing: it resumes in its own MLflow
    run. A stopped run enters no table, so it is missing too; a failed one is with `retry_failed`. Cells that share a
    Config share their runs. `stored` are the runs of the cells by (cell_key, seed), if the store was just asked. Image
    files are read only if the store has a run on such. Raises ValueError, for a title too that no experiment can have.
    """
    check_title(study)
    study = resolved(study, store, reads=None)
    cells = study.cells()
    stored = seed_runs(store, (cell.config for cell in cells)) if stored is None else stored
    jobs = []
    for cell in cells:
        for seed in range(study.seeds):
            run = stored.get((cell.config.cell_key, seed))
            images = int(run.metrics.get("images", 0)) if run else 0
            state = state_of(store, (cell.config.cell_key, seed), run)
            jobs.append(Job(cell, seed, state, run.run_id if run else None, images))
    wanted = {RunState.MISSING, RunState.INTERRUPTED, RunState.STOPPED} | ({RunState.FAILED} if retry_failed else set())
    missing = list({job.key: job for job in reversed(jobs) if job.state in wanted}.values())[::-1]
    missing.sort(key=lambda job: job.seed)  # so that a table fills evenly, and the load of the machine meets all rows
    return Plan(study, jobs, missing, seconds_left(missing, stored))


def foresee(study: Study, store: Store) -> list[str]:
    """What to say of a resolved study before it is run: images that are not here, or that changed. Raises ValueError
    for what `run` would refuse, as far as files and sources tell that are neither imported nor decoded."""
    for cell in study.cells():
        check_sources(cell.config.acting())
    return [*absent(study), *other_content(study, store)]


def much_scoring(configs: Iterable[Config]) -> list[str]:
    """What to say of runs that score far more samples than they train on images, as a small budget has it: of the one
    that does most. Nothing is measured; what a sample and an image cost is up to the networks."""
    told: dict[float, str] = {}
    for config in configs:
        evaluations, samples = len(range(0, config.n_images, config.eval_every)) + 1, config.eval_samples
        if config.is_paired and config.data_source.reference:  # each image of test A once, of as many as test B has
            samples = min(samples, config.data_source.reference)
        told[evaluations * samples / config.n_images] = (
            f"Scoring may take longer than training: a run trains on {config.n_images:,} images and scores "
            f"{evaluations * samples:,} samples on {config.feature_net} features ({evaluations} evaluations of "
            f"{samples:,}), which --budget leaves as it is."
        )
    most = max(told, default=0.0)
    return [told[most]] if most > MUCH_SCORING else []


def trained_already(plan: Plan, store: Store) -> list[str]:
    """What to say of missing runs of which the store has done ones that were scored otherwise: what it takes to score
    these without training."""
    study = plan.study
    kept = {name: value for name, value in study.settings.items() if name not in ("features", "eval_samples")}
    if len(kept) == len(study.settings) or not plan.missing:
        return []
    missing = {(job.cell.row, job.cell.column, job.seed): job.config for job in plan.missing}
    former = make_plan(replace(study, settings=kept), store).jobs
    labels = [(job.cell.row, job.cell.column, job.seed) for job in former if job.state == RunState.DONE]
    configs = [missing[label] for label in labels if label in missing]
    if not configs:
        return []
    net, samples = configs[0].feature_net, configs[0].eval_samples
    fid, every = (requested(net, names, samples, "final") for names in ("fid", None))
    told = [clock(sum(map(asked.seconds, configs)) / CORES) for asked in (fid, every)]
    return [
        f"{len(configs)} of these runs are trained already, and were scored otherwise: `ganablate score` with "
        f"--features {net} --samples {samples} in place of that --set scores the generators that they keep, by the FID "
        f"in about {told[0]} on {CORES} cores, by all scores in about {told[1]}."
    ]


def to_make(what: str, configs: Iterable[Config], gpus: float) -> str:
    """What to say before such runs of these Configs are made, each on so many GPUs."""
    configs = list(configs)
    lines = [f"{what} to make.", *images_of(configs), *much_scoring(configs)]
    if gpus and any(config.precision == "fp32" for config in configs):
        lines.append(
            "They train in full 32-bit floats; --set precision=tf32 uses the tensor cores of a GPU, which are several "
            "times as fast and round products to 10 bits."
        )
    return "\n".join(lines)


def images_of(configs: Iterable[Config]) -> list[str]:
    """A line on each set of a user's image files, as far as they are decoded."""
    asked = {config.data_spelling: config for config in configs if config.is_at_path}
    known = {spelling: known_images(config.dataset, config.image_form) for spelling, config in asked.items()}
    return [f"Data: {asked[spelling].data_name}, {told}." for spelling, told in known.items() if told]


def check_title(study: Study | Search) -> None:
    """Raise ValueError for a study or a search whose title is too long for the experiment that is to bear it."""
    length = max(map(len, (study.title, *study.titles())))
    if length > MOST_LETTERS:
        raise ValueError(
            f"the title {study.title[:40]!r}... has {length:,} characters, and an experiment in MLflow at most "
            f"{MOST_LETTERS}; give the study a shorter name, or put settings into a recipe of your own"
        )


def state_of(store: Store, guard: tuple[str, int], run: StoredRun | None) -> RunState:
    """What the store says of a run that has ended; of others the lock tells whether a process makes them now."""
    if run and run.state.has_ended:
        return run.state
    if is_locked(store.storage, *guard):
        return RunState.RUNNING
    return RunState.INTERRUPTED if run and run.state == RunState.RUNNING else RunState.MISSING


def seconds_left(missing: list[Job], stored: Mapping[tuple[str, int], StoredRun], abreast: int = CORES) -> float | None:
    """Images left of the missing runs by the median seconds an image of their cells, else of all, so many runs at a
    time, by default one on each core.

    None while no run of the study has shown an image.
    """
    if not missing:
        return 0.0
    seconds: dict[str, list[float]] = {}
    for (key, _), run in stored.items():
        if run.metrics.get("images", 0) > 0:
            spent = run.metrics.get("seconds", 0.0) + run.metrics.get("eval_seconds", 0.0)
            seconds.setdefault(key, []).append(spent / run.metrics["images"])
    if not seconds:
        return None
    by_cell = {key: median(values) for key, values in seconds.items()}
    total = 0.0
    for job in missing:
        begun = stored.get(job.key) if job.state != RunState.STOPPED else None
        shown = begun.metrics.get("images", 0) if begun else 0
        pace = by_cell.get(job.cell.config.cell_key, median(by_cell.values()))
        total += pace * max(0, job.cell.config.n_images - shown)
    return total / min(abreast, len(missing))
