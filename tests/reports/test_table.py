"""The table's numbers, marks and texts, on runs that are written by hand."""

import csv
import dataclasses
import io
import math
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports import ablation_table
from reports.table import (
    as_text,
    by_column,
    difference,
    escape_latex,
    ranks,
    spreadsheet_safe,
    to_csv,
    to_latex,
    to_markdown,
)
from spaces import Study
from spaces.study import POINT_METRICS
from trainers.config import Config

NASTY = "50% & $x_1$ {a}~^\\ #"
ROWS = {"GAN": {}, NASTY: {"lr": 1e-3}, "=2+3": {"lr": 2e-3}, "lost": {"lr": 3e-3}}


@pytest.fixture
def study():
    return Study("s", Config(), rows=ROWS, seeds=3)


def make_runs(values, **changed):
    """Runs from {row: [fid or None for a diverged seed]}."""
    lines = []
    for row, fids in values.items():
        for seed, fid in enumerate(fids):
            lines.append(
                {
                    "row": row,
                    "column": "",
                    "seed": seed,
                    "state": "diverged" if fid is None else "done",
                    "run_id": f"{row[:1]}{seed}",
                    "cell_key": "k",
                    "protocol": "p",
                    "code_version": "1",
                    "data_digest": "d",
                    "features_digest": "f",
                    "evaluations": 11,
                    "fid_final": math.nan if fid is None else fid,
                    "fid_best": math.nan if fid is None else fid - 1,
                    **changed,
                }
            )
    return pd.DataFrame(lines)


RUNS = make_runs({"GAN": [10.0, 10.2, 10.1], NASTY: [9.5, 9.8, 10.1], "=2+3": [8.0, None, 9.0], "lost": [None] * 3})


def test_the_contract(study):
    table = ablation_table(RUNS, study)
    assert table.index.names == ["row", "column"]
    assert list(table.index) == [(row, "") for row in ROWS]
    assert set(table.columns) == {
        (metric, name) for metric in ("fid_final", "fid_best") for name in ("mean", "std", "n", "diverged", "published")
    }
    cell = table.loc[("GAN", ""), "fid_final"]
    assert cell["mean"] == pytest.approx(10.1)
    assert cell["std"] == pytest.approx(0.1)
    assert (cell["n"], cell["diverged"]) == (3, 0)
    assert math.isnan(cell["published"])


def test_stopped_and_failed_runs_never_enter(study):
    runs = make_runs({"GAN": [10.0, 999.0, 999.0]})
    runs.loc[1, "state"], runs.loc[2, "state"] = "stopped", "failed"
    cell = ablation_table(runs, study).loc[("GAN", ""), "fid_final"]
    assert (cell["mean"], cell["n"], cell["diverged"]) == (10.0, 1, 0)
    assert math.isnan(cell["std"])


def test_marks_are_computed_on_numbers(study):
    """ "10.10" sorts before "9.80" as text; and who lost a seed takes no mark, however good the survivors."""
    marks = ranks(ablation_table(RUNS, study), 3)["fid_final"]
    assert list(marks) == [2, 1, 0, 0]
    assert set(ranks(ablation_table(RUNS, study), 3)["fid_best"]) == {0}  # flatters noisy runs
    assert set(ranks(ablation_table(RUNS, study), 4)["fid_final"]) == {0}  # a seed is missing everywhere
    alone = dataclasses.replace(study, rows={"GAN": {}})
    assert set(ranks(ablation_table(RUNS, alone), 3)["fid_final"]) == {0}  # nothing to beat


def test_higher_is_better_where_the_metric_says_so():
    study = Study("s", "ring8_gan", rows={"a": {}, "b": {"lr": 1.0}}, metrics=("modes_final",))
    runs = pd.concat([make_runs({"a": [1.0]}, modes_final=7.0), make_runs({"b": [1.0]}, modes_final=8.0)])
    assert list(ranks(ablation_table(runs, study), 1)["modes_final"]) == [2, 1]


def test_texts(study):
    text = as_text(RUNS, study)
    assert list(text.cells.columns) == ["FID ↓", "best FID ↓", "FID − GAN", "n"]
    assert list(text.cells.loc["GAN"]) == ["10.10 ± 0.10", "9.10 ± 0.10", "", "3"]
    assert list(text.cells.loc["=2+3"])[::3] == ["8.50 ± 0.71 (div 1/3)", "2/3"]
    assert list(text.cells.loc["lost"]) == ["div 3/3", "div 3/3", "–", "0/3"]
    assert text.cells.loc[NASTY, "FID − GAN"].startswith("-0.30 [")


