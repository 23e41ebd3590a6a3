"""The ablation table: numbers first, then their text for the screen, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import html
import math
import re
import warnings
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from unicodedata import lookup

import pandas as pd
from rich.cells import cell_len
from scipy.stats import ttest_ind

from reports.published import PublishedValue, footnotes, published_metrics, published_values
from search.store.frames import Aggregate, aggregate
from spaces import Study
from trainers.messages import printable
from trainers.names import METRICS
from trainers.run_state import IN_TABLE, RunState

STATISTICS = (*Aggregate._fields, "published")


def ablation_table(runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Aggregates of a study's runs over seeds.

    `runs` is what load_runs gives. Index (row, column) in the study's order, then what the published table holds
    beside; columns (metric, mean | std | n | diverged | published), std being the sample standard deviation. Only done
    runs enter mean, std and n. Raises ValueError if the runs of one column were scored by different protocols or data.
    """
    _refuse_mixtures(runs)
    of_cell, stated = by_cell(runs, study), published_values(study)
    places = list(dict.fromkeys([*of_cell, *((row, column) for row, column, _ in stated)]))
    lines = []
    for place in places:
        group = of_cell.get(place, runs.iloc[:0])
        sides = [
            (*aggregate(group, name), stated.get((*place, name), PublishedValue()).value) for name in study.metrics
        ]
        lines.append([value for side in sides for value in side])
    index = pd.MultiIndex.from_tuples(places, names=["row", "column"])
    columns = pd.MultiIndex.from_product([study.metrics, STATISTICS], names=["metric", "statistic"])
    return pd.DataFrame(lines, index=index, columns=columns)


def by_cell(runs: pd.DataFrame, study: Study) -> dict[tuple[str, str], pd.DataFrame]:
    """The runs of each cell, in the study's order; an empty frame for a cell that has none."""
    groups = dict(iter(runs.groupby(["row", "column"])))
    none = runs.iloc[:0]
    places = [(cell.row, cell.column) for cell in study.cells()]
    return {place: groups.get(place, none) for place in places}


def _refuse_mixtures(runs: pd.DataFrame) -> None:
    """A column compares only what was scored alike."""
    ended = runs[runs["state"].isin(IN_TABLE)]
    for name in ("protocol", "data_digest", "features_digest"):
        for column, group in ended.groupby("column"):
            kinds = sorted(set(group[name]))
            if len(kinds) > 1:
                place = f"column {column!r}" if column else "the table"
                raise ValueError(f"{place} would mix runs of different {name}: {'; '.join(kinds)}")


class Difference(NamedTuple):
    """Difference of two means with its 95% Welch interval, NaN where a side has fewer than two seeds."""

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan


