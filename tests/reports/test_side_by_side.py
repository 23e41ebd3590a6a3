"""Several studies in one table: each number as its own study has it."""

import shutil
from xml.etree import ElementTree

import pandas as pd
import pytest
from stubs import StubResults, stub_runs
from test_latex import compiled

from ganablate.report_form import _titled, one_of
from reports.latex import LatexForm
from reports.page import write_page
from reports.report import Form
from reports.side_by_side import side_by_side, write_side_by_side
from reports.spreadsheet import to_csv
from reports.table import as_text
from spaces import Study
from trainers.config import Config

ROWS = {"GAN": {}, "a & b": {"lr": 1e-3}}


def results_of(name, values, rows=ROWS, **fields):
    study = Study(name, Config(), rows, seeds=3, metrics=("fid_final",), **fields)
    return StubResults(study, stub_runs(values, study.metrics, f"{name} "))


@pytest.fixture
def several():
    one = results_of("one", {"GAN": [10.0, 10.2, 10.1], "a & b": [8.0, 8.3, 8.1]})
    values = {"a & b": [3.0, 3.3, 3.1], "GAN": [4.0, 4.2, 4.3]}
    return [one, results_of("two", values, dict(reversed(ROWS.items())), settings={"eval_samples": 300})]


def test_each_study_has_its_own_numbers(several, tmp_path):
    text, paths = write_side_by_side(several, tmp_path, Form(page=write_page))
    assert list(text.cells.index) == list(ROWS)
    for results in several:
        own, title = as_text(results), results.study.title
        for head in own.cells:
            assert list(text.cells[f"{title}: {head}"]) == list(own.cells.loc[list(ROWS), head])
            assert list(text.marks[f"{title}: {head}"]) == list(own.marks.loc[list(ROWS), head])
    assert "different protocols" in text.caption
    table = pd.read_csv(tmp_path / "table.csv")
    assert list(table["fid_final_mean"]) == [mean for each in several for mean in to_csv(each)["fid_final_mean"]]
    assert set(table["study"]) == {"one", "two (eval_samples 300)"}
    assert len(pd.read_csv(tmp_path / "runs.csv")) == 12
    assert [path.name for path in paths] == ["table.csv", "runs.csv", "table.tex", "table.md", "report.html"]
    assert (tmp_path / "table.md").read_text().count("\n| --- ") == 1
    page = ElementTree.parse(tmp_path / "report.html")
    shown = {link.text.split()[0]: link.get("href") for link in page.iterfind(".//table[@id='table']/tbody//a")}
    means = {}
    for cell in page.iter("details"):
        mean = next(data for data in cell.iter("data") if data.get("class") == "fid_final_mean")
        means[f"{float(mean.get('value')):.2f}"] = f"#{cell.get('id')}"
    assert shown == means
    for siunitx in (False, True):
        write_side_by_side(several, tmp_path, Form(1, LatexForm(siunitx=siunitx)))
        latex = (tmp_path / "table.tex").read_text()
        assert latex.count(r"\begin{tabular}") == 1
        assert r"\multicolumn{3}{c}{two (eval\_samples 300)}" in latex
        if shutil.which("pdflatex"):
            assert "Overfull" not in compiled(latex, tmp_path)


def test_what_cannot_stand_side_by_side_is_one_sentence(several):
    other = results_of("three", {}, {"GAN": {}, "c": {"lr": 2e-3}})
    with pytest.raises(ValueError, match="needs equal rows: one has 'a & b', which three lacks"):
        side_by_side([several[0], other])
    for alone in (several[:1], [several[0], several[0]]):
        with pytest.raises(ValueError, match="needs two studies or more"):
            side_by_side(alone)
    with pytest.raises(ValueError, match="takes one STUDY, or --side-by-side"):
        one_of(["one", "two"], several=False)


def test_a_variant_is_typed_by_its_title():
    name, chosen = _titled("quick (lr 0.001, budget 0.5, tiny)", {"seeds": 3, "settings": {"eta": 0.2}})
    assert name == "quick"
    assert chosen == {"seeds": 3, "settings": {"eta": 0.2, "lr": 0.001}, "budget": 0.5, "tiny": True}
    assert _titled("my file (1).py", {}) == ("my file (1).py", {})
    with pytest.raises(ValueError, match="budget 'x' is no number"):
        _titled("quick (budget x)", {})
