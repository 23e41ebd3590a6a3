"""A search from start to end: Optuna proposes, a stopping rule ends what falls behind, and the store remembers.

Each proposal comes from a sampler seeded by the trial's number, so that a search that was killed proposes what it would
have proposed. Neither Optuna's study nor the rule is saved: both are rebuilt from the trials' runs, event by event.
"""

import json
import math
import signal
import time
import warnings
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Set
from functools import partial

import optuna
from optuna.distributions import distribution_to_json
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from rich.console import Console

from search import tune
from search.locks import RunLocks
from search.optimize.outcome import STATES, Outcome, load_outcome, proposed_at, read_trials
from search.optimize.stopping import EarlyStopper
from search.plan import Job, check_title, to_make
from search.run import check_digests, get_ready, taken_in
from search.store import Store
from search.store.database import StoredRun
from search.store.delivery import Delivery
from search.store.queries import RESERVED, histories, reserved_for, seed_runs, trials_of
from search.store.recovery import recover_search
from search.store.rekeying import rekey
from search.tune.cluster import Cluster
from search.tune.progress import SweepProgress, say, starting
from search.tune.queue import DONE, WAIT, RunQueue
from spaces import SPACES, Cell, Search
from spaces.search import SAMPLERS, SCHEDULERS
from spaces.search_spaces import COOP_SHARE
from trainers.apart import unpatched
from trainers.config import Config
from trainers.messages import counted, did_you_mean
from trainers.run_state import RunState
from trainers.user_code import describe, own_code_digest, user_modules

optuna.logging.set_verbosity(optuna.logging.WARNING)

DRAWS = 16  # of a space before a search starts, at the least


def run_search(
    search: Search,
    store: Store,
    cluster: Cluster | None = None,
    *,
    samples: int,
    retry_failed: bool = False,
    digests: Mapping[str, str] | None = None,
) -> Outcome:
    """Bring a search to `samples` trials; those that the store holds count, and interrupted ones go on. `digests` are
    what check_search gave, if it was just asked.

    Raises ValueError as check_search does, before anything starts, for resources that do not exist, or while another
    process makes the same search; KeyboardInterrupt if Ctrl-C ended it.
    """
    console, cluster = Console(), cluster or Cluster()
    rekey(store)
    if count := recover_search(search, Delivery(store)):
        say(console, taken_in(search.title, count))
    digests = check_search(search, samples, store) if digests is None else digests
    left = _left(search, store, samples, retry_failed)
    if left == 0:
        say(console, f"{search.title}: nothing to run.")
        return load_outcome(search, store)
    with starting(console):
        slots = get_ready(store, cluster, [search.base])
    locks, progress = RunLocks(store.storage), None
    if not locks.acquire(search.key, 0):
        raise ValueError(f"{search.title} is being made by another process; wait for it, or end it")
    try:
        delivery = Delivery(store)
        if delivery.recover(trials_of(store, search)):  # what an earlier driver could not store
            left = _left(search, store, samples, retry_failed)
        queue = TrialQueue(search, store, samples, retry_failed, slots, digests)
        queue.reserve(delivery)  # where a store refuses, nothing starts
        say(console, to_make(f"{search.title}: {counted(left, 'trial')}", [search.base], cluster.share))
        with SweepProgress(left, left * search.base.n_images, console) as progress:
            waiting = tune.tune_runs(queue, store, progress, cluster)
        if waiting or progress.done < left:
            raise ConnectionError(
                f"the MLflow store {store.address} is away: {counted(left - progress.done, 'trial is', 'trials are')} "
                f"left, and what was made waits in {store.folders.root}; the same command brings it there and goes on"
            )
        return load_outcome(search, store)
    except KeyboardInterrupt as interrupt:
        told = f"{counted(left - (progress.done if progress else 0), 'trial is', 'trials are')} left"
        raise KeyboardInterrupt(f"{told}, and the same command goes on", *(interrupt.args or [signal.SIGINT])) from None
    finally:
        locks.release()


def _left(search: Search, store: Store, samples: int, retry_failed: bool) -> int:
    """How many trials are to be made: interrupted ones and new ones."""
    states = [run.state for run in read_trials(search, store)]
    return max(samples, len(states)) - sum(state in ended_states(retry_failed) for state in states)


def check_search(search: Search, samples: int, store: Store) -> dict[str, str]:
    """The digests of the base. Raises ValueError for a search that cannot be made: names, a space that varies nothing
    or leaves the Config, a base that cannot be trained, trials that were made with other data, weights or code."""
    for kind, name, names in (("sampler", search.sampler, SAMPLERS), ("scheduler", search.scheduler, SCHEDULERS)):
        if name not in names:
            raise ValueError(f"{kind} {name!r} is unknown; {did_you_mean(name, names)}")
    if samples < 1:
        raise ValueError(f"samples = {samples} should be 1 or more")
    check_title(search)
    EarlyStopper(search)
    drawn = optuna.create_study(sampler=RandomSampler(seed=0))
    for _ in range(max(DRAWS, samples)):
        propose(search, drawn.ask())
    digests: dict[str, str] = unpatched("trainers.loop:dry_run", search.base)
    check_digests(search.cell, digests, [*seed_runs(store, [search.base]).values(), *trials_of(store, search)])
    return digests


