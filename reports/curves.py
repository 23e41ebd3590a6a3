"""Learning curves: a metric over images with a band over seeds, a panel a column, and where the stages change."""

import textwrap
from collections.abc import Collection

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from reports.ablation import over_seeds
from reports.results import Results
from reports.style import ABREAST, GREY, PANEL, legend, line_style, log_values, mean_line, panels
from spaces import Study
from trainers.messages import printable
from trainers.names import Metric

ZOOM = 2  # an inset shows so many cooperative stages
SHORT = 8  # a run has an inset if it is longer than so many cooperative stages
INSET_POINTS = 4  # that an inset shows at the least


def curves_data(results: Results, key: str) -> pd.DataFrame:
    """A key of the evaluations over images: one line a (row, column, images) with mean, std and n over done runs."""
    series = results.histories(key)
    points = [
        (*label, images, value)
        for label, runs in results.done.items()
        for run_id in runs["run_id"]
        for images, value in series[run_id]
    ]
    return over_seeds(points, ["row", "column", "images"])


def boundaries(study: Study) -> dict[tuple[str, str], int]:
    """Images at which the cooperative stage of a cell ends and the adversarial one begins, of cells that have both."""
    return {(cell.row, cell.column): cell.config.coop_images for cell in study.cells() if cell.config.changes_stage}


def draw_curves(data: pd.DataFrame, study: Study, key: str, note: str = "") -> Figure:
    """Means against images, the end of the cooperative stage dotted, with an inset of that if it is a small part of the
    run. The note heads the legend."""
    metric = study.metric_of(key)
    is_log = metric.lower_is_better and (metric.scale == "ratio" or bool((data["mean"] > 0).all()))
    rows = [row for row in study.rows if row in set(data["row"])]
    columns = [column for column in study.columns if column in set(data["column"])]
    ends = boundaries(study)
    figure, axes = panels(len(columns), len(rows) + bool(ends))
    handles: dict[str, Line2D] = {}
    for axis, column in zip(axes, columns, strict=True):
        handles |= _draw(axis, data[data["column"] == column], rows, is_log)
        axis.set_xlabel(f"training {study.counted}")
        axis.set_title(textwrap.fill(printable(column or study.title), int(PANEL[0] * 15)))  # no wider than the panel
        for (row, _), end in ((cell, end) for cell, end in ends.items() if cell[1] == column and cell[0] in rows):
            colour = GREY if len(set(ends.values())) == 1 else line_style(rows.index(row))["color"]
            axis.vlines(end, 0, 1, colour, "dotted", transform=axis.get_xaxis_transform(), linewidth=1)
        if is_log and (data["mean"] > 0).any():
            log_values(axis)
    for axis, column in zip(axes, columns, strict=True):  # the panels share their limits, which are known now
        stages = {end for cell, end in ends.items() if cell[1] == column}
        _inset(axis, data[data["column"] == column], rows, metric, stages)
    for axis in axes[::ABREAST]:
        axis.set_ylabel(metric.label.removeprefix("best "))
    if ends:
        handles["end of the cooperative stage"] = Line2D([], [], color=GREY, linestyle="dotted", linewidth=1)
    legend(figure, handles, note)
    return figure


def _draw(axis: Axes, data: pd.DataFrame, rows: Collection[str], is_log: bool) -> dict[str, Line2D]:
    """The curves of one column, on a logarithmic axis without what is not above 0; what stands for each row in the
    legend."""
    handles = {}
    for index, row in enumerate(rows):
        line = data[data["row"] == row]
        line = line[line["mean"] > 0] if is_log else line
        if not line.empty:
            floor = line["mean"] / 10 if is_log else None
            handles[row] = mean_line(axis, line["images"], line, floor, index, row)
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.grid(alpha=0.3, which="both", linewidth=0.5)
    return handles


def _inset(axis: Axes, data: pd.DataFrame, rows: Collection[str], metric: Metric, ends: Collection[int]) -> None:
    """A zoom on the change of stages, in the right corner that falling or rising curves leave free; else none."""
    end = ZOOM * max(ends, default=0)
    near = data[data["images"] <= end]
    if SHORT * max(ends, default=0) > data["images"].max() or near["images"].nunique() < INSET_POINTS:
        return
    left, bottom, _, height = corner = (0.5, 0.56 if metric.lower_is_better else 0.1, 0.48, 0.42)
    places = axis.transAxes.inverted().transform(axis.transData.transform(data[["images", "mean"]]))
    beside = (places[:, 0] < left - 0.1) | (places[:, 1] < bottom - 0.1) | (places[:, 1] > bottom + height)
    if not beside.all():
        return
    small = axis.inset_axes(corner)
    _draw(small, near, rows, axis.get_yscale() == "log")
    for boundary in ends:
        small.vlines(boundary, 0, 1, GREY, "dotted", transform=small.get_xaxis_transform(), linewidth=0.8)
    if axis.get_yscale() == "log":
        log_values(small)
    small.xaxis.set_major_locator(MaxNLocator(3))
    small.tick_params(labelsize=6, pad=1)
