import dataclasses
import json
import subprocess
import sys

import pytest

from search.locks import RunLocks, is_locked
from search.optimize.outcome import check_table
from search.optimize.searches import check_search
from search.plan import foresee, make_plan, much_scoring, to_make, trained_already
from search.run import run_study
from search.store.delivery import Delivery
from search.store.image_sets import resolved
from spaces import SPACES, STUDIES, Search, Study
from trainers.config import Config
from trainers.run_folder import write_evaluations


def states(plan):
    return {(job.cell.row, job.seed): job.state for job in plan.jobs}


def test_everything_is_missing_at_first(store, tiny_study):
    plan = make_plan(tiny_study, store)
    assert set(states(plan).values()) == {"missing"}
    assert len(plan.missing) == 4
    assert plan.seconds_left is None


def test_a_title_that_no_experiment_can_have_is_refused_before_anything_begins(store, tiny_study):
    """By `plan`, by `run`, and by `search` of its own title and of the table to be."""
    long = dataclasses.replace(tiny_study, name="x" * 501)
    assert make_plan(dataclasses.replace(tiny_study, name="x" * 500), store)
    recipes = [Search(letter * 200, tiny_study.base, "all", SPACES["all"]) for letter in "abc"]
    for refused in (
        lambda: make_plan(long, store),
        lambda: run_study(long, store),
        lambda: check_search(Search("x" * 500, tiny_study.base, "all", SPACES["all"]), 1, store),
        lambda: check_table(recipes, 1),
    ):
        with pytest.raises(ValueError, match=r"has \d+ characters, and an experiment in MLflow at most 500"):
            refused()


def test_a_seed_of_every_cell_comes_before_the_next_seed(store, tiny_study):
    missing = make_plan(tiny_study, store).missing
    assert [(job.cell.row, job.seed) for job in missing] == [("GAN", 0), ("+ aw", 0), ("GAN", 1), ("+ aw", 1)]


def test_missing_runs_by_number(store, make_runs, tiny_points):
    """As a job array takes them; the numbers of what is left stay what they were."""
    awkward = Study("s", tiny_points, {"a b": {}, "c\td": {"aw": "normalized"}}, {"x\ny": {}}, 2, ("fid_final",))
    plan = make_plan(awkward, store)
    jobs = ["0\ta b\tx y\t0", "1\tc d\tx y\t0", "2\ta b\tx y\t1", "3\tc d\tx y\t1"]
    assert list(plan.to_jobs()) == jobs
    assert plan.to_array() == "0-3"
    assert [(each["job"], each["seed"]) for each in plan.to_json()["missing"]] == [(0, 0), (1, 0), (2, 1), (3, 1)]
    make_runs(awkward, seeds=1)
    assert list(make_plan(awkward, store).to_jobs()) == jobs[2:]
    assert make_plan(awkward.variant(seeds=1), store).to_array() == ""
    assert list(make_plan(awkward.variant(seeds=3), store).to_jobs())[:2] == jobs[2:]
    left = dataclasses.replace(plan, missing=[job for job in plan.jobs if (job.cell.row, job.seed) != ("c\td", 0)])
    assert left.to_array() == "0,2-3"


def test_cells_that_are_one_are_one_job(store, tiny_points):
    twins = Study("s", tiny_points, {"a": {}, "b": {"lr": 0.5}, "c": {}}, seeds=2, metrics=("fid_final",))
    plan = make_plan(twins, store)
    assert plan.to_array() == "0-1,3-4"
    assert twins.job(2) == twins.job(0)


def test_what_is_done_is_not_missing(store, make_runs, tiny_study):
    make_runs(tiny_study)
    plan = make_plan(tiny_study, store)
    assert plan.missing == []
    assert plan.seconds_left == 0
    more = make_plan(tiny_study.variant(seeds=3), store)
    assert [(job.cell.row, job.seed) for job in more.missing] == [("GAN", 2), ("+ aw", 2)]
    assert more.seconds_left > 0
    assert len(make_plan(tiny_study.variant(seeds=1), store).jobs) == 2


