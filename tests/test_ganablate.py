"""The command, as a user types it."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from forked import COMMAND, Forked, ganablate
from PIL import Image
from tuned import without_ray

from ganablate.__main__ import main
from search.store import load_runs
from spaces import find_claims, find_study
from trainers.loop import dry_runs

SMALL = ["--set", "backbone_options.width=4", "--set", "eval_samples=100", "--budget", "0.04", "--seeds", "1"]


def command(*arguments):
    return [sys.executable, "-m", "ganablate", *arguments]


@pytest.mark.process
def test_list(tmp_path):
    names = json.loads(ganablate(tmp_path, "list", "--json").stdout)
    assert names.keys() >= {"studies", "recipes", "spaces", "backbones", "datasets"}
    assert {"quick", "ring", "coopinit-table1", "coopinit-fig8", "aw-table4", "coop-x-aw"} <= set(names["studies"])
    assert {"ring8", "grid25", "digits"} <= set(names["datasets"])
    assert {"mlp", "dcgan"} <= set(names["backbones"])


@pytest.mark.process
def test_plan_shows_what_was_published_and_what_it_costs(tmp_path):
    done = ganablate(tmp_path, "plan", "coopinit-table3", "--seeds", "1", "--budget", "0.5")
    told = done.stdout
    assert done.stderr.startswith("dataset = 'folder:imagenet'")
    assert re.search(r"^StyleGAN2 / 32x32  \[no data\]  0: missing  published fid 6.87$", told, re.MULTILINE)
    assert re.search(r"^IGEBM / 32x32  \[–\]  quoted  published fid 14.31$", told, re.MULTILINE)
    assert "GPU hours a run" in " ".join(told.split())
    assert told.endswith("coopinit-table3 (budget 0.5): 6 runs, 6 to run\n")


def image(path, side=8, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (side, side), side).save(path)


@pytest.fixture
def things(tmp_path, monkeypatch):
    """A folder of what users get wrong, the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANABLATE_CACHE", str(tmp_path / "runs" / "cache"))
    (tmp_path / "bad.db").write_text("this is no database")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for name, side in (("a", 8), ("b", 9)):
        image(tmp_path / "mixed" / f"{name}.png", side)
    image(tmp_path / "stray" / "cats" / "1.png")
    image(tmp_path / "stray" / "x.png")
    image(tmp_path / "torn" / "1.png")
    (tmp_path / "torn" / "2.png").write_bytes((tmp_path / "torn" / "1.png").read_bytes()[:40])
    (tmp_path / "broken.py").write_text("x = (\n")
    (tmp_path / "two.py").write_text("from spaces import STUDIES\na = STUDIES['quick']\nb = STUDIES['ring']\n")
    (tmp_path / "bad_net.py").write_text("def build(config, shape, n_classes):\n    return 1 / 0\n")
    (tmp_path / "spaces_of_mine.py").write_text("def none(trial, base):\n    return {}\n")
    return tmp_path


