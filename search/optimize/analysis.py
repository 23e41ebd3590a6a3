"""A search as Optuna's own study: rebuilt from the store, for its figures, its importances and optuna-dashboard."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import optuna
from optuna.distributions import json_to_distribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.optimize.outcome import STATES, Outcome, proposed_at, read_trials
from search.optimize.stopping import grace_period
from search.store import Store
from search.store.database import StoredRun
from search.store.queries import histories
from spaces import Search

optuna.logging.set_verbosity(optuna.logging.WARNING)

LEAST = 30  # trials of which importances are told: of fewer they are chance
SEED = 0  # of the forest that fANOVA fits


@dataclass(frozen=True)
class Importances:
    """Shares of the variance of a value that each parameter explains by itself (fANOVA, Hutter et al. 2014), over
    `trials` trials; none, and why, where they are too few."""

    of: str
    trials: int
    shares: dict[str, float]

    @property
    def refusal(self) -> str:
        """Why there are none, in a sentence; "" if there are some."""
        few = f"importances of {self.of} take {LEAST} trials, and there are {self.trials}"
        return "" if self.shares else few if self.trials < LEAST else f"{self.of} are all alike"


@dataclass(frozen=True)
class Analysis:
    """A search, and its trials that have ended as Optuna knows them."""

    outcome: Outcome
    trials: list[FrozenTrial]

    @property
    def search(self) -> Search:
        return self.outcome.search

    @property
    def rung(self) -> int:
        """The images at which the scheduler looks at a trial first."""
        return min(grace_period(self.search.base), self.search.base.n_images)

    @property
    def study(self) -> optuna.Study:
        """All trials that have ended: done, stopped (pruned), diverged and failed (both failed)."""
        return self.as_study(self.trials)

    def as_study(self, trials: Iterable[FrozenTrial], storage: str | None = None) -> optuna.Study:
        """Optuna's study of such trials, in memory or in a storage."""
        direction = StudyDirection.MINIMIZE if self.search.lower_is_better else StudyDirection.MAXIMIZE
        study = optuna.create_study(storage=storage, study_name=self.search.title, direction=direction)
        study.add_trials(trials)
        return study

    @property
    def counts(self) -> str:
        """Which trials figures show, in words: those at the full budget."""
        others = [f"{self.outcome.count(state)} {state}" for state in STATES if self.outcome.count(state)]
        return f"done trials alone count; of {len(self.outcome.trials)} trials {', '.join(others) or 'none ended'}"

    def importances(self) -> list[Importances]:
        """By the final value of the trials that nothing stopped, and by that of all trials at the first rung: little is
        learnt from those alone that a scheduler leaves, the best."""
        done = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        first = [
            create_trial(
                value=trial.intermediate_values[self.rung], params=trial.params, distributions=trial.distributions
            )
            for trial in self.trials
            if self.rung in trial.intermediate_values
        ]
        told = "unstopped trials", f"all trials at {self.rung:,} images"
        return [self._importances(*each) for each in zip(told, (done, first), strict=True)]

    def _importances(self, of: str, trials: list[FrozenTrial]) -> Importances:
        values = {trial.value for trial in trials}
        if len(trials) < LEAST or len(values) < 2:
            return Importances(of, len(trials), {})
        shares = get_param_importances(self.as_study(trials), evaluator=FanovaImportanceEvaluator(seed=SEED))
        return Importances(of, len(trials), {name: float(share) for name, share in shares.items()})


def analyse(outcome: Outcome, store: Store) -> Analysis:
    """The analysis of a search. Raises ValueError if the store does not answer, or for a trial that cannot be read."""
    search = outcome.search
    runs = [run for run in read_trials(search, store) if run.state in STATES]
    points = histories(store, (run.run_id for run in runs), search.base.metric)
    return Analysis(outcome, [_frozen(run, search.metric, points[run.run_id]) for run in runs])


def _frozen(run: StoredRun, metric: str, points: list[tuple[int, int, float]]) -> FrozenTrial:
    """A stored trial as Optuna's; `points` are its evaluations, as `histories` gives them."""
    value, state = run.metrics.get(metric, math.nan), STATES[run.state]
    if state == TrialState.COMPLETE and math.isnan(value):
        state = TrialState.FAIL
    trial = create_trial(
        state=state,
        value=value if state == TrialState.COMPLETE else None,
        params=json.loads(run.tags["params"]),
        distributions={name: json_to_distribution(text) for name, text in json.loads(run.tags["ranges"]).items()},
        intermediate_values={images: value for _, images, value in points if math.isfinite(value)},
        user_attrs={"run_id": run.run_id, "state": run.state, "seed": run.seed, "trial": int(run.tags["trial"])},
    )
    trial.datetime_start = datetime.fromtimestamp(proposed_at(run) / 1000)
    trial.datetime_complete = datetime.fromtimestamp((run.end or run.start) / 1000)
    return trial


def write_database(analyses: Iterable[Analysis], path: Path) -> None:
    """Write searches as an Optuna storage, which optuna-dashboard opens, a study each, in place of a former one, which
    stays whole for whoever has it open."""
    with tempfile.TemporaryDirectory(dir=path.parent) as aside:
        made = Path(aside, path.name)
        for analysis in analyses:
            analysis.as_study(analysis.trials, f"sqlite:///{made.absolute()}")
        made.replace(path)
