"""Studies on real Ray workers."""

import json
import math

import pytest

from search.plan import make_plan
from search.run import run_study
from search.store import Store, load_runs
from search.store.delivery import Delivery
from search.tune.cluster import Cluster
from spaces import Study
from trainers.loop import train

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("cluster")]
TIMES = {"seconds", "eval_seconds", "logged_at"}


ONE_WORKER = Cluster(cpus_per_trial=2)  # takes seconds to start; a second one is asked for where it proves something


def test_run_makes_what_is_missing_and_nothing_twice(store, tiny_study):
    states = run_study(tiny_study, store)
    assert list(states.values()) == ["done"] * 4
    runs = load_runs(tiny_study, store=store)
    assert list(zip(runs["row"], runs["seed"], strict=True)) == [("GAN", 0), ("GAN", 1), ("+ aw", 0), ("+ aw", 1)]
    assert set(runs["state"]) == {"done"}

    assert run_study(tiny_study, store) == {}
    gone = runs.iloc[2]
    store.client.delete_run(gone["run_id"])
    missing = make_plan(tiny_study, store).missing
    assert [(job.cell.row, job.seed, job.run_id) for job in missing] == [(gone["row"], gone["seed"], None)]
    more = tiny_study.variant(seeds=3)
    states = run_study(more, Store(storage=store.storage), ONE_WORKER)
    assert set(states) == {"+ aw, seed 0", "GAN, seed 2", "+ aw, seed 2"}
    again = load_runs(more, store=store)
    assert len(again) == 6
    assert gone["energy_distance_final"] == again.set_index(["row", "seed"]).loc[("+ aw", 0), "energy_distance_final"]
    # six runs on two warm workers, each the same as in this process, bit for bit
    for cell in more.cells():
        for _, found in again[again["row"] == cell.row].iterrows():
            config = cell.config.replace(seed=int(found["seed"]))
            here = train(config, store.storage / "here" / found["run_id"])
            there = [json.loads(line) for line in (store.folder(found["run_id"]) / "rows.jsonl").open()]
            for a, b in zip(here, there, strict=True):
                assert {k: v for k, v in a.items() if k not in TIMES} == {k: v for k, v in b.items() if k not in TIMES}


def test_a_cell_that_diverges_harms_no_other(store, make_runs, tiny_study):
    """It is counted and shown; the others have the values that they have without it."""
    make_runs(tiny_study, seeds=1)
    before = load_runs(tiny_study.variant(seeds=1), store=store)
    rows = {"absurd": {"lr": 1e30, "loss": "wasserstein"}, **tiny_study.rows}
    study = Study("absurd", tiny_study.recipe, rows=rows, seeds=1, metrics=tiny_study.metrics)
    other = Store(storage=store.storage.parent / "other")
    states = run_study(study, other, ONE_WORKER)
    assert states == {"absurd, seed 0": "diverged", "GAN, seed 0": "done", "+ aw, seed 0": "done"}
    runs = load_runs(study, store=other)
    after = runs[runs["row"] != "absurd"]
    assert list(after["energy_distance_final"]) == list(before["energy_distance_final"])
    assert math.isnan(runs[runs["row"] == "absurd"]["energy_distance_final"].iloc[0])
    assert make_plan(study, other).missing == []

    from reports.results import Results
    from reports.table import as_text

    text = as_text(Results(study, other))
    assert list(text.cells.loc["absurd"])[:2] == ["div 1/1", "div 1/1"]


def test_a_begun_run_goes_on_in_its_own_mlflow_run(store, tiny_study):
    cell = tiny_study.cells()[0]
    run_id = Delivery(store).create(tiny_study, cell, 0)
    rows = train(cell.config, store.folder(run_id))
    first = [next(rows), next(rows)]
    rows.close()
    states = run_study(tiny_study.variant(seeds=1), store, ONE_WORKER)
    assert len(states) == 2
    runs = load_runs(tiny_study, store=store)
    assert runs.iloc[0]["run_id"] == run_id
    history = store.client.get_metric_history(run_id, "fid")
    assert [m.step for m in history] == [0, 256, 512]
    assert [m.value for m in history][:2] == [row["fid"] for row in first]


def test_a_failed_run_is_told_and_made_again_on_demand(store, tiny_study):
    """The folder of a run is a file: the trial fails with its reason, and the rest goes on."""
    cell = tiny_study.cells()[0]
    run_id = Delivery(store).create(tiny_study, cell, 0)
    store.folder(run_id).parent.mkdir(parents=True)
    store.folder(run_id).write_text("")
    study = tiny_study.variant(seeds=1)
    states = run_study(study, store, ONE_WORKER)
    assert states["+ aw, seed 0"] == "done"
    assert states["GAN, seed 0"].startswith("failed: ")
    assert "FileExistsError" in store.client.get_run(run_id).data.tags["error"]
    assert run_study(study, store) == {}
    store.folder(run_id).unlink()
    assert run_study(study, store, retry_failed=True) == {"GAN, seed 0": "done"}
    assert store.client.get_run(run_id).info.status == "FINISHED"


def test_a_study_of_runs_that_others_made_has_its_experiment(store, make_runs, tiny_study):
    """Nothing is to run, yet its parents hold the aggregates."""
    make_runs(tiny_study)
    other = Study("other", tiny_study.base, rows={"the base": {}}, seeds=2, metrics=tiny_study.metrics)
    assert run_study(other, store) == {}
    experiment = store.client.get_experiment_by_name("other")
    (parent,) = store.client.search_runs([experiment.experiment_id])
    assert parent.data.tags["row"] == "the base"
    assert parent.data.metrics["energy_distance_final_n"] == 2


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"gpus_per_trial": 64}, "64 GPUs"),
        ({"cpus_per_trial": 99}, "99 CPUs"),
        ({"gpus_per_trial": -1}, "gpus-per-trial = -1"),
        ({"gpus_per_trial": 1.5}, "gpus-per-trial = 1.5"),
        ({"cpus_per_trial": 0}, "cpus-per-trial = 0"),
        ({"cpus_per_trial": math.nan}, "cpus-per-trial = nan"),
    ],
)
def test_resources_that_do_not_exist_are_refused(store, tiny_study, asked, words):
    with pytest.raises(ValueError, match=words):
        run_study(tiny_study, store, Cluster(**asked))
    assert load_runs(tiny_study, store=store).empty


def test_modules_that_hide_ours_are_refused(store, tiny_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()  # a folder without code is no harm
    (tmp_path / "search.py").write_text("")
    with pytest.raises(ValueError, match=r"search\.py in this folder"):
        run_study(tiny_study, store)


def test_changed_data_are_refused_before_anything_starts(store, make_runs, tiny_study):
    make_runs(tiny_study, seeds=1)
    run_id = load_runs(tiny_study, store=store).iloc[0]["run_id"]
    store.client.set_tag(run_id, "data_digest", "0" * 16)
    with pytest.raises(ValueError, match="data_digest of GAN"):
        run_study(tiny_study, store)
    assert len(load_runs(tiny_study, store=store)) == 2


def test_a_cell_that_cannot_be_trained_is_refused_before_anything_starts(store, tiny_study):
    study = Study("bad", tiny_study.recipe, rows={"a": {}, "b": {"backbone_options": {"widht": 3}}}, seeds=1)
    with pytest.raises(ValueError, match="widht"):
        run_study(study, store)
    assert load_runs(study, store=store).empty
