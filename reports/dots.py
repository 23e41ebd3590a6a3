"""Runs made elsewhere, of which the last values alone are sure to be known: a point a seed, with mean and deviation."""

import textwrap

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.results import Results
from reports.style import ABREAST, COLOURS, GREY, PANEL, legend, panels
from reports.table import with_arrow
from spaces import Study
from trainers.messages import printable

LETTERS = 22  # of a row's label in a line


def dots_data(results: Results, metric: str) -> pd.DataFrame:
    """A metric of the runs that are not lost: row, column, seed, value; in the study's order."""
    counted = [cell.counted(metric)[["row", "column", "seed", metric]] for cell in results.samples.values()]
    return pd.concat(counted, ignore_index=True).rename(columns={metric: "value"})


def draw_dots(data: pd.DataFrame, study: Study, metric: str, note: str = "") -> Figure:
    """A panel a column, a line a row, the first on top: its seeds as points, and their mean with one standard deviation
    beside. The note heads the legend."""
    columns = [column for column in study.columns if column in set(data["column"])]
    rows = [row for row in study.rows if row in set(data["row"])]
    figure, axes = panels(len(columns), 2)
    for axis, column in zip(axes, columns, strict=True):
        for place, row in enumerate(rows):
            values = data.loc[(data["column"] == column) & (data["row"] == row), "value"]
            colour = COLOURS[place % len(COLOURS)]
            axis.plot(values, [place - 0.12] * len(values), "o", color=colour, mfc="none", ms=4)
            if len(values):
                spread = values.std() if len(values) > 1 else None
                axis.errorbar(values.mean(), place + 0.18, xerr=spread, fmt="D", color=colour, ms=4, capsize=2)
        axis.set_xlabel(with_arrow(study.metric(metric)))
        axis.set_title(textwrap.fill(printable(column or study.title), int(PANEL[0] * 15)))
        axis.grid(alpha=0.3, linewidth=0.5)
    for axis in axes[::ABREAST]:
        axis.set_yticks(range(len(rows)), [textwrap.fill(printable(row), LETTERS) for row in rows])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)  # which panels share
    seed = Line2D([], [], color=GREY, marker="o", mfc="none", ms=4, linestyle="none")
    mean = Line2D([], [], color=GREY, marker="D", ms=4)
    legend(figure, {"one seed": seed, "mean and standard deviation": mean}, note)
    return figure
