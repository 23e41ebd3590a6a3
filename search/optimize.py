"""Hyper-parameter search: Optuna proposes, a stopping rule ends what falls behind, and the store remembers.

Neither Optuna's study nor the rule is saved: both are rebuilt from the trials' runs, by going through what happened in
the order in which it did. Each proposal comes from a sampler seeded by the trial's number, so that a search that was
killed proposes what it would have proposed.
"""

from __future__ import annotations

import json
import math
import signal
import time
import warnings
import zlib
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import TrialState
from rich.console import Console

from search.cluster import Cluster
from search.locks import Claims
from search.plan import Job
from search.progress import Display
from search.records import Record
from search.run import check_digests
from search.stopping import SCHEDULERS, Stopper
from search.store import Store
from search.tuning import DONE, WAIT, Work, tune_runs
from spaces import Cell, Search, Study
from spaces.spaces import COOP_SHARE
from spaces.studies import POINT_METRICS
from trainers.config import POINT_DATASETS, Config, choose, told
from trainers.loop import check

optuna.logging.set_verbosity(optuna.logging.WARNING)

SILENCE = 300.0  # seconds for which a search that has nothing to do waits for a store that is away
DRAWS = 16  # of a space before a search starts, at the least
SAMPLERS = ("tpe", "random", "gp", "cmaes")
STATES = {
    "done": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "diverged": TrialState.FAIL,
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True)
class Trial:
    """One trial of a search: `value` is at the full budget, else NaN; `images` were shown to D."""

    number: int
    state: str
    value: float
    images: int
    config: Config
    params: dict[str, Any]
    run_id: str
    error: str


@dataclass(frozen=True)
class Outcome:
    """What a search found."""

    search: Search
    trials: list[Trial]

    @property
    def winner(self) -> Trial:
        """The best trial at the full budget. Raises ValueError if none got there."""
        done = [trial for trial in self.trials if trial.state == "done"]
        if not done:
            raise ValueError(f"{self.search.title}: no trial reached its full budget, so there is no winner")
        sign = 1 if self.search.lower_is_better else -1
        return min(done, key=lambda trial: (sign * trial.value, trial.number))

    def count(self, state: str) -> int:
        """Trials in a state."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def images(self) -> int:
        """Images shown in all trials."""
        return sum(trial.images for trial in self.trials)

    @property
    def images_saved(self) -> int:
        """Images that stopped trials did not take."""
        return sum(trial.config.n_images - trial.images for trial in self.trials if trial.state == "stopped")

    def summary(self) -> dict[str, float]:
        """What the search's parent run says."""
        values = {"trials": float(len(self.trials))}
        values |= {state: float(self.count(state)) for state in STATES}
        values |= {
            "images": float(sum(trial.images for trial in self.trials)),
            "images_saved": float(self.images_saved),
        }
        return {**values, "best_value": self.winner.value} if self.count("done") else values


def run_search(
    search: Search,
    store: Store,
    cluster: Cluster | None = None,
    *,
    samples: int,
    retry_failed: bool = False,
    console: Console | None = None,
) -> Outcome:
    """Bring a search to `samples` trials; those that the store holds count, and interrupted ones go on.

    Raises ValueError, before anything starts, for names, spaces or resources that do not exist, or while another
    process makes the same search; KeyboardInterrupt if Ctrl-C ended it.
    """
    console, cluster = console or Console(markup=False), cluster or Cluster()
    check_search(search, samples, store)
    left = _left(search, store, samples, retry_failed)
    if left == 0:
        console.print(f"{search.title}: nothing to run.", highlight=False)
        return load_outcome(search, store)
    slots = cluster.start(store.shared, [search.base])
    claims = Claims(store.storage)
    if not claims.claim(search.key, 0):
        raise ValueError(f"{search.title} is being made by another process; wait for it, or end it")
    try:
        if store.take_up(store.trials(search)):  # rows that a driver before this one could not bring to the store
            left = _left(search, store, samples, retry_failed)
        work = Trials(search, store, samples, retry_failed, slots)
        console.print(f"{search.title}: {left} trials to make.", highlight=False)
        with Display(left, left * search.base.n_images, console) as display:
            waiting = tune_runs(work, store, display, cluster)
        if waiting or display.done < left:
            raise ConnectionError(
                f"the MLflow store {store.place} is away: {left - display.done} trials are left, and what was made "
                f"waits in {store.folders.root}; the same command brings it there and goes on"
            )
        return load_outcome(search, store)
    except KeyboardInterrupt as interrupt:
        told = f"{left - display.done} trials are left, and the same command goes on with them"
        raise KeyboardInterrupt(told, *(interrupt.args or [signal.SIGINT])) from None
    finally:
        claims.release()


