"""The outcome of a search: its trials in the store, the winner, and the table of winners."""

import json
import math
from dataclasses import dataclass, replace
from typing import Any

from optuna.trial import TrialState

from search.plan import check_title
from search.store import Store
from search.store.database import StoredRun
from search.store.parents import Parents
from search.store.queries import find_runs, histories, trials_of
from spaces import Search, Study
from spaces.studies import POINT_METRICS
from trainers.config import Config
from trainers.run_state import RunState
from trainers.user_code import describe

FACTS = "search_facts"  # tag of a search's parent: what it is, for whoever has its title alone
NAMED = ("recipe", "space_name", "sampler", "scheduler", "settings", "all_settings")  # fields of a Search
STATES = {
    RunState.DONE: TrialState.COMPLETE,
    RunState.STOPPED: TrialState.PRUNED,
    RunState.DIVERGED: TrialState.FAIL,
    RunState.FAILED: TrialState.FAIL,
}


@dataclass(frozen=True)
class Trial:
    """One trial of a search: `value` is at the full budget, else NaN, `last` the last that is a number, however it
    ended; `images` were shown to D."""

    number: int
    state: RunState
    value: float
    last: float
    images: int
    config: Config
    params: dict[str, Any]
    run_id: str
    error: str


def read_trials(search: Search, store: Store) -> list[StoredRun]:
    """The trials of a search. Raises ValueError for one that cannot be read, since someone changed its tags."""
    runs = trials_of(store, search)
    for run in runs:
        try:
            as_trial(search, run)
            json.loads(run.tags["ranges"])
            proposed_at(run)
            int(run.tags.get("proposed_at", "0"))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            name = f"run {run.run_id} of {search.title}"
            raise ValueError(f"the tags of {name} cannot be read ({describe(error)}); delete it in MLflow") from None
    return runs


def proposed_at(run: StoredRun) -> int:
    """When a trial was proposed, in milliseconds since 1970. Raises ValueError if its tag says no such time."""
    return int(run.tags.get("proposed_at", run.start))


def as_trial(search: Search, run: StoredRun) -> Trial:
    """A stored run as a trial. Raises KeyError, TypeError or ValueError if its tags say none."""
    tags, metrics = run.tags, run.metrics
    return Trial(
        number=int(tags["trial"]),
        state=run.state,
        value=metrics.get(search.metric, math.nan),
        last=metrics.get(search.base.metric, math.nan),
        images=int(metrics.get("images", 0)),
        config=_config(search, json.loads(tags["config"]), run.seed),
        params=json.loads(tags["params"]),
        run_id=run.run_id,
        error=tags.get("error", ""),
    )


def _config(search: Search, fields: dict[str, Any], seed: int) -> Config:
    """A trial's Config, its data spelled as here."""
    base = search.base
    if not base.is_at_path:
        return Config(**fields, seed=seed)
    config = Config(**{**fields, "dataset": base.dataset, **base.image_form._asdict()}, seed=seed)
    return config.with_data(base.data_digest) if config.data_spelling == base.data_spelling else config


@dataclass(frozen=True)
class Outcome:
    """A search and its trials."""

    search: Search
    trials: list[Trial]

    @property
    def done(self) -> list[Trial]:
        """The trials at the full budget."""
        return [trial for trial in self.trials if trial.state == RunState.DONE]

    @property
    def winner(self) -> Trial:
        """The best trial at the full budget. Raises ValueError if none got there."""
        if not self.done:
            raise ValueError(f"{self.search.title}: no trial reached its full budget, so there is no winner")
        sign = 1 if self.search.lower_is_better else -1
        return min(self.done, key=lambda trial: (sign * trial.value, trial.number))

    def count(self, state: RunState) -> int:
        """Trials in a state."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def images(self) -> int:
        """Images shown in all trials."""
        return sum(trial.images for trial in self.trials)

    @property
    def images_saved(self) -> int:
        """Images that stopped trials did not take."""
        return sum(trial.config.n_images - trial.images for trial in self.trials if trial.state == RunState.STOPPED)

    def parent_metrics(self) -> dict[str, float]:
        """What the search's parent run says."""
        values: dict[str, float] = {"trials": len(self.trials)}
        values |= {str(state): self.count(state) for state in STATES}
        values |= {"images": self.images, "images_saved": self.images_saved}
        return values | ({"best_value": self.winner.value} if self.count(RunState.DONE) else {})


