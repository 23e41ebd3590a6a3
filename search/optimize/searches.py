"""A search from start to end: checked, then made."""

import signal

import optuna
from optuna.samplers import RandomSampler
from rich.console import Console

from search.locks import RunLocks
from search.optimize.outcome import Outcome, load_outcome, read_trials
from search.optimize.stopping import SCHEDULERS, EarlyStopper
from search.optimize.trials import SAMPLERS, TrialQueue, ended_states, propose
from search.progress import SweepProgress
from search.run import check_digests
from search.store import Store
from search.store.delivery import Delivery
from search.store.queries import seed_runs, trials_of
from search.tune.cluster import Cluster
from search.tune.driver import tune_runs
from spaces import Search
from trainers.loop import dry_run
from trainers.messages import did_you_mean

DRAWS = 16  # of a space before a search starts, at the least


def run_search(
    search: Search, store: Store, cluster: Cluster | None = None, *, samples: int, retry_failed: bool = False
) -> Outcome:
    """Bring a search to `samples` trials; those that the store holds count, and interrupted ones go on.

    Raises ValueError as check_search does, before anything starts, for resources that do not exist, or while another
    process makes the same search; KeyboardInterrupt if Ctrl-C ended it.
    """
    console, cluster = Console(markup=False), cluster or Cluster()
    check_search(search, samples, store)
    left = _left(search, store, samples, retry_failed)
    if left == 0:
        console.print(f"{search.title}: nothing to run.", highlight=False)
        return load_outcome(search, store)
    slots = cluster.start(store.shared, [search.base])
    locks, progress = RunLocks(store.storage), None
    if not locks.acquire(search.key, 0):
        raise ValueError(f"{search.title} is being made by another process; wait for it, or end it")
    try:
        if Delivery(store).recover(trials_of(store, search)):  # what an earlier driver could not store
            left = _left(search, store, samples, retry_failed)
        queue = TrialQueue(search, store, samples, retry_failed, slots)
        console.print(f"{search.title}: {left} trials to make.", highlight=False)
        progress = SweepProgress(left, left * search.base.n_images, console)
        with progress:
            waiting = tune_runs(queue, store, progress, cluster)
        if waiting or progress.done < left:
            raise ConnectionError(
                f"the MLflow store {store.address} is away: {left - progress.done} trials are left, and what was made "
                f"waits in {store.folders.root}; the same command brings it there and goes on"
            )
        return load_outcome(search, store)
    except KeyboardInterrupt as interrupt:
        message = f"{left - (progress.done if progress else 0)} trials are left, and the same command goes on with them"
        raise KeyboardInterrupt(message, *(interrupt.args or [signal.SIGINT])) from None
    finally:
        locks.release()


def _left(search: Search, store: Store, samples: int, retry_failed: bool) -> int:
    """How many trials are to be made: interrupted ones and new ones."""
    states = [run.state for run in read_trials(search, store)]
    return max(samples, len(states)) - sum(state in ended_states(retry_failed) for state in states)


def check_search(search: Search, samples: int, store: Store) -> None:
    """Raise ValueError for a search that cannot be made: names, a space that varies nothing or leaves the Config, a
    base that cannot be trained, trials that were made with other data, weights or code."""
    for kind, name, names in (("sampler", search.sampler, SAMPLERS), ("scheduler", search.scheduler, SCHEDULERS)):
        if name not in names:
            raise ValueError(f"{kind} {name!r} is unknown; {did_you_mean(name, names)}")
    if samples < 1:
        raise ValueError(f"samples = {samples} should be 1 or more")
    EarlyStopper(search)
    drawn = optuna.create_study(sampler=RandomSampler(seed=0))
    for _ in range(max(DRAWS, samples)):
        propose(search, drawn.ask())
    digests = dry_run(search.base)
    check_digests(search.cell, digests, [*seed_runs(store, [search.base]).values(), *trials_of(store, search)])
