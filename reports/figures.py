"""Figures of a study: learning curves with a band over seeds, samples of one seed a row. Data apart from drawing."""

from __future__ import annotations

import dataclasses
import re
import tempfile
import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter

from reports.table import by_cell
from search.store import Store
from spaces import Study
from trainers.config import METRICS, printable

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]  # Okabe and Ito
TITLE = 64  # letters in a line of a panel's title
ROWS = 14  # of a figure: as many have room in the legend
COLUMNS, CELLS = 6, 42  # of a figure
plt.rcParams["text.parse_math"] = False  # a label may hold dollars
STYLES = ["-", "--", "-.", ":"]


def legible(runs: pd.DataFrame, study: Study) -> Study:
    """The study cut down to what a figure can show: the first columns; the first row, and the best in column one."""
    columns = dict(list(study.columns.items())[:COLUMNS])
    most = min(ROWS, CELLS // len(columns))
    if len(study.rows) <= most:
        return dataclasses.replace(study, columns=columns)
    done = runs[(runs["state"] == "done") & (runs["column"] == next(iter(columns)))]
    means = done.groupby("row")[study.metrics[0]].mean()
    ranked = means.sort_values(ascending=METRICS[study.metrics[0]].lower_is_better).index
    kept = list(dict.fromkeys([next(iter(study.rows)), *ranked]))[:most]
    rows = {row: overrides for row, overrides in study.rows.items() if row in kept}
    return dataclasses.replace(study, rows=rows, columns=columns)


def curves_data(runs: pd.DataFrame, study: Study, store: Store) -> pd.DataFrame:
    """The first metric over images: one line a (row, column, images) with mean, std and n over the done runs."""
    done = runs[(runs["state"] == "done") & runs["row"].isin(study.rows) & runs["column"].isin(study.columns)]
    histories = store.histories(done["run_id"], METRICS[study.metrics[0]].row)
    points = [
        (run.row, run.column, images, value)
        for run in done.itertuples()
        for images, value in {images: value for _, images, value in histories[run.run_id]}.items()
    ]
    grouped = pd.DataFrame(points, columns=["row", "column", "images", "value"]).groupby(
        ["row", "column", "images"], sort=False
    )
    return grouped["value"].agg(mean="mean", std="std", n="count").reset_index()


def draw_curves(data: pd.DataFrame, study: Study, note: str = "") -> Figure:
    """Mean against images with a band of one standard deviation, a panel a column; the note heads the legend."""
    columns = list(study.columns)
    figure, axes = plt.subplots(1, len(columns), figsize=(5.5 * len(columns), 3.6), squeeze=False, sharey=True)
    metric = METRICS[study.metrics[0]]
    for axis, column in zip(axes[0], columns, strict=True):
        for index, row in enumerate(study.rows):
            line = data[(data["row"] == row) & (data["column"] == column) & (data["mean"] > 0)]
            colour, style = COLOURS[index % len(COLOURS)], STYLES[index % len(STYLES)]
            label = re.sub("^_", " _", printable(row))  # matplotlib leaves out what begins with an underscore
            axis.plot(line["images"], line["mean"], style, color=colour, label=label)
            spread = line["std"].fillna(0)
            low = (line["mean"] - spread).clip(lower=line["mean"] / 10)
            axis.fill_between(line["images"], low, line["mean"] + spread, color=colour, alpha=0.15, linewidth=0)
        axis.set(xlabel="training images", yscale="log")
        axis.set_title(textwrap.fill(printable(column or study.title), TITLE), fontsize=10)
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3, which="both", linewidth=0.5)
    axes[0][0].set_ylabel(metric.label)
    axes[0][0].legend(frameon=False, title=note or None)
    figure.tight_layout()
    return figure


def samples_data(runs: pd.DataFrame, study: Study, store: Store, folder: Path) -> dict[tuple[str, str], Path]:
    """The last grid of each cell's first done seed, fetched into the folder."""
    found = {}
    for cell, group in by_cell(runs[runs["state"] == "done"], study).items():
        path = None if group.empty else store.pictures(group.sort_values("seed").iloc[0]["run_id"], folder)
        if path:
            found[cell] = path
    return found


def draw_samples(pictures: dict[tuple[str, str], Path], study: Study) -> Figure:
    """The grids side by side, one a row of the study, a line a column."""
    rows, columns = list(study.rows), list(study.columns)
    width, height = 2.6 * len(rows), 2.8 * len(columns)  # inches
    space = {"left": 0, "right": 1, "bottom": 0, "top": 1 - 0.3 / height, "wspace": 0.05, "hspace": 0.15}
    figure, axes = plt.subplots(len(columns), len(rows), figsize=(width, height), squeeze=False, gridspec_kw=space)
    for line, column in zip(axes, columns, strict=True):
        for axis, row in zip(line, rows, strict=True):
            axis.axis("off")
            axis.set_title(printable(" / ".join(filter(None, (row, column)))), fontsize=10)
            if (row, column) in pictures:
                axis.imshow(plt.imread(pictures[row, column]), cmap="gray", interpolation="nearest")
    return figure


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PNG and as PDF."""
    paths = [stem.with_suffix(suffix) for suffix in (".png", ".pdf")]
    for path in paths:
        figure.savefig(path, dpi=150)
    plt.close(figure)
    return paths


def make_figures(runs: pd.DataFrame, study: Study, store: Store, out: Path) -> list[Path]:
    """Curves and samples of a study, written into a folder; none of what no done run has."""
    part = legible(runs, study)
    curves = curves_data(runs, part, store)
    shown = [(len(part.rows), len(study.rows), "rows"), (len(part.columns), len(study.columns), "columns")]
    note = ", ".join(f"{some} of {all_} {name}" for some, all_, name in shown if some < all_)
    paths = [] if curves.empty else save(draw_curves(curves, part, note), out / "curves")
    with tempfile.TemporaryDirectory() as folder:
        pictures = samples_data(runs, part, store, Path(folder))
        return paths + (save(draw_samples(pictures, part), out / "samples") if pictures else [])
