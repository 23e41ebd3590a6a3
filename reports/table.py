"""The ablation table as text, one for the screen, Markdown and LaTeX alike, and how it is cut to a width."""

import math
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from typing import NamedTuple

import pandas as pd
from rich.cells import cell_len

from reports.published import PublishedValue, footnotes
from reports.results import Results
from reports.statistics import Difference
from spaces import Study
from spaces.papers import find_paper
from trainers.messages import printable
from trainers.names import METRICS
from trainers.run_state import IN_TABLE, RunState


class TextTable(NamedTuple):
    """A table as text: its rows are those of the study, its columns a field for each column and metric.

    marks: 0, 1 (best) or 2 (second) for each field.
    columns: the column of the study that each field belongs to; none in a table without columns.
    prose: whether fields have many words, which may be broken.
    """

    cells: pd.DataFrame
    marks: pd.DataFrame
    caption: str
    columns: tuple[str, ...] = ()
    prose: bool = False


def by_column(text: TextTable) -> dict[str, TextTable]:
    """A table a column of the study: heads without its name, and the rows that it has; {"": text} without columns."""
    of = pd.Series(text.columns or ("",) * text.cells.shape[1], index=text.cells.columns)
    parts = {}
    for column in of.unique():
        heads = {name: name.removeprefix(f"{column}: ") for name in of.index[of == column]}
        has_row = ~text.cells[list(heads)].isin(["–", ""]).all(axis=1) | (column == "")
        cells, marks = (frame.loc[has_row, list(heads)].rename(columns=heads) for frame in (text.cells, text.marks))
        parts[column] = text._replace(cells=cells, marks=marks, columns=())
    return parts


def longest(texts: Iterable[object]) -> int:
    """Letters of the longest text as a terminal shows it, a wide letter being two; 0 for none."""
    return max((cell_len(printable(text)) for text in texts), default=0)


def widths(text: TextTable, broken: bool = False) -> dict[str, int]:
    """Letters that each column takes with its rule and padding, its head broken between words or whole."""
    heads = {head: printable(head).split() if broken else [head] for head in text.cells}
    return {head: 3 + longest([*words, *text.cells[head]]) for head, words in heads.items()}


def in_parts(text: TextTable, room: int, broken: bool = False) -> list[TextTable]:
    """Tables of as many columns as there is room for in letters, or of one that is wider."""
    parts: list[list[str]] = []
    left = 0
    for head, width in widths(text, broken).items():
        if not parts or width > left:
            parts.append([])
            left = room
        parts[-1].append(head)
        left -= width
    return [text._replace(cells=text.cells[heads], marks=text.marks[heads], columns=()) for heads in parts]


def as_text(results: Results) -> TextTable:
    """The table that is printed: for each column its metrics, what is published beside the best ones, the differences
    of the first and of final ones to the column's first row, and n. Rows that are only published are called quoted."""
    study = results.study
    rows, columns = (list(results.table.index.unique(level)) for level in ("row", "column"))
    cells: dict[str, list[str]] = {}
    marks: dict[str, list[int]] = {}
    of = []
    for column in columns:
        for head, texts, marked in _fields(results, rows, column):
            name = f"{column}: {head}" if column else head
            cells[name], marks[name] = texts, marked or [0] * len(rows)
            of.append(column)
    index = pd.Index([row if row in study.rows else f"{row} (quoted)" for row in rows], name=study.title)
    frames = pd.DataFrame(cells, index=index), pd.DataFrame(marks, index=index)
    return TextTable(*frames, caption(results), tuple(of))


def _fields(results: Results, rows: list[str], column: str) -> Iterator[tuple[str, list[str], list[int]]]:
    """Head, texts and marks (none: all are 0) of each field of a column of the study."""
    study, reference = results.study, results.references.get(column)
    part = results.table.xs(column, level="column").reindex(rows)
    marks = results.ranks.xs(column, level="column").reindex(rows, fill_value=0)
    letters, paper = footnotes(study), find_paper(study.published)
    for metric in study.metrics:
        texts = [_value(statistics, metric) for statistics in part[metric].to_dict("records")]
        yield with_arrow(metric), texts, list(marks[metric])
        if paper and metric in paper.metrics.values():  # of whatever cells
            values = [results.published.get((row, column, metric), PublishedValue()) for row in rows]
            yield f"published {with_arrow(metric)}", [_published(value, metric, letters) for value in values], []
    if study.searched:
        yield "search value", [_number(study.searched.get(row, math.nan), study.metrics[0]) for row in rows], []
    for metric in study.metrics if reference is not None and len(study.rows) > 1 else ():
        if metric == study.metrics[0] or METRICS[metric].when == "final":
            sides = {row: results.mean_differences.get((row, column, metric), Difference()) for row in rows}
            texts = ["" if row == reference else _difference(sides[row], metric) for row in rows]
            yield f"{METRICS[metric].label} − {reference}", texts, []
    counts = part[study.metrics[0], "n"]
    yield "n", [_count(counts[row], study.seeds) if (row, column) in results.cells else "–" for row in rows], []


