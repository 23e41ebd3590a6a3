"""Ctrl-C and SIGTERM once: checkpoints are finished. Twice: it leaves now. The work that a kill costs is counted."""

import re
import signal
import time

import pytest
from harness import BATCH, EVAL_EVERY, IMAGES, Driver, make_study, rows_of, wait_for

ARGUMENTS = ("run", "study.py", "--seeds", "1")
SLEEP = 0.1


def rows(folder):
    return sum(map(len, rows_of(folder).values()))


def steps(folder):
    return len((folder / "steps").read_text()) if (folder / "steps").exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_loses_no_step(tmp_path, number):
    make_study(tmp_path)
    steps_file = {"GANABLATE_TEST_STEPS": str(tmp_path / "steps")}
    for _ in range(2):
        driver = Driver(tmp_path, *ARGUMENTS, sleep=SLEEP, **steps_file)
        before = rows(tmp_path)
        wait_for(lambda before=before: rows(tmp_path) > before + 3)
        driver.process.send_signal(number)
        assert driver.wait(60) == 128 + number, (tmp_path / "log").read_text()
        driver.kill_all()
    driver = Driver(tmp_path, *ARGUMENTS, **steps_file)
    assert driver.wait(300) == 0, (tmp_path / "log").read_text()
    driver.kill_all()
    assert steps(tmp_path) == 3 * IMAGES // BATCH  # every adversarial step was made once; half of two runs is none
    told = (tmp_path / "log").read_text()
    assert re.search("finishing the checkpoints of .*, seed 0, .*, seed 0; once more to leave at once", told)
    assert "4 runs are left, and the same command goes on" in told
    assert "Traceback" not in told


@pytest.mark.slow
def test_the_second_signal_leaves_at_once(tmp_path):
    make_study(tmp_path)
    driver = Driver(tmp_path, *ARGUMENTS, sleep=5)
    wait_for(lambda: rows(tmp_path) >= 2)
    driver.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    started = time.monotonic()
    driver.process.send_signal(signal.SIGINT)
    assert driver.wait(60) == 130, (tmp_path / "log").read_text()
    assert time.monotonic() - started < 10
    driver.kill_all()
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["ray::ImplicitFunc", "driver"])
def test_a_kill_repeats_no_more_than_the_work_since_the_last_checkpoint(tmp_path, victim, capsys):
    """Counted in steps of D, over all that was made; a checkpoint comes with every row. Two runs of one seed."""
    make_study(tmp_path)
    text = (tmp_path / "study.py").read_text()
    (tmp_path / "study.py").write_text(text.replace("STUDY =", 'ROWS = {"GAN": {}, "+ aw-loss": AW}\nSTUDY ='))
    steps_file = {"GANABLATE_TEST_STEPS": str(tmp_path / "steps")}
    kills, driver = 0, None
    while kills < 4:
        if driver is None or not driver.alive:
            driver = Driver(tmp_path, *ARGUMENTS, sleep=SLEEP, **steps_file)
        before = rows(tmp_path)
        wait_for(lambda before=before: rows(tmp_path) > before + 2)
        time.sleep(0.5)
        if victim == "driver":
            kills += 1
            lost = 2
            driver.kill_all()
        else:
            workers = driver.processes(victim)
            if workers:
                kills += 1
                lost = 1
                workers[0].kill()
    if not driver.alive:
        driver = Driver(tmp_path, *ARGUMENTS, **steps_file)
    assert driver.wait(300) == 0, (tmp_path / "log").read_text()
    driver.kill_all()
    repeated = steps(tmp_path) * BATCH - 2 * IMAGES
    with capsys.disabled():
        print(f"\n{kills} kills of {victim}: {repeated} images made twice, of at most {kills * lost * EVAL_EVERY}")
    assert 0 <= repeated <= kills * lost * EVAL_EVERY