def _ended(retry_failed: bool) -> Set[str]:
    """The states of trials that are not made again."""
    return STATES.keys() - ({"failed"} if retry_failed else set())


def _left(search: Search, store: Store, samples: int, retry_failed: bool) -> int:
    """How many trials are to be made: interrupted ones and new ones."""
    records = _records(search, store)
    ended = [record for record in records if record.state in _ended(retry_failed)]
    return max(samples, len(records)) - len(ended)


def check_search(search: Search, samples: int, store: Store) -> None:
    """Raise ValueError for a search that cannot be made: names, a space that varies nothing or leaves the Config, a
    base that cannot be trained, trials that were made with other data, weights or code."""
    for kind, name, names in (("sampler", search.sampler, SAMPLERS), ("scheduler", search.scheduler, SCHEDULERS)):
        if name not in names:
            raise ValueError(f"{kind} {name!r} is unknown; {choose(name, names)}")
    if samples < 1:
        raise ValueError(f"samples = {samples} should be 1 or more")
    Stopper(search)
    drawn = optuna.create_study(sampler=RandomSampler(seed=0))
    for _ in range(max(DRAWS, samples)):
        _propose(search, drawn.ask())
    digests = check(search.base)
    check_digests(search.cell, digests, [*store.records([search.base]).values(), *store.trials(search)])


def _propose(search: Search, trial: optuna.Trial) -> Config:
    """The Config of a trial that can be compared with others. Raises ValueError if the space gives none such."""
    base, place = search.base, f"space {search.space_name!r} on {search.recipe}"
    try:
        config = search.propose(trial)
    except Exception as error:
        raise ValueError(f"{place}, {trial.params}: {told(error).removeprefix('ValueError: ')}") from None
    if not trial.params:
        raise ValueError(f"space {search.space_name!r} varies nothing of {search.recipe}")
    if json.loads(json.dumps(trial.params, default=str)) != trial.params:
        raise ValueError(f"{place}: choices should be numbers, texts, true or false, not {trial.params}")
    for name in ("protocol", "n_images", "eval_every", "seed"):
        if getattr(config, name) != getattr(base, name):
            raise ValueError(f"{place} varies the {name}: trials could not be compared")
    bound = base.n_images // COOP_SHARE
    if search.scheduler != "none" and config.n_coop != base.n_coop and config.n_coop > bound:
        raise ValueError(
            f"{place} gives n_coop = {config.n_coop}, more than a quarter of n_images = {base.n_images}: "
            f"{search.scheduler} could not compare trials soon enough; use --scheduler none"
        )
    return config


def sampler(search: Search, number: int) -> BaseSampler:
    """The sampler of one proposal, without memory of its own."""
    seed = zlib.crc32(f"{search.title} {number}".encode())
    if search.sampler == "tpe":
        return TPESampler(seed=seed, constant_liar=True)  # a running trial is taken for a bad one: others go elsewhere
    if search.sampler == "gp":
        return GPSampler(seed=seed)
    if search.sampler == "cmaes":
        return CmaEsSampler(seed=seed, warn_independent_sampling=False)
    return RandomSampler(seed=seed)


def load_study(search: Search, store: Store) -> optuna.Study:
    """Optuna's study of what the store holds of a search: COMPLETE, PRUNED, FAIL and RUNNING trials with their rows."""
    return Trials(search, store, samples=0).study