def test_an_empty_store_gives_dashes(study):
    text = as_text(RUNS.iloc[:0], study)
    assert set(text.cells["FID ↓"]) == {"–"}
    assert "12 runs are not done" in text.caption


def test_caption_says_protocol_and_budget(study):
    caption = as_text(RUNS, study).caption
    assert "10,000 generated samples" in caption
    assert "96,000 training images" in caption
    assert "11 scheduled evaluations" in caption
    assert "diverged" in caption


@pytest.mark.parametrize("name", ["protocol", "data_digest", "features_digest"])
def test_mixtures_are_refused(study, name):
    runs = pd.concat([make_runs({"GAN": [1.0]}), make_runs({NASTY: [1.0]}, **{name: "other"})])
    with pytest.raises(ValueError, match=name):
        ablation_table(runs, study)


def test_mixed_code_versions_get_a_note(study):
    runs = pd.concat([make_runs({"GAN": [1.0]}), make_runs({NASTY: [1.0]}, code_version="2")])
    assert "several code versions: 1, 2" in as_text(runs, study).caption


def test_difference_is_welchs():
    """Against the formula: Satterthwaite's degrees of freedom."""
    a, b = pd.Series([3.0, 5.0, 4.5]), pd.Series([8.0, 9.0, 12.0, 7.0])
    va, vb = a.var() / 3, b.var() / 4
    df = (va + vb) ** 2 / (va**2 / 2 + vb**2 / 3)
    half = stats.t.ppf(0.975, df) * math.sqrt(va + vb)
    found = difference(a, b)
    assert found == pytest.approx((a.mean() - b.mean(), a.mean() - b.mean() - half, a.mean() - b.mean() + half))
    assert math.isnan(difference(a[:1], b).low)


def test_csv_is_raw_and_leads_to_the_runs(study):
    frame = to_csv(RUNS, study)
    buffer = io.StringIO()
    spreadsheet_safe(frame).to_csv(buffer, index=False)
    lines = list(csv.DictReader(io.StringIO(buffer.getvalue())))
    assert float(lines[0]["fid_final_mean"]) == np.mean([10.0, 10.2, 10.1])
    assert lines[0]["run_ids"] == "G0;G1;G2"
    assert lines[2]["row"] == "'=2+3"  # no formula in a spreadsheet
    assert spreadsheet_safe(pd.DataFrame({"row": ["+ both", "-1+2"]}))["row"].tolist() == ["+ both", "'-1+2"]
    assert lines[3]["fid_final_diverged"] == "3"


def test_markdown(study):
    lines = to_markdown(as_text(RUNS, study)).splitlines()
    assert lines[0] == "|  | FID ↓ | best FID ↓ | FID − GAN | n |"
    assert "<u>10.10 ± 0.10</u>" in lines[2]
    assert "**9.80 ± 0.30**" in lines[3]
    assert len({line.count("|") for line in lines[:6]}) == 1


def test_markdown_keeps_its_columns_whatever_the_labels():
    study = Study("s", Config(), rows={"a|b": {}}, columns={"x|y": {}})
    lines = to_markdown(as_text(make_runs({"a|b": [1.0]}, column="x|y"), study)).splitlines()[:3]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_sources_are_the_runs_behind_the_number(study):
    """A failed or diverged run stands behind no mean."""
    runs = make_runs({"GAN": [10.0, None, 12.0]})
    runs.loc[2, "state"] = "failed"
    assert to_csv(runs, study).loc[0, "run_ids"] == "G0"
    assert "% GAN / : n = 1; runs G0; code 1" in to_latex(as_text(runs, study), runs, study)


def test_latex(study, tmp_path):
    latex = to_latex(as_text(RUNS, study), RUNS, study)
    for expected in (r"\toprule", r"\bottomrule", r"\textbf{9.80 $\pm$ 0.30}", r"\underline{10.10 $\pm$ 0.10}"):
        assert expected in latex
    assert r"50\% \& \$x\_1\$ \{a\}\textasciitilde{}\textasciicircum{}\textbackslash{} \#" in latex
    assert "% GAN / : n = 3; runs G0 G1 G2; code 1" in latex
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed: the table is not compiled")
    assert "Overfull" not in compiled(latex, tmp_path)


def compiled(latex, folder):
    """What pdflatex says of a page of the usual width with the table."""
    (folder / "t.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n" + latex + "\\end{document}\n"
    )
    done = subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout.decode(errors="replace")


