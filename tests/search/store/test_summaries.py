"""What a run's evaluations come to, and when a run is lost."""

import math

import pytest

from search.store import load_runs, queries
from search.store.summaries import final_metrics, is_lost, judged, summary
from trainers.config import Config
from trainers.names import METRICS

SERIES = [(0, 100.0), (20, 8.0), (40, 5.0), (60, 6.0), (80, 4.0), (90, 9.0), (100, 6.0)]


def test_a_summary_of_each_kind():
    found = {when: summary(SERIES, METRICS[f"fid_{when}"]) for when in ("final", "best", "late", "untrained")}
    assert (found["final"], found["best"], found["untrained"]) == (6.0, 4.0, 100.0)
    assert found["late"] == pytest.approx((4 * 9 * 6) ** (1 / 3))  # geometric: a ratio
    assert summary(SERIES, METRICS["kid_late"]) == pytest.approx((4 + 9 + 6) / 3)
    assert summary([*SERIES[:4], (80, 0.0), *SERIES[5:]], METRICS["fid_late"]) == 0
    assert math.isnan(summary(SERIES[:5], METRICS["fid_late"]))  # fewer than three
    assert math.isnan(summary(SERIES[1:], METRICS["fid_untrained"]))


def test_a_diverged_run_has_no_values():
    rows = [{"images": n, "fid": value, "modes": 3.0, "state": "running"} for n, value in SERIES]
    assert final_metrics(rows)["fid_final"] == 6.0
    rows[-1]["state"] = "diverged"
    assert all(math.isnan(value) for value in final_metrics(rows).values())


@pytest.mark.parametrize(
    ("final", "best", "untrained", "lost"),
    [
        (20.0, 19.0, 100.0, False),
        (100.0, 50.0, 100.0, True),  # no better than untrained
        (51.0, 10.0, 100.0, True),  # above five times its best
        (49.0, 10.0, 100.0, False),
        (20.0, 19.0, math.nan, False),  # nobody knows
        (100.0, math.nan, math.nan, False),
    ],
)
def test_when_a_run_is_lost(final, best, untrained, lost):
    values = {"fid_final": final, "fid_best": best, "fid_untrained": untrained}
    assert is_lost(Config(), "done", values, tiny=False) == lost
    assert not is_lost(Config(), "done", values, tiny=True)
    assert is_lost(Config(), "diverged", values, tiny=True)
    assert not is_lost(Config(), "failed", values, tiny=False)


def test_points_are_judged_by_their_energy_distance():
    values = {"energy_distance_final": 0.3, "energy_distance_untrained": 0.2, "fid_final": 1.0, "fid_untrained": 9.0}
    assert is_lost(Config(dataset="ring8", backbone="mlp"), "done", values, tiny=False)


@pytest.mark.long
def test_runs_of_earlier_versions_are_judged_by_their_evaluations(store, make_runs, tiny_study):
    """Which wrote neither untrained nor late values at the end of a run."""
    make_runs(tiny_study)
    before = load_runs(tiny_study, store=store)
    assert before["energy_distance_untrained"].notna().all()
    assert list(before["lost"]) == list(before["energy_distance_final"] >= before["energy_distance_untrained"])
    names = ("energy_distance_untrained", "energy_distance_late", "lost")
    found = queries.find_runs

    def as_before(*arguments):
        return [
            run._replace(metrics={name: value for name, value in run.metrics.items() if name not in names})
            for run in found(*arguments)
        ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queries, "find_runs", as_before)
        after = load_runs(tiny_study, store=store)
    assert after.equals(before)
    assert judged(before.drop(columns=["lost"]), tiny_study).equals(before)
    ids = tiny_study.cells()[0].config.cell_key
    parents = [run for run in found(store, "cell_key", [ids]) if "seed" not in run.tags]
    assert parents[0].metrics["lost"] == before[before["row"] == "GAN"]["lost"].sum()
