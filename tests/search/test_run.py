"""Studies on real Ray workers."""

import json
import math
import sys
from pathlib import Path

import pytest
from forked import Forked
from terminal import Terminal
from torch import nn

from reports.results import Results
from reports.table import as_text
from search.plan import make_plan
from search.run import run_study
from search.store import Store, load_runs
from search.store.delivery import Delivery
from search.store.queries import find_runs
from search.tune.cluster import Cluster
from spaces import Study
from trainers.loop import train
from trainers.run_folder import read_evaluations

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("cluster")]
TIMES = {"seconds", "eval_seconds", "logged_at"}


ONE_WORKER = Cluster(cpus_per_trial=2)  # takes seconds to start; a second one is asked for where it proves something


def test_a_sweep_makes_what_is_missing_and_nothing_twice(store, make_runs, tiny_study, monkeypatch, capsys):
    """Of two rows that were made a run was deleted and one failed; of the others one diverges, one was begun, and one
    cannot write. All by one sweep, whose two workers take seconds to start."""
    make_runs(tiny_study)
    runs = load_runs(tiny_study, store=store)
    assert list(zip(runs["row"], runs["seed"], strict=True)) == [("GAN", 0), ("GAN", 1), ("+ aw", 0), ("+ aw", 1)]
    assert set(runs["state"]) == {"done"}
    assert run_study(tiny_study, store) == {}

    gone, failed = runs.iloc[2], runs.iloc[1]["run_id"]
    store.client.delete_run(gone["run_id"])
    missing = make_plan(tiny_study, store).missing
    assert [(job.cell.row, job.seed, job.run_id) for job in missing] == [(gone["row"], gone["seed"], None)]
    delivery = Delivery(store)
    delivery.finish(failed, "failed")
    rows = {**tiny_study.rows, "absurd": {"lr": 1e30, "loss": "wasserstein"}, "begun": {"lr": 1e-3}, "no": {"lr": 2e-3}}
    study = Study("tiny", tiny_study.recipe, rows=rows, seeds=2, metrics=tiny_study.metrics)
    cells = {cell.row: cell for cell in study.cells()}
    begun, failing = (delivery.create(study, cells[row], 0) for row in ("begun", "no"))
    evaluations = train(cells["begun"].config, store.folder(begun))
    first = [next(evaluations), next(evaluations)]
    evaluations.close()
    store.folder(failing).write_text("")  # the folder of a run is a file: the trial fails with its reason
    terminal = Terminal(80, 24)
    with monkeypatch.context() as shows:
        shows.setattr(sys, "stdout", terminal)
        states = run_study(study, Store(storage=store.storage), retry_failed=True)

    shown = "".join("".join(terminal.lines).split())
    assert "8runstomake." in shown
    assert all("".join(f"{name}: {state}".split()) in shown for name, state in states.items())
    assert sorted(terminal.lines[-1].split(maxsplit=1)[1].split(" · ")) == ["1 failed", "2 diverged", "5/8 done"]
    assert sum("━" in line for line in terminal.lines) == 1
    assert "Starting" not in shown
    assert states.pop("no, seed 0").startswith("failed: ")
    assert "FileExistsError" in store.client.get_run(failing).data.tags["error"]
    assert run_study(study, store) == {}  # what failed is left
    said = " ".join(capsys.readouterr().out.split())
    assert said.endswith("nothing to run; 1 run failed before, and --retry-failed makes it again.")
    store.folder(failing).unlink()
    assert [job.run_id for job in make_plan(study, store, retry_failed=True).missing] == [failing]
    ended = dict.fromkeys(["GAN, seed 1", "+ aw, seed 0", "begun, seed 0", "begun, seed 1", "no, seed 1"], "done")
    assert states == {**ended, "absurd, seed 0": "diverged", "absurd, seed 1": "diverged"}
    assert store.client.get_run(failed).info.status == "FINISHED"

    again = load_runs(study, store=store)
    assert len(again) == 10
    found = again.set_index(["row", "seed"])
    assert found.loc[("+ aw", 0), "energy_distance_final"] == gone["energy_distance_final"]
    assert math.isnan(found.loc[("absurd", 0), "energy_distance_final"])
    text = as_text(Results(study, store))
    assert list(text.cells.loc["absurd"])[:2] == ["–", "–"]
    assert text.cells.loc["absurd", "lost runs"].startswith("lost 2/2 ")
    # on warm workers, after others that diverged or failed there, each is the same as in this process, bit for bit
    for (row, seed), run_id in found["run_id"].drop([("no", 0)]).items():
        here = train(cells[row].config.replace(seed=seed), store.storage / "here" / run_id)
        there = read_evaluations(store.folder(run_id))
        for a, b in zip(here, there, strict=True):
            assert json.dumps({**a, **dict.fromkeys(TIMES)}) == json.dumps({**b, **dict.fromkeys(TIMES)})

    assert found.loc[("begun", 0), "run_id"] == begun  # it went on in its own MLflow run
    history = store.client.get_metric_history(begun, "fid")
    assert [m.step for m in history] == [0, 256, 512]
    assert [m.value for m in history][:2] == [row["fid"] for row in first]


