"""Importances and figures of a search, on trials of which the answer is known."""

import math
import random

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from reports.search_figures import draw_importances, draw_search
from search.optimize.analysis import LEAST, Analysis
from search.optimize.outcome import Outcome, Trial
from spaces import SPACES, Search
from trainers.config import Config
from trainers.run_state import RunState

RANGES = {"lr": FloatDistribution(0.0, 1.0), "eta": FloatDistribution(0.0, 1.0)}
BASE = Config(n_images=800, eval_every=100)


def analysis(done, stopped, scheduler="asha"):
    """Trials whose value at the first rung follows lr and, at the end of those that get there, eta."""
    draws, frozen, trials = random.Random(0), [], []
    for number in range(done + stopped):
        params = {name: draws.random() for name in RANGES}
        ends, value = number < done, (params["eta"] - 0.5) ** 2
        state = TrialState.COMPLETE if ends else TrialState.PRUNED
        first = {300: 1 + params["lr"]}
        frozen.append(
            create_trial(
                state=state,
                value=value if ends else None,
                params=params,
                distributions=RANGES,
                intermediate_values=first,
            )
        )
        run_state = RunState.DONE if ends else RunState.STOPPED
        trials.append(Trial(number, run_state, value, value, 800 if ends else 300, BASE, params, f"r{number}", ""))
    return Analysis(Outcome(Search("r", BASE, "all", SPACES["all"], "tpe", scheduler), trials), frozen)


def test_importances_know_what_a_value_hangs_on():
    unstopped, first = analysis(LEAST, 10).importances()
    assert (unstopped.trials, first.trials) == (LEAST, LEAST + 10)
    assert unstopped.shares["eta"] > 0.9
    assert first.shares["lr"] > 0.9
    assert first.of == "all trials at 300 images"
    assert all(math.isclose(sum(each.shares.values()), 1) for each in (unstopped, first))


def test_of_few_trials_none_are_told(tmp_path):
    unstopped, first = analysis(LEAST - 1, 1).importances()
    assert unstopped.refusal == f"importances of unstopped trials take {LEAST} trials, and there are {LEAST - 1}"
    assert unstopped.shares == {}
    assert first.shares
    assert first.refusal == ""
    assert [path.exists() for path in draw_importances([unstopped, first], "search r", tmp_path / "i")] == [True, True]


@pytest.mark.long
def test_each_figure_says_which_trials_count(tmp_path, monkeypatch):
    """And leaves the style of other figures as it was."""
    from matplotlib import pyplot as plt

    said = []
    before = dict(plt.rcParams)
    monkeypatch.setattr(
        "reports.search_figures.save", lambda figure, stem: [said.append((stem.name, figure._supxlabel.get_text()))]
    )
    draw_search(analysis(4, 3), tmp_path, "r")
    assert dict(plt.rcParams) == before
    assert [name for name, _ in said] == ["history r", "slices r", "parallel r", "rank r"]
    assert {" ".join(text.split()) for _, text in said} == {"done trials alone count; of 7 trials 4 done, 3 stopped"}
    assert draw_search(analysis(1, 3), tmp_path, "r") == []
    assert plt.get_fignums() == []