OPTIONS = ["plan", "quick", "--set"]
IMAGES = ["run", "images", "--set"]
SEARCH = ["search", "ring8_coop_aw", "--samples"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        # names
        (["plan", "quik"], ["quik", "did you mean 'quick'"]),
        (["train", "digits_gn", "--out", "x"], ["digits_gn", "did you mean 'digits_gan'"]),
        (["plan", "quick", "--set", "speed=3"], ["unknown field 'speed'", "did you mean 'seed'"]),
        ([*SEARCH, "3", "--space", "coopini"], ["coopini", "did you mean 'coopinit'"]),
        ([*SEARCH, "3", "--sampler", "tbe"], ["sampler 'tbe'", "did you mean 'tpe'"]),
        ([*SEARCH, "3", "--scheduler", "sha"], ["scheduler 'sha'", "did you mean 'asha'"]),
        (["why", "quick", "+ aw"], ["row '+ aw'", "did you mean '+ aw-loss'"]),
        (["sample", "quick", "+ aw", "--out", "x.png"], ["row '+ aw'", "did you mean '+ aw-loss'"]),
        (["sample", "quick", "GAN", "--out", "x.png", "--labels", "3,cat"], ["labels = '3,cat'", "3,7"]),
        (["export", "quick", "GAN", "--out", "x", "--which", "last"], ["which = 'last'", "final or best"]),
        (["plan", "quick", "--set", "backbone=dcgann"], ["dcgann", "did you mean 'dcgan'"]),
        (["run", "quick", "--set", "backbone_options.widht=3"], ["widht", "width"]),
        (["plan", "ring", "--set", "dataset_options.raduis=2"], ["raduis", "did you mean 'radius'"]),
        (["plann", "quick"], ["plann", "plan"]),
        (["clean", "cache"], ["kind 'cache'", "did you mean 'caches'"]),
        (["plan", "quick", "--sed", "3"], ["--sed"]),
        # values
        (["plan", "quick", "--set", "lr=-1"], ["lr = -1", "greater than 0"]),
        (["plan", "quick", "--set", "batch_size=many"], ["batch_size = 'many'", "integer"]),
        (["plan", "quick", "--set", "lr"], ["--set", "field=value"]),
        (["plan", "quick", "--tiny", "--set", "eval_samples=7000"], ["eval_samples cannot be set beside --tiny"]),
        ([*OPTIONS, "backbone_options=5", "--set", "backbone_options.width=4"], ["backbone_options = 5"]),
        (["plan", "quick", "--set", "lr.x=3"], ["--set", "backbone_options.name=value"]),
        (["plan", "quick", "--set", "aw_alpha2=0.1"], ["aw_alpha1 = 0.5", "aw_alpha2 = 0.1"]),
        (["plan", "quick", "--set", "n_images=100"], ["n_coop = 12800", "n_images = 100"]),
        (["plan", "quick", "--set", "aw=off"], ["aw", "vary"]),
        (["plan", "quick", "--set", "seed=3"], ["seed cannot be set"]),
        (["plan", "quick", "--budget", "0"], ["budget", "greater than 0"]),
        (["plan", "quick", "--budget", "-1"], ["budget = -1.0", "greater than 0"]),
        (["plan", "quick", "--seeds", "0"], ["seeds = 0"]),
        (["plan", "quick", "--seeds", "three"], ["--seeds", "integer"]),
        (["train", "digits_gan", "--out", "x", "--budget", "0"], ["budget", "greater than 0"]),
        (["train", "digits_gan", "--out", "x", "--seed", "-1"], ["seed", "-1"]),
        (["train", "digits_gan", "--out", "x", "--seeds", "3"], ["--seeds 3", "--job"]),
        (["train", "digits_gan", "--out", "x", "--job", "0"], ["study 'digits_gan' is unknown"]),
        (["train", "quick", "--out", "x", "--job", "8"], ["job = 8", "2 seeds", "0 to 7"]),
        (["train", "quick", "--out", "x", "--job", "-1"], ["job = -1", "0 to 7"]),
        (["train", "quick", "--out", "x", "--job", "1", "--seed", "1"], ["--seed 1", "--job 1"]),
        (["plan", "quick", "--array", "--json"], ["--array", "--json"]),
        ([*SEARCH, "0"], ["samples = 0"]),
        ([*SEARCH, "3", "--seeds", "0"], ["seeds = 0"]),
        ([*SEARCH, "3", "--set", "eval_every=12800000"], ["eval_every = 12800000", "asha", "--scheduler none"]),
        ([*SEARCH, "3", "--space", "spaces_of_mine.py:none"], ["varies nothing of ring8_coop_aw"]),
        (["search", "ring8_coop_aw"], ["--samples"]),
        (["search", "ring8_gan", "digits_gan", "--samples", "3"], ["energy_distance_late"]),
        (["claims", "C99"], ["claim 'C99' is unknown", "C26"]),
        (["claims", "--set", "nonsense=1"], ["unknown field 'nonsense'"]),
        (["claims", "--seeds", "0"], ["seeds = 0"]),
        # resources
        (["run", "quick", "--gpus-per-trial", "1.5"], ["gpus-per-trial = 1.5"]),
        (["run", "quick", "--cpus-per-trial", "0"], ["cpus-per-trial = 0"]),
        (["run", "quick", "--address", "127.0.0.1:9"], ["'127.0.0.1:9' does not answer"]),
        # images
        ([*IMAGES, "dataset=folder:nowhere"], ["folder:nowhere", "No such file"]),
        (["plan", *IMAGES[1:], "dataset=folder:~nobody-of-this-name/x"], ["folder:~nobody", "home"]),
        ([*IMAGES, "dataset=folder:empty"], ["folder:empty", "no image"]),
        ([*IMAGES, "dataset=folder:file"], ["folder:file"]),
        ([*IMAGES, "dataset=zip:file"], ["zip:file"]),
        ([*IMAGES, "dataset=folder:torn"], ["folder:torn", "2.png"]),
        ([*IMAGES, "dataset=folder:mixed", "--set", "resolution=null"], ["8x8", "9x9", "resolution"]),
        ([*IMAGES, "dataset=folder:stray"], ["labels missing", "x.png"]),
        ([*IMAGES, "dataset=folder:mixed", "--set", "features=auto"], ["features = 'auto'", "lite0"]),
        ([*IMAGES, "dataset=folder:mixed", "--set", "resolution=24"], ["dcgan", "power-of-two"]),
        # own files and modules
        (["plan", "absent.py"], ["absent.py does not exist"]),
        (["plan", "broken.py"], ["broken.py", "line 1"]),
        (["plan", "two.py"], ["2", "two.py:a", "two.py:b"]),
        (["plan", "two.py:c"], ["'c'", "allowed: a, b"]),
        (["run", "quick", "--set", "backbone=absent_net:build"], ["absent_net:build", "No module named"]),
        (["run", "quick", "--set", "backbone=bad_net:build"], ["ZeroDivisionError", "bad_net.py, line 2"]),
        (["plan", "quick", "--set", "backbone=bad_net:bild"], ["bad_net", "has no attribute 'bild'"]),
        (["run", "quick", "--set", "loss=os:sep"], ["os:sep", "Loss"]),
        (["plan", "quick", "--set", 'penalty_d={"bad_net:drift":1}'], ["bad_net", "has no attribute 'drift'"]),
        (["run", "quick", "--set", 'penalty_d={"bad_net:build":1}'], ["penalty_d 'bad_net:build' raised TypeError"]),
        (["score", "quick", "--features", "raw", "--metrics", "bad_net:build"], ["bad_net:build", "should be a Score"]),
        # places
        (["report", "quick"], ["there is no store at sqlite:////", "runs/mlflow.db", "--storage"]),
        (["export", "quick", "GAN", "--out", "x"], ["there is no store at sqlite:////"]),
        (["report", "quick", "--tracking-uri", "sqlite:///absent.db"], ["there is no store at sqlite:///absent.db"]),
        (["train", "digits_gan", "--out", "file"], ["file"]),
        (["run", "quick", "--storage", "file"], ["file"]),
        (["import", "empty"], ["empty holds no run folder"]),
        (["import", "nowhere"], ["nowhere does not exist"]),
        (["plan", "quick", "--tracking-uri", "sqlite:///bad.db"], ["bad.db", "does not answer"]),
        (["plan", "quick", "--tracking-uri", "nonsense://u:secret@h"], ["nonsense://h", "does not answer"]),
        (["plan", "quick", "--tracking-uri", "http://u:secret@127.0.0.1:9"], ["http://127.0.0.1:9 does not answer"]),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(things, monkeypatch, capsys, arguments, words):
    """And it leaves nothing behind."""
    if "--address" not in arguments:
        without_ray(monkeypatch)
    before = sorted(things.rglob("*"))
    monkeypatch.setattr(sys, "argv", ["ganablate", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert len([line for line in told.strip().splitlines() if not line.startswith("decoding ")]) == 1, told
    assert all(word in told for word in words), told
    left = [path for path in things.rglob("*") if path not in before and "cache" not in path.parts]
    assert set(left) <= {things / "runs"}
    caches = list(things.glob("runs/cache/images/*"))
    assert all((path / "meta.json").exists() for path in caches)  # whole ones may stay


@pytest.mark.process
def test_a_server_that_accepts_and_says_nothing_is_told_within_15_seconds(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = ganablate(tmp_path, "run", "quick", "--tracking-uri", uri)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "does not answer" in done.stderr
    assert time.monotonic() - started < 15


def test_clean_says_what_goes_and_removes_it_only_when_told(tmp_path, monkeypatch, capsys):
    def clean(*arguments):
        monkeypatch.setattr(sys, "argv", ["ganablate", "clean", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    monkeypatch.chdir(tmp_path)
    scratch = tmp_path / "runs" / "tune-1"
    scratch.mkdir(parents=True)
    (scratch / "log").write_bytes(bytes(2_000_000))
    asked = clean()
    assert asked.startswith("scratch: 2.0 MB, 1 ")
    assert asked.endswith("Nothing was removed; --yes removes it.\n")
    clean("locks", "--yes")
    assert scratch.exists()
    assert "Removed 1 of 1, 2.0 MB." in clean("--yes")
    assert not scratch.exists()
    assert clean("--yes") == "Nothing can go.\n"


@pytest.mark.process
def test_exit_code_and_sentence_in_a_process_of_its_own(tmp_path):
    done = subprocess.run(command("plan", "quik"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ganablate: study 'quik' is unknown; did you mean 'quick'?")


BARE = """
import sys
blocked = {"ray", "mlflow", "optuna", "pandas", "matplotlib", "torch_fidelity", "sqlalchemy", "cmaes", "sklearn"}

sys.modules.update(dict.fromkeys(blocked))  # importing these raises ImportError
from ganablate.__main__ import main
main()
"""


@pytest.mark.process
def test_train_elsewhere_and_import(tmp_path, empty_database):
    """`train` works where only torch and its like are installed; what it made is taken in once, and counts."""
    small = ("--tiny", "--budget", "0.1")
    arguments = ("train", "digits_gan", *small, "--out", "made/1", "--seed", "1")
    done = Forked(BARE, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "done: made/1"
    assert json.loads((tmp_path / "made" / "1" / "config.json").read_text())["seed"] == 1
    assert {p.name for p in tmp_path.iterdir()} == {"made"}

    (tmp_path / "runs").mkdir()
    shutil.copy(empty_database, tmp_path / "runs")
    first = ganablate(tmp_path, "import", "made").stdout.splitlines()
    again = ganablate(tmp_path, "import", "made", "made/1").stdout.splitlines()
    assert ["taken in" in line for line in first] == [True]
    assert ["the store has this run (done)" in line for line in again] == [True]
    plan = json.loads(ganablate(tmp_path, "plan", "quick", *small, "--json").stdout)
    states = [[run["state"] for run in cell["runs"]] for cell in plan["cells"]]
    assert states == [["missing", "done"], *[["missing", "missing"]] * 3]
    assert len(plan["missing"]) == 7
    assert plan["seconds_left"] > 0
    assert "seed 1: done, FID" in ganablate(tmp_path, "why", "quick", "GAN", *small).stdout


def shown_files():
    """The Python files that docs/own-study.md shows, by the order in which they stand."""
    text = (Path(__file__).parent.parent / "docs" / "own-study.md").read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_own_study_and_networks_of_the_docs_fit(tmp_path, monkeypatch):
    study, network, claim = shown_files()
    (tmp_path / "my_study.py").write_text(study + claim)
    (tmp_path / "my_net.py").write_text(network)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    mine = find_study("my_study.py").variant(tiny=True, seeds=1)
    assert [cell.row for cell in mine.cells()] == ["DCGAN", "dense", "dense + aw-loss"]
    dry_runs([cell.config for cell in mine.cells()])
    assert list(find_claims("my_study.py")[0]) == ["M1"]


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 3])
def test_the_own_study_and_networks_of_the_docs(store, make_runs, tmp_path, monkeypatch, left):
    """From a folder outside the repository that holds folders named like parts of ours.

    Beside own code each run has a worker of its own, which takes seconds to start: `left` are left to be made.
    """
    study, network, _ = shown_files()
    for name, text in (("my_study.py", study), ("my_net.py", network)):
        assert text.count("\n") < 25
        (tmp_path / name).write_text(text)
    for name in ("reports", "search"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    mine = find_study("my_study.py").variant(tiny=True, seeds=1)
    if left < 3:
        make_runs(mine)
        for run_id in load_runs(mine, store=store)["run_id"][:left]:
            store.client.delete_run(run_id)
    done = ganablate(tmp_path, "run", "my_study.py", "--tiny", "--seeds", "1", "--cpus-per-trial", str(os.cpu_count()))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": done") == left
    report = ganablate(tmp_path, "report", "my_study.py", "--tiny", "--seeds", "1", "--out", "out")
    assert report.returncode == 0, report.stderr
    lines = (tmp_path / "out" / "table.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:5]] == ["DCGAN", "dense", "dense + aw-loss"]
    # changed code is not taken for what the stored runs were made with
    (tmp_path / "my_net.py").write_text(network.replace("nn.ReLU()", "nn.Tanh()"))
    changed = ganablate(tmp_path, "run", "my_study.py", "--tiny", "--seeds", "1")
    assert changed.returncode == 2
    assert "own code changed" in changed.stderr


@pytest.mark.slow
def test_own_images_make_a_table_by_three_commands(tmp_path):
    """Class folders of mixed sizes and formats, made here; the commands of docs/own-images.md, at a small budget."""
    pytest.importorskip("timm")
    rng = np.random.default_rng(0)
    for kind, colour in (("cats", 200), ("dogs", 60)):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, colour, (40 + i, 36, 3), dtype=np.uint8)
            suffix = ["png", "jpg", "bmp"][i % 3]
            Image.fromarray(pixels).save(tmp_path / "photos" / kind / f"{i}.{suffix}")
    chosen = ["images", "--set", "dataset=folder:photos", "--budget", "0.002", "--seeds", "1"]
    chosen += ["--set", "eval_samples=50", "--set", "backbone_options.width=4"]
    assert "2 runs, 2 to run" in ganablate(tmp_path, "plan", *chosen).stdout
    done = ganablate(tmp_path, "run", *chosen)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("decoding 24 images") == 1
    report = ganablate(tmp_path, "report", *chosen, "--out", "out")
    assert report.returncode == 0, report.stderr
    text = (tmp_path / "out" / "table.md").read_text()
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:4]] == ["GAN", "+ both"]
    assert "lite0" in text
    assert "training examples of photos at 32x32" in text


@pytest.mark.slow
def test_a_search_survives_the_death_of_its_driver(tmp_path):
    """SIGKILL twice with one slot: the trials, decisions and winner of a search that was left alone."""
    arguments = ["search", "ring8_coop_aw", "--samples", "5", "--seeds", "1", "--cpus-per-trial", str(os.cpu_count())]
    arguments += ["--budget", "0.004", "--set", "backbone_options.width=16", "--set", "eval_samples=200"]
    arguments += ["--set", "batch_size=64"]
    tables = []
    sessions = set()
    for name, deaths in (("left alone", ()), ("killed", (12, 34))):
        folder = tmp_path / name
        folder.mkdir()
        for rows in deaths:
            with (folder / "log").open("w") as log:
                driver = subprocess.Popen(
                    command(*arguments), cwd=folder, stdout=log, stderr=log, start_new_session=True
                )
            try:
                wait_for(lambda rows=rows, folder=folder: rows_on_disk(folder) >= rows, 120)
            finally:
                driver.kill()
                driver.wait()
                sessions.add(driver.pid)
        done = ganablate(folder, *arguments, "--out", "out")
        assert done.returncode == 0, done.stderr
        (path,) = folder.glob("out/trials*.csv")
        tables.append(pd.read_csv(path).iloc[:, :-1])
        assert "winner: trial" in done.stdout
        assert "stopping saved" in done.stdout
    reap(sessions)
    pd.testing.assert_frame_equal(*tables)
    assert len(tables[0]) == 5
    assert set(tables[0]["state"]) == {"done", "stopped"}


SLOW = """
import os, time
from trainers.losses import hinge

def real(logits):
    time.sleep(float(os.environ.get("SLEEP", 0)))
    return hinge.real(logits)

loss = hinge._replace(real=real)
"""


@pytest.mark.process
def test_train_finishes_a_checkpoint_when_told_to_stop(tmp_path, monkeypatch):
    """Then it goes on from there, and ends like a run that was never stopped."""
    (tmp_path / "slow_loss.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SLEEP", "0.1")
    arguments = ["train", "ring8_gan", "--set", "backbone_options.width=8", "--set", "eval_samples=100"]
    arguments += ["--set", "loss=slow_loss:loss", "--set", "n_images=25600", "--set", "eval_every=25600", "--out"]
    for number in (signal.SIGINT, signal.SIGTERM):
        with Forked(COMMAND, *arguments, "cut", cwd=tmp_path) as run:
            wait_for(lambda run=run: " 0 images" in run.stdout, 60)
            time.sleep(0.5)
            os.kill(run.pid, number)
            assert run.wait(60) == 128 + number
            assert run.stderr == "interrupted: the same command goes on with cut\n"
    monkeypatch.delenv("SLEEP")
    assert ganablate(tmp_path, *arguments, "cut").returncode == 0
    gone_on = [json.loads(line) for line in (tmp_path / "cut" / "rows.jsonl").open()]

    from trainers.config import Config
    from trainers.loop import train

    whole = list(train(Config.model_validate_json((tmp_path / "cut" / "config.json").read_text()), tmp_path / "whole"))
    times = {"seconds", "eval_seconds", "logged_at"}
    a, b = ([{k: v for k, v in row.items() if k not in times} for row in part] for part in (gone_on, whole))
    assert a == b


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)


def rows_on_disk(folder):
    return sum(path.read_text().count("\n") for path in folder.glob("runs/trials/*/rows.jsonl"))


def reap(sessions):
    """Kill what the killed drivers left behind."""
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) in sessions:
                process.kill()


@pytest.mark.slow
def test_a_study_survives_the_death_of_its_driver(tmp_path):
    """SIGKILL in mid-study; then one MLflow run a (cell, seed), every step once, none left running."""
    with (tmp_path / "log").open("w") as log:
        driver = subprocess.Popen(
            command("run", "quick", *SMALL), cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(lambda: rows_on_disk(tmp_path) >= 14, 120)  # of 4 x 11
    finally:
        driver.kill()
        driver.wait()
    # orphans of the killed driver may write on for a moment; the next driver waits for them by the folder's lock
    done = ganablate(tmp_path, "run", "quick", *SMALL)
    assert done.returncode == 0, done.stderr
    reap({driver.pid})

    from search.store import Store

    client = Store(storage=tmp_path / "runs").client
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    children = [run for run in runs if "seed" in run.data.tags]
    assert len({run.data.tags["cell_key"] for run in children}) == len(children) == 4
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in children:
        steps = [m.step for m in client.get_metric_history(run.info.run_id, "fid")]
        assert len(set(steps)) == len(steps) == 11
        assert steps == sorted(steps)
    report = ganablate(tmp_path, "report", "quick", *SMALL, "--out", "out")
    assert report.returncode == 0, report.stderr
    assert (tmp_path / "out" / "table.tex").exists()


@pytest.mark.process
def test_ui_serves_what_was_run(store, make_runs, tiny_study, tmp_path, monkeypatch):
    """The link that it prints leads to an experiment that the server knows."""
    monkeypatch.setenv("MLFLOW_WORKERS", "1")  # of four, which take seconds each to start
    make_runs(tiny_study, seeds=1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def answer(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as got:
            return got.read().decode()

    def answers():
        with contextlib.suppress(OSError):
            return answer("health") == "OK"
        return False

    with Forked(COMMAND, "ui", "--port", str(port), cwd=tmp_path) as server:
        wait_for(lambda: server.stdout, 60)
        assert server.stdout.startswith(f"tiny: http://127.0.0.1:{port}/#/experiments/1/")
        wait_for(answers, 90)
        experiment = json.loads(answer("api/2.0/mlflow/experiments/get?experiment_id=1"))["experiment"]
        assert experiment["name"] == "tiny"
