"""A study's report: table.csv, runs.csv, table.tex, table.md and figures in one folder, from the store alone."""

from __future__ import annotations

from pathlib import Path

import rich.text
from rich.console import Console
from rich.table import Table

from reports.table import Text, as_text, to_csv, to_latex, to_markdown, write_csv
from search.store import Store, load_runs
from spaces import Study
from trainers.config import printable


def write_report(study: Study, store: Store, out: Path) -> tuple[Text, list[Path]]:
    """Write the report; returns the table and the paths. Raises ValueError if runs cannot stand in one table."""
    from reports.figures import make_figures

    runs = load_runs(study, store=store)
    text = as_text(runs, study)
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / name for name in ("table.csv", "runs.csv", "table.tex", "table.md")]
    write_csv(to_csv(runs, study), paths[0])
    write_csv(runs, paths[1])
    paths[2].write_text(to_latex(text, runs, study))
    paths[3].write_text(to_markdown(text))
    return text, paths + make_figures(runs, study, store, out)


def show(text: Text, console: Console) -> None:
    """Print a table on the screen."""
    table = Table(title=_plain(text.cells.index.name))
    table.add_column("", overflow="fold")
    for column in text.cells.columns:
        table.add_column(_plain(column), justify="right", overflow="fold")
    styles = {0: "", 1: "bold", 2: "underline"}
    for row in text.cells.index:
        fields = zip(text.cells.loc[row], text.marks.loc[row], strict=True)
        table.add_row(_plain(row), *(_plain(value, styles[mark]) for value, mark in fields))
    console.print(table)
    console.print(_plain(text.caption, "dim"))


def _plain(value: object, style: str = "") -> rich.text.Text:
    """Text that rich prints as it is: a label may look like markup."""
    return rich.text.Text(printable(value), style)