def ended_states(retry_failed: bool) -> Set[RunState]:
    """The states of trials that are not made again."""
    return STATES.keys() - ({RunState.FAILED} if retry_failed else set())


def propose(search: Search, trial: optuna.Trial) -> Config:
    """The Config of a trial that can be compared with others. Raises ValueError if the space gives none such."""
    base, subject = search.base, f"space {search.space_name!r} on {search.recipe}"
    try:
        config = search.propose(trial)
    except Exception as error:
        raise ValueError(f"{subject}, {trial.params}: {describe(error).removeprefix('ValueError: ')}") from None
    if not trial.params:
        raise ValueError(f"space {search.space_name!r} varies nothing of {search.recipe}")
    if json.loads(json.dumps(trial.params, default=str)) != trial.params:
        raise ValueError(f"{subject}: choices should be numbers, texts, true or false, not {trial.params}")
    for name in ("protocol", "n_images", "eval_every", "seed"):
        if getattr(config, name) != getattr(base, name):
            raise ValueError(f"{subject} varies the {name}: trials could not be compared")
    bound = base.n_images // COOP_SHARE
    if search.scheduler != "none" and config.coop_images != base.coop_images and config.coop_images > bound:
        raise ValueError(
            f"{subject} gives n_coop = {config.n_coop}, more than a quarter of n_images = {base.n_images}: "
            f"{search.scheduler} could not compare trials soon enough; use --scheduler none"
        )
    return config


def sampler(search: Search, number: int) -> BaseSampler:
    """The sampler of one proposal, without memory of its own.

    Its options are written out: a default of Optuna's that changes must not change a search that goes on.
    """
    seed = zlib.crc32(f"{search.sampler_seed} {number}".encode())
    if search.sampler == "tpe":
        # constant_liar: a running trial is taken for a bad one, so that others go elsewhere
        return TPESampler(
            seed=seed, n_startup_trials=10, n_ei_candidates=24, multivariate=True, group=False, constant_liar=True
        )
    if search.sampler == "gp":
        return GPSampler(seed=seed, n_startup_trials=10, deterministic_objective=False)
    if search.sampler == "cmaes":
        return CmaEsSampler(seed=seed, n_startup_trials=1, with_margin=False, warn_independent_sampling=False)
    return RandomSampler(seed=seed)


def _ranges(trial: optuna.Trial) -> str:
    """What the values of a trial were drawn from, as JSON."""
    return json.dumps({name: distribution_to_json(drawn) for name, drawn in sorted(trial.distributions.items())})


