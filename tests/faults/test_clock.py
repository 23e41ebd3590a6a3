"""A clock that jumps by days, forth and back: what is stored is in the order of images, and the latest value stands."""

import math
import random
import time

import pytest
from conftest import trained_in

from search.plan import make_plan
from search.store import load_runs
from search.store.queries import find_runs, histories
from trainers.run_folder import read_evaluations

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def jumping_clock(monkeypatch):
    """Every look at the time is up to 30 days off."""
    rng, true = random.Random(0), time.time
    jumps = []

    def jump():
        jumps.append(rng.uniform(-30, 30) * 86_400)
        return true() + jumps[-1]

    monkeypatch.setattr(time, "time", jump)
    monkeypatch.setattr(time, "time_ns", lambda: int(jump() * 1e9))
    return jumps


@pytest.fixture
def trained(jumping_clock, tmp_path):
    """Trained by this clock, and for no other test."""
    return trained_in(tmp_path / "trained")


@pytest.mark.long
def test_runs_and_parents(jumping_clock, store, make_runs, tiny_study, none_lost):
    make_runs(tiny_study, seeds=1)
    make_runs(tiny_study.variant(seeds=2))
    assert min(jumping_clock) < 0 < max(jumping_clock)
    found = load_runs(tiny_study, store=store)
    assert set(found["state"]) == {"done"}
    assert make_plan(tiny_study, store).missing == []
    out_of_order = 0
    for _, run in found.iterrows():
        rows = read_evaluations(store.folder(run["run_id"]))
        assert [images for _, images, _ in histories(store, [run["run_id"]], "energy_distance")[run["run_id"]]] == [
            0,
            256,
            512,
        ]
        stamps = [row["logged_at"] for row in rows]
        out_of_order += stamps != sorted(stamps)
        assert run["energy_distance_final"] == rows[-1]["energy_distance"]
    assert out_of_order > 0
    parents = [record for record in find_runs(store, "study", [tiny_study.title]) if "seed" not in record.tags]
    for parent in parents:
        mean = found.loc[found["row"] == parent.tags["row"], "energy_distance_final"].mean()
        assert math.isclose(parent.metrics["energy_distance_final_mean"], mean, rel_tol=1e-12)
        assert parent.metrics["energy_distance_final_n"] == 2
