"""The table's numbers and ranks, on runs that are written by hand."""

import dataclasses
import math

import pandas as pd
import pytest
from scipy import stats
from stubs import stub_runs

from reports import ablation_table
from reports.statistics import difference, ranks
from spaces import Study
from trainers.run_state import RunState


def test_the_contract(results):
    table = ablation_table(results.runs, results.study)
    assert table.index.names == ["row", "column"]
    assert list(table.index) == [(row, "") for row in results.study.rows]
    assert set(table.columns) == {
        (metric, name) for metric in ("fid_final", "fid_best") for name in ("mean", "std", "n", "diverged", "published")
    }
    cell = table.loc[("GAN", ""), "fid_final"]
    assert cell["mean"] == pytest.approx(10.1)
    assert cell["std"] == pytest.approx(0.1)
    assert (cell["n"], cell["diverged"]) == (3, 0)
    assert math.isnan(cell["published"])
    assert table.equals(results.table)


def test_stopped_and_failed_runs_never_enter(results):
    runs = stub_runs({"GAN": [10.0, 999.0, 999.0]})
    runs.loc[1, "state"], runs.loc[2, "state"] = RunState.STOPPED, RunState.FAILED
    cell = ablation_table(runs, results.study).loc[("GAN", ""), "fid_final"]
    assert (cell["mean"], cell["n"], cell["diverged"]) == (10.0, 1, 0)
    assert math.isnan(cell["std"])


def test_marks_are_computed_on_numbers(results):
    """ "10.10" sorts before "9.80" as text; and who lost a seed takes no mark, however good the survivors."""
    table = ablation_table(results.runs, results.study)
    assert list(ranks(table, 3)["fid_final"]) == [2, 1, 0, 0]
    assert set(ranks(table, 3)["fid_best"]) == {0}  # flatters noisy runs
    assert set(ranks(table, 4)["fid_final"]) == {0}  # a seed is missing everywhere
    alone = dataclasses.replace(results.study, rows={"GAN": {}})
    assert set(ranks(ablation_table(results.runs, alone), 3)["fid_final"]) == {0}  # nothing to beat


def test_higher_is_better_where_the_metric_says_so():
    study = Study("s", "ring8_gan", rows={"a": {}, "b": {"lr": 1.0}}, metrics=("modes_final",))
    runs = stub_runs({"a": [7.0], "b": [8.0]}, ["modes_final"])
    assert list(ranks(ablation_table(runs, study), 1)["modes_final"]) == [2, 1]


@pytest.mark.parametrize("name", ["protocol", "data_digest", "features_digest"])
def test_mixtures_are_refused(results, name):
    runs = pd.concat([stub_runs({"GAN": [1.0]}), stub_runs({"=2+3": [1.0]}, **{name: "other"})])
    with pytest.raises(ValueError, match=name):
        ablation_table(runs, results.study)


def test_difference_is_welchs():
    """Against the formula: Satterthwaite's degrees of freedom."""
    a, b = pd.Series([3.0, 5.0, 4.5]), pd.Series([8.0, 9.0, 12.0, 7.0])
    va, vb = a.var() / 3, b.var() / 4
    df = (va + vb) ** 2 / (va**2 / 2 + vb**2 / 3)
    half = stats.t.ppf(0.975, df) * math.sqrt(va + vb)
    found = difference(a, b)
    assert found == pytest.approx((a.mean() - b.mean(), a.mean() - b.mean() - half, a.mean() - b.mean() + half))
    assert math.isnan(difference(a[:1], b).low)
