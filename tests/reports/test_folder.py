"""A report made again from its own folder."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from stubs import StubResults, stub_runs
from typer.testing import CliRunner

from ganablate.command import app
from reports.folder import FolderResults, study_in
from reports.report import write_report
from reports.spreadsheet import to_csv
from reports.table import as_text
from spaces import Study
from trainers.config import Config

QUICK = Path(__file__).parents[2] / "docs/results/quick"
ROWS = {"GAN": {}, "=2+3": {"lr": 1e-3}, "+ both": {"lr": 2e-3}}


@pytest.fixture
def results():
    study = Study("s", Config(), ROWS, seeds=3, metrics=("fid_late", "fid_final"))
    values = {"GAN": [10.0, 10.2, 10.1], "=2+3": [8.0, None, 9.0], "+ both": [30.0, 31.0, 29.0]}
    runs = stub_runs(values, ("fid_final", "fid_late"), "run ", fid_untrained=100.0, evaluations=3)
    series = {(run, "fid"): [(0, 100.0), (64, 12.0), (128, 9.0)] for run in runs["run_id"]}
    return StubResults(study, runs, series)


def test_a_folder_gives_back_what_its_report_was_made_of(results, tmp_path):
    write_report(results, tmp_path)
    again = FolderResults(results.study, tmp_path)
    pd.testing.assert_frame_equal(to_csv(again), to_csv(results), check_dtype=False)
    assert as_text(again).caption == as_text(results).caption
    assert again.histories("fid") == results.histories("fid")
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix in (".csv", ".md", ".tex")}
    write_report(again, tmp_path / "again")
    for name, content in written.items():
        assert (tmp_path / "again" / name).read_bytes() == content, name


def test_a_metric_that_no_run_has_is_left_out(results, tmp_path):
    """As late values of runs that an earlier version reported on."""
    write_report(results, tmp_path)
    runs = pd.read_csv(tmp_path / "runs.csv", keep_default_na=False)
    runs.drop(columns=["fid_late", "lost"]).to_csv(tmp_path / "runs.csv", index=False)
    again = FolderResults(results.study, tmp_path)
    assert again.study.metrics == ("fid_final",)
    assert list(again.runs["lost"]) == [False] * 4 + [True] + [False] * 4


def test_runs_of_earlier_versions_are_held_against_the_mean_untrained_value(results, tmp_path):
    write_report(results, tmp_path)
    runs = pd.read_csv(tmp_path / "runs.csv", keep_default_na=False).drop(columns=["fid_untrained", "lost", "fid_late"])
    runs.to_csv(tmp_path / "runs.csv", index=False)
    curves = pd.DataFrame(
        {"row": ["GAN", "+ both"], "column": "", "images": 0, "mean": [50.0, 30.5], "std": 1.0, "n": 3}
    )
    curves.to_csv(tmp_path / "curves.csv", index=False)
    again = FolderResults(Study("s", Config(), ROWS, seeds=3, metrics=("fid_final",)), tmp_path)
    assert list(again.runs.loc[again.runs["row"] == "+ both", "lost"]) == [False, True, False]


def test_which_study_a_folder_is_of(tmp_path):
    assert study_in(QUICK, None, None, {}).seeds == 10
    assert study_in(QUICK, "ring", 4, {}).title == "ring"
    with pytest.raises(ValueError, match=r"no runs.csv"):
        study_in(tmp_path, None, None, {})
    shutil.copy(QUICK / "runs.csv", tmp_path)
    with pytest.raises(ValueError, match="what study"):
        study_in(tmp_path, None, None, {})
    with pytest.raises(ValueError, match="no run of study 'coopinit-table7'"):
        FolderResults(study_in(tmp_path, "coopinit-table7", None, {}), tmp_path)


@pytest.mark.parametrize("content", ["", "seed\nx\n", "row,seed\na,1\n", "\x00\x01"])
def test_what_is_no_table_is_a_sentence(tmp_path, content):
    (tmp_path / "runs.csv").write_text(content)
    with pytest.raises(ValueError, match=r"runs\.csv"):
        FolderResults(study_in(tmp_path, "quick", None, {}), tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_the_command(tmp_path):
    done = CliRunner().invoke(app, ["report", "--from", str(QUICK), "--out", str(tmp_path), "--html"])
    assert done.exit_code == 0, done.output
    for name in ("table.csv", "table.md", "runs.csv", "tests.csv", "methods.md"):
        assert (tmp_path / name).read_bytes() == (QUICK / name).read_bytes(), name
    page = (tmp_path / "report.html").read_text()
    assert 'alt="samples"' in page
    assert "<td>C1</td>" in page
    with pytest.raises(ValueError, match="needs a STUDY"):
        CliRunner().invoke(app, ["report"], catch_exceptions=False)