def load_outcome(search: Search, store: Store) -> Outcome:
    """The trials of a search that the store holds, with the search's parent run brought up to date."""
    records = _records(search, store)
    outcome = Outcome(search, [_trial(search, record) for record in records])
    tags = {"winner": outcome.winner.run_id} if outcome.count("done") else {}
    store.summarize(store.parent(search, search.cell), outcome.summary(), tags)
    return outcome


def _records(search: Search, store: Store) -> list[Record]:
    """The trials of a search. Raises ValueError for one that cannot be read, since someone changed its tags."""
    records = store.trials(search)
    for record in records:
        try:
            _trial(search, record)
            json.loads(record.tags["ranges"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            place = f"run {record.run_id} of {search.title}"
            raise ValueError(f"the tags of {place} cannot be read ({told(error)}); delete it in MLflow") from None
    return records


def _trial(search: Search, record: Record) -> Trial:
    tags, metrics = record.tags, record.metrics
    return Trial(
        number=int(tags["trial"]),
        state=record.state,
        value=metrics.get(search.metric, math.nan),
        images=int(metrics.get("images", 0)),
        config=Config(**json.loads(tags["config"]), seed=record.seed),
        params=json.loads(tags["params"]),
        run_id=record.run_id,
        error=tags.get("error", ""),
    )


def _ranges(trial: optuna.Trial) -> str:
    """What the values of a trial were drawn from, as JSON."""
    return json.dumps({name: distribution_to_json(found) for name, found in sorted(trial.distributions.items())})


class Trials(Work):
    """The trials of a search: those that were interrupted, then new ones, never more at a time than there are slots.

    A proposal is made when a slot is free and not before, so that it knows all trials that ended.
    """

    def __init__(self, search: Search, store: Store, samples: int, retry_failed: bool = False, slots: int = 1) -> None:
        self.search, self.store, self.samples, self.slots = search, store, samples, slots
        self.running = 0
        self.proposed: int | None = None  # a trial that the store does not know yet
        self.silent_since = math.inf
        self.stopper = Stopper(search)
        self.study = optuna.create_study(direction="minimize" if search.lower_is_better else "maximize")
        self.asked: dict[int, optuna.Trial] = {}
        self.configs: dict[int, Config] = {}
        self.values: dict[int, float] = {}  # of the latest row
        records = _records(search, store)
        ended = _ended(retry_failed)
        self.interrupted = [record for record in records if record.state not in ended]
        self._rebuild(records, ended)

    def _rebuild(self, records: list[Record], ended: Set[str]) -> None:
        """Go through what happened, proposals, rows and ends, in the order of its times.

        Within a trial the order is certain, whatever the clocks of the workers said; between trials an end comes
        before a proposal of the same millisecond, since it is what freed the slot.
        """
        events: list[tuple[float, int, int, Callable[[], object]]] = []
        histories = self.store.histories((record.run_id for record in records), self.search.base.metric)
        for record in records:
            number, time = int(record.tags["trial"]), float(record.start)
            events.append((time, 2, number, partial(self._ask, number, record)))
            points = histories[record.run_id]
            for stamp, images, value in points:
                time = max(stamp, time + 1e-3)
                went_on = images < points[-1][1] or record.state == "done"
                events.append((time, 1, number, partial(self._row, number, images, value, went_on)))
            if record.state in ended:
                time = max(record.end or 0, time + 1e-3)
                events.append((time, 0, number, partial(self._tell, number, record.state)))
        for *_, happen in sorted(events, key=lambda event: event[:3]):
            happen()

    def _ask(self, number: int, record: Record | None = None) -> Config:
        """Propose trial `number`, or take the stored proposal as Optuna's. Raises ValueError if the space changed."""
        # what is stored needs no sampler, but CMA-ES, which keeps its state in the trials that it proposes
        remembers = self.search.sampler == "cmaes"
        self.study.sampler = RandomSampler(0) if record and not remembers else sampler(self.search, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of samplers that Optuna calls experimental
            if record:
                self.study.enqueue_trial(json.loads(record.tags["params"]))
            trial = self.study.ask()
            _ = trial.relative_params  # what it proposes, even where the stored values are taken
            config = _propose(self.search, trial)
        if record and (config.cell_key, _ranges(trial)) != (record.cell_key, record.tags["ranges"]):
            raise ValueError(
                f"space {self.search.space_name!r} is not the one that trial {number} was drawn from: the space "
                f"changed; undo that, or give the new space another name"
            )
        self.asked[number], self.configs[number] = trial, config
        return config

    def _row(self, number: int, images: int, value: float, went_on: bool = False) -> bool:
        """Take a row in; whether the rule stops the trial there."""
        if not math.isfinite(value):
            return False
        if (number, images) not in self.stopper.decided:
            self.asked[number].report(value, images)
        self.values[number] = value
        return self.stopper.stops(number, images, value, self.configs[number], went_on=went_on)

    def _tell(self, number: int, state: str) -> None:
        self.study.tell(self.asked[number], self.values[number] if state == "done" else None, STATES[state])

    def next(self) -> Job | str:
        if self.running >= self.slots:
            return WAIT
        if self.interrupted:
            record = self.interrupted.pop(0)
            job = self._job(int(record.tags["trial"]), record.run_id)
        elif self.proposed is not None or len(self.asked) < self.samples:
            if self.proposed is None:
                self.proposed = next(n for n in range(self.samples) if n not in self.asked)
                self._ask(self.proposed)
            try:
                job = self._job(self.proposed, self._create(self.proposed))
            except Exception:  # the store is away: the proposal stands until it is back
                return WAIT if self._hopes() else DONE
            self.proposed, self.silent_since = None, math.inf
        else:
            return DONE
        self.running += 1
        return job

    def _create(self, number: int) -> str:
        """The run of a proposal, which lives in the store alone until it has begun."""
        tags = {
            "search": self.search.key,
            "trial": str(number),
            "params": json.dumps(self.asked[number].params),
            "ranges": _ranges(self.asked[number]),
            "config": json.dumps(self.configs[number].changed()),
        }
        job = self._job(number, None)
        return self.store.create(self.search, job.cell, job.seed, parent=self.search.cell, tags=tags)

    def _hopes(self) -> bool:
        """Whether to wait longer for a store that does not answer."""
        self.silent_since = min(self.silent_since, time.monotonic())
        return self.running > 0 or time.monotonic() - self.silent_since < SILENCE

    def _job(self, number: int, run_id: str | None) -> Job:
        return Job(Cell(f"trial {number}", "", self.configs[number]), self.search.seed(number), "running", run_id)

    def stops(self, job: Job, images: int, value: float) -> bool:
        return self._row(job.seed - self.search.seed(0), images, value)

    def ended(self, job: Job, state: str) -> None:
        self.running -= 1
        self._tell(job.seed - self.search.seed(0), state)

    def summarize(self, job: Job) -> None:
        load_outcome(self.search, self.store)


def tuned_study(outcomes: list[Outcome], seeds: int) -> Study:
    """The table of the winners: a row a search, trained on seeds that no trial had, its search value beside.

    Raises ValueError if the searches were not scored alike.
    """
    return _table(
        [outcome.search for outcome in outcomes],
        [outcome.winner.config for outcome in outcomes],
        seeds,
        {outcome.search.recipe: outcome.winner.value for outcome in outcomes},
    )


def check_table(searches: list[Search], seeds: int) -> str:
    """The title of the winners' table. Raises ValueError if they could not stand in one."""
    return _table(searches, [search.base for search in searches], seeds, {}).title


def _table(searches: list[Search], configs: list[Config], seeds: int, searched: dict[str, float]) -> Study:
    metrics = POINT_METRICS if searches[0].base.dataset in POINT_DATASETS else ("fid_final", "fid_best")
    rows = {search.recipe: config.changed() for search, config in zip(searches, configs, strict=True)}
    recipes = ", ".join(search.recipe for search in searches)
    if len(rows) < len(searches):
        raise ValueError(f"a recipe is named twice: {recipes}")
    name = f"tuned {recipes}{searches[0].variant}"
    return Study(name, Config(), rows, seeds=seeds, metrics=metrics, searched=searched)
