"""Whatever dies when, a study ends with every run made once, and with the numbers of an undisturbed one."""

import pytest
from harness import EVAL_EVERY, IMAGES, Driver, make_study, seed_runs, soak

ARGUMENTS = ("run", "study.py", "--retry-failed")
FAULTS = 50
TIMES = {"seconds", "eval_seconds", "logged_at"}


def outcome(folder):
    """Every metric of every run at every step, by cell and seed, times aside."""
    client, children, _ = seed_runs(folder)
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


@pytest.mark.slow
@pytest.mark.timeout(4_000)
@pytest.mark.parametrize("seed", range(3))
def test_soak(tmp_path, undisturbed, seed):
    make_study(tmp_path)
    told = soak(tmp_path, seed, FAULTS, *ARGUMENTS, sleep=0.7)
    assert sum("fault" in line for line in told) >= FAULTS
    _, children, runs = seed_runs(tmp_path)
    assert len(children) == 12
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["state"] for run in children} == {"done"}
    found = outcome(tmp_path)
    steps = list(range(0, IMAGES + 1, EVAL_EVERY))
    assert all([step for step, _ in history["energy_distance"]] == steps for history in found.values())
    assert found == undisturbed
