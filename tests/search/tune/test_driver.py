"""What the driver makes of trials that show no sign of life, and of signals; no Ray."""

import io
import signal
import time
from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial
from rich.console import Console

from search.plan import Job
from search.tune.driver import QueueSearcher, StoreCallback
from search.tune.progress import SweepProgress
from spaces import Cell
from trainers.run_state import RunState


@pytest.fixture
def sweep(store, tiny_points, monkeypatch):
    """A callback of six trials that have just begun, the time, and what is printed."""
    now, printed = [1_000.0], io.StringIO()
    console = Console(file=printed, width=200)
    queue = SimpleNamespace(refused="", reserve=lambda _: False)
    callback = StoreCallback(queue, store, SweepProgress(6, 6, console), 0.0)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for seed in range(6):
        run_id = f"run{seed}"
        callback.jobs[run_id] = Job(Cell("GAN", "", tiny_points), seed, RunState.MISSING, run_id)
        callback.running.add(run_id)
        callback.on_trial_start(SimpleNamespace(config={"run_id": run_id}))
        store.folders.show_sign_of_life(run_id)
    callback._look_after_trials()
    return callback, now, printed


def live(callback, *seeds):
    for seed in seeds:
        callback.store.folders.show_sign_of_life(f"run{seed}")


def test_a_silent_trial_is_named_once_with_its_worker(sweep, monkeypatch):
    callback, now, printed = sweep
    for _ in range(30):
        now[0] += 60
        monkeypatch.setattr(time, "time", lambda: now[0])
        live(callback, 0, 1, 2, 3, 4)
        callback._look_after_trials()
    assert printed.getvalue().count("\n") == 1
    assert printed.getvalue().startswith("GAN, seed 5: no sign of life for 10:00 (")
    assert "process" in printed.getvalue()


def test_the_first_signal_says_for_whom_it_waits(sweep, monkeypatch):
    callback, now, printed = sweep
    now[0] += 61
    monkeypatch.setattr(time, "time", lambda: now[0])
    live(callback, 0, 1, 2, 3, 4)
    callback.interrupt(signal.SIGINT)
    assert printed.getvalue() == (
        "finishing the checkpoints of GAN, seed 0, GAN, seed 1, GAN, seed 2, GAN, seed 3 and 1 more; once more to "
        "leave at once\n"
    )
    assert all(callback.store.folders.is_asked_to_stop(f"run{seed}") for seed in range(6))
    callback._look_after_trials()  # five live
    for seed in range(5):
        callback.watch.end(f"run{seed}")
    with pytest.raises(KeyboardInterrupt):  # the sixth has been silent for more than a minute
        callback._look_after_trials()


def test_trials_that_have_no_worker_yet_are_not_waited_for(sweep):
    callback, _, _ = sweep
    for seed in range(6):
        callback.watch.end(f"run{seed}")
    callback.interrupt(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        callback._look_after_trials()


def test_where_nobody_lives_nobody_is_waited_for(sweep):
    callback, now, printed = sweep
    now[0] += 61
    callback.interrupt(signal.SIGTERM)
    assert printed.getvalue() == "no trial shows a sign of life; once more to leave at once\n"
    with pytest.raises(KeyboardInterrupt):
        callback._look_after_trials()


def test_a_trial_that_tune_gave_up_without_a_word_ends_the_sweep_in_order(sweep, monkeypatch):
    """It would be waited for without end; one whose error the driver was told is no such one."""
    callback, _, _ = sweep
    monkeypatch.setattr("search.tune.driver.is_alive", lambda: True)
    callback.running.discard("run0")
    trials = [SimpleNamespace(config={"run_id": f"run{seed}"}, status=Trial.ERROR) for seed in (0, 3)]
    callback.on_step_end(trials=trials[:1])
    assert not callback.stopping
    callback._next_look = 0.0
    callback.on_step_end(trials=trials)
    assert callback.halted == "Ray Tune gave up GAN, seed 3, which did not begin, and the same command goes on"
    assert callback.store.folders.is_asked_to_stop("run5")


def test_one_run_more_is_begun_than_there_is_room_for(tiny_points):
    """It waits for the next that ends. A cluster may grow and shrink, to nothing too."""
    job = Job(Cell("GAN", "", tiny_points), 0, RunState.MISSING, "run")
    running = set()
    queue = SimpleNamespace(next=lambda: job)
    callback = SimpleNamespace(
        stopping=False, running=running, queue=queue, begin=lambda job: running.add(len(running))
    )
    cluster = SimpleNamespace(room=2)
    searcher = QueueSearcher(callback, cluster)
    for room, begun in ((2, 3), (4, 5), (0, 5)):
        cluster.room = room
        for number in range(9):
            searcher.suggest(str(number))
        assert len(running) == begun
    running.clear()
    searcher.suggest("last")
    assert len(running) == 1
