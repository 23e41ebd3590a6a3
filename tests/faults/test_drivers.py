"""Two drivers at once, on one study and on two."""

import pytest
from harness import EVAL_EVERY, IMAGES, Driver, make_study, seed_runs


@pytest.mark.slow
@pytest.mark.parametrize("studies", [("study.py", "study.py"), ("study.py", "other.py")])
def test_two_drivers_share_the_runs(tmp_path, studies):
    """12 runs in all, each made once; the second study's cells are the first's, but for one."""
    make_study(tmp_path)
    text = (tmp_path / "study.py").read_text()
    (tmp_path / "other.py").write_text(text.replace('"faults"', '"others"').replace('"GAN": {}, ', ""))
    drivers = [Driver(tmp_path, "run", study, "--cpus-per-trial", "1", sleep=0.05) for study in studies]
    for driver in drivers:
        assert driver.wait(600) == 0, (tmp_path / "log").read_text()
        driver.kill_all()
    client, children, runs = seed_runs(tmp_path)
    assert len(children) == len({(run.data.tags["cell_key"], run.data.tags["seed"]) for run in children}) == 12
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in children:
        history = client.get_metric_history(run.info.run_id, "energy_distance")
        assert [point.step for point in history] == list(range(0, IMAGES + 1, EVAL_EVERY))
    log = (tmp_path / "log").read_text()
    assert log.count(": done") == 12
    assert "Traceback" not in log
