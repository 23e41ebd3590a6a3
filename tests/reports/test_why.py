"""A cell leads to its runs."""

import uuid

import pytest

from reports.why import explain, explain_run
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


def test_a_run_that_counts_no_more_is_told_by_its_id(store, make_runs, tiny_study):
    make_runs(tiny_study, seeds=1)
    first = load_runs(tiny_study, store=store).iloc[0]
    twin = Delivery(store).create(tiny_study, tiny_study.cells()[0], 0)
    counting, other = (explain_run(run_id, store) for run_id in (first["run_id"], twin))
    assert counting[0] == other[0] == "tiny: GAN"
    assert counting[3].startswith("  seed 0: done")
    assert f"energy distance {first['energy_distance_final']:.4f}" in counting[3]
    assert counting[4] in explain(tiny_study, store, "GAN")  # the run's own line: code, machine, folder
    assert "counts no more" not in " ".join(counting)
    assert other[3].startswith("  seed 0: missing")
    assert other[-1] == f"    counts no more: run {first['run_id']} stands for it"
    store.client.delete_run(twin)
    assert explain_run(twin, store)[-1] == "    deleted in MLflow: counts no more"


def test_a_server_tells_the_same_of_a_run(store, make_runs, tiny_study, monkeypatch):
    make_runs(tiny_study, seeds=1)
    ids = [load_runs(tiny_study, store=store).iloc[1]["run_id"]]
    ids += [run.info.run_id for run in store.client.search_runs(["1"]) if "seed" not in run.data.tags]
    told = [explain_run(run_id, store) for run_id in ids]
    assert "parent of the cell's runs" in told[1][-1]
    monkeypatch.setattr("search.store.queries.is_database", lambda _: False)
    assert [explain_run(run_id, store) for run_id in ids] == told


@pytest.mark.parametrize(
    ("asked", "words"), [("quick", "'quick' alone is no id of a run"), (uuid.UUID(int=7).hex, "has no run 0000")]
)
def test_ids_that_are_none(store, asked, words):
    with pytest.raises(ValueError, match=words):
        explain_run(asked, store)


def test_labels_that_are_none(store, tiny_study):
    with pytest.raises(ValueError, match="did you mean 'GAN'"):
        explain(tiny_study, store, "GANN")
    with pytest.raises(ValueError, match="column 'x'"):
        explain(tiny_study, store, "GAN", "x")
