"""Whatever dies when, a study ends with every run made once, and with the numbers of an undisturbed one."""

import pytest
from harness import EVAL_EVERY, IMAGES, Driver, make_study, seed_runs, soak
from proxy import Proxy
from test_away import Server

ARGUMENTS = ("run", "study.py", "--retry-failed")
FAULTS, SEEDS = 50, 3
TIMES = {"seconds", "eval_seconds", "logged_at"}


def outcome(folder, uri=None):
    """Every metric of every run at every step, by cell and seed, times aside."""
    client, children, _ = seed_runs(folder, uri)
    found = {}
    for run in children:
        key = run.data.tags["cell_key"], run.data.tags["seed"]
        assert key not in found
        names = sorted(set(run.data.metrics) - TIMES)
        found[key] = {n: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, n)] for n in names}
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    make_study(folder)
    driver = Driver(folder, *ARGUMENTS)
    assert driver.wait(600) == 0, (folder / "log").read_text()
    driver.kill_all()
    return outcome(folder)


@pytest.fixture
def proxy(tmp_path):
    server = Server(tmp_path / "server")
    proxy = Proxy(server.uri)
    yield proxy
    proxy.close()
    server.stop()


@pytest.mark.slow
@pytest.mark.timeout(8_000)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_soak(tmp_path, undisturbed, seed, request):
    """With the default store, and the second time with a server that falls silent."""
    proxy = request.getfixturevalue("proxy") if seed % 2 else None
    uri = proxy.uri if proxy else None
    place = tmp_path / "place"
    make_study(place)
    arguments = (*ARGUMENTS, *(("--tracking-uri", uri) if uri else ()))
    place, told = soak(place, seed, FAULTS, *arguments, sleep=0.7, proxy=proxy)
    assert sum("fault" in line for line in told) >= FAULTS
    _, children, runs = seed_runs(place, uri)
    assert len(children) == 12
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["state"] for run in children} == {"done"}
    found = outcome(place, uri)
    steps = list(range(0, IMAGES + 1, EVAL_EVERY))
    assert all([step for step, _ in history["energy_distance"]] == steps for history in found.values())
    assert found == undisturbed
