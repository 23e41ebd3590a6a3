"""Makes a study's missing (cell, seed) runs, without early stopping."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping

from rich.console import Console

from search.cluster import Cluster
from search.locks import Claims, is_claimed
from search.plan import Job, make_plan
from search.progress import Display
from search.records import Record
from search.store import Store
from search.tuning import DONE, Work, tune_runs
from spaces import Cell, Study
from trainers.checkpoint import ENDS, end_of
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
    console, cluster = console or Console(markup=False), cluster or Cluster()
    check_cells(study.cells(), store)
    if make_plan(study, store, retry_failed=retry_failed).missing:
        cluster.start(store.shared, [cell.config for cell in study.cells()])
    take_up(study, store)
    store.update_parents(study, study.cells())  # of runs that other studies, or a driver that died, made
    jobs = store.reserve(study, make_plan(study, store, retry_failed=retry_failed).missing)
    if not jobs:
        console.print(f"{study.title}: nothing to run.", highlight=False)
        return {}
    console.print(f"{study.title}: {len(jobs)} runs to make.", highlight=False)
    images = sum(job.cell.config.n_images for job in jobs)
    claims = Claims(store.storage)
    try:
        with Display(len(jobs), images, console) as display:
            work = MissingRuns(study, store, jobs, claims)
            waiting = tune_runs(work, store, display, cluster)
    except KeyboardInterrupt as interrupt:
        left = f"{len(jobs) - display.done} runs are left, and the same command goes on with them"
        raise KeyboardInterrupt(left, *(interrupt.args or [signal.SIGINT])) from None
    finally:
        claims.release()
    if work.elsewhere:
        console.print(f"{work.elsewhere} runs were or are being made by another process; they were left to it.")
    if waiting:
        raise ConnectionError(
            f"the MLflow store {store.place} has not taken all: {len(waiting)} parts wait in {store.folders.root}; the "
            f"same command, or `ganablate import` of that folder, brings them there"
        )
    return display.states


def take_up(study: Study, store: Store) -> None:
    """Bring to the store what drivers that died, or whose store was away, left in the folders of a study's runs."""
    records = store.records(cell.config for cell in study.cells())
    store.take_up(record for key, record in records.items() if not is_claimed(store.storage, *key))


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


class MissingRuns(Work):
    """The missing runs of a study, in its order, but for those that another process makes meanwhile."""

    def __init__(self, study: Study, store: Store, jobs: list[Job], claims: Claims) -> None:
        self.study, self.store, self.left, self.claims = study, store, list(jobs), claims
        self.elsewhere = 0

    def next(self) -> Job | str:
        while self.left:
            job = self.left.pop(0)
            if self.claims.claim(*job.key) and not self._made(job):
                return job
            self.elsewhere += 1
        return DONE

    def _made(self, job: Job) -> bool:
        """Whether another process ended the run before we claimed it; its folder knows, should the store be away."""
        assert job.run_id is not None
        return job.state == "missing" and end_of(self.store.folder(job.run_id))[0] in ENDS

    def summarize(self, job: Job) -> None:
        self.store.update_parents(self.study, [job.cell])