def test_each_state_is_told(store, tiny_study):
    first, second = tiny_study.cells()
    begun = Delivery(store).create(tiny_study, first, 0)
    failed = Delivery(store).create(tiny_study, first, 1)
    Delivery(store).finish(failed, "failed")
    diverged = Delivery(store).create(tiny_study, second, 0)
    store.folder(diverged).mkdir(parents=True)
    row = {"images": 64, "state": "diverged", "seconds": 1.0, "eval_seconds": 0.0, "logged_at": 1.0}
    write_evaluations(store.folder(diverged), [row])
    Delivery(store).deliver(diverged)
    Delivery(store).finish(Delivery(store).create(tiny_study, second, 1), "stopped")
    plan = make_plan(tiny_study, store)
    assert states(plan) == {
        ("GAN", 0): "missing",
        ("GAN", 1): "failed",
        ("+ aw", 0): "diverged",
        ("+ aw", 1): "stopped",
    }
    # an interrupted run goes on in its own MLflow run; a stopped one has no place in a table
    assert [(job.cell.row, job.seed, job.run_id == begun) for job in plan.missing] == [
        ("GAN", 0, True),
        ("+ aw", 1, False),
    ]
    retried = make_plan(tiny_study, store, retry_failed=True)
    assert failed in {job.run_id for job in retried.missing}


HOLDER = """
import sys
from pathlib import Path
from search.locks import RunLocks
locks = RunLocks(Path(sys.argv[1]))
print(locks.acquire(sys.argv[2], 0), flush=True)
sys.stdin.read()
"""


def test_a_claim_lasts_as_long_as_its_process(store, tiny_study):
    key = tiny_study.cells()[0].config.cell_key
    Delivery(store).create(tiny_study, tiny_study.cells()[0], 0)
    command = [sys.executable, "-c", HOLDER, str(store.storage), key]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "True\n"
        assert is_locked(store.storage, key, 0)
        assert not RunLocks(store.storage).acquire(key, 0)
        plan = make_plan(tiny_study, store)
        assert states(plan)["GAN", 0] == "running"
        assert len(plan.missing) == 3
        holder.kill()
    assert RunLocks(store.storage).acquire(key, 0)


def test_cells_that_share_a_config_share_their_runs(store, tiny_points):
    study = Study("twins", tiny_points, rows={"a": {}, "b": {"lr": 2e-4}}, seeds=1)
    plan = make_plan(study, store)
    assert len(plan.jobs) == 2
    assert len(plan.missing) == 1


def test_json_has_what_was_published(store, tiny_points):
    rows = {"R1": {"r1_gamma": 1.0}, "CoopInit": {"n_coop": 64}, "another": {"lr": 1.0}}
    study = Study("t", tiny_points, rows=rows, seeds=1, metrics=("fid_best",), published="coopinit/table6")
    cells = make_plan(study, store).to_json()["cells"]
    assert [(c["row"], c["published"]) for c in cells[:3]] == [
        ("R1", {"fid": 6.40}),
        ("CoopInit", {"fid": 4.34}),
        ("another", {}),
    ]
    # what the table has beside them is quoted: nothing of it can run
    assert [(c["row"], c["cell_key"], c["runs"]) for c in cells[3:]] == [
        (row, None, []) for row in ("Base model", "R1 + SN", "R1 + zCR", "WGAN-GP")
    ]
    assert [job["row"] for job in make_plan(study, store).to_json()["missing"]] == ["R1", "CoopInit", "another"]


def test_json(store, make_runs, tiny_study):
    make_runs(tiny_study, seeds=1)
    told = json.loads(json.dumps(make_plan(tiny_study, store).to_json()))
    assert told.keys() == {"study", "cells", "missing", "seconds_left"}
    assert told["cells"][0].keys() == {"row", "column", "cell_key", "published", "runs"}
    assert [run["state"] for cell in told["cells"] for run in cell["runs"]] == ["done", "missing"] * 2
    assert [(job["row"], job["seed"]) for job in told["missing"]] == [("GAN", 1), ("+ aw", 1)]


