"""`status` and `stop`: what another process makes, from another terminal."""

import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from ganablate import watch
from ganablate.command import app
from search.locks import RunLocks, holder, lock_path
from search.store.delivery import Delivery
from search.store.identity import origin
from spaces import SPACES, Search, Study
from trainers.run_folder import read_evaluations, write_evaluations, write_origin

STUDY = """from spaces import Study
from trainers.config import Config
study = Study("tiny", Config(**{config!r}), rows={{"GAN": {{}}, "+ aw": {{"aw": "normalized"}}}}, seeds=2)
"""


@pytest.fixture
def begun(store, make_runs, trained, tiny_points, tmp_path, monkeypatch):
    """A study of a file, of which one seed is done, one run is half made and one waits; and what makes them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(STUDY.format(config=tiny_points.non_defaults()))
    study = Study("tiny", tiny_points, rows={"GAN": {}, "+ aw": {"aw": "normalized"}}, seeds=2)
    make_runs(study, seeds=1)
    assert store.client  # which follows a folder that was moved, before anyone holds a lock in it
    delivery, locks = Delivery(store), RunLocks(store.storage)
    for cell in study.cells():
        config = cell.config.replace(seed=1)
        assert locks.acquire(config.cell_key, 1)
        run_id = delivery.create(study, cell, 1)
        if cell.row == "GAN":
            delivery.begin(run_id, config)
            store.folder(run_id).mkdir()
            write_evaluations(store.folder(run_id), read_evaluations(trained(config))[:2])
            delivery.deliver(run_id)
            store.folders.show_sign_of_life(run_id)
    yield locks
    locks.release()


def told(*arguments):
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


def test_what_runs_is_told_while_it_runs(begun):
    code, out, _ = told("status", "mine.py")
    counts, first, second, left = out.splitlines()
    assert code == 0
    assert counts == "tiny: 4 runs, 2 running, 2 done"
    assert re.fullmatch(r"  GAN   seed 1   50%  energy distance [0-9.e-]+", first), first
    assert second == "  + aw  seed 1    0%    waits for a worker"
    assert re.fullmatch(r"About 0:\d\d left, until \w+ \d\d:\d\d\.", left)
    begun.release()
    assert told("status", "mine.py")[1].splitlines()[0] == "tiny: 4 runs, 1 missing, 1 interrupted, 2 done"
    assert told("status", "mine.py", "--seeds", "1")[1].splitlines()[-1] == "No process makes runs of it now."


def test_stop_asks_the_process_as_ctrl_c_does(begun, monkeypatch):
    sent = []

    def kill(process, number):
        sent.append((process, number))
        begun.release()

    monkeypatch.setattr(watch.os, "kill", kill)
    code, out, _ = told("stop", "mine.py")
    assert (code, sent) == (0, [(os.getpid(), signal.SIGINT)])
    assert out.splitlines() == [
        f"process {os.getpid()} has 2 runs in hand of tiny, and was asked to stop: it finishes the checkpoints of what "
        "it trains.",
        "It has stopped; the command that made them goes on with what is left.",
    ]
    assert told("stop", "mine.py") == (0, "tiny: no process makes runs of it now.\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"elsewhere {os.getpid()}", "of elsewhere has 2 runs in hand of tiny: type this there"),
        (f"{socket.gethostname()} {os.getppid()}", "of another container has 2 runs in hand of tiny: type this there"),
        ("", "a process of an earlier version has 2 runs in hand of tiny: end it where it was started"),
    ],
    ids=["machine", "container", "version"],  # numbers of processes differ between workers of the tests
)
def test_who_cannot_be_asked_is_told(begun, store, monkeypatch, words, said):
    """On another machine, where its number is another's, or where nobody knows who it is."""
    monkeypatch.setattr(watch.os, "kill", lambda *_: pytest.fail("a stranger was sent a signal"))
    for path in (store.storage / "locks").glob("*-1"):
        path.write_text(words)
    code, out, complaint = told("stop", "mine.py")
    assert (code, out) == (1, "")
    assert said in complaint


def test_one_that_does_not_stop_is_told(begun, monkeypatch):
    monkeypatch.setattr(watch.os, "kill", lambda *_: None)
    monkeypatch.setattr(watch, "STOPS_WITHIN", 0.0)
    code, _, complaint = told("stop", "mine.py")
    assert code == 1
    assert complaint.startswith("It has not stopped yet")


def test_a_search_is_named_by_its_title(store, tiny_points, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search, locks, delivery = Search("r", tiny_points, "all", SPACES["all"]), RunLocks(store.storage), Delivery(store)
    tags = {"search": search.key, "trial": "3", "config": json.dumps(tiny_points.non_defaults()), "params": "{}"}
    run_id = delivery.create(search, search.cell, search.seed(3), parent=search.cell, **tags)
    write_origin(store.folder(run_id), origin(store))
    with locks:
        assert locks.acquire(search.key, 0)
        store.folders.show_sign_of_life(run_id)
        assert told("status", "search r")[1].splitlines() == [
            "search r: 1 trial, 1 running",
            "  trial 3    0%",
        ]
    assert told("stop", "search r")[1] == "search r: no process makes runs of it now.\n"
    code = CliRunner().invoke(app, ["status", "search q"])
    assert isinstance(code.exception, ValueError)


@pytest.mark.process
def test_a_lock_tells_whose_it_is(tmp_path):
    """Of a process that lives; and it is no other's, nor that of one which asked in vain."""
    code = (
        "import sys; from search.locks import RunLocks; from pathlib import Path; locks = RunLocks(Path(sys.argv[1]))"
    )
    code += "; print(locks.acquire('a', 0), flush=True); input()"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        path = lock_path(tmp_path, "a", 0)
        assert not RunLocks(tmp_path).acquire("a", 0)
        found = holder(path)
        assert (found.process, found.is_here) == (process.pid, True)
        assert found.holds(path)
        assert not found._replace(process=os.getpid()).holds(path)
        process.communicate("\n")
    assert holder(path) is None
    assert not found.holds(path)
