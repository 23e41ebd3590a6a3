"""A tracking server that is slow, falls silent or drops connections: no trial waits for it, nor does a signal."""

import signal
import statistics
import time

import pytest
from harness import EVAL_EVERY, Driver, make_study, rows_of, wait_for
from proxy import Proxy
from test_away import Server

EVALUATIONS = 60  # of a run, and at the start
ROUNDS = 5
BAD = ("slow", "silent", "drop")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server") / "mlflow")
    proxy = Proxy(server.uri)
    yield proxy
    proxy.close()
    server.stop()


def rows(folder):
    return [row for run in rows_of(folder).values() for row in run]


def sweep(folder, proxy, number, *, seeds):
    """A sweep whose runs sleep 0.2 s between two evaluations, one step; of cells that no other has."""
    make_study(folder)
    proxy.mode = "healthy"
    settings = {"batch_size": EVAL_EVERY, "n_images": EVALUATIONS * EVAL_EVERY, "lr": 1e-3 + number * 1e-6}
    chosen = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    arguments = ("run", "study.py:PLAIN", "--seeds", str(seeds), *chosen, "--tracking-uri", proxy.uri)
    text = (folder / "study.py").read_text()
    more = '\nPLAIN = Study("plain", BASE, rows={"GAN": {}}, seeds=2, metrics=("energy_distance_final",))\n'
    (folder / "study.py").write_text(text + more)
    return Driver(folder, *arguments, sleep=0.2)


def pace(folder, proxy, number, mode):
    """Evaluations a second from the first one on, over four runs, two at a time; the server is so from then on."""
    driver = sweep(folder, proxy, number, seeds=4)
    wait_for(lambda: rows(folder))
    proxy.mode = mode
    wait_for(lambda: len(rows(folder)) == 4 * (EVALUATIONS + 1) or not driver.alive, 300)
    driver.kill_all()
    times = sorted(row["logged_at"] for row in rows(folder))
    assert len(times) == 4 * (EVALUATIONS + 1), (folder / "log").read_text()
    return (len(times) - 1) / (times[-1] - times[0])


@pytest.mark.slow
@pytest.mark.timeout(4_000)
def test_training_does_not_wait_for_the_server(tmp_path, proxy, capsys):
    """Alternating, the median of five: within 5% of the speed beside a healthy one."""
    paces = {mode: [] for mode in ("healthy", *BAD)}
    for number in range(ROUNDS * len(paces)):
        mode = list(paces)[number % len(paces)]
        paces[mode].append(pace(tmp_path / str(number), proxy, number, mode))
    ratios = {mode: [a / b for a, b in zip(paces[mode], paces["healthy"], strict=True)] for mode in BAD}
    medians = {mode: statistics.median(of_mode) for mode, of_mode in ratios.items()}
    with capsys.disabled():
        print(f"\nevaluations a second: {paces}\nof the healthy one's: {ratios}\nmedians: {medians}")
    assert min(medians.values()) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("mode", BAD)
def test_a_signal_leaves_within_ten_seconds(tmp_path, proxy, mode):
    """Counted from the first signal: the checkpoints take none of them."""
    driver = sweep(tmp_path, proxy, 1_000 + BAD.index(mode), seeds=2)
    wait_for(lambda: len(rows(tmp_path)) > 5)
    proxy.mode = mode
    before = len(rows(tmp_path))
    wait_for(lambda: len(rows(tmp_path)) > before + 20)
    driver.process.send_signal(signal.SIGINT)
    started = time.monotonic()
    assert driver.wait(60) == 130, (tmp_path / "log").read_text()
    assert time.monotonic() - started < 10
    driver.kill_all()
    assert "Traceback" not in (tmp_path / "log").read_text()
