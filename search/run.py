"""Makes a study's missing (cell, seed) runs, without early stopping."""

import signal
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice

from rich.console import Console

from search import tune
from search.locks import RunLocks, is_locked
from search.plan import Job, Plan, check_title, make_plan, to_make
from search.store import Store
from search.store.address import in_thread
from search.store.database import StoredRun
from search.store.delivery import Delivery
from search.store.image_sets import checked_images
from search.store.queries import find_runs, seed_runs, stored_cells
from search.store.recovery import recover_study
from search.store.rekeying import rekey
from search.tune.cluster import Cluster
from search.tune.progress import SweepProgress, say, starting
from search.tune.queue import DONE, WAIT, RunQueue
from spaces import Cell, Study
from trainers.apart import beside
from trainers.config import Config
from trainers.messages import counted
from trainers.run_folder import end_of
from trainers.run_state import RunState
from trainers.user_code import user_modules

AT_ONCE = 8  # MLflow runs that are created before whatever else waits for the store has its turn


def run_study(
    study: Study, store: Store, cluster: Cluster | None = None, *, retry_failed: bool = False, new_data: bool = False
) -> dict[str, str]:
    """Make every missing run of a study, without early stopping; returns the state of each run it made, by label.

    As many trials go at once as the cluster, by default this machine, has room for. Raises ValueError, before anything
    starts, if a cell cannot be trained, was trained on other data or scored by other weights, if image files changed
    and `new_data` does not say that this is meant, or if a trial asks for more than the machine has; KeyboardInterrupt
    if Ctrl-C ended it.
    """
    console, cluster = Console(), cluster or Cluster()
    check_title(study)
    study, delivery = checked_images(study, store, new_data), Delivery(store)
    configs = [cell.config for cell in study.cells()]
    with starting(console), beside("trainers.loop:dry_runs", configs) as dry_runs:
        stored = seed_runs(store, configs)
        if make_plan(study, store, retry_failed=retry_failed, stored=stored).missing:
            get_ready(store, cluster, configs)
        changed = rekey(store)
        if count := recover_study(study, delivery):
            say(console, taken_in(study.title, count))
        if changed or count:
            stored = seed_runs(store, configs)
        digests: dict[str, dict[str, str]] = dry_runs()
    for cell in study.cells():
        of_cell = [run for (key, _), run in stored.items() if key == cell.config.cell_key]
        check_digests(cell, digests[cell.config.cell_key], of_cell)
    plan = _plan(study, delivery, retry_failed)
    if plan.missing:
        cluster.start(store.shared, configs)  # once more where a run was deleted meanwhile; else it is there
        return _make(study, delivery, cluster, plan.missing, digests, console)
    delivery.parents.update(study, study.cells())  # of runs that other studies, or a driver that died, made
    failed = len({job.key for job in plan.jobs if job.state == RunState.FAILED})
    left = f"; {counted(failed, 'run')} failed before, and --retry-failed makes {'it' if failed == 1 else 'them'} again"
    say(console, f"{study.title}: nothing to run{left if failed else ''}.")
    return {}


def _make(
    study: Study,
    delivery: Delivery,
    cluster: Cluster,
    jobs: list[Job],
    digests: Mapping[str, Mapping[str, str]],
    console: Console,
) -> dict[str, str]:
    """Make runs; the state of each by its label. Raises KeyboardInterrupt after a signal, ValueError if none can be
    made any more, ConnectionError if the store is away in the end."""
    store = delivery.store
    say(
        console,
        to_make(f"{study.title}: {counted(len(jobs), 'run')}", (job.cell.config for job in jobs), cluster.share),
    )
    images = sum(job.cell.config.n_images for job in jobs)
    with RunLocks(store.storage) as locks:
        queue = StudyQueue(study, store, jobs, locks, digests)
        queue.reserve(delivery)  # where a store refuses, nothing starts
        try:
            cells = Counter(job.cell.label for job in jobs)
            with SweepProgress(len(jobs), images, console, cells) as progress:
                waiting = tune.tune_runs(queue, store, progress, cluster)
        except KeyboardInterrupt as interrupt:
            left = f"{counted(len(jobs) - progress.done, 'run is', 'runs are')} left, and the same command goes on"
            raise KeyboardInterrupt(left, *(interrupt.args or [signal.SIGINT])) from None
    if queue.elsewhere:
        say(console, f"{counted(queue.elsewhere, 'run')} made by another process, now or before, and left to it.")
    if waiting:
        parts = counted(len(waiting), "part waits", "parts wait")
        raise ConnectionError(
            f"the MLflow store {store.address} has not taken all: {parts} in {store.folders.root}; the same command, "
            f"or `ganablate import` of that folder, brings them there"
        )
    if more := len(jobs) - queue.elsewhere - progress.done:
        raise ConnectionError(
            f"the MLflow store {store.address} is away: {counted(more, 'run is', 'runs are')} left, and the same "
            f"command goes on"
        )
    return progress.states


