"""The table in LaTeX."""

import shutil
import subprocess

import pytest
from stubs import StubResults, stub_runs

from reports.latex import LatexForm, escape_latex, to_latex
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
        "\\documentclass{article}\\usepackage{booktabs,graphicx,siunitx}\\begin{document}\n"
        + latex
        + "\\end{document}\n"
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


def test_numbers_have_true_minus_signs_and_labels_do_not():
    study = Study("s", "ring8_gan", {"GAN": {}, "a-1": {"lr": 1e-3}}, seeds=3, metrics=("modes_final",))
    results = StubResults(study, stub_runs({"GAN": [8.0, 6.0, 7.0], "a-1": [4.0, 3.0, 3.5]}, study.metrics))
    latex = to_latex(as_text(results), results)
    assert r"a-1 & 3.50 $\pm$ 0.50 & $-$3.50 [$-$4.74, $-$2.26]* & 3 \\" in latex
    rounded = to_latex(as_text(results, precision=0), results)
    assert r"a-1 & 4 $\pm$ 0 & $-$4 [$-$5, $-$2]* & 3 \\" in rounded


def test_siunitx_aligns_numbers_at_the_point(tmp_path):
    study = Study("s", "ring8_gan", {"GAN": {}, "a": {"lr": 1e-3}}, seeds=3, metrics=POINT_METRICS)
    values = {"GAN": [18.0, 116.0, 7.0], "a": [4.0, 3.0, None]}
    results = StubResults(study, stub_runs(values, POINT_METRICS))
    latex = to_latex(as_text(results), results, form=LatexForm("50% better", "tab:mine", siunitx=True))
    assert r"\caption{50\% better}" in latex
    assert r"\label{tab:mine}" in latex
    assert "% s: mean ± sample standard deviation" in latex
    assert r"\begin{tabular}{lS[table-format=2.4(6)]" in latex
    assert r"GAN & 47.0000 \pm 60.0083 & 47.0000 \pm 60.0083" in latex
    assert r"{~{}[$-$" not in latex.split(r"\midrule")[1]
    if shutil.which("pdflatex"):
        assert "Overfull" not in compiled(latex, tmp_path)


@pytest.mark.parametrize("label", ["a b", "tab:{x}", "\\input{x}", "50%"])
def test_a_label_that_latex_does_not_take_is_refused(label):
    with pytest.raises(ValueError, match="--label"):
        LatexForm(label=label).checked()


def test_escape_latex_leaves_plain_text():
    assert escape_latex("FID of GAN (n = 3)") == "FID of GAN (n = 3)"
