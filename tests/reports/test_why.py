"""A cell leads to its runs."""

import pytest

from reports.why import explain
from search.store import load_runs
from search.store.delivery import Delivery
from trainers.run_state import RunState


def test_a_cell_leads_to_its_runs(store, make_runs, tiny_study):
    make_runs(tiny_study)
    text = "\n".join(explain(tiny_study.variant(seeds=3), store, "+ aw"))
    runs = load_runs(tiny_study, store=store)
    for _, run in runs[runs["row"] == "+ aw"].iterrows():
        assert f"seed {run['seed']}: done, energy distance {run['energy_distance_final']:.4f}" in text
        assert f"run {run['run_id']}: {run['code_version']}" in text
        assert str(store.folder(run["run_id"])) in text
    assert "seed 2: missing" in text
    assert "aw normalized" in text
    assert tiny_study.cells()[1].config.cell_key in text
    assert "energy distance of" in text  # the protocol


def test_why_a_run_failed(store, tiny_study):
    run_id = Delivery(store).create(tiny_study, tiny_study.cells()[0], 0)
    Delivery(store).finish(run_id, RunState.FAILED, "OSError: disk full")
    assert "    OSError: disk full" in explain(tiny_study, store, "GAN")


def test_labels_that_are_none(store, tiny_study):
    with pytest.raises(ValueError, match="did you mean 'GAN'"):
        explain(tiny_study, store, "GANN")
    with pytest.raises(ValueError, match="column 'x'"):
        explain(tiny_study, store, "GAN", "x")