def with_arrow(metric: str) -> str:
    """A metric's label, with an arrow that tells which way is better."""
    return f"{METRICS[metric].label} {'↓' if METRICS[metric].lower_is_better else '↑'}"


def _number(value: float, metric: str, sign: str = "") -> str:
    """A number with the metric's decimals; a dash for none."""
    return "–" if math.isnan(value) else f"{value:{sign}.{METRICS[metric].decimals}f}"


def _value(statistics: Mapping[Hashable, float], metric: str) -> str:
    """mean ± std; the mean alone below two seeds; div k/n where seeds diverged."""
    n, diverged = (0 if math.isnan(statistics[name]) else int(statistics[name]) for name in ("n", "diverged"))
    lost = f"div {diverged}/{n + diverged}" if diverged else ""
    if n == 0:
        return lost or "–"
    spread = f" ± {_number(statistics['std'], metric)}" if n > 1 else ""
    return _number(statistics["mean"], metric) + spread + (f" ({lost})" if lost else "")


def _published(stated: PublishedValue, metric: str, letters: Mapping[str, str]) -> str:
    """value ± std, (=) where it is comparable, and the letters of its notes."""
    if math.isnan(stated.value):
        return "–"
    spread = "" if math.isnan(stated.std) else f" ± {_number(stated.std, metric)}"
    marks = ["="] * stated.comparable + [letters[note] for note in stated.notes]
    return _number(stated.value, metric) + spread + (f" ({', '.join(marks)})" if marks else "")


def _difference(difference: Difference, metric: str) -> str:
    """mean [low, high], each with its sign."""
    mean, low, high = (_number(value, metric, "+") for value in difference)
    return mean if math.isnan(difference.low) else f"{mean} [{low}, {high}]"


def _count(n: float, seeds: int) -> str:
    """Seeds that entered the mean, of those planned where some did not."""
    return f"{n:g}" if n == seeds else f"{n:g}/{seeds}"


def caption(results: Results) -> str:
    """What a reader needs to trust the numbers: statistics, protocol, budget, code version, what is missing."""
    study, runs = results.study, results.runs
    configs = list(results.configs.values())
    first = set(results.references.values())
    reference = first.pop() if len(first) == 1 else "the first row that a column has"
    marks = f"; best bold, second underlined; differences to {reference} with Welch's 95% interval"
    lines = [
        f"{study.title}: mean ± sample standard deviation over n training seeds{marks if len(study.rows) > 1 else ''}.",
        "Protocol: " + " | ".join(sorted({config.protocol for config in configs})) + ".",
        f"Budget: {span({config.n_images for config in configs})} training images a run.",
    ]
    evaluations = {int(n) for n in runs["evaluations"].dropna()}
    best = [METRICS[metric] for metric in study.metrics if METRICS[metric].when == "best"]
    if evaluations and best:
        word = "lowest" if all(metric.lower_is_better for metric in best) else "best"
        lines.append(f"Best values are the {word} of {span(evaluations)} scheduled evaluations.")
    if study.searched:
        lines.append(
            "Search value: the one for which a search chose the row, of one seed; being the best of many, "
            "it flatters, and the seeds of the mean are others."
        )
    versions = sorted(set(runs["code_version"]) - {""})
    if len(versions) > 1:
        lines.append(f"Runs of several code versions: {', '.join(versions)}.")
    if (runs["state"] == RunState.DIVERGED).any():
        lines.append("div k/n: k of n seeds diverged; the mean is of the others and takes no mark.")
    left = len(configs) * study.seeds - int(runs["state"].isin(IN_TABLE).sum())
    if left:
        lines.append(f"{left} runs are not done.")
    return " ".join(lines + _on_published(study, results.published))


def _on_published(study: Study, published: Mapping[tuple[str, str, str], PublishedValue]) -> list[str]:
    """What the marks of published values mean, and which rows are quoted."""
    lines = [f"({letter}): {note.rstrip('.')}." for note, letter in footnotes(study).items()]
    if any(each.comparable for each in published.values()):
        lines.insert(0, "(=): data set, protocol, samples and budget are those of the published value.")
    if any(row not in study.rows for row, _, _ in published):
        lines.append("Quoted rows are results that the paper reports beside its own; they are not run here.")
    return [f"Published: {study.published}.", *lines] if published else []


def span(numbers: Collection[int]) -> str:
    """One number, or the smallest to the largest."""
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
