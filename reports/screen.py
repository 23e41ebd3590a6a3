"""A table on the screen, cut to its width, and what files were written."""

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import rich.text
from rich.console import Console
from rich.table import Table

from reports.table import TextTable, by_column, in_parts, longest, widths
from trainers.messages import as_seen, printable

EDGES = 4  # letters of a table on the screen beside its columns
LONGEST_LABEL, SHORT_LABEL = 40, 20  # letters of rows' labels before they are folded; if that saves a second table


def show(text: TextTable, console: Console) -> None:
    """Print a table on the screen; one that is wider in parts, by the study's columns first."""
    title, labels = str(text.cells.index.name), longest(text.cells.index)
    if text.prose or EDGES + min(LONGEST_LABEL, labels) + sum(widths(text, broken=True).values()) <= console.width:
        console.print(_table(text, title, console.width))
    else:
        for column, whole in by_column(text).items():
            room = console.width - EDGES - min(SHORT_LABEL, longest(whole.cells.index))
            for part in in_parts(whole, room, broken=True):
                console.print(_table(part, ": ".join(filter(None, (title, column))), console.width))
    console.print(_plain(text.caption, "dim"))


def show_paths(paths: Iterable[Path], console: Console) -> None:
    """Print where files lie, each on a line, as scripts read it; on a terminal by their folders and without repeating
    names that differ after the dot alone, so that the table above stays in sight."""
    if not console.is_terminal:
        print(*paths, sep="\n")
        return
    folders: dict[Path, dict[str, list[str]]] = {}
    for path in paths:
        folders.setdefault(path.parent, {}).setdefault(path.stem, []).append(path.suffix[1:])
    for folder, names in folders.items():
        told = [name + (f".{{{','.join(ends)}}}" if len(ends) > 1 else f".{ends[0]}") for name, ends in names.items()]
        console.print(_plain(f"Written into {as_seen(folder)}:"), soft_wrap=True)
        names_told = textwrap.fill(printable(", ".join(told)), max(1, console.width - 2))
        console.print(_plain(textwrap.indent(names_told, "  ")))


def _table(text: TextTable, title: str, width: int) -> Table:
    """If it is too wide, heads are broken between words, labels too; values are not."""
    label, least = longest(text.cells.index), widths(text, broken=True)
    left = width - EDGES - sum(least.values())
    broken = EDGES + label + sum(widths(text).values()) > width and left >= min(SHORT_LABEL, label)
    table = Table(title=_plain(title))
    table.add_column("", overflow="fold", width=min(label, left) if broken else None)
    for head in text.cells:
        side: Literal["left", "right"] = "left" if text.prose else "right"
        table.add_column(_plain(head), justify=side, overflow="fold", width=least[head] - 3 if broken else None)
    for row in text.cells.index:
        fields = [_plain(text.cells.loc[row, head], "bold" if text.marks.loc[row, head] else "") for head in text.cells]
        table.add_row(_plain(row), *fields)
    return table


def _plain(value: object, style: str = "") -> rich.text.Text:
    """Text that rich prints as it is: a label may look like markup."""
    return rich.text.Text(printable(value), style)
