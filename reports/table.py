"""The ablation table as text, one for the screen, Markdown and LaTeX alike, and how it is cut to a width."""

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import NamedTuple

import pandas as pd
from rich.cells import cell_len

from reports.comparisons import Comparison, Sample, events
from reports.published import PublishedValue, footnotes
from reports.results import Results, span
from reports.statistics import LEAST, share
from search.store.frames import PROTOCOL
from spaces import Study
from spaces.papers import find_paper
from trainers.messages import counted, printable
from trainers.names import METRICS, Metric, is_of_d
from trainers.run_state import IN_TABLE


class TextTable(NamedTuple):
    """A table as text: its rows are those of the study, its columns a field for each column and metric.

    marks: whether each field is bold.
    columns: the column of the study that each field belongs to; none in a table without columns.
    prose: whether fields have many words, which may be broken.
    together: whether its columns stand side by side on paper, however wide.
    """

    cells: pd.DataFrame
    marks: pd.DataFrame
    caption: str
    columns: tuple[str, ...] = ()
    prose: bool = False
    together: bool = False


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


def as_text(results: Results, precision: int | None = None) -> TextTable:
    """The table that is printed: for each column its metrics, what is published beside the best ones, how the first and
    the final ones compare with the column's first row, what was lost, and n. Rows that are only published are called
    quoted. Values have `precision` digits after the point, by default those of their metric."""
    study = results.study
    rows, columns = (list(results.table.index.unique(level)) for level in ("row", "column"))
    cells: dict[str, list[str]] = {}
    marks: dict[str, list[bool]] = {}
    of = []
    for column in columns:
        for head, texts, marked in _fields(results, rows, column, precision):
            name = f"{column}: {head}" if column else head
            cells[name], marks[name] = texts, marked or [False] * len(rows)
            of.append(column)
    index = pd.Index([row if row in study.rows else f"{row} (quoted)" for row in rows], name=study.title)
    frames = pd.DataFrame(cells, index=index), pd.DataFrame(marks, index=index)
    return TextTable(*frames, caption(results), tuple(of))


def _fields(
    results: Results, rows: list[str], column: str, precision: int | None
) -> Iterator[tuple[str, list[str], list[bool]]]:
    """Head, texts and marks (none: nothing is bold) of each field of a column of the study."""
    study, reference = results.study, results.references.get(column)
    metrics = {name: study.metric(name) for name in study.metrics}
    if precision is not None:
        metrics = {name: metric._replace(decimals=precision) for name, metric in metrics.items()}
    part = results.table.xs(column, level="column").reindex(rows)
    letters, paper = footnotes(study), find_paper(study.published)
    for metric in study.metrics:
        bold = [metric == study.metrics[0] and (row, column) in results.bold for row in rows]
        named = metrics[metric]
        if named.scale == "event":
            texts = [_events(results.samples.get((row, column)), metric) for row in rows]
        else:
            texts = [mean_and_spread(statistics, named) for statistics in part[metric].to_dict("records")]
        yield with_arrow(named) + _chosen_by(results, column, metric), texts, bold
        if paper and metric in paper.metrics.values():  # of whatever cells
            values = [results.published.get((row, column, metric), PublishedValue()) for row in rows]
            yield f"published {with_arrow(named)}", [_published(value, named, letters) for value in values], []
    if study.searched:
        first = metrics[study.metrics[0]]
        yield "search value", [_number(study.searched.get(row, math.nan), first) for row in rows], []
    for metric in study.metrics if reference is not None and len(study.rows) > 1 else ():
        named = metrics[metric]
        if metric == study.metrics[0] or named.when in ("final", "late"):
            scale = results.scales[metric]
            head = f"{named.label} {'−' if scale == 'difference' else '/'} {reference}"
            shown = [(row, results.comparisons.get((row, column, metric))) for row in rows]
            texts = [compared(each, named) if each else "" if row == reference else "–" for row, each in shown]
            yield head, texts, []
    if any(cell.lost for cell in results.samples.values()):
        yield "lost runs", [_lost(results, row, column) for row in rows], []
    counts = part[study.metrics[0], "n"]
    yield "n", [_count(counts[row], study.seeds_of(row)) if (row, column) in results.cells else "–" for row in rows], []