def test_columns_stand_below_each_other_each_with_its_own_rows(tmp_path):
    rows, only = {"GAN": {}, "a": {"lr": 1e-3}, "b": {"lr": 2e-3}}, {"GAN": ["one"]}
    study = Study("s", Config(), rows, {"one": {}, "two": {"loss": "hinge"}}, seeds=2, only=only)
    runs = [make_runs({row: [9.0, 9.5] for row in rows}, column="one")]
    runs += [make_runs({row: [9.0, 9.5] for row in "ab"}, column="two")]
    text = as_text(pd.concat(runs), study)
    parts = by_column(text)
    assert [(column, list(part.cells.index)) for column, part in parts.items()] == [
        ("one", [*rows]),
        ("two", ["a", "b"]),
    ]
    assert parts["two"].cells.columns[0] == "FID ↓"
    assert [line for line in to_markdown(text).splitlines() if line.startswith(("| one |", "| two |"))] == [
        "| one | FID ↓ | best FID ↓ | FID − GAN | n |",
        "| two | FID ↓ | best FID ↓ | FID − a | n |",
    ]
    latex = to_latex(text, pd.concat(runs), study)
    assert latex.count(r"\begin{tabular}") == 2
    assert r"one & FID $\downarrow$ & best FID" in latex
    if shutil.which("pdflatex"):
        assert "Overfull" not in compiled(latex, tmp_path)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_a_wide_table_fits_the_page(tmp_path):
    study = Study("s", "ring8_gan", {"GAN": {}, "a": {"lr": 1e-3}}, seeds=2, metrics=POINT_METRICS)
    runs = make_runs({"GAN": [8.0, 6.0], "a": [5.0, 4.0]})
    runs = runs.assign(**dict.fromkeys(POINT_METRICS, runs["fid_final"]))
    assert "Overfull" not in compiled(to_latex(as_text(runs, study), runs, study), tmp_path)


def test_escape_latex_leaves_plain_text():
    assert escape_latex("FID of GAN (n = 3)") == "FID of GAN (n = 3)"


def test_columns_are_ranked_apart():
    study = Study("s", Config(), rows={"a": {}, "b": {"lr": 1.0}}, columns={"x": {}, "y": {"n_train": 100}}, seeds=1)
    parts = [make_runs({"a": [1.0], "b": [2.0]}, column="x"), make_runs({"a": [9.0], "b": [8.0]}, column="y")]
    text = as_text(pd.concat(parts), study)
    assert list(text.marks["x: FID ↓"]) == [1, 2]
    assert list(text.marks["y: FID ↓"]) == [2, 1]
    assert list(text.cells["y: FID − a"]) == ["", "-1.00"]


def test_a_column_is_compared_with_the_first_row_that_it_has():
    rows, only = {"GAN": {}, "a": {"lr": 1e-3}, "b": {"lr": 2e-3}}, {"GAN": ["one"]}
    study = Study("s", Config(), rows, {"one": {}, "two": {"loss": "hinge"}}, seeds=2, only=only)
    of_a, of_b = (make_runs({row: [value, value + 0.5]}, column="two") for row, value in (("a", 10.0), ("b", 8.0)))
    text = as_text(pd.concat([of_a, of_b]), study)
    held = text.cells["two: FID − a"]
    assert held["a"] == ""
    assert held["b"].startswith("-2.00 [")
    assert "differences to the first row that a column has" in text.caption


def test_a_published_column_without_cells_of_ours_is_compared_with_nothing():
    study = Study("s", "stylegan2_cifar10", {"GAN": {}, "a": {"lr": 1e-3}}, published="coopinit/table7")
    text = as_text(make_runs({"GAN": [10.0]}, column="none"), study)
    assert "lr=0.0020: published best FID ↓" in text.cells
    assert [name for name in text.cells if "−" in name] == ["FID − GAN"]


def test_every_final_metric_has_its_differences():
    study = Study("s", "ring8_gan", {"GAN": {}, "a": {"lr": 1e-3}}, seeds=2, metrics=POINT_METRICS)
    values = {"GAN": [8.0, 6.0], "a": [5.0, 4.0]}
    runs = make_runs(values)
    runs = runs.assign(**dict.fromkeys(POINT_METRICS, runs["fid_final"]))
    text, frame = as_text(runs, study), to_csv(runs, study)
    for metric in POINT_METRICS:
        assert frame[f"{metric}_difference_mean"].tolist() == [0.0, -2.5]
    assert text.cells.loc["a", "modes covered − GAN"].startswith("-2.50 [")
