"""A label may hold anything: no text of a study or a store is markup, code or a formula where it is shown."""

import csv
import io
import math
import re
import shutil
import subprocess
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console
from stubs import StubResults, stub_runs

from reports.curves import draw_curves
from reports.latex import LatexForm, escape_latex, to_latex
from reports.markdown import to_markdown
from reports.page import write_page
from reports.screen import show
from reports.spreadsheet import spreadsheet_safe, write_csv
from reports.table import as_text
from search.plan import Job
from search.tune.progress import SweepProgress
from spaces import Study
from trainers.config import Config
from trainers.messages import printable
from trainers.run_state import RunState

NASTY = [
    "50% & $x_1$ {a}~^\\ #",
    "a|b\\|c\\\\|",
    "two\nlines\r\n\npar",
    "<script>alert(1)</script><!-- -->",
    "[red]x[/red] [/] [link=http://x]",
    "![x](http://x/y.png) *a* _b_ `c` ~~d~~ &amp;",
    "[12pt] * **",
    "*star",
    "=1+2",
    "-1+2",
    "+ cmd|'/C calc'!A0",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    '=HYPERLINK("http://x";"y")',
    'a;=1+2,"=3"',
    "\x1b[31mred\x1b]0;title\x07",
    "nul\x00 bell\x07 \u202eright to left\u2028",
    "α = 0.5, μ ≥ λ",
    "^^M ^^41 \\end{tabular} \\input{x} %",
    "_hidden",
    "1. # - heading",
    "-0.5",
    "$\\badcommand$ $",
]
labels = st.one_of(
    st.sampled_from(NASTY), st.text(min_size=1), st.text("&%$#_{}~^\\|<>[]*`=+-@\t\r\n \"';,!x1", min_size=1)
)
TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "script", "table", "thead"}
TAGS |= {"tbody", "tr", "th", "td", "button", "b", "a", "details", "summary", "span", "data", "code"}
some_labels = st.lists(labels, min_size=1, max_size=4, unique=True)


def study_of(rows, title="s"):
    return Study(title, Config(), rows={row: {} for row in rows}, seeds=1)


def results_of(rows):
    """A done run a row, in a study titled as the first."""
    runs = stub_runs({row: [-1.5] for row in rows}, ["fid_final", "fid_best"], run_id="r", evaluations=3)
    return StubResults(study_of(rows, rows[0]), runs)


def test_what_a_terminal_gets_is_one_line_that_moves_no_cursor():
    assert printable("a\nb\tc\x1b[31m\u202e\udcff中é") == r"a b c\x1b[31m\u202e\udcff中é"


@given(some_labels)
@example(NASTY)
def test_the_screen_shows_labels_as_they_are(rows):
    console = Console(file=io.StringIO(), width=10_000, force_terminal=False)
    show(as_text(results_of(rows)), console)
    shown = console.file.getvalue()
    for row in rows:
        assert printable(row).strip() in shown


def test_no_label_ends_a_sweep(monkeypatch):
    """On a terminal and off it."""
    for terminal in (True, False):
        console = Console(file=io.StringIO(), width=1_000, force_terminal=terminal)
        for cell in study_of(NASTY).cells():
            with SweepProgress(1, 96_000, console) as display:
                display.update(Job(cell, 0, RunState.RUNNING, "r"), 10, 1.0)
                display.end(Job(cell, 0, RunState.RUNNING, "r"), "failed: [/] [red]", 1.0)
        shown = console.file.getvalue()
        assert terminal or all(printable(row) in shown for row in NASTY)
        assert terminal or shown.count("failed: [/] [red]") == len(NASTY)


@given(some_labels)
@example(NASTY)
def test_markdown_shows_labels_as_they_are(rows):
    markdown = to_markdown(as_text(results_of(rows)))
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    kinds = [token.type for token in tokens if token.nesting == 1]
    assert kinds[0] == "table_open"
    assert kinds.count("tr_open") == len(rows) + 1
    assert kinds[-1] == "paragraph_open"  # the caption, not a heading or a list
    allowed = {"text", "text_special", "strong_open", "strong_close"}
    texts = []
    for token in tokens:
        for child in token.children or ():
            assert child.type in allowed
        if token.type == "inline":
            texts.append("".join(child.content for child in token.children if child.type.startswith("text")))
    width = len(texts) // (len(rows) + 1)
    assert texts[width::width][: len(rows)] == [" ".join(printable(row).split(" ")).strip() for row in rows]
    assert texts[-1].startswith(printable(rows[0]).strip())


