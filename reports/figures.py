"""Figures of a study: learning curves with a band over seeds, samples of one seed a row. Data apart from drawing."""

from __future__ import annotations

import tempfile
import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter

from search.store import Store
from spaces import Study
from trainers.config import METRICS

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]  # Okabe and Ito
TITLE = 64  # letters in a line of a panel's title
STYLES = ["-", "--", "-.", ":"]


def curves_data(runs: pd.DataFrame, study: Study, store: Store) -> pd.DataFrame:
    """The first metric over images: one line a (row, column, images) with mean, std and n over the done runs."""
    metric = METRICS[study.metrics[0]].row
    parts = []
    for _, run in runs[runs["state"] == "done"].iterrows():
        history = store.history(run["run_id"], metric)
        parts.append(history.assign(row=run["row"], column=run["column"]))
    if not parts:
        return pd.DataFrame(columns=["row", "column", "images", "mean", "std", "n"])
    grouped = pd.concat(parts).groupby(["row", "column", "images"], sort=False)["value"]
    return grouped.agg(mean="mean", std="std", n="count").reset_index()


def draw_curves(data: pd.DataFrame, study: Study) -> Figure:
    """Mean against images with a band of one standard deviation, a panel a column, logarithmic."""
    columns = list(study.columns)
    figure, axes = plt.subplots(1, len(columns), figsize=(5.5 * len(columns), 3.6), squeeze=False, sharey=True)
    metric = METRICS[study.metrics[0]]
    for axis, column in zip(axes[0], columns, strict=True):
        for index, row in enumerate(study.rows):
            line = data[(data["row"] == row) & (data["column"] == column) & (data["mean"] > 0)]
            colour, style = COLOURS[index % len(COLOURS)], STYLES[index % len(STYLES)]
            axis.plot(line["images"], line["mean"], style, color=colour, label=row)
            spread = line["std"].fillna(0)
            low = (line["mean"] - spread).clip(lower=line["mean"] / 10)
            axis.fill_between(line["images"], low, line["mean"] + spread, color=colour, alpha=0.15, linewidth=0)
        axis.set(xlabel="training images", yscale="log")
        axis.set_title(textwrap.fill(column or study.title, TITLE), fontsize=10)
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3, which="both", linewidth=0.5)
    axes[0][0].set_ylabel(metric.label)
    axes[0][0].legend(frameon=False)
    figure.tight_layout()
    return figure


def samples_data(runs: pd.DataFrame, study: Study, store: Store, folder: Path) -> dict[tuple[str, str], Path]:
    """The last grid of each cell's first done seed, fetched into the folder."""
    found = {}
    for (row, column), group in runs[runs["state"] == "done"].groupby(["row", "column"], sort=False):
        first = group.sort_values("seed").iloc[0]
        path = store.pictures(first["run_id"], folder)
        if path:
            found[str(row), str(column)] = path
    return found


def draw_samples(pictures: dict[tuple[str, str], Path], study: Study) -> Figure:
    """The grids side by side, one a row of the study, a line a column."""
    rows, columns = list(study.rows), list(study.columns)
    figure, axes = plt.subplots(len(columns), len(rows), figsize=(2.6 * len(rows), 2.8 * len(columns)), squeeze=False)
    for line, column in zip(axes, columns, strict=True):
        for axis, row in zip(line, rows, strict=True):
            axis.axis("off")
            axis.set_title(" / ".join(filter(None, (row, column))), fontsize=10)
            if (row, column) in pictures:
                axis.imshow(plt.imread(pictures[row, column]), cmap="gray", interpolation="nearest")
    figure.tight_layout()
    return figure


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PNG and as PDF."""
    paths = [stem.with_suffix(suffix) for suffix in (".png", ".pdf")]
    for path in paths:
        figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)
    return paths


def make_figures(runs: pd.DataFrame, study: Study, store: Store, out: Path) -> list[Path]:
    """Curves and samples of a study, written into a folder; none of what no done run has."""
    curves = curves_data(runs, study, store)
    paths = [] if curves.empty else save(draw_curves(curves, study), out / "curves")
    with tempfile.TemporaryDirectory() as folder:
        pictures = samples_data(runs, study, store, Path(folder))
        return paths + (save(draw_samples(pictures, study), out / "samples") if pictures else [])
