"""A metric against a swept number: which field a study sweeps is read from its cells' Configs, not from labels."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter, NullLocator

from reports.ablation import STATISTICS
from reports.results import Results, span
from reports.style import ABREAST, COLOURS, GREY, MARKERS, STYLES, labelled, legend, panels
from reports.table import with_arrow
from spaces import Cell, Study
from spaces.study import OPTIONS
from trainers.names import metric_named

VALUES = 3  # of a field at the least, to be a sweep
MAX_LINES, MAX_REFERENCES, MAX_FIELDS = 12, 3, 6  # of a figure
IN_IMAGES = ("n_images", "n_coop", "n_train", "eval_every", "ema_start", "ema_halflife", "ada_images")


class Line(NamedTuple):
    """Cells that differ in one field alone, by its value in ascending order; {NaN: cell} is a reference."""

    label: str
    cells: dict[float, Cell]


def sweeps(study: Study) -> dict[str, list[Line]]:
    """The numeric fields of which a study has three values or more while all else is equal, each with its lines.

    Fields that have one value in each cell count as one ("g_scale = d_scale"). A cell on no line of any field is a
    reference of those fields whose lines have its data set, backbone and loss.
    """
    cells = study.cells()
    fields = _varied(cells)
    swept = {}
    for name, values in fields.items():
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            others = [column for other, column in fields.items() if other != name]
            lines = _lines(name, cells, values, others)
            if any(len(line.cells) >= VALUES for line in lines):
                swept[name] = lines
    on_lines = {cell.config.cell_key for lines in swept.values() for line in lines for cell in line.cells.values()}
    kind = attrgetter("config.dataset", "config.data_name", "config.backbone", "config.loss")
    lone = [cell for cell in cells if cell.config.cell_key not in on_lines]
    for lines in swept.values():
        kinds = {kind(cell) for line in lines for cell in line.cells.values()}
        lines += [Line(cell.label, {math.nan: cell}) for cell in lone if kind(cell) in kinds]
    return swept


def _varied(cells: Sequence[Cell]) -> dict[str, list[Any]]:
    """Values of each field, one a cell, of those that are not the same in all; equal ones under their names joined."""
    fields: dict[str, list[Any]] = {}
    for index, cell in enumerate(cells):
        config = cell.config
        values = config.model_dump(exclude={"seed", *OPTIONS}) | config.backbone_options | config.dataset_options
        if values["n_train"] is None:  # all there are
            values["n_train"] = cell.config.data_source.reference
        for name, value in values.items():
            fields.setdefault(name, [None] * len(cells))[index] = value
    names: dict[str, list[str]] = {}
    for name, column in fields.items():
        if any(value != column[0] for value in column):
            names.setdefault(repr(column), []).append(name)
    return {" = ".join(twins): fields[twins[0]] for twins in names.values()}


def _lines(field: str, cells: Sequence[Cell], values: Sequence[float], others: Sequence[Sequence[Any]]) -> list[Line]:
    """The cells that agree in all other fields, where they are two or more; of two alike the one in the main row."""
    groups: dict[str, list[tuple[float, Cell]]] = {}
    for index, cell in enumerate(cells):
        groups.setdefault(repr([column[index] for column in others]), []).append((float(values[index]), cell))
    lines = []
    for group in groups.values():
        main = Counter(cell.row for _, cell in group).most_common(1)[0][0]
        line = dict(sorted(group, key=lambda point: (point[0], point[1].row == main)))  # the last of equals stays
        rows, columns = ([getattr(cell, side) for cell in line.values()] for side in ("row", "column"))
        label = " / ".join(filter(None, (_shared(rows), _shared(columns))))
        lines.append(Line(label or field, line))
    return [line for line in lines if len(line.cells) > 1]


def _shared(labels: Iterable[str]) -> str:
    """The words that all labels have, in the order of the first, without a comma after the last."""
    words = [label.split() for label in labels]
    return " ".join(word for word in words[0] if all(word in other for other in words)).rstrip(",")


def sweep_metric(results: Results) -> str:
    """The metric to draw: the first that has published values beside it, else the first."""
    study = results.study
    stated = {metric for row, _, metric in results.published if row in study.rows}
    return next((metric for metric in study.metrics if metric in stated), study.metrics[0])


def sweep_data(results: Results, metric: str) -> pd.DataFrame:
    """One line a point that has a mean or a published value: field, label of its line, x (NaN of a reference), mean,
    std, n, diverged, lost, published."""
    table, points = results.table[metric], []
    for field, lines in list(sweeps(results.study).items())[:MAX_FIELDS]:
        swept = [line for line in lines if len(line.cells) > 1][:MAX_LINES]
        for line in swept + [line for line in lines if len(line.cells) == 1][:MAX_REFERENCES]:
            for x, cell in line.cells.items():
                points.append({"field": field, "label": line.label, "x": x, **table.loc[(cell.row, cell.column)]})
    data = pd.DataFrame(points, columns=["field", "label", "x", *STATISTICS])
    return data[data["mean"].notna() | data["published"].notna()].reset_index(drop=True)


def draw_sweeps(data: pd.DataFrame, metric: str) -> Figure:
    """A panel a field: means with one standard deviation, published values as hollow markers, references flat."""
    labels = list(dict.fromkeys(data["label"]))
    fields = list(dict.fromkeys(data["field"]))
    figure, axes = panels(len(fields), len(labels) + 1)
    handles = {}
    for axis, field in zip(axes, fields, strict=True):
        part = data[data["field"] == field]
        for label, line in part.groupby("label", sort=False):
            handles[_counted(label, data)] = _draw_line(axis, line, labels.index(label))
        if part["published"].notna().any():
            handles["published, hollow"] = axis.plot([], [], "o", color=GREY, mfc="none", linestyle="none")[0]
        _scale_x(axis, sorted(set(part["x"].dropna())), field)
        axis.grid(alpha=0.3, linewidth=0.5)
    values = pd.concat([data["mean"], data["published"]])
    if values.min() > 0 and values.max() > 10 * values.min():
        axes[0].set_yscale("log")
    for axis in axes[::ABREAST]:
        axis.set_ylabel(with_arrow(metric_named(metric)))
    legend(figure, handles)
    return figure


def _draw_line(axis: Axes, line: pd.DataFrame, index: int) -> Any:
    """One line of a panel; what stands for it in the legend."""
    colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    if line["x"].isna().all():  # a reference
        return axis.axhline(line["mean"].fillna(line["published"]).iloc[0], color=colour, linestyle=":", linewidth=1.6)
    style, spread = STYLES[index % 3], line["std"].fillna(0)
    drawn = axis.errorbar(line["x"], line["mean"], spread, color=colour, marker=marker, ms=4, ls=style, capsize=2)
    axis.plot(line["x"], line["published"], marker, color=colour, mfc="none", ms=6.5, linestyle="none", clip_on=False)
    return drawn


def _counted(label: str, data: pd.DataFrame) -> str:
    """A line's label with its numbers of seeds, those that are lost, or that it is published alone."""
    part = data[data["label"] == label]
    counts, lost = part["n"].fillna(0).astype(int), int(part["lost"].fillna(0).sum())
    seeds = f"n = {span(counts)}" if any(counts) else "published alone"
    return labelled(f"{label} ({seeds}{f', {lost} lost' if lost else ''})".strip())


def _scale_x(axis: Axes, values: Sequence[float], field: str) -> None:
    """Name the axis and put a tick at each value, if they are few; spread the small ones where values differ much."""
    in_images = field in IN_IMAGES
    axis.set_xlabel(f"{field} (images)" if in_images else field)
    positive = [value for value in values if value > 0]
    if positive and max(positive) >= 8 * min(positive):
        low = min(positive)
        axis.set_xscale("log") if min(values) > 0 else axis.set_xscale("symlog", linthresh=low, linscale=0.5)
        if min(values) == 0:
            axis.set_xlim(-0.3 * low, 1.3 * max(values))
    if len(values) <= 8:
        written = EngFormatter(sep="", places=None) if in_images else "{:g}".format
        axis.set_xticks(list(values), [written(value) for value in values])
        axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())