def get_ready(store: Store, cluster: Cluster, configs: Iterable[Config], own: Iterable[str] = ()) -> int:
    """Start what a sweep of these Configs, and of a user's own scores, needs, all at a time; returns how many trials
    there is room for.

    Raises ValueError if the store refuses, or for what a machine lacks.
    """

    def prepare() -> None:
        store.prepare()
        _ = tune.tune_runs  # imported while Ray starts, as MLflow is

    prepared = in_thread(prepare)
    slots = cluster.start(store.shared, configs, own)
    prepared.result()
    return slots


def _plan(study: Study, delivery: Delivery, retry_failed: bool) -> Plan:
    """What is missing. What drivers that died, or whose store was away, left in run folders is stored first."""
    store, cells = delivery.store, study.cells()
    with store.exclusive():  # of two drivers one recovers
        stored = stored_cells(store, (cell.config for cell in cells))
        idle = (run for key, run in stored.seeds.items() if not is_locked(store.storage, *key))
        if delivery.recover(idle):
            stored = stored_cells(store, (cell.config for cell in cells))
        delivery.mark_duplicates(stored.duplicates)
        delivery.parents.remember(cells, stored)
        return make_plan(study, store, retry_failed=retry_failed, stored=stored.seeds)


def taken_in(title: str, count: int) -> str:
    """What to say of runs that the store had lost."""
    return f"{title}: the store had lost {counted(count, 'run')}, now taken in again from the run folders."


def check_digests(cell: Cell, digests: Mapping[str, str], runs: Iterable[StoredRun]) -> None:
    """Raise ValueError if runs of a cell were trained on other data, or scored by other weights, than these digests."""
    for run in runs:
        for name, digest in digests.items():
            before = run.tags.get(name, digest)
            if before != digest:
                raise ValueError(
                    f"{name} of {cell.label} is {digest}, but run {run.run_id} has {before}: data, feature weights or "
                    f"own code changed; restore them, or give them a new name, or delete that run in MLflow"
                )


class StudyQueue(RunQueue):
    """The missing runs of a study, in its order, but for those that another process makes meanwhile."""

    def __init__(
        self, study: Study, store: Store, jobs: list[Job], locks: RunLocks, digests: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.study, self.store, self.locks = study, store, locks
        self._digests = digests  # by cell_key
        self._reserved: deque[Job] = deque()  # those that have their MLflow run
        self._unreserved = deque(jobs)
        self._has_parents = False
        self.elsewhere = 0
        self.has_own_code = any(user_modules(job.config.acting()) for job in jobs)

    def reserve(self, delivery: Delivery) -> bool:
        if not self._unreserved:
            if not self._has_parents:  # of runs that other studies, or a driver that died, made
                delivery.parents.update(self.study, self.study.cells())
                self._has_parents = True
            return False
        some = list(islice(self._unreserved, AT_ONCE))
        with self.store.exclusive():  # two drivers must not make two
            lacking = [job.cell.config for job in some if job.run_id is None]
            stored = seed_runs(self.store, lacking) if lacking else {}
            for job in some:
                there = job.run_id or (stored[job.key].run_id if job.key in stored else None)
                run_id = there or delivery.create(self.study, job.cell, job.seed)
                self._reserved.append(replace(job, run_id=run_id))
                self._unreserved.popleft()
        return True

    def next(self) -> Job | str:
        while self._unreserved or self._reserved:
            if not self._reserved:
                return WAIT
            job = self._reserved.popleft()
            if self.locks.acquire(*job.key) and not self._is_made(job):
                return job
            self.elsewhere += 1
        return DONE

    def _is_made(self, job: Job) -> bool:
        """Whether another process ended the run before we locked it; its folder knows, should the store be away."""
        assert job.run_id is not None
        was_missing = job.state in (RunState.MISSING, RunState.INTERRUPTED)
        return was_missing and end_of(self.store.folder(job.run_id))[0].has_ended

    def digests(self, job: Job) -> Mapping[str, str]:
        return self._digests[job.key[0]]

    def begin(self, job: Job, delivery: Delivery) -> None:
        if user_modules(job.config.acting()):  # another process may have made a run of it with other code
            runs = [run for run in find_runs(self.store, "cell_key", [job.key[0]]) if "seed" in run.tags]
            try:
                check_digests(job.cell, self.digests(job), runs)
            except ValueError as error:
                self.refused = str(error)
        super().begin(job, delivery)

    def update_parent(self, job: Job, delivery: Delivery) -> None:
        delivery.parents.update(self.study, [job.cell])