def test_a_seed_that_was_created_twice_counts_once(store, make_runs, tiny_study):
    """Not deleted, but marked, and in no count."""
    make_runs(tiny_study)
    runs = load_runs(tiny_study, store=store)
    cell = tiny_study.cells()[0]
    twin = Delivery(store).create(tiny_study, cell, 0)
    assert list(load_runs(tiny_study, store=store)["run_id"]) == list(runs["run_id"])
    assert run_study(tiny_study, store) == {}
    assert store.client.get_run(twin).data.tags["duplicate_of"] == runs.iloc[0]["run_id"]
    assert store.client.get_run(twin).info.lifecycle_stage == "active"


PATCHES = """
from torch import Size, nn
from trainers.networks.layers import Generator


class Dense(Generator):
    def __init__(self, shape):
        super().__init__(latent=4)
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, source, labels=None):
        return self.layers(source)


class Critic(nn.Sequential):
    def forward(self, x, labels=None):
        return super().forward(x).squeeze(1)


def build(config, shape, n_classes):
    nn.Linear.reset_parameters = lambda self: nn.init.constant_(self.weight, 0.02)
    return Dense(shape), Critic(nn.Linear(2, 1))


def leaves(config, shape, n_classes):
    import os, sys
    if os.environ.get("RAY_JOB_ID"):
        sys.exit("I leave")
    return build(config, shape, n_classes)
"""


BREAKS = """
import os
from pathlib import Path
from trainers import losses

broken, steps = False, 0

def real(logits):
    global broken, steps
    steps += 1
    with open("steps", "a") as file:
        file.write(f"{os.getpid()} ")
    broken = broken or ((steps == 12 and not Path("broke").exists()) or Path("always").exists())
    if broken:  # as CUDA is from then on
        Path("broke").touch()
        raise RuntimeError("CUDA error: device-side assert triggered\\nCompile with `TORCH_USE_CUDA_DSA`")
    return losses.hinge.real(logits)

hinge = losses.hinge._replace(real=real)
"""


@pytest.fixture
def breaks(tmp_path, tiny_study, monkeypatch):
    """A study whose loss breaks CUDA for its process, but whose workers are kept as those of our losses are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "breaking.py").write_text(BREAKS)
    monkeypatch.setattr("search.run.user_modules", lambda _: [])
    return Study("gpu", tiny_study.recipe.replace(loss="breaking:hinge"), rows={"GAN": {}}, metrics=tiny_study.metrics)


@pytest.mark.slow
def test_a_run_whose_gpu_is_lost_goes_on_in_another_process_and_none_after_it_in_the_old_one(store, breaks, capsys):
    assert run_study(breaks.variant(seeds=2), store, ONE_WORKER) == {"GAN, seed 0": "done", "GAN, seed 1": "done"}
    told = " ".join(capsys.readouterr().out.split())
    assert "GAN, seed 0: RuntimeError: CUDA error: device-side assert triggered; it goes on from its chec" in told
    first, *others = Path("steps").read_text().split()
    old = 1 + others.count(first)
    assert others[old - 1 :] == [others[-1]] * (8 + 16)  # it went on at half of its 16 steps; then the other run
    assert old == 12


@pytest.mark.slow
def test_a_gpu_that_stays_lost_fails_the_run_with_its_error(store, breaks):
    Path("always").touch()
    states = run_study(breaks.variant(seeds=1), store, ONE_WORKER)
    assert states == {"GAN, seed 0": "failed: RuntimeError: CUDA error: device-side assert triggered, 4 times"}


PRETENDS = """
import os, sys
from pathlib import Path
import ray
from search.run import run_study
from search.store import Store
from search.tune.cluster import Cluster
from spaces import Study
from trainers.config import Config

