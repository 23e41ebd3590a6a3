"""Makes a study's missing (cell, seed) runs, without early stopping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console

from search.locks import Claims
from search.plan import Job, make_plan
from search.progress import Display
from search.records import Record
from search.store import Store
from search.tuning import DONE, Cluster, Work, tune_runs
from spaces import Cell, Study
from trainers.loop import check


def run_study(
    study: Study,
    store: Store,
    cluster: Cluster | None = None,
    *,
    retry_failed: bool = False,
    console: Console | None = None,
) -> dict[str, str]:
    """Make every missing run of a study, without early stopping; returns the state of each run it made, by label.

    As many trials go at once as the cluster, by default this machine, has room for; workers are reused from trial to
    trial. Raises ValueError, before anything starts, if a cell cannot be trained or a trial asks for more than
    the machine has; KeyboardInterrupt if Ctrl-C ended it.
    """
    console, cluster = console or Console(), cluster or Cluster()
    check_cells(study.cells(), store)
    if make_plan(study, store, retry_failed=retry_failed).missing:
        cluster.start()
    claims = Claims(store.storage)
    try:
        jobs, elsewhere = _claim(study, store, claims, retry_failed)
        if elsewhere:
            console.print(f"{elsewhere} runs are being made by another process; they are left to it.")
        store.update_parents(study, study.cells())  # of runs that other studies, or a driver that died, made
        if not jobs:
            console.print(f"{study.title}: nothing to run.", highlight=False)
            return {}
        console.print(f"{study.title}: {len(jobs)} runs to make.", highlight=False)
        images = sum(job.cell.config.n_images for job in jobs)
        with Display(len(jobs), images, console) as display:
            work = MissingRuns(study, store, jobs)
            tune_runs(work, store, display, cluster)
        if display.done < len(jobs):  # Tune ends early at Ctrl-C, and at nothing else
            raise KeyboardInterrupt(f"{len(jobs) - display.done} runs are left, and the same command goes on with them")
        return display.states
    finally:
        claims.release()


def check_cells(cells: Iterable[Cell], store: Store) -> None:
    """Raise ValueError if a cell cannot be trained, or was trained before on other data or scored by other weights."""
    cells = list(cells)
    records = store.records(cell.config for cell in cells)
    for cell in cells:
        held = [record for (key, _), record in records.items() if key == cell.config.cell_key]
        check_digests(cell, check(cell.config), held)


def check_digests(cell: Cell, digests: Mapping[str, str], records: Iterable[Record]) -> None:
    """Raise ValueError if runs have other digests than these."""
    for record in records:
        for name, digest in digests.items():
            held = record.tags.get(name, digest)
            if held != digest:
                raise ValueError(
                    f"{name} of {cell.label} is {digest}, but run {record.run_id} has {held}: data, feature weights or "
                    f"own code changed; restore them, or give them a new name, or delete that run in MLflow"
                )


def _claim(study: Study, store: Store, claims: Claims, retry_failed: bool) -> tuple[list[Job], int]:
    """The missing runs, claimed, and how many others are being made elsewhere.

    The store is asked again once they are claimed: another driver may have ended some in between.
    """
    for job in make_plan(study, store, retry_failed=retry_failed).missing:
        claims.claim(*job.key)
    plan = make_plan(study, store, retry_failed=retry_failed, claims=claims)
    return [job for job in plan.missing if claims.holds(*job.key)], sum(job.state == "running" for job in plan.jobs)


class MissingRuns(Work):
    """The missing runs of a study, in its order; a run's MLflow run is made or reopened when it is handed out."""

    def __init__(self, study: Study, store: Store, jobs: list[Job]) -> None:
        self.study, self.store, self.left = study, store, list(jobs)

    def next(self) -> tuple[str, Job] | str:
        if not self.left:
            return DONE
        job = self.left.pop(0)
        if job.run_id:
            self.store.begin(job.run_id, job.config)
        return job.run_id or self.store.create(self.study, job.cell, job.seed), job

    def ended(self, job: Job, run_id: str, state: str) -> None:
        self.store.update_parents(self.study, [job.cell])