def _chosen_by(results: Results, column: str, metric: str) -> str:
    """Of a score of the generators that runs keep of their best evaluation: by what these were the best."""
    named = results.study.metric(metric)
    if not named.features or named.when != "best":
        return ""
    config = next(config for (_, of), config in results.configs.items() if of == column)
    by = METRICS[f"{config.metric}_best"].label
    return f" ({by} on {config.feature_net})" if config.metric == "fid" else f" ({by})"


def with_arrow(metric: Metric) -> str:
    """A metric's label, with an arrow that tells which way is better."""
    return f"{metric.label} {'↓' if metric.lower_is_better else '↑'}"


def _number(value: float, metric: Metric, sign: str = "", decimals: int | None = None) -> str:
    """A number with the metric's decimals, if no others are given; a dash for none."""
    decimals = metric.decimals if decimals is None else decimals
    return "–" if math.isnan(value) else f"{round(value, decimals) + 0.0:{sign}.{decimals}f}"  # no minus before zeros


def mean_and_spread(statistics: Mapping[Hashable, float], metric: Metric) -> str:
    """mean ± std; the mean alone below two seeds."""
    if not statistics["n"] > 0:
        return "–"
    return _number(statistics["mean"], metric) + (
        f" ± {_number(statistics['std'], metric)}" if statistics["n"] > 1 else ""
    )


def _events(cell: Sample | None, metric: str) -> str:
    """How many of a cell's runs had an event, with the interval of their share."""
    happened, runs = events(cell, metric) if cell else (0, 0)
    return share(happened, runs) if runs else "–"


def _lost(results: Results, row: str, column: str) -> str:
    """The lost runs of a cell, with Fisher's p against the column's first row."""
    cell = results.samples.get((row, column))
    if cell is None or cell.ended.empty:
        return "–"
    found = results.comparisons.get((row, column, results.study.metrics[0]))
    tested = found is not None and not math.isnan(found.lost_p)
    return f"lost {share(cell.lost, len(cell.ended))}" + (f", p {found.lost_p:.2g}" if found and tested else "")


def _published(stated: PublishedValue, metric: Metric, letters: Mapping[str, str]) -> str:
    """value ± std, (=) where it is comparable, and the letters of its notes."""
    if math.isnan(stated.value):
        return "–"
    spread = "" if math.isnan(stated.std) else f" ± {_number(stated.std, metric)}"
    marks = ["="] * stated.comparable + [letters[note] for note in stated.notes]
    return _number(stated.value, metric) + spread + (f" ({', '.join(marks)})" if marks else "")


def compared(found: Comparison, metric: Metric) -> str:
    """Effect [low, high], with a star if it stands after correction, or P(better) where runs are lost."""
    mark = "*" if found.is_starred else ""
    if not math.isnan(found.p_better):
        mark = f", P(better) {found.p_better:.2f}"
    if found.scale == "difference":
        effect = _number(found.effect, metric, "+")
        low, high = (
            _number(bound, metric, "+", telling(bound, 0, metric.decimals)) for bound in (found.low, found.high)
        )
    else:
        effect = ratio(found.effect)
        low, high = (ratio(bound, telling(bound, 1, 2)) for bound in (found.low, found.high))
    bounds = "" if math.isnan(found.low) else f" [{low}, {high}]"
    return effect + bounds + mark


def telling(bound: float, none: float, decimals: int) -> int:
    """The decimals in which the bound of an interval is written: up to two more where it would be rounded to no effect,
    so that a reader sees on which side of it the bound lies."""
    enough = (some for some in range(decimals, decimals + 3) if round(bound, some) != none)
    return decimals if bound == none else next(enough, decimals)


def ratio(value: float, decimals: int = 2) -> str:
    """A ratio in two decimals, a small one in two digits; a dash for none."""
    if math.isnan(value):
        return "–"
    return f"{value:.{decimals}f}" if value >= 0.095 or value == 0 else f"{value:.2g}"


def _count(n: float, seeds: int) -> str:
    """Seeds that entered the mean, of those planned where some did not."""
    return f"{n:g}" if n == seeds else f"{n:g}/{seeds}"


