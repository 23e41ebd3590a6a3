"""A study's report: table.csv, runs.csv, table.tex, table.md and figures in one folder, from the store alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import rich.text
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from reports.table import Text, as_text, to_csv, to_latex, to_markdown, write_csv
from search.store import Store, load_runs
from spaces import Study
from trainers.config import printable

EDGES = 4  # letters of a table on the screen beside its columns
LONGEST_LABEL, SHORT_LABEL = 40, 20  # letters of rows' labels before they are folded; if that saves a second table


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
    """Print a table on the screen; one that is wider in parts, by the study's columns first."""
    whole = {name: name for name in text.cells.columns}
    of = text.columns or ("",) * len(whole)
    if text.prose or _least(text, whole, LONGEST_LABEL) <= console.width:
        console.print(_table(text, text.cells.index.name, whole, console.width))
    else:
        for column in dict.fromkeys(of):
            heads = {n: n.removeprefix(f"{column}: ") for n, its in zip(whole, of, strict=True) if its == column}
            held = text.cells.loc[(~text.cells[list(heads)].isin(["–", ""])).any(axis=1)].index
            part = text._replace(cells=text.cells.loc[held], marks=text.marks.loc[held]) if column else text
            title = ": ".join(filter(None, (str(text.cells.index.name), column)))
            for fitting in _fitting(part, heads, console.width):
                console.print(_table(part, title, fitting, console.width))
    console.print(_plain(text.caption, "dim"))


def _fitting(text: Text, heads: Mapping[str, str], width: int) -> list[dict[str, str]]:
    """Columns in groups as wide as there is room, or of one that is wider."""
    groups: list[dict[str, str]] = []
    for name, head in heads.items():
        if groups and _least(text, {**groups[-1], name: head}, SHORT_LABEL) <= width:
            groups[-1][name] = head
        else:
            groups.append({name: head})
    return groups


def _least(text: Text, heads: Mapping[str, str], labels: int) -> int:
    """The least width of a table whose rows have labels of so many letters, and heads are broken between words."""
    return EDGES + min(labels, _longest(text.cells.index)) + sum(_widths(text, heads).values())


def _widths(text: Text, heads: Mapping[str, str]) -> dict[str, int]:
    """Of columns whose heads may break between words and whose values may not, with rule and padding."""
    return {name: 3 + _longest([*printable(head).split(), *text.cells[name]]) for name, head in heads.items()}


def _longest(texts: Iterable[object]) -> int:
    return max((cell_len(printable(text)) for text in texts), default=0)


def _table(text: Text, title: object, heads: Mapping[str, str], width: int) -> Table:
    """Some columns by {name: head}; if they are too wide, heads are broken between words and values are not."""
    label, widths = _longest(text.cells.index), _widths(text, heads)
    natural = EDGES + label + sum(3 + _longest([head, *text.cells[name]]) for name, head in heads.items())
    broken = natural > width >= _least(text, heads, SHORT_LABEL)
    left = width - EDGES - sum(widths.values())
    table = Table(title=_plain(title))
    table.add_column("", overflow="fold", width=min(label, left) if broken else None)
    for name, head in heads.items():
        side: Literal["left", "right"] = "left" if text.prose else "right"
        table.add_column(_plain(head), justify=side, overflow="fold", width=widths[name] - 3 if broken else None)
    styles = {0: "", 1: "bold", 2: "underline"}
    for row in text.cells.index:
        fields = [_plain(text.cells.loc[row, name], styles[text.marks.loc[row, name]]) for name in heads]
        table.add_row(_plain(row), *fields)
    return table


def _plain(value: object, style: str = "") -> rich.text.Text:
    """Text that rich prints as it is: a label may look like markup."""
    return rich.text.Text(printable(value), style)