def read_outcome(search: Search, store: Store) -> Outcome:
    """The trials of a search that the store holds. Raises ValueError as `read_trials`."""
    trials = [as_trial(search, run) for run in read_trials(search, store)]
    lost = [trial.run_id for trial in trials if math.isnan(trial.last) and trial.state.has_ended]
    points = histories(store, lost, search.base.metric)  # what a diverged one had before
    last = {run_id: [value for *_, value in points[run_id] if math.isfinite(value)][-1:] for run_id in lost}
    trials = [replace(trial, last=last[trial.run_id][0]) if last.get(trial.run_id) else trial for trial in trials]
    return Outcome(search, trials)


def load_outcome(search: Search, store: Store, parents: Parents | None = None) -> Outcome:
    """The same, with the search's parent run brought up to date."""
    outcome = read_outcome(search, store)
    tags = {"winner": outcome.winner.run_id} if outcome.count(RunState.DONE) else {}
    tags[FACTS] = json.dumps({**{name: getattr(search, name) for name in NAMED}, "base": search.base.non_defaults()})
    parents = parents or Parents(store)
    parents.write(parents.parent(search, search.cell), outcome.parent_metrics(), tags)
    parents.show(search, [trial.config for trial in outcome.trials])
    return outcome


def stored_search(title: str, store: Store) -> Search:
    """The search of this title, as far as the store tells of it: it proposes nothing. Raises ValueError if there is no
    such search, or an earlier version made it."""
    for run in find_runs(store, "study", [title]):
        if FACTS in run.tags:
            try:
                facts = json.loads(run.tags[FACTS])
                base = Config(**facts.pop("base")).with_data(run.tags.get("data_digest"))
                return Search(base=base, space=_proposes_nothing, **facts)
            except (TypeError, KeyError, ValueError, AttributeError) as error:
                told = f"run {run.run_id} of {title!r} cannot be read ({describe(error)})"
                raise ValueError(f"{told}; the same `ganablate search` writes it again") from None
    raise ValueError(f"the store tells of no {title!r}; `ganablate search`, typed as it was, brings one up to date")


def _proposes_nothing(*_: Any) -> dict[str, Any]:
    raise ValueError("a search that was read from the store proposes nothing")


def tuned_study(outcomes: list[Outcome], seeds: int) -> Study:
    """The table of the winners: a row a search, trained on seeds that no trial had, its search value beside.

    Raises ValueError if the searches were not scored alike.
    """
    values = {outcome.search.recipe: outcome.winner.value for outcome in outcomes}
    return _table([each.search for each in outcomes], [each.winner.config for each in outcomes], seeds, values)


def check_table(searches: list[Search], seeds: int) -> str:
    """The title of the winners' table. Raises ValueError if they could not stand in one."""
    study = _table(searches, [search.base for search in searches], seeds, {})
    check_title(study)
    return study.title


def _table(searches: list[Search], configs: list[Config], seeds: int, searched: dict[str, float]) -> Study:
    metrics = POINT_METRICS if searches[0].base.has_points else ("fid_final", "fid_best")
    rows = {search.recipe: config.non_defaults() for search, config in zip(searches, configs, strict=True)}
    recipes = ", ".join(search.recipe for search in searches)
    if len(rows) < len(searches):
        raise ValueError(f"a recipe is named twice: {recipes}")
    name = f"tuned {recipes}{searches[0].variant_label}"
    return Study(name, Config(), rows, seeds=seeds, metrics=metrics, searched=searched)
