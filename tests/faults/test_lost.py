"""A store that is lost amid a sweep, or put back from an older backup between two: nothing is trained twice."""

import shutil
import time

import pytest
from harness import EVAL_EVERY, IMAGES, Driver, make_study, rows_of, seed_runs

pytestmark = pytest.mark.slow
STEPS = list(range(0, IMAGES + 1, EVAL_EVERY))


def run(folder, seeds, ends_with=0):
    driver = Driver(folder, "run", "study.py", "--seeds", str(seeds))
    assert driver.wait(300) == ends_with, (folder / "log").read_text()
    driver.kill_all()


def check(folder, held, runs):
    """Every run is there once, with all its evaluations, and those that were `held` are what they were."""
    _, seeds, _ = seed_runs(folder)
    after = rows_of(folder)
    assert after.keys() == {run.info.run_id for run in seeds}
    assert {run.data.tags["state"] for run in seeds} == {"done"}
    assert len(after) == runs
    assert all([row["images"] for row in rows] == STEPS for rows in after.values())
    for rows in held.values():
        assert rows in [other[: len(rows)] for other in after.values()]
    assert "Traceback" not in (folder / "log").read_text()


@pytest.mark.parametrize("fate", ["removed", "replaced"])
def test_amid_a_sweep(tmp_path, fate):
    """The sweep ends in order, with a sentence; its command takes in what there is, and goes on."""
    make_study(tmp_path)
    database = tmp_path / "runs" / "mlflow.db"
    driver = Driver(tmp_path, "run", "study.py", "--seeds", "1", sleep=0.1)
    while sum(map(len, rows_of(tmp_path).values())) < 6:
        assert driver.alive, (tmp_path / "log").read_text()
        time.sleep(0.2)
    if fate == "removed":
        database.unlink()
    else:
        shutil.copy(database, tmp_path / "copy")
        (tmp_path / "copy").replace(database)
    assert driver.wait(120) == 2, (tmp_path / "log").read_text()
    driver.kill_all()
    words = "gone" if fate == "removed" else "another one than when the sweep began"
    assert f"the database {database} is {words}, and the same command goes on" in (tmp_path / "log").read_text()
    held = rows_of(tmp_path)
    assert sum(map(len, held.values())) < 4 * len(STEPS)
    run(tmp_path, 1)
    check(tmp_path, held, 4)
    if fate == "removed":
        assert f"the store had lost {len(held)} runs" in (tmp_path / "log").read_text()


def test_between_two_calls(tmp_path):
    make_study(tmp_path)
    database = tmp_path / "runs" / "mlflow.db"
    run(tmp_path, 1)
    shutil.copy(database, tmp_path / "backup")
    run(tmp_path, 2)
    held = rows_of(tmp_path)
    shutil.copy(tmp_path / "backup", database)
    run(tmp_path, 2)
    check(tmp_path, held, 8)
    log = (tmp_path / "log").read_text()
    assert "the store had lost 4 runs" in log
    assert log.endswith("nothing to run.\n")
