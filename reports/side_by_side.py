"""Several studies, or variants of one, in one table: the same rows, each study's columns beside the others'."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from reports.latex import to_latex
from reports.markdown import to_markdown
from reports.report import Form
from reports.results import Results
from reports.spreadsheet import to_csv, write_csv
from reports.table import TextTable, as_text


def side_by_side(several: Sequence[Results], precision: int | None = None) -> TextTable:
    """The table of several results, each of its numbers as its own study's has it; comparisons are within a study.
    Raises ValueError for one study alone or twice, and for rows that one has and another lacks."""
    titles = [results.study.title for results in several]
    if len(set(titles)) < max(2, len(titles)):
        raise ValueError(f"--side-by-side needs two studies or more, each once, not {' and '.join(titles)}")
    texts = [as_text(results, precision) for results in several]
    rows = texts[0].cells.index
    for title, text in zip(titles, texts, strict=True):
        if odd := set(text.cells.index) ^ set(rows):
            row = min(odd)
            has, lacks = (titles[0], title) if row in rows else (title, titles[0])
            raise ValueError(f"--side-by-side needs equal rows: {has} has {row!r}, which {lacks} lacks")
    cells, marks, of = {}, {}, []
    for title, text in zip(titles, texts, strict=True):
        for head, column in zip(text.cells, text.columns, strict=True):
            group = group_name(title, column)
            name = f"{group}: {head.removeprefix(f'{column}: ')}"
            cells[name], marks[name] = text.cells[head].reindex(rows), text.marks[head].reindex(rows)
            of.append(group)
    shown, bold = (pd.DataFrame(each).rename_axis(index=" and ".join(titles)) for each in (cells, marks))
    return TextTable(shown, bold, _caption(several, texts), tuple(of), together=True)


def group_name(title: str, column: str) -> str:
    """What a column of a study is called beside those of others."""
    return f"{title}, {column}" if column else title


def _caption(several: Sequence[Results], texts: Sequence[TextTable]) -> str:
    """Each study's caption, after a word on what of them may be compared."""
    protocols = {tuple(results.protocols) for results in several}
    said = "one protocol" if len(protocols) == 1 else "different protocols, so that they compare within a study alone"
    return " ".join([f"Values of all studies are by {said}.", *(text.caption for text in texts)])


def write_side_by_side(several: Sequence[Results], folder: Path, form: Form) -> tuple[TextTable, list[Path]]:
    """Write the table as CSV, LaTeX, Markdown and, if asked for, a page, and all runs as CSV; returns the table and the
    paths. Raises ValueError as side_by_side."""
    text = side_by_side(several, form.precision)
    folder.mkdir(parents=True, exist_ok=True)
    frames: dict[str, Callable[[Results], pd.DataFrame]] = {"table.csv": to_csv, "runs.csv": lambda each: each.runs}
    for name, frame in frames.items():
        parts = {results.study.title: frame(results) for results in several}
        write_csv(pd.concat(parts, names=["study"]).reset_index("study"), folder / name)
    (folder / "table.tex").write_text(to_latex(text, *several, form=form.latex), encoding="utf-8")
    (folder / "table.md").write_text(to_markdown(text), encoding="utf-8")
    pages = [form.page(several, text, [], folder)] if form.page else []
    return text, [*(folder / name for name in (*frames, "table.tex", "table.md")), *pages]
