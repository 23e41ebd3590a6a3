"""A team on one folder: two users of a group, by the rights that docs/server.md names, go on with each other's runs.

Needs root, to be both, and Python and packages that every user of the machine may read.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from harness import make_study

pytestmark = [pytest.mark.slow, pytest.mark.process]
CODE = Path(__file__).parents[2]
ONE = """
ONE = Study("team", BASE, rows={"GAN": {}}, seeds=2, metrics=("energy_distance_final",))
"""
ADA, BOB, TEAM = 61_001, 61_002, 61_100  # whom the machine has no names for


class Team:
    """Folders of two users, and one that they share."""

    def __init__(self, home):
        self.home, self.shared = home, home / "shared"
        home.chmod(0o755)
        self.shared.mkdir()
        os.chown(self.shared, -1, TEAM)  # docs/server.md: chgrp, chmod g+rwxs
        self.shared.chmod(0o2775)
        for uid in (ADA, BOB):
            make_study(home / str(uid))
            (home / str(uid) / "tmp").mkdir(mode=0o777)
            for path in (home / str(uid), home / str(uid) / "tmp"):
                os.chown(path, uid, uid)

    def start(self, uid, *arguments, sleep=0.0, umask=0o002, module="ganablate"):
        own = self.home / str(uid)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GANABLATE", "RAY_AUTH"))}
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):  # Bob has no home either
            kept.pop(name, None)
        environment = {"TMPDIR": str(own / "tmp"), "RAY_TMPDIR": "/tmp", "PYTHONPATH": str(CODE)}
        environment |= {"HOME": str(own)} if uid == ADA else {}
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**kept, **environment, "PYTHONDONTWRITEBYTECODE": "1", "GANABLATE_TEST_SLEEP": str(sleep)},
            cwd=own,
            user=uid,
            group=uid,
            extra_groups=[TEAM],
            umask=umask,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, uid, command, *arguments, status=0, **options):
        """What a command of a user printed and told, as one text."""
        process = self.start(uid, command, *arguments, "--storage", str(self.shared / "runs"), **options)
        printed, told = process.communicate(timeout=300)
        assert process.returncode == status, told
        assert "Traceback" not in told
        return printed + told

    def interrupt(self, uid, rows):
        """Have a user run one seed until it has so many rows."""
        process = self.start(
            uid, "run", "study.py:ONE", "--seeds", "1", "--storage", str(self.shared / "runs"), sleep=0.05
        )
        wait_for(lambda: len(self.rows()) >= rows, process)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=120)
        assert process.returncode == 128 + signal.SIGTERM, told
        assert rows <= len(self.rows()) < 11

    def rows(self):
        paths = list(self.shared.glob("runs/trials/*/rows.jsonl"))
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]

    def owners(self):
        return {path.stat().st_uid for path in self.shared.glob("runs/trials/*/*")}


def wait_for(condition, process):
    began = time.monotonic()
    while not condition() and time.monotonic() - began < 120 and process.poll() is None:
        time.sleep(0.05)


@pytest.fixture
def team():
    if os.getuid() != 0:
        pytest.skip("needs root, to be two users")
    home = Path(tempfile.mkdtemp(prefix="team-", dir="/tmp"))  # pytest's own folder lets no other user in
    try:
        made = Team(home)
        for uid in (ADA, BOB):
            with (made.home / str(uid) / "study.py").open("a") as file:
                file.write(ONE)
        try:
            if made.start(ADA, "list").wait(60):
                pytest.skip("other users of this machine cannot read the packages")
        except PermissionError:
            pytest.skip("other users of this machine cannot run this Python")
        yield made
    finally:
        shutil.rmtree(home)


def test_two_users_go_on_with_each_others_runs(team):
    team.interrupt(ADA, rows=3)
    team.interrupt(BOB, rows=6)
    assert team.owners() == {ADA, BOB}
    assert "2 runs to make" in team.command(ADA, "run", "study.py:ONE")
    assert [row["images"] for row in team.rows()][:11] == list(range(0, 3_201, 320))
    assert "1 run to make" in team.command(BOB, "run", "study.py:ONE", "--seeds", "3")
    for uid in (BOB, ADA):  # one over what the other wrote
        assert "table.csv" in team.command(uid, "report", "study.py:ONE", "--seeds", "3")
    assert "GAN" in team.command(ADA, "plan", "study.py:ONE", "--seeds", "3")
    process = team.start(ADA, "run", "study.py:ONE", "--seeds", "4", "--storage", str(team.shared / "runs"), sleep=0.05)
    wait_for(lambda: list(team.shared.glob("runs/tune-*/*")), process)
    process.kill()
    process.communicate()
    assert "Removed" in team.command(BOB, "clean", "scratch", "--yes")
    assert not list(team.shared.glob("runs/tune-*"))
    for path in [team.shared / "runs", *(team.shared / "runs").rglob("*")]:
        assert path.stat().st_gid == TEAM, path
        assert path.stat().st_mode & 0o060 == 0o060, path


def test_without_the_rights_a_user_is_told_so(team):
    team.command(ADA, "run", "study.py:ONE", "--seeds", "1", umask=0o022)
    for command in (["run"], ["report"]):
        told = team.command(BOB, *command, "study.py:ONE", "--seeds", "2", status=2)
        (sentence,) = [line for line in told.splitlines() if line.startswith("ganablate: ")]
        assert sentence == told.splitlines()[-1]  # Matplotlib may tell first that Bob has no home
        assert "mlflow.db" in sentence or "ermission denied" in sentence
    assert "done" in team.command(BOB, "plan", "study.py:ONE")
