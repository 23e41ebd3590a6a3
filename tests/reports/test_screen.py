"""Tables on screens of any width."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from stubs import no_results
from terminal import Terminal

from reports.screen import show, show_paths
from reports.table import as_text
from spaces import STUDIES


@pytest.mark.parametrize("name", [name for name, study in STUDIES.items() if study.published])
def test_a_narrow_screen_breaks_no_value(name):
    """However many columns and metrics it has; heads break between words."""
    study = STUDIES[name]
    console = Console(width=80, file=io.StringIO())
    text = as_text(no_results(study))
    show(text, console)
    lines = console.file.getvalue().splitlines()
    told = [cell.strip() for line in lines if line.startswith("│") for cell in line.split("│")[1:-1]]
    values = [value for value in text.cells.to_numpy().ravel() if value]
    assert set(values) <= set(told)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("width", "tables"), [(79, 3), (400, 1)])
def test_a_table_that_is_too_wide_is_one_for_each_column(width, tables):
    table7 = STUDIES["coopinit-table7"]
    console = Console(width=width, file=io.StringIO())
    show(as_text(no_results(table7)), console)
    shown = console.file.getvalue()
    assert shown.count("┏") == tables
    assert all(value in shown for value in ("6.16 (=)", "8.95 (=)", "8.71 (=)"))
    assert (f"{table7.title}: lr=0.0025" in shown) == (tables > 1)


def test_files_are_told_in_few_lines_on_a_terminal_and_one_a_line_to_a_script(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    paths = [tmp_path / "out" / name for name in ("table.csv", "table.tex", "a [b].png", "search.db")]
    terminal = Terminal(40, 24)
    show_paths([*paths, Path("/elsewhere/study.py")], Console(file=terminal, width=40, force_terminal=True))
    assert terminal.lines == [
        "Written into out:", "  table.{csv,tex}, a [b].png, search.db", "Written into /elsewhere:", "  study.py"
    ]  # fmt: skip
    show_paths(paths, Console(force_terminal=False))
    assert capsys.readouterr().out.splitlines() == list(map(str, paths))
