"""A report from the store alone."""

import re
import shutil

import matplotlib.image
import pandas as pd
import pytest

from reports.page import write_page
from reports.report import Form, write_report
from reports.results import Results
from search.store import Store, load_runs
from spaces import Study

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.long
def test_report_writes_table_and_figures(store, make_runs, tiny_study, tmp_path, none_lost):
    make_runs(tiny_study)
    shutil.rmtree(store.storage / "trials")  # the store is enough
    text, paths = write_report(
        Results(tiny_study, Store(storage=store.storage)), tmp_path / "out", Form(page=write_page)
    )
    names = {path.name for path in paths}
    assert names == {
        "table.csv",
        "runs.csv",
        "table.tex",
        "table.md",
        "tests.csv",
        "evaluations.csv",
        "methods.md",
        "curves.png",
        "curves.pdf",
        "curves.csv",
        "curves-fid.png",
        "curves-fid.pdf",
        "curves-fid.csv",
        "samples.png",
        "samples.pdf",
        "strips.png",
        "strips.pdf",
        "report.html",
    }
    assert all(path.stat().st_size > 100 for path in paths)
    runs = load_runs(tiny_study, store=store)
    assert list(pd.read_csv(tmp_path / "out" / "runs.csv")["run_id"]) == list(runs["run_id"])
    picture = matplotlib.image.imread(tmp_path / "out" / "samples.png")
    assert picture[..., :3].std() > 0.02  # not an empty canvas
    assert list(text.cells["n"]) == ["2", "2"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count('alt="seed 0, 256 images"') == 2
    assert re.search(r"<td>aw</td><td>off</td>\s*<td>normalized</td>", page)


@pytest.mark.long
def test_a_row_that_lacks_a_column_has_a_dash_there(store, make_runs, tiny_points, tmp_path, none_lost):
    columns = {"x": {}, "y": {"lr": 3e-4}}
    metrics = ("energy_distance_final",)
    study = Study("s", tiny_points, {"a": {}, "b": {"lr": 2e-4}}, columns, seeds=1, metrics=metrics, only={"b": ["x"]})
    make_runs(study)
    text, paths = write_report(Results(study, store), tmp_path / "out")
    assert text.cells.loc["b", "y: energy distance ↓"] == "–"
    assert "–" not in set(text.cells["x: energy distance ↓"])
    assert "not done" not in text.caption
    assert {"curves.png", "samples.png"} <= {path.name for path in paths}


def test_a_report_of_nothing_is_dashes(store, tiny_study, tmp_path):
    text, paths = write_report(Results(tiny_study, store), tmp_path)
    assert set(text.cells["n"]) == {"0/2"}
    assert {path.suffix for path in paths} == {".csv", ".tex", ".md"}
