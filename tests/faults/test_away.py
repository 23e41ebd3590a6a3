"""A tracking server that goes away: rows wait in the run folders, and come in their order."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from forked import COMMAND, Forked
from harness import EVAL_EVERY, IMAGES, Driver, make_study, rows_of

STEPS = list(range(0, IMAGES + 1, EVAL_EVERY))


class Server:
    """An MLflow server on a port of its own, which can be taken away and brought back."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.uri = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.start()

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", self.uri.rpartition(":")[2]]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(self.uri + "/health", timeout=5).close()
                return
            except OSError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.3)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def runs(self):
        from mlflow import MlflowClient

        client = MlflowClient(self.uri)
        runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
        return client, [run for run in runs if "seed" in run.data.tags], runs


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path / "server")
    yield server
    server.stop()


def wait_for_rows(folder, n):
    deadline = time.monotonic() + 240
    while sum(map(len, rows_of(folder).values())) < n:
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.2)


def check(server, folder):
    client, children, runs = server.runs()
    assert len(children) == 4
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["state"] for run in children} == {"done"}
    on_disk = rows_of(folder)
    for run in children:
        held = client.get_metric_history(run.info.run_id, "energy_distance")
        assert [point.step for point in held] == STEPS
        rows = on_disk[run.info.run_id]
        assert [point.timestamp for point in held] == [int(row["logged_at"] * 1000) for row in rows]
        assert [point.value for point in held] == [row["energy_distance"] for row in rows]


@pytest.mark.slow
def test_away_for_a_minute(tmp_path, server):
    """No trial fails, and all rows arrive in order."""
    make_study(tmp_path)
    arguments = ("run", "study.py", "--seeds", "1", "--tracking-uri", server.uri)
    driver = Driver(tmp_path, *arguments, sleep=0.7)
    wait_for_rows(tmp_path, 5)
    server.stop()
    time.sleep(60)
    assert driver.alive
    server.start()
    assert driver.wait(600) == 0, (tmp_path / "log").read_text()
    driver.kill_all()
    check(server, tmp_path)
    log = (tmp_path / "log").read_text()
    assert "does not take what it is sent" in log
    assert "answers again" in log
    assert log.count(": done") == 4
    assert "Traceback" not in log


@pytest.mark.slow
@pytest.mark.parametrize("bring", [("run", "study.py", "--seeds", "1"), ("import", "runs/trials")])
def test_away_for_good(tmp_path, server, bring):
    """The sweep finishes and says where the rows wait; the next command brings them."""
    make_study(tmp_path)
    driver = Driver(tmp_path, "run", "study.py", "--seeds", "1", "--tracking-uri", server.uri, sleep=0.1)
    wait_for_rows(tmp_path, 3)
    server.stop()
    assert driver.wait(600) == 1, (tmp_path / "log").read_text()
    driver.kill_all()
    log = (tmp_path / "log").read_text()
    assert log.count(": done") == 4
    assert f"wait in {tmp_path}/runs/trials" in log
    assert "Traceback" not in log
    server.start()
    driver = Driver(tmp_path, *bring, "--tracking-uri", server.uri)
    assert driver.wait(300) == 0, (tmp_path / "log").read_text()
    driver.kill_all()
    check(server, tmp_path)


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "host"),
    [
        ("plan", "198.51.100.1:5000"),
        ("plan", "127.0.0.1:9"),
        pytest.param("run", "127.0.0.1:9", marks=pytest.mark.slow),
        pytest.param("run", "198.51.100.1:5000", marks=pytest.mark.slow),
    ],
)
def test_unreachable_at_start(tmp_path, command, host):
    """Nobody listens there; nobody is there at all. MLflow itself would try for four minutes."""
    with Forked(COMMAND, command, "quick", "--tracking-uri", f"http://{host}", cwd=tmp_path) as process:
        assert process.wait(60) == 2, process.stderr
        told = process.stdout + process.stderr
    assert told.startswith(f"ganablate: the MLflow store http://{host} ")
    assert told.count("\n") == 1
    assert list(tmp_path.glob("runs/*")) == []