sys.path.insert(0, os.getcwd())
base = Config(**eval(sys.argv[1])).replace(loss="looking:hinge")
ray.init("local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
study, store = Study("s", base, rows={"GAN": {}}, seeds=1, metrics=("fid_final",)), Store(storage=Path("runs"))
try:
    run_study(study, store)
except ValueError as error:
    print(error)
print(run_study(study, store, Cluster(gpus_per_trial=0)))
"""
LOOKING = """
import os
from trainers import losses

def real(logits):
    with open("seen", "a") as file:
        file.write(repr(os.environ.get("CUDA_VISIBLE_DEVICES")))
    return losses.hinge.real(logits)

hinge = losses.hinge._replace(real=real)
"""


@pytest.mark.slow
@pytest.mark.process
def test_trials_on_a_machine_that_says_to_have_a_gpu(tmp_path, tiny_points, monkeypatch):
    """One each, of which torch knows nothing here: nothing trains on the CPU unasked. Those that ask for none see
    none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    (tmp_path / "looking.py").write_text(LOOKING)
    done = Forked(PRETENDS, tiny_points.model_dump(exclude_defaults=True), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "its GPU cannot be used" in done.stdout
    assert "{'GAN, seed 0': 'done'}" in done.stdout
    assert (tmp_path / "seen").read_text() == "''" * 16


@pytest.mark.slow
def test_own_code_that_patches_torch_reaches_no_other_trial(store, tiny_study, tmp_path, monkeypatch):
    """In either order; and what leaves its process fails at once, with its reason."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(nn.Linear, "reset_parameters", nn.Linear.reset_parameters)  # to be put back
    (tmp_path / "patching.py").write_text(PATCHES)
    rows = {"mine": {"backbone": "patching:build", "backbone_options": {}}, "plain": {"lr": 3e-3}}
    rows["leaves"] = {"backbone": "patching:leaves", "backbone_options": {}}
    plain = tiny_study.recipe.replace(lr=3e-3)
    here = [row["energy_distance"] for row in train(plain, tmp_path / "here")]
    states = run_study(
        Study("leak", tiny_study.recipe, rows=rows, seeds=1, metrics=tiny_study.metrics), store, ONE_WORKER
    )
    assert (states["mine, seed 0"], states["plain, seed 0"]) == ("done", "done")
    assert states["leaves, seed 0"] == "failed: SystemExit: I leave"
    (run,) = [run for run in find_runs(store, "row", ["plain"]) if "seed" in run.tags]
    rows = read_evaluations(store.folder(run.run_id))
    assert [row["energy_distance"] for row in rows] == here


def test_a_study_of_runs_that_others_made_has_its_experiment(store, make_runs, tiny_study):
    """Nothing is to run, yet its parents hold the aggregates."""
    make_runs(tiny_study)
    other = Study("other", tiny_study.base, rows={"the base": {}}, seeds=2, metrics=tiny_study.metrics)
    assert run_study(other, store) == {}
    experiment = store.client.get_experiment_by_name("other")
    (parent,) = store.client.search_runs([experiment.experiment_id])
    assert parent.data.tags["row"] == "the base"
    assert parent.data.metrics["energy_distance_final_n"] + parent.data.metrics["lost"] == 2


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"gpus_per_trial": 1}, "1 GPUs, but the largest machine has 0"),
        ({"gpus_per_trial": 2}, "gpus-per-trial = 2 .* a trial trains on one GPU"),
        ({"gpus_per_trial": math.nan}, "gpus-per-trial = nan"),
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
