"""The table in LaTeX."""

import shutil
import subprocess

import pytest
from stubs import StubResults, stub_runs

from reports.latex import escape_latex, to_latex
from reports.markdown import to_markdown
from reports.table import as_text, by_column
from spaces import Study
from spaces.study import POINT_METRICS
from trainers.config import Config
from trainers.run_state import RunState


def test_latex(results, tmp_path):
    latex = to_latex(as_text(results), results)
    for expected in (r"\toprule", r"\bottomrule", r"9.80 $\pm$ 0.30", r"10.10 $\pm$ 0.10"):
        assert expected in latex
    assert r"50\% \& \$x\_1\$ \{a\}\textasciitilde{}\textasciicircum{}\textbackslash{} \#" in latex
    assert "% GAN / : n = 3; runs GAN//0 GAN//1 GAN//2; code 1" in latex
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed: the table is not compiled")
    assert "Overfull" not in compiled(latex, tmp_path)


def test_bold_is_set_in_bold():
    study = Study("s", Config(), {"GAN": {}, "a": {"lr": 1.0}}, seeds=3, metrics=("fid_final",))
    results = StubResults(study, stub_runs({"GAN": [20.0, 30.0, 25.0], "a": [10.0, 15.0, 12.5]}))
    assert r"\textbf{12.50 $\pm$ 2.50}" in to_latex(as_text(results), results)
    assert "**12.50 ± 2.50**" in to_markdown(as_text(results))


def compiled(latex, folder):
    """What pdflatex says of a page of the usual width with the table."""
    (folder / "t.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n" + latex + "\\end{document}\n"
    )
    done = subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout.decode(errors="replace")


def test_sources_are_the_runs_behind_the_number(results):
    """A failed or diverged run stands behind no mean."""
    runs = stub_runs({"GAN": [10.0, None, 12.0]})
    runs.loc[2, "state"] = RunState.FAILED
    some = StubResults(results.study, runs)
    assert "% GAN / : n = 1; runs GAN//0; code 1" in to_latex(as_text(some), some)


def test_columns_stand_below_each_other_each_with_its_own_rows(tmp_path):
    rows, only = {"GAN": {}, "a": {"lr": 1e-3}, "b": {"lr": 2e-3}}, {"GAN": ["one"]}
    study = Study("s", Config(), rows, {"one": {}, "two": {"loss": "hinge"}}, seeds=2, only=only)
    results = StubResults(study, stub_runs({(cell.row, cell.column): [9.0, 9.5] for cell in study.cells()}))
    text = as_text(results)
    parts = by_column(text)
    assert [(column, list(part.cells.index)) for column, part in parts.items()] == [
        ("one", [*rows]),
        ("two", ["a", "b"]),
    ]
    assert parts["two"].cells.columns[0] == "FID ↓"
    assert [line for line in to_markdown(text).splitlines() if line.startswith(("| one |", "| two |"))] == [
        "| one | FID ↓ | best FID ↓ | FID / GAN | n |",
        "| two | FID ↓ | best FID ↓ | FID / a | n |",
    ]
    latex = to_latex(text, results)
    assert latex.count(r"\begin{tabular}") == 2
    assert r"one & FID $\downarrow$ & best FID" in latex
    if shutil.which("pdflatex"):
        assert "Overfull" not in compiled(latex, tmp_path)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_a_wide_table_fits_the_page(tmp_path):
    study = Study("s", "ring8_gan", {"GAN": {}, "a": {"lr": 1e-3}}, seeds=2, metrics=POINT_METRICS)
    results = StubResults(study, stub_runs({"GAN": [8.0, 6.0], "a": [5.0, 4.0]}, POINT_METRICS))
    assert "Overfull" not in compiled(to_latex(as_text(results), results), tmp_path)


def test_escape_latex_leaves_plain_text():
    assert escape_latex("FID of GAN (n = 3)") == "FID of GAN (n = 3)"
