"""A disk that fills up."""

import contextlib
import os
import subprocess

import pytest
from harness import EVAL_EVERY, IMAGES, Driver, make_study, rows_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], check=False)
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_same_command_goes_on(tmp_path, small_disk):
    make_study(tmp_path)
    arguments = ("run", "study.py", "--seeds", "1", "--storage", str(small_disk / "runs"))
    driver = Driver(tmp_path, *arguments, sleep=0.05)
    ballast = small_disk / "ballast"
    while driver.alive:
        driver.wait(0.5)
        if len(list(small_disk.glob("runs/trials/*/checkpoint.pt"))) >= 2 and not ballast.exists():
            with contextlib.suppress(OSError), ballast.open("wb") as file:
                while True:
                    file.write(bytes(1 << 12))
    assert driver.wait(0) == 2
    driver.kill_all()
    log = (tmp_path / "log").read_text()
    assert f"the disk at {small_disk}" in log
    assert "make room, and the same command goes on" in log
    assert "Traceback" not in log
    held = rows_of(small_disk)
    assert sum(map(len, held.values())) >= 2
    ballast.unlink()
    driver = Driver(tmp_path, *arguments)
    assert driver.wait(300) == 0, (tmp_path / "log").read_text()
    driver.kill_all()
    after = rows_of(small_disk)
    assert len(after) == 4
    assert {run_id: after[run_id][: len(rows)] for run_id, rows in held.items()} == held
    assert all([row["images"] for row in rows] == list(range(0, IMAGES + 1, EVAL_EVERY)) for rows in after.values())
