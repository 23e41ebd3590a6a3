"""Runs of a study made by a job array: what docs/slurm.md says, with processes in place of SLURM's tasks."""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from forked import Forked, ganablate

from search.store import Store
from search.store.queries import find_runs
from spaces import find_study
from trainers.run_folder import read_evaluations, read_run

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "slurm.md").read_text()
RING = ("ring", "--tiny", "--seeds", "3")
BARE = """
import sys
sys.modules.update(dict.fromkeys({"ray", "mlflow", "optuna", "pandas", "matplotlib", "sqlalchemy"}))
from ganablate.__main__ import main
main()
"""
STUDY = """
from spaces import Study
from trainers.config import Config
base = Config(dataset="ring8", backbone="my_net:build", n_images=64, batch_size=32, eval_samples=50)
study = Study("mine", base, {"a": {}, "b": {"lr": 0.5}}, seeds=2, metrics=("energy_distance_final",))
"""


class Array:
    """A job array in a folder: `sbatch` starts the file of the page once for each number, so many at a time."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.tasks = folder, {}
        (folder / "bin").mkdir()
        command = folder / "bin" / "ganablate"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m ganablate "$@"\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        (folder / "made").mkdir()
        (folder / "ganablate.sbatch").write_text(re.search(r"^    #!/bin/bash\n(    .+\n)+", PAGE, re.MULTILINE)[0])

    def sbatch(self, numbers, *arguments, workers=3):
        """The exit codes by number, once all tasks have ended."""
        parts = [part.split("-") for part in numbers.split(",")]
        tasks = [number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)]
        with ThreadPoolExecutor(workers) as pool:
            return dict(zip(tasks, pool.map(lambda number: self._task(number, arguments), tasks), strict=True))

    def _task(self, number, arguments):
        command, variables = ["bash", "ganablate.sbatch", *arguments], os.environ | {"SLURM_ARRAY_TASK_ID": str(number)}
        with (self.folder / "made" / f"{number}.log").open("a") as log:
            task = subprocess.Popen(command, cwd=self.folder, env=variables, stdout=log, stderr=log)
            self.tasks[number] = task
            return task.wait()

    def kill(self, number):
        """Kill a task once its run has two evaluations."""
        rows = self.folder / "made" / str(number) / "rows.jsonl"
        while not rows.exists() or len(read_evaluations(rows.parent)) < 2:
            assert number not in self.tasks or self.tasks[number].poll() is None
            time.sleep(0.01)
        self.tasks[number].kill()  # it is the command itself, which the file executes


def text_of(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.process
def test_a_job_of_an_own_study_needs_neither_ray_nor_a_store(tmp_path):
    """Its networks lie beside the study, which is in another folder."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "my_study.py").write_text(STUDY)
    (tmp_path / "mine" / "my_net.py").write_text("from trainers.networks.mlp import build\n")
    for _ in range(2):  # the second time there is nothing left to do
        done = Forked(BARE, "train", "mine/my_study.py", "--job", "3", "--out", "made/3", cwd=tmp_path)
        assert text_of(done).endswith("done: made/3\n")
    job = find_study(str(tmp_path / "mine" / "my_study.py")).job(3)
    assert (job.lr, job.seed) == (0.5, 1)
    assert read_run(tmp_path / "made" / "3")[0] == job
    other = ganablate(tmp_path, "train", "mine/my_study.py", "--job", "2", "--out", "made/3")
    assert (other.returncode, "holds a run of another config" in other.stderr) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "mine"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twelve_runs_by_three_workers_one_of_which_is_killed(tmp_path, monkeypatch):
    array = Array(tmp_path, monkeypatch)
    numbers = text_of(ganablate(tmp_path, "plan", *RING, "--array"))
    assert numbers == "0-11\n"
    with ThreadPoolExecutor(1) as pool:
        submitted = pool.submit(array.sbatch, numbers, *RING)
        array.kill(5)
        codes = submitted.result()
    assert [number for number, code in codes.items() if code] == [5]
    first = {n: read_evaluations(tmp_path / "made" / str(n)) for n in range(12)}
    assert "to be gone on with" in text_of(ganablate(tmp_path, "import", "made"))
    assert text_of(ganablate(tmp_path, "plan", *RING, "--jobs")) == "5\t+ CoopInit\t\t1\n"

    assert array.sbatch(text_of(ganablate(tmp_path, "plan", *RING, "--array")), *RING) == {5: 0}
    assert text_of(ganablate(tmp_path, "import", "made")).count("(done)") == 12
    none = ganablate(tmp_path, "plan", *RING, "--array")
    assert (text_of(none), none.stderr) == ("", "ring (tiny): nothing is missing\n")
    for number, rows in first.items():  # with the times at which they were made
        assert read_evaluations(tmp_path / "made" / str(number))[: len(rows)] == rows
    assert len(find_runs(Store(storage=tmp_path / "runs"), "seed", ["0", "1", "2"])) == 12

    text_of(ganablate(tmp_path, "run", *RING, "--storage", "other"))
    tables = []
    for storage in ("runs", "other"):
        text_of(ganablate(tmp_path, "report", *RING, "--storage", storage, "--out", f"of {storage}"))
        tables.append(
            {name: numbers_of(tmp_path / f"of {storage}" / name) for name in ("table.csv", "evaluations.csv")}
        )
    for name, table in tables[0].items():
        pd.testing.assert_frame_equal(table, tables[1][name], check_exact=True)


def numbers_of(path):
    """A table without what tells one making of it from another: ids, times, and the commit of this checkout."""
    table = pd.read_csv(path)
    return table[[name for name in table if not re.search(r"run_id|seconds|logged_at|code_version", name)]]