def test_no_study_of_ours_is_refused_for_images_that_nobody_has(store, tmp_path, monkeypatch):
    """Each is told in a line."""
    monkeypatch.chdir(tmp_path)
    for study in STUDIES.values():
        chosen = resolved(study, store, reads=None)
        paths = {cell.config.dataset for cell in chosen.cells() if cell.config.is_at_path}
        lines = foresee(chosen, store)
        assert len(lines) == len(paths)
        assert all(line.endswith("; `run` needs it") for line in lines)


@pytest.mark.parametrize("kind", ["folder", "zip", "pair"])
def test_images_of_ones_own_that_are_not_there(store, tmp_path, monkeypatch, kind):
    """Refused, but where the store has runs on them, as on a laptop that makes the figures."""
    monkeypatch.chdir(tmp_path)
    backbone = {"backbone": "cut"} if kind == "pair" else {}
    config = Config(dataset=f"{kind}:nowhere", resolution=16, features="raw", **backbone)
    study = Study("mine", config, {"GAN": {}}, seeds=1, metrics=("fid_final",))
    with pytest.raises(ValueError, match=f"dataset = '{kind}:nowhere.*cannot read the"):
        foresee(resolved(study, store, reads=None), store)
    known = dataclasses.replace(study, data={config.data_spelling: "0" * 16})
    cell = known.cells()[0]
    Delivery(store).create(known, cell, 0)
    (line,) = foresee(resolved(study, store, reads=None), store)
    assert line.endswith("the store has runs on it, which count")


def test_a_run_that_scores_more_than_it_trains_is_told(store, make_runs, tiny_study):
    """Before it starts, of the one that does most, and not once all are made; a study as it stands is not."""
    (line,) = much_scoring(cell.config for cell in STUDIES["images"].variant(budget=0.01).cells())
    assert "a run trains on 1,920 images and scores 30,000 samples on lite0 features (6 evaluations of 5,000)" in line
    for study in STUDIES.values():
        assert much_scoring(cell.config for cell in study.cells()) == []
        assert much_scoring(cell.config for cell in study.variant(tiny=True).cells()) == []
    changed = dataclasses.replace(tiny_study, rows={"GAN": {}, "short": {"n_images": 300}})
    lines = list(make_plan(changed, store).to_text())
    assert "trains on 300 images and scores 1,200 samples on raw features (3 evaluations of 400)" in lines[-2]
    make_runs(changed)
    assert "Scoring" not in " ".join(make_plan(changed, store).to_text())


def test_translations_are_scored_as_often_as_there_are_sources():
    config = STUDIES["translation"].cells()[0].config
    assert much_scoring([config]) == []
    assert "(9 evaluations of 400)" in much_scoring([config.scaled(0.1)])[0]


def test_tensor_cores_are_offered_where_a_gpu_would_use_them():
    config = STUDIES["quick"].cells()[0].config
    offer = "--set precision=tf32 uses the tensor cores"
    assert offer in to_make("quick: 2 runs", iter([config, config.replace(precision="bf16")]), 0.5)
    assert offer not in to_make("quick: 1 run", [config], 0)
    assert to_make("quick: 1 run", [config.replace(precision="tf32")], 1) == "quick: 1 run to make."


def test_runs_that_need_no_training_but_other_scores_are_told(store, make_runs, tiny_study):
    def told(study):
        return trained_already(make_plan(study, store), store)

    other = tiny_study.variant(settings={"eval_samples": 50_000})
    assert told(other) == []  # nothing is trained yet
    make_runs(tiny_study)
    (line,) = told(other)
    assert line.startswith("4 of these runs are trained already")
    assert "--features raw --samples 50000 in place" in line
    assert told(tiny_study) == told(tiny_study.variant(settings={"lr": 0.5, "eval_samples": 50_000})) == []
    (line,) = told(other.variant(seeds=3))
    assert line.startswith("4 of these runs")