class TrialQueue(RunQueue):
    """The trials of a search: those that were interrupted, then new ones, never more at a time than there are slots.

    A proposal is made when a slot is free and not before, so that it knows all trials that ended. Its MLflow run is
    there by then: as many are created ahead as there are slots.
    """

    def __init__(
        self,
        search: Search,
        store: Store,
        samples: int,
        retry_failed: bool = False,
        slots: int = 1,
        digests: Mapping[str, str] | None = None,
    ) -> None:
        self.search, self.store, self.slots = search, store, slots
        self._digests = digests or {}  # of the base
        self.running = 0
        # a space of the user's own may propose code of his own
        self.has_own_code = bool(user_modules(search.base.acting())) or search.space_name not in SPACES
        self.stopper = EarlyStopper(search)
        self.study = optuna.create_study(direction="minimize" if search.lower_is_better else "maximize")
        self.asked: dict[int, optuna.Trial] = {}
        self.configs: dict[int, Config] = {}
        self.proposed_at: dict[int, int] = {}  # milliseconds since 1970
        self.values: dict[int, float] = {}  # of the latest row
        runs, ended = read_trials(search, store), ended_states(retry_failed)
        self.interrupted = [run for run in runs if run.state not in ended]
        self._rebuild(runs, ended)
        ahead = {n: run_id for n, run_id in reserved_for(store, search).items() if n not in self.asked and n < samples}
        self._created = deque(ahead.items())  # number and MLflow run of trials to be proposed
        self._uncreated = deque(n for n in range(samples) if n not in self.asked and n not in ahead)
        self._is_unsure = False  # whether a run may have been created although the answer was lost

    def _rebuild(self, runs: list[StoredRun], ended: Set[RunState]) -> None:
        """Go through what happened, proposals, rows and ends, in the order of its times.

        Within a trial the order is certain, whatever the clocks of the workers said; between trials an end comes
        before a proposal of the same millisecond, since it is what freed the slot.
        """
        events: list[tuple[float, int, int, Callable[[], object]]] = []
        points_of = histories(self.store, (run.run_id for run in runs), self.search.base.metric)
        for run in runs:
            number, now = int(run.tags["trial"]), float(proposed_at(run))
            events.append((now, 2, number, partial(self._ask, number, run)))
            points = points_of[run.run_id]
            for stamp, images, value in points:
                now = max(stamp, now + 1e-3)
                went_on = images < points[-1][1] or run.state == RunState.DONE
                events.append((now, 1, number, partial(self._row, number, images, value, went_on)))
            if run.state in ended:
                end = 0 if points else run.end or 0  # MLflow's end is when it was told
                events.append((max(end, now + 1e-3), 0, number, partial(self._tell, number, run.state)))
        for *_, happen in sorted(events, key=lambda event: event[:3]):
            happen()

    def _ask(self, number: int, run: StoredRun | None = None) -> Config:
        """Propose trial `number`, or take the stored proposal as Optuna's. Raises ValueError if the space changed."""
        # what is stored needs no sampler, but CMA-ES, which keeps its state in the trials that it proposes
        remembers = self.search.sampler == "cmaes"
        self.study.sampler = RandomSampler(0) if run and not remembers else sampler(self.search, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of samplers that Optuna calls experimental
            if run:
                self.study.enqueue_trial(json.loads(run.tags["params"]))
            trial = self.study.ask()
            _ = trial.relative_params  # what it proposes, even where the stored values are taken
            config = propose(self.search, trial)
        if run and (config.cell_key, _ranges(trial)) != (run.cell_key, run.tags["ranges"]):
            raise ValueError(
                f"space {self.search.space_name!r} is not the one that trial {number} was drawn from: the space "
                f"changed; undo that, or give the new space another name"
            )
        self.asked[number], self.configs[number] = trial, config
        self.proposed_at[number] = proposed_at(run) if run else int(time.time() * 1000)
        return config

    def _row(self, number: int, images: int, value: float, went_on: bool = False) -> bool:
        """Take a row in; whether the rule stops the trial there."""
        if not math.isfinite(value):
            return False
        if (number, images) not in self.stopper.decided:
            self.asked[number].report(value, images)
        self.values[number] = value
        return self.stopper.stops(number, images, value, self.configs[number], went_on=went_on)

    def _tell(self, number: int, state: RunState) -> None:
        self.study.tell(self.asked[number], self.values[number] if state == RunState.DONE else None, STATES[state])

    def reserve(self, delivery: Delivery) -> bool:
        if self._wants_more():
            number = self._uncreated[0]
            there = reserved_for(self.store, self.search).get(number) if self._is_unsure else None
            self._is_unsure = True
            run_id = there or self._create(number, delivery)
            self._is_unsure = False
            self._created.append((number, run_id))
            self._uncreated.popleft()
        return self._wants_more()

    def _wants_more(self) -> bool:
        return len(self._created) < self.slots and bool(self._uncreated)

    def _create(self, number: int, delivery: Delivery) -> str:
        tags = {RESERVED: self.search.key, "cell_key": RESERVED, "trial": str(number)}
        cell = Cell(f"trial {number}", "", self.search.base)
        return delivery.create(self.search, cell, self.search.seed(number), parent=self.search.cell, **tags)

    def next(self) -> Job | str:
        if self.running >= self.slots:
            return WAIT
        if self.interrupted:
            run = self.interrupted.pop(0)
            job = self._job(int(run.tags["trial"]), run.run_id, RunState.INTERRUPTED)
        elif self._created:
            number, run_id = self._created.popleft()
            self._ask(number)
            job = self._job(number, run_id, RunState.MISSING)
        else:
            return WAIT if self._uncreated else DONE
        self.running += 1
        return job

    def _job(self, number: int, run_id: str, state: RunState) -> Job:
        cell = Cell(f"trial {number}", "", self.configs[number])
        proposal = {
            "search": self.search.key,
            "trial": str(number),
            "params": json.dumps(self.asked[number].params),
            "ranges": _ranges(self.asked[number]),
            "config": json.dumps(self.configs[number].non_defaults()),
            "proposed_at": str(self.proposed_at[number]),
        }
        return Job(cell, self.search.seed(number), state, run_id, origin=proposal)

    def digests(self, job: Job) -> Mapping[str, str]:
        own = own_code_digest(job.config.acting())
        return {**self._digests, **({"own_code_digest": own} if own else {})}

    def begin(self, job: Job, delivery: Delivery) -> None:
        assert job.run_id is not None
        if job.state == RunState.MISSING:
            delivery.propose(job.run_id, self.search, job.cell, job.origin)
        super().begin(job, delivery)

    def stops(self, job: Job, images: int, value: float) -> bool:
        return self._row(job.seed - self.search.seed(0), images, value)

    def ended(self, job: Job, state: RunState) -> None:
        self.running -= 1
        self._tell(job.seed - self.search.seed(0), state)

    def update_parent(self, job: Job, delivery: Delivery) -> None:
        load_outcome(self.search, self.store, delivery.parents)
