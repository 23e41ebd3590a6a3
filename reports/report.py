"""A study's report: table.csv, runs.csv, table.tex, table.md and figures in one folder, from the store alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import rich.text
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from reports.table import Text, as_text, to_csv, to_latex, to_markdown, write_csv
from search.store import Store, load_runs
from spaces import Study
from trainers.config import printable

EDGES = 4  # letters of a table on the screen beside its columns
LONGEST_LABEL = 40  # letters of a row's label before it is folded


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
    """Print a table on the screen; one that is wider in parts, a table for each column of the study."""
    whole, columns = [(name, name) for name in text.cells.columns], dict.fromkeys(text.columns)
    widths = sum(_width(name, text.cells[name]) for name, _ in whole)
    label = min(LONGEST_LABEL, max(map(cell_len, map(printable, text.cells.index))))
    if len(columns) < 2 or EDGES + label + widths <= console.width:
        console.print(_table(text, text.cells.index.name, whole))
    else:
        for column in columns:
            names = [name for name, of in zip(text.cells.columns, text.columns, strict=True) if of == column]
            heads = [(name, name.removeprefix(f"{column}: ")) for name in names]
            held = text.cells.loc[(~text.cells[names].isin(["–", ""])).any(axis=1)].index
            part = Text(text.cells.loc[held], text.marks.loc[held], "")
            console.print(_table(part, f"{text.cells.index.name}: {column}", heads))
    console.print(_plain(text.caption, "dim"))


def _width(name: str, values: Iterable[str]) -> int:
    """Of a column whose head may break between words and whose values may not, with its rule and padding."""
    return 3 + max(map(cell_len, (*printable(name).split(), *map(printable, values))))


def _table(text: Text, title: object, heads: Iterable[tuple[str, str]]) -> Table:
    """Some columns, (name, head) each, as rich draws them."""
    names, titles = zip(*heads, strict=True)
    table = Table(title=_plain(title))
    table.add_column("", overflow="fold")
    for head in titles:
        table.add_column(_plain(head), justify="right", overflow="fold")
    styles = {0: "", 1: "bold", 2: "underline"}
    for row in text.cells.index:
        fields = [_plain(text.cells.loc[row, name], styles[text.marks.loc[row, name]]) for name in names]
        table.add_row(_plain(row), *fields)
    return table


def _plain(value: object, style: str = "") -> rich.text.Text:
    """Text that rich prints as it is: a label may look like markup."""
    return rich.text.Text(printable(value), style)
