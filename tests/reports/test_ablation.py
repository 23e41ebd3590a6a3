"""The ablation table, on runs that are written by hand."""

import math

import pandas as pd
import pytest
from stubs import stub_runs

from reports import ablation_table
from trainers.run_state import RunState


def test_the_contract(results):
    table = ablation_table(results.runs, results.study)
    assert table.index.names == ["row", "column"]
    assert list(table.index) == [(row, "") for row in results.study.rows]
    names = ("mean", "std", "n", "diverged", "lost", "published")
    assert set(table.columns) == {(metric, name) for metric in ("fid_final", "fid_best") for name in names}
    cell = table.loc[("GAN", ""), "fid_final"]
    assert cell["mean"] == pytest.approx(10.1)
    assert cell["std"] == pytest.approx(0.1)
    assert (cell["n"], cell["diverged"], cell["lost"]) == (3, 0, 0)
    assert math.isnan(cell["published"])
    assert table.equals(results.table)


def test_stopped_and_failed_runs_never_enter(results):
    runs = stub_runs({"GAN": [10.0, 999.0, 999.0]})
    runs.loc[1, "state"], runs.loc[2, "state"] = RunState.STOPPED, RunState.FAILED
    cell = ablation_table(runs, results.study).loc[("GAN", ""), "fid_final"]
    assert (cell["mean"], cell["n"], cell["diverged"], cell["lost"]) == (10.0, 1, 0, 0)
    assert math.isnan(cell["std"])


def test_lost_runs_are_counted_and_no_mean_holds_them(results):
    """One diverged, one ended no better than untrained, one far above its own best."""
    runs = stub_runs({"GAN": [10.0, None, 40.0, 30.0, 12.0]}, fid_untrained=40.0, fid_best=10.0)
    runs.loc[3, "fid_best"] = 5.9
    cell = ablation_table(runs, results.study).loc[("GAN", ""), "fid_final"]
    assert (cell["mean"], cell["n"], cell["diverged"], cell["lost"]) == (11.0, 2, 1, 3)


@pytest.mark.parametrize("name", ["protocol", "data_digest", "features_digest"])
def test_mixtures_are_refused(results, name):
    runs = pd.concat([stub_runs({"GAN": [1.0]}), stub_runs({"=2+3": [1.0]}, **{name: "other"})])
    with pytest.raises(ValueError, match=name):
        ablation_table(runs, results.study)