def compile_latex(body, folder):
    """What pdflatex says; it must take the text."""
    head = "\\documentclass{article}\\usepackage{booktabs,graphicx,siunitx}"
    head += "\\usepackage[paperwidth=200cm,paperheight=400cm]{geometry}"
    (folder / "t.tex").write_text(head + "\\begin{document}\n" + body + "\\end{document}\n")
    command = ["pdflatex", "-halt-on-error", "-no-shell-escape", "t.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout.decode(errors="replace")


# what pdflatex has in its default encoding: no Icelandic letters, no guillemets
LATIN = "".join(chr(c) for c in [*range(0xA1), *range(0xC0, 0x100), *range(0x3B1, 0x3C9)] if chr(c) not in "ÐÞðþος")


@pytest.mark.slow
@settings(deadline=None, max_examples=6, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(st.lists(st.one_of(st.sampled_from(NASTY), st.text(LATIN, min_size=1)), min_size=20, max_size=40, unique=True))
@example(NASTY)
def test_latex_compiles_whatever_the_labels(tmp_path_factory, rows):
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed: no table is compiled")
    results = results_of(rows)
    for form in (LatexForm(), LatexForm(rows[0], "tab:x", siunitx=True)):
        latex = to_latex(as_text(results), results, form=form)
        code, said = compile_latex(latex, tmp_path_factory.mktemp("tex"))
        assert code == 0, said[-2000:]


@given(some_labels)
@example(NASTY)
def test_latex_keeps_its_columns_and_comments(rows):
    results = results_of(rows)
    text = as_text(results)
    latex = to_latex(text, results)
    tabulars = latex.split("\\begin{tabular}{l")[1:]
    columns = [tabular.index("}") for tabular in tabulars]
    assert sum(columns) == text.cells.shape[1]
    for tabular, count in zip(tabulars, columns, strict=True):
        body = tabular[tabular.index("\\midrule") : tabular.index("\\bottomrule")].splitlines()[1:]
        assert len(body) == len(rows)
        for line in body:
            assert len(re.findall(r"(?<!\\)&", line)) == count
            assert not re.search(r"(?<!\\)[%#]", line)
            assert line.endswith("\\\\")
            assert line[0] not in "[*"
    assert all(line.startswith("%") for line in latex.split("\\begin{table}")[0].splitlines())
    assert re.fullmatch(r"tab:[A-Za-z0-9_.-]*", latex.split("\\label{")[1].split("}")[0])


@given(some_labels)
@example(NASTY)
def test_a_page_is_well_formed_and_shows_labels_as_they_are(tmp_path_factory, rows):
    results = results_of(rows)
    page = write_page(results, as_text(results), [], tmp_path_factory.mktemp("page"), caption=rows[0])
    root = ElementTree.fromstring(page.read_text(encoding="utf-8"))
    assert {element.tag for element in root.iter()} <= TAGS
    labels = [row[0].text for row in root.find(".//table[@id='table']/tbody")]
    assert [label or "" for label in labels] == [printable(row) for row in rows]
    assert len(root.findall(".//script")) == 1


def test_latex_of_greek():
    assert escape_latex("α λ") == r"$\alpha$ $\lambda$"


@given(some_labels, st.floats(allow_nan=False, allow_infinity=False))
@example(NASTY, -2.5)
def test_csv_gives_labels_back_and_computes_none(tmp_path_factory, rows, value):
    rows = [row for row in rows if "\x00" not in row and "\r" not in row] or ["x"]
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    write_csv(pd.DataFrame({"row": rows, "value": [value] * len(rows), "run_ids": ["a;b"] * len(rows)}), path)
    read = pd.read_csv(path, keep_default_na=False)
    back = read["row"].astype(str)
    assert all(b in (row, f"'{row}") for b, row in zip(back, rows, strict=True))
    assert list(read["value"]) == [value] * len(rows)  # negative numbers stay numbers
    with path.open(newline="") as file:
        for line in csv.reader(file):
            for cell in line[:1]:
                assert not cell.startswith(("=", "@", "\t", "\r")), cell
                assert not cell.startswith(("+", "-")) or re.fullmatch(r"[+-][\w -]+", cell), cell


def test_what_a_spreadsheet_would_compute():
    safe = spreadsheet_safe(pd.DataFrame({"=1": ["+ both", "+ aw-loss", "+ A1", "+ 2", "-1", "- x(1)", " =1", "＝1"]}))
    assert list(safe) == ["'=1"]
    assert list(safe["'=1"]) == ["+ both", "+ aw-loss", "'+ A1", "'+ 2", "'-1", "'- x(1)", "' =1", "'＝1"]
    numbers = pd.DataFrame({"a": [-1.5, math.nan], "b": [-3, 2]})
    assert spreadsheet_safe(numbers).equals(numbers)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_figures_draw_any_label(tmp_path):
    data = pd.DataFrame(
        [{"row": row, "column": "", "images": n, "mean": 2.0, "std": 0.1, "n": 1} for row in NASTY for n in (0, 5)]
    )
    figure = draw_curves(data, study_of(NASTY, "$\\bad$ \x1b"), "fid")
    figure.savefig(tmp_path / "t.png")
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [text.strip() for text in legend] == [printable(row).strip() for row in NASTY]