def caption(results: Results) -> str:
    """What a reader needs to trust the numbers: statistics, protocol, budget, code version, what is missing."""
    study, runs = results.study, results.runs
    budgets = results.budgets()
    lines = [
        f"{study.title}: mean ± sample standard deviation over n training seeds.",
        *_on_comparisons(results),
        "Protocol: " + " | ".join(results.protocols) + ".",
        *filter(None, [results.made_elsewhere]),
        *([f"Budget: {span(budgets)} training images a run."] if budgets else []),
    ]
    if scored := score_protocols(results):
        lines.append(f"Scored after training, from the generators that runs keep: {scored}.")
    evaluations = {int(n) for n in runs["evaluations"].dropna()}
    of_runs = [metric for metric in map(study.metric, study.metrics) if not metric.features]
    whens = {metric.when for metric in of_runs}
    if evaluations and "best" in whens:
        best = [metric for metric in of_runs if metric.when == "best"]
        word = "lowest" if all(metric.lower_is_better for metric in best) else "best"
        lines.append(f"Best values are the {word} of {span(evaluations)} scheduled evaluations.")
    if "late" in whens:
        lines.append("Late values are means of a run's evaluations in its last fifth, geometric ones for ratios.")
    if study.searched:
        lines.append(
            "Search value: the one for which a search chose the row, of one seed; being the best of many, "
            "it flatters, and the seeds of the mean are others."
        )
    versions = sorted({each for told in runs["code_version"] for each in told.split(", ")} - {""})  # of a run several
    if len(versions) > 1:
        lines.append(f"Runs of several code versions: {', '.join(versions)}.")
    left = sum(study.seeds_of(row) for row, _ in study.places) - int(runs["state"].isin(IN_TABLE).sum())
    if left:
        lines.append(f"{counted(left, 'run is', 'runs are')} not done.")
    return " ".join(lines + _on_published(study, results.published))


def score_protocols(results: Results) -> str:
    """The protocols of what was scored after training, each part of them once; "" if nothing was."""
    runs, parts = results.runs, dict[str, None]()
    for name in (f"{metric}{PROTOCOL}" for metric in results.study.metrics):
        for protocol in runs[name].unique() if name in runs else ():
            parts |= dict.fromkeys(filter(None, str(protocol).split("; ")))
    return "; ".join(parts)


def _on_comparisons(results: Results) -> list[str]:
    """What intervals, stars and bold mean, and what was lost."""
    study, lines = results.study, []
    first, family = study.metric(study.metrics[0]), results.family
    if results.comparisons:
        references = set(results.references.values())
        to = references.pop() if len(references) == 1 else "the first row that a column has"
        paired = {each.method for each in results.comparisons.values()}
        how = {"paired t": "by paired t intervals over equal seeds", "Welch t": "by Welch's t intervals"}
        lines.append(
            f"Compared with {to} {' or '.join(text for method, text in how.items() if method in paired)}: ratios of "
            f"geometric means (/) or differences of means (−), each interval at 95% for itself, so it may leave out 1 "
            f"(or 0) without a star. *: p < 0.05 after Holm's correction over the {counted(family, 'comparison')} of "
            f"{first.label}. Bold: no row of its column has a better {first.label} by one-sided tests of all pairs, "
            f"Holm's correction over these at 5%; none is bold where none is beaten."
        )
        if "Welch t" in paired:
            lines.append(
                "Between rows that share no data order (Welch), a table without any difference has a star in up to "
                "7.5% of cases if one row's spread is four times the others'."
            )
        if study.seeds < LEAST:
            lines.append(f"There is no interval below {LEAST} seeds: they tell no row from another.")
    for metric, scale in results.scales.items():
        if scale != study.metric(metric).scale:
            lines.append(f"{study.metric(metric).label} has values of 0 or less, so it is compared by differences.")
    if any(cell.lost for cell in results.samples.values()):
        lines.append(
            f"Lost k/n [95% interval of the share]: runs that {results.lost_are}; p by Fisher's exact test. Mean, std "
            "and ratio are of the others and take no mark; P(better): share of pairs of runs in which the row is "
            "better, lost ones last."
        )
        of_d = [study.metric(metric).label for metric in study.metrics if is_of_d(metric)]
        if of_d:
            lines.append(f"Of the discriminator alone, and known of lost runs too: {', '.join(of_d)}.")
    return lines


def _on_published(study: Study, published: Mapping[tuple[str, str, str], PublishedValue]) -> list[str]:
    """What the marks of published values mean, and which rows are quoted."""
    lines = [f"({letter}): {note.rstrip('.')}." for note, letter in footnotes(study).items()]
    if any(each.comparable for each in published.values()):
        lines.insert(0, "(=): data set, protocol, samples and budget are those of the published value.")
    if any(row not in study.rows for row, _, _ in published):
        lines.append("Quoted rows are results that the paper reports beside its own; they are not run here.")
    return [f"Published: {study.published}.", *lines] if published else []