def difference(values: pd.Series, reference: pd.Series) -> Difference:
    """Mean of values minus mean of reference, with Welch's t interval."""
    mean = float(values.mean() - reference.mean())
    if min(len(values), len(reference)) < 2:
        return Difference(mean, math.nan, math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal values: the interval is a point
        interval = ttest_ind(values, reference, equal_var=False).confidence_interval(0.95)
    return Difference(mean, float(interval.low), float(interval.high))


def differences(runs: pd.DataFrame, study: Study) -> dict[tuple[str, str, str], Difference]:
    """Difference of each cell's done runs to those of the first row that its column has, by (row, column, metric)."""
    cells, first = by_cell(runs[runs["state"] == RunState.DONE], study), references(study)
    found = {}
    for metric in study.metrics:
        values = {cell: group[metric].astype(float) for cell, group in cells.items()}
        for row, column in cells:
            found[row, column, metric] = difference(values[row, column], values[first[column], column])
    return found


def references(study: Study) -> dict[str, str]:
    """The row of each column that the others are compared with: the first that it has."""
    return {cell.column: cell.row for cell in reversed(study.cells())}


def ranks(table: pd.DataFrame, seeds: int) -> pd.DataFrame:
    """1 for the best mean of a final metric in its column, 2 for the second, else 0; same shape as the table's means.

    Only a cell with all its seeds done has a rank: the mean of the survivors of a divergence flatters it. The best of
    several evaluations has none, since it flatters noisy runs; nor has a cell without another to beat.
    """
    result = {}
    for metric in table.columns.unique("metric"):
        ranked_at_all = (table[metric]["n"] == seeds) & (METRICS[metric].when == "final")
        clean = table[metric]["mean"].where(ranked_at_all)
        columns = clean.groupby(level="column")
        ranked = columns.rank(method="dense", ascending=METRICS[metric].lower_is_better)
        result[metric] = ranked.where((ranked <= 2) & (columns.transform("count") > 1), 0).fillna(0).astype(int)
    return pd.DataFrame(result, index=table.index)


class Text(NamedTuple):
    """A table as text: one line a row of the study, one field a column and metric; marks are 0, 1 (best), 2; `columns`
    tells of which column of the study each of the table's is; `prose` has fields of many words, which may be broken."""

    cells: pd.DataFrame
    marks: pd.DataFrame
    caption: str
    columns: tuple[str, ...] = ()
    prose: bool = False


def by_column(text: Text) -> dict[str, Text]:
    """A table a column of the study: heads without its name, and the rows that it has; {"": text} without columns."""
    of = pd.Series(text.columns or ("",) * text.cells.shape[1], index=text.cells.columns)
    parts = {}
    for column in of.unique():
        heads = {name: name.removeprefix(f"{column}: ") for name in of.index[of == column]}
        held = ~text.cells[list(heads)].isin(["–", ""]).all(axis=1) | (column == "")
        cells, marks = (frame.loc[held, list(heads)].rename(columns=heads) for frame in (text.cells, text.marks))
        parts[column] = text._replace(cells=cells, marks=marks, columns=())
    return parts


def longest(texts: Iterable[object]) -> int:
    """Letters of the longest text as a terminal shows it, a wide letter being two; 0 for none."""
    return max((cell_len(printable(text)) for text in texts), default=0)


def widths(text: Text, broken: bool = False) -> dict[str, int]:
    """Letters that each column takes with its rule and padding, its head broken between words or whole."""
    heads = {head: printable(head).split() if broken else [head] for head in text.cells}
    return {head: 3 + longest([*words, *text.cells[head]]) for head, words in heads.items()}


def in_parts(text: Text, room: int, broken: bool = False) -> list[Text]:
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


def as_text(runs: pd.DataFrame, study: Study) -> Text:
    """The table that is printed: for each column its metrics, what is published beside the best ones, the differences
    of the first and of final ones to the column's first row, and n. Rows that the published table holds beside the
    study's are marked as quoted."""
    table = ablation_table(runs, study)
    marks = ranks(table, study.seeds)
    found, first, first_metric = differences(runs, study), references(study), study.metrics[0]
    compared = [metric for metric in study.metrics if metric == first_metric or METRICS[metric].when == "final"]
    rows, columns = (list(table.index.unique(level)) for level in ("row", "column"))
    stated, letters = published_values(study), footnotes(study)
    cells: dict[str, list[str]] = {}
    best: dict[str, list[int]] = {}
    of: list[str] = []

    def put(column: str, label: str, texts: list[str], marked: list[int] | None = None) -> None:
        name = f"{column}: {label}" if column else label
        cells[name], best[name] = texts, marked or [0] * len(texts)
        of.append(column)

    for column in columns:
        part = table.xs(column, level="column").reindex(rows)
        ranked = marks.xs(column, level="column").reindex(rows, fill_value=0)
        for metric in study.metrics:
            name = f"{METRICS[metric].label} {'↓' if METRICS[metric].lower_is_better else '↑'}"
            texts = [_value(statistics, metric) for statistics in part[metric].to_dict("records")]
            put(column, name, texts, list(ranked[metric]))
            if metric in published_metrics(study):
                values = [stated.get((row, column, metric), PublishedValue()) for row in rows]
                put(column, f"published {name}", [_published(value, metric, letters) for value in values])
        if study.searched:
            decimals = METRICS[first_metric].decimals
            put(column, "search value", [_searched(study, row, decimals) for row in rows])
        for metric in compared if column in first and len(study.rows) > 1 else ():
            sides = {row: found.get((row, column, metric), Difference()) for row in rows}
            texts = ["" if row == first[column] else _difference(sides[row], metric) for row in rows]
            put(column, f"{METRICS[metric].label} − {first[column]}", texts)
        counts = zip(rows, part[first_metric, "n"], strict=True)
        held = {row for row, held_by, _ in found if held_by == column}
        put(column, "n", [_count(n, study.seeds) if row in held else "–" for row, n in counts])
    index = pd.Index([row if row in study.rows else f"{row} (quoted)" for row in rows], name=study.title)
    return Text(pd.DataFrame(cells, index=index), pd.DataFrame(best, index=index), caption(runs, study), tuple(of))


def _published(stated: PublishedValue, metric: str, letters: Mapping[str, str]) -> str:
    """value ± std, (=) where it is comparable, and the letters of its notes."""
    if math.isnan(stated.value):
        return "–"
    decimals = METRICS[metric].decimals
    spread = "" if math.isnan(stated.std) else f" ± {stated.std:.{decimals}f}"
    marks = ["="] * stated.comparable + [letters[note] for note in stated.notes]
    return f"{stated.value:.{decimals}f}{spread}" + (f" ({', '.join(marks)})" if marks else "")


def _searched(study: Study, row: str, decimals: int) -> str:
    return f"{study.searched[row]:.{decimals}f}" if row in study.searched else "–"


def _value(statistics: Mapping[Hashable, float], metric: str) -> str:
    """mean ± std; the mean alone below two seeds; div k/n where seeds diverged."""
    n, diverged = (0 if math.isnan(statistics[name]) else int(statistics[name]) for name in ("n", "diverged"))
    lost = f"div {diverged}/{n + diverged}" if diverged else ""
    if n == 0:
        return lost or "–"
    decimals = METRICS[metric].decimals
    spread = f" ± {statistics['std']:.{decimals}f}" if n > 1 else ""
    return f"{statistics['mean']:.{decimals}f}{spread}" + (f" ({lost})" if lost else "")


def _difference(found: Difference, metric: str) -> str:
    if math.isnan(found.mean):
        return "–"
    decimals = METRICS[metric].decimals
    interval = "" if math.isnan(found.low) else f" [{found.low:+.{decimals}f}, {found.high:+.{decimals}f}]"
    return f"{found.mean:+.{decimals}f}{interval}"


def _count(n: float, seeds: int) -> str:
    """Seeds that entered the mean, of those planned where some did not."""
    return f"{n:g}" if n == seeds else f"{n:g}/{seeds}"


def caption(runs: pd.DataFrame, study: Study) -> str:
    """What a reader needs to trust the numbers: statistics, protocol, budget, code version, what is missing."""
    configs = [cell.config for cell in study.cells()]
    budgets = sorted({config.n_images for config in configs})
    evaluations = sorted({int(n) for n in runs["evaluations"].dropna()})
    marks = "; best bold, second underlined"
    first = set(references(study).values())
    marks += f"; differences to {first.pop() if len(first) == 1 else 'the first row that a column has'}"
    marks += " with Welch's 95% interval"
    lines = [
        f"{study.title}: mean ± sample standard deviation over n training seeds{marks if len(study.rows) > 1 else ''}.",
        "Protocol: " + " | ".join(sorted({config.protocol for config in configs})) + ".",
        f"Budget: {_counts(budgets)} training images a run.",
    ]
    best = [METRICS[metric] for metric in study.metrics if METRICS[metric].when == "best"]
    if evaluations and best:
        word = "lowest" if all(metric.lower_is_better for metric in best) else "best"
        lines.append(f"Best values are the {word} of {_counts(evaluations)} scheduled evaluations.")
    if study.searched:
        lines.append(
            "Search value: the one for which a search chose the row, of one seed; being the best of many, "
            "it flatters, and the seeds of the mean are others."
        )
    versions = sorted(set(runs["code_version"]) - {""}) if len(runs) else []
    if len(versions) > 1:
        lines.append(f"Runs of several code versions: {', '.join(versions)}.")
    if (runs["state"] == RunState.DIVERGED).any():
        lines.append("div k/n: k of n seeds diverged; the mean is of the others and takes no mark.")
    left = len(configs) * study.seeds - int(runs["state"].isin(IN_TABLE).sum())
    if left:
        lines.append(f"{left} runs are not done.")
    return " ".join(lines + _on_published(study))


def _on_published(study: Study) -> list[str]:
    """What the marks of published values mean, and which rows are quoted."""
    stated = published_values(study)
    lines = [f"({letter}): {note.rstrip('.')}." for note, letter in footnotes(study).items()]
    if any(each.comparable for each in stated.values()):
        lines.insert(0, "(=): data set, protocol, samples and budget are those of the published value.")
    if any(row not in study.rows for row, _, _ in stated):
        lines.append("Quoted rows are results that the paper reports beside its own; they are not run here.")
    return [f"Published: {study.published}.", *lines] if stated else []


def _counts(numbers: list[int]) -> str:
    return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"


def to_markdown(text: Text) -> str:
    """A Markdown table a column of the study, with the caption below."""
    tables = [_markdown(column, part) for column, part in by_column(text).items()]
    caption = re.sub(r"^(\d*)([#=+.)-])", r"\1\\\2", escape_markdown(text.caption))  # begins no heading or list
    return "\n\n".join([*tables, caption]) + "\n"


def _markdown(column: str, text: Text) -> str:
    def field(value: str, mark: int) -> str:
        return {0: value, 1: f"**{value}**", 2: f"<u>{value}</u>"}[mark]

    lines = [[escape_markdown(head) for head in (column, *text.cells)], ["---"] * (text.cells.shape[1] + 1)]
    for row in text.cells.index:
        lines += [[escape_markdown(row), *map(field, text.cells.loc[row], text.marks.loc[row])]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape_markdown(value: object) -> str:
    """Text as Markdown shows it: no markup, no HTML, no end of a field of a table."""
    return re.sub(r"([\\`*_\[\]~|])", r"\\\1", html.escape(printable(value).strip(), quote=False))


GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lamda mu nu xi pi rho sigma tau upsilon phi chi psi "
GREEK += "omega"
LINE = 90  # letters of a line of a LaTeX table: about what the usual page holds in footnotesize
LATEX = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {character: f"\\{character}" for character in "&%$#_"}
LATEX |= {
    "±": r"$\pm$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "−": "$-$",
    "–": "--",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\to$",
    "∞": r"$\infty$",
}
LATEX |= {lookup(f"Greek small letter {name}"): f"$\\{name}$".replace("md", "mbd") for name in GREEK.split()}


def escape_latex(value: object) -> str:
    """Text as LaTeX prints it literally, after `\\\\` too, which would take a bracket or a star for its own."""
    text = "".join(LATEX.get(character, character) for character in printable(value).strip())
    return "{}" + text if text.startswith(("[", "*")) else text


def to_latex(text: Text, runs: pd.DataFrame, study: Study) -> str:
    """A table float to \\input: a booktabs tabular a column of the study, a wide one in parts, and shrunk to the line
    where that is too little. Its comments name every cell's runs and their code version."""
    tabulars = [
        _tabular(column, part)
        for column, whole in by_column(text).items()
        for part in in_parts(whole, LINE - longest(whole.cells.index))
    ]
    sources = [
        f"% {row} / {column}: n = {len(group)}; runs {' '.join(group['run_id'])}; "
        f"code {' '.join(sorted(set(group['code_version'])))}"
        for (row, column), group in runs[runs["state"] == RunState.DONE].groupby(["row", "column"], sort=False)
    ]
    lines = [
        "% needs \\usepackage{booktabs,graphicx}, and LuaLaTeX for letters that pdfLaTeX does not have",
        *map(printable, sources),
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{escape_latex(text.caption)}}}",
        f"\\label{{tab:{re.sub(r'[^A-Za-z0-9_.-]+', '-', study.name)}}}",
        "\\footnotesize",
        *(f"\\par\\medskip\n{tabular}" for tabular in tabulars),
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tabular(column: str, text: Text) -> str:
    def mark(cells: pd.Series) -> list[str]:
        styles = {0: "", 1: "textbf:--rwrap", 2: "underline:--rwrap"}
        return [styles[m] for m in text.marks[cells.name]]

    style = text.cells.rename_axis(index=None, columns=escape_latex(column) or None).style.apply(mark, axis=0)
    style = style.format(escape_latex).format_index(escape_latex, axis=0).format_index(escape_latex, axis=1)
    body = style.to_latex(hrules=True, column_format="l" + "r" * text.cells.shape[1])
    return f"\\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n{body}}}"


def to_csv(runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The table with raw numbers, one line a cell: statistics, differences to the first row, run ids, code version."""
    table = ablation_table(runs, study)
    flat = table.set_axis([f"{metric}_{name}" for metric, name in table.columns], axis=1)
    found = differences(runs, study)
    for metric in study.metrics:
        for name in Difference._fields:
            held = [getattr(found.get((*place, metric), Difference()), name) for place in flat.index]
            flat[f"{metric}_difference_{name}"] = held
    if study.searched:
        flat["search_value"] = [study.searched.get(row, math.nan) for row, _ in flat.index]
    stated = published_values(study)
    for metric in {metric: None for _, _, metric in stated}:
        values = [stated.get((*place, metric), PublishedValue()) for place in flat.index]
        flat[f"{metric}_published_std"] = [value.std for value in values]
        flat[f"{metric}_comparable"] = [value.comparable for value in values]
        flat[f"{metric}_notes"] = ["; ".join(value.notes) for value in values]
    done, none = by_cell(runs[runs["state"] == RunState.DONE], study), runs.iloc[:0]
    for name in ("run_id", "code_version", "protocol"):
        flat[f"{name}s"] = [";".join(dict.fromkeys(done.get(place, none)[name])) for place in flat.index]
    return flat.reset_index()


def spreadsheet_safe(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an apostrophe before each text that a spreadsheet would take for a formula, column names included.

    Numbers stay numbers, and "+ aw-loss" stays as it is: a sign before plain words has nothing to compute.
    """

    def safe(value: Hashable) -> Hashable:
        risky = isinstance(value, str) and re.match(r"\s*[=+\-@＝＋－＠]|[\t\r\n]", value)
        return f"'{value}" if risky and not re.fullmatch(r"[+-]( [^\W\d_]+(-[^\W\d_]+)*)+", str(value)) else value

    return frame.map(safe).rename(columns=safe)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as CSV for people with spreadsheets: texts are quoted, so that no other separator splits them."""
    spreadsheet_safe(frame).to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC)
