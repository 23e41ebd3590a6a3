"""The files in examples/: one a kind of plug-in, short, and run by the command that each names."""

import math
import shlex
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from tuned import without_ray

from ganablate.__main__ import main
from search.store.delivery import Delivery
from trainers.run_folder import read_evaluations, read_provenance, read_run
from trainers.score_request import read_scores
from trainers.scoring import score
from trainers.user_code import user_modules

pytestmark = pytest.mark.usefixtures("undrawn")
FOLDER = Path(__file__).parent.parent / "examples"
FILES = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.py"))}
TRAINED = [name for name, text in FILES.items() if "ganablate train" in text]


@pytest.fixture
def command(tmp_path, monkeypatch, empty_database):
    """What runs a line of an example in this process, in a copy of the folder."""
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "runs").mkdir()
    shutil.copy(empty_database, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("GANABLATE_CACHE", str(tmp_path / "runs" / "cache"))

    def call(line):
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, line

    return call


def commands(name):
    return [line for line in FILES[name].splitlines() if line.startswith("ganablate ")]


def test_there_is_a_short_one_of_each_kind():
    assert {name.partition("_")[0] for name in FILES} == {
        "backbone", "data", "loss", "features", "regularizer", "metric",
    }  # fmt: skip
    assert all(text.count("\n") < 30 for text in FILES.values())


@pytest.mark.parametrize("name", TRAINED)
def test_an_example_trains(command, name):
    (line,) = commands(name)
    command(line)
    folder = Path(shlex.split(line)[-1])
    config, evaluations = read_run(folder)
    (own,) = user_modules(config)
    assert own.partition(":")[0] == name
    assert evaluations[-1]["state"] == "done"
    assert len(read_provenance(folder)["own_code_digest"]) == 16
    if name.startswith("regularizer"):
        assert 0 < read_evaluations(folder)[-1]["loss_penalty_d_regularizer_drift_drift"] < math.inf
    sys.modules.pop(name)


@pytest.mark.long
def test_the_metric_is_a_column_of_a_table(command, monkeypatch):
    """What it measures is what its function says of these samples, in the file and in the report."""

    def score_here(jobs, store, *_):
        for job in jobs:
            for request in job.requests:
                score(job.config, store.folder(job.run_id), request)
            Delivery(store).deliver_scores(job.run_id)
        return {}

    without_ray(monkeypatch)
    monkeypatch.setattr("search.score.score_runs", score_here)
    run, scored, report = commands("metric_contrast")
    for line in (f"{run} --set n_train=100", f"{scored} --set n_train=100"):
        command(line)
    command(f"{report} --set n_train=100 --out made")
    runs = pd.read_csv("made/runs.csv")
    name = "metric_contrast:contrast@raw"
    values = {}
    for path in Path("runs/trials").glob("*/scores.jsonl"):
        scores = {score.metric: score.value for score in read_scores(path.parent)}
        assert scores.keys() == {"fid", "metric_contrast:contrast"}
        values[path.parent.name] = scores["metric_contrast:contrast"]
    assert len(values) == 4
    assert dict(zip(runs["run_id"], runs[name], strict=True)) == values
    assert all(0.1 < value < 2 for value in values.values())
    assert "contrast on raw" in Path("made/table.md").read_text()
    assert runs[f"{name}_protocol"].str.contains("; metric_contrast:contrast of code [0-9a-f]{16}$").all()
    sys.modules.pop("metric_contrast")
