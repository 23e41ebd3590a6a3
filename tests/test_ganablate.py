"""The command, as a user types it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

SMALL = ["--set", "backbone_options.width=4", "--set", "eval_samples=100", "--budget", "0.04", "--seeds", "1"]


def command(*arguments):
    return [sys.executable, "-m", "ganablate", *arguments]


def ganablate(folder, *arguments, **options):
    done = subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, check=False, **options)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_list(tmp_path):
    names = json.loads(ganablate(tmp_path, "list", "--json").stdout)
    assert names.keys() == {"studies", "recipes", "spaces", "backbones", "datasets"}
    assert {"quick", "ring"} <= set(names["studies"])
    assert {"ring8", "grid25", "digits"} <= set(names["datasets"])
    assert {"mlp", "dcgan"} <= set(names["backbones"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "quik"], ["quik", "did you mean 'quick'"]),
        (["plan", "quick", "--set", "lr=-1"], ["lr = -1", "greater than 0"]),
        (["plan", "quick", "--set", "lr"], ["--set", "field=value"]),
        (["plan", "quick", "--set", "aw=off"], ["aw", "vary"]),
        (["plan", "quick", "--budget", "0"], ["budget", "greater than 0"]),
        (["plan", "quick", "--seeds", "0"], ["seeds = 0"]),
        (["plan", "quick", "--set", "lr.x=3"], ["--set", "backbone_options.name=value"]),
        (["plan", "quick", "--set", "seed=3"], ["seed cannot be set"]),
        (["train", "digits_gan", "--out", "x", "--budget", "0"], ["budget", "greater than 0"]),
        (["run", "quick", "--set", "loss=os:sep"], ["os:sep", "Loss"]),
        (["train", "digits_gn", "--out", "x"], ["digits_gn", "did you mean 'digits_gan'"]),
        (["train", "digits_gan", "--out", "x", "--seed", "-1"], ["seed", "-1"]),
        (["plan", "quick", "--tracking-uri", "sqlite:///bad.db"], ["bad.db", "does not answer"]),
        (["plan", "quick", "--tracking-uri", "nonsense://u:secret@h"], ["nonsense://h", "does not answer"]),
        (["plan", "quick", "--tracking-uri", "http://u:secret@127.0.0.1:9"], ["http://127.0.0.1:9 does not answer"]),
        (["run", "quick", "--set", "backbone_options.widht=3"], ["widht", "width"]),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, capsys, arguments, words):
    from ganablate import main

    (tmp_path / "bad.db").write_text("this is no database")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ganablate", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert len(told.strip().splitlines()) == 1, told
    assert all(word in told for word in words), told


def test_exit_code_and_sentence_in_a_process_of_its_own(tmp_path):
    done = ganablate(tmp_path, "plan", "quik")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ganablate: study 'quik' is unknown; did you mean 'quick'?")


def test_train_needs_no_store(tmp_path):
    done = ganablate(tmp_path, "train", "digits_coop_aw", "--out", "run", *SMALL[:-2], "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "done: run"
    assert json.loads((tmp_path / "run" / "config.json").read_text())["seed"] == 3
    assert {p.name for p in tmp_path.iterdir()} == {"run"}


def test_train_finishes_a_checkpoint_when_told_to_stop(tmp_path):
    """Then it goes on from there, and ends like a run that was never stopped."""
    arguments = ("train", "ring8_gan", "--set", "backbone_options.width=8", "--set", "eval_samples=100")
    arguments += ("--set", "n_images=512000", "--set", "eval_every=512000", "--out")
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(
            command(*arguments, "cut"), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as run:
            assert b" 0 images" in run.stdout.readline()
            time.sleep(0.5)
            run.send_signal(number)
            _, told = run.communicate(timeout=60)
        assert run.returncode == 128 + number
        assert told.decode() == "interrupted: the same command goes on with cut\n"
    rows = []
    for folder in ("cut", "whole"):
        assert ganablate(tmp_path, *arguments, folder).returncode == 0
        rows.append([json.loads(line) for line in (tmp_path / folder / "rows.jsonl").open()])
    times = {"seconds", "eval_seconds", "logged_at"}
    a, b = ([{k: v for k, v in row.items() if k not in times} for row in part] for part in rows)
    assert a == b


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)


def reap(sessions):
    """Kill what the killed drivers left behind."""
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) in sessions:
                process.kill()


def test_a_study_survives_the_death_of_its_driver(tmp_path):
    """SIGKILL in mid-study, twice; then one MLflow run a (cell, seed), every step once, none left running."""

    def rows_on_disk():
        return sum(path.read_text().count("\n") for path in tmp_path.glob("runs/trials/*/rows.jsonl"))

    sessions = set()
    for rows in (3, 19):  # of 4 x 11
        with (tmp_path / "log").open("w") as log:
            driver = subprocess.Popen(
                command("run", "quick", *SMALL), cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_for(lambda rows=rows: rows_on_disk() >= rows, 120)
        finally:
            driver.kill()
            driver.wait()
            sessions.add(driver.pid)
    # orphans of the killed drivers may write on for a moment; the third driver waits for them by the folder's lock
    done = ganablate(tmp_path, "run", "quick", *SMALL)
    assert done.returncode == 0, done.stderr
    reap(sessions)

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


def test_ui_serves_what_was_run(store, make_runs, tiny_study, tmp_path):
    """The link that it prints leads to an experiment that the server knows."""
    make_runs(tiny_study, seeds=1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        command("ui", "--port", str(port)),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )

    def answer(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as got:
            return got.read().decode()

    def answers():
        with contextlib.suppress(OSError):
            return answer("health") == "OK"
        return False

    try:
        link = server.stdout.readline()
        assert link.startswith(f"tiny: http://127.0.0.1:{port}/#/experiments/1/")
        wait_for(answers, 90)
        experiment = json.loads(answer("api/2.0/mlflow/experiments/get?experiment_id=1"))["experiment"]
        assert experiment["name"] == "tiny"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)
        server.stdout.close()
