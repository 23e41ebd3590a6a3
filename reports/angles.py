"""Angles between the gradients of D's step, real and fake loss (aw paper, section 5.1): how they are distributed, the
shares above 90 degrees, and the shares of aw-loss's five cases."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports.ablation import over_seeds
from reports.measurements import labels
from reports.results import Results
from reports.style import COLOURS, GREY, legend, mean_line, panels
from trainers.names import ANGLE_STEP

PAIRS = {"real_fake": "real, fake", "step_real": "step, real", "step_fake": "step, fake"}
ANGLES = {f"{pair}_obtuse": label for pair, label in PAIRS.items()}
CASES = {f"aw_case_{case}": f"case {case}" for case in range(1, 6)}
DEGREES = range(0, 181, ANGLE_STEP)
HATCHES = ["", "///", "...", "xxx"]


def angle_data(results: Results) -> pd.DataFrame:
    """Shares of steps at the end of the done runs: one line a (cell, key) with mean, std and n; empty if none has
    angles. Keys are those of ANGLES, CASES and the histograms (`angle_real_fake_120`: nearest to 120 degrees)."""
    cells = {run_id: labels((label,)) for label, runs in results.done.items() for run_id in runs["run_id"]}
    shares = []
    for key in (*ANGLES, *CASES, *(f"angle_{pair}_{degrees:03d}" for pair in PAIRS for degrees in DEGREES)):
        series = results.histories(key)
        shares += [(cells[run_id], key, points[-1][1]) for run_id, points in series.items() if points]
        if not shares:  # no run measures angles
            break
    return over_seeds(shares, ["cell", "key"])


def draw_histograms(data: pd.DataFrame) -> Figure:
    """A panel a pair of gradients: the share of steps nearest to each multiple of 10 degrees, with its deviation."""
    cells = data.groupby("cell", sort=False)
    figure, axes = panels(len(PAIRS), len(cells))
    handles = {}
    for axis, (pair, label) in zip(axes, PAIRS.items(), strict=True):
        keys = [f"angle_{pair}_{degrees:03d}" for degrees in DEGREES]
        for index, (cell, part) in enumerate(cells):
            counted = f"{cell} (n = {part['n'].max()})"
            handles[counted] = mean_line(axis, DEGREES, part.set_index("key").reindex(keys), 0, index, counted)
        axis.axvline(90, color=GREY, linestyle="dotted", linewidth=1)
        axis.set(xticks=range(0, 181, 45), xlabel="degrees", title=label)
        axis.grid(alpha=0.3, linewidth=0.5)
    axes[0].set_ylabel("share of D's steps")
    legend(figure, handles)
    return figure


def draw_angles(data: pd.DataFrame) -> Figure:
    """Left the shares of angles above 90 degrees, right those of the cases: mean with one standard deviation."""
    cells = data.groupby("cell", sort=False)
    figure, axes = panels(2, len(cells))
    width = 0.8 / len(cells)
    handles = {}
    for axis, kinds in zip(axes, (ANGLES, CASES), strict=True):
        for index, (cell, shares) in enumerate(cells):
            part = shares.set_index("key").reindex(list(kinds))
            places = np.arange(len(kinds)) + (index - (len(cells) - 1) / 2) * width
            style: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)], "hatch": HATCHES[index % len(HATCHES)]}
            style |= {"edgecolor": "white", "linewidth": 0.4, "error_kw": {"elinewidth": 0.8, "capsize": 2}}
            bars = axis.bar(places, part["mean"], width, yerr=part["std"], **style)
            axis.bar_label(bars, [f"{m:.2f}" if m == m else "" for m in part["mean"]], padding=3, fontsize=5)
            handles[f"{cell} (n = {shares['n'].max()})"] = bars
        axis.set_xticks(range(len(kinds)), list(kinds.values()))
        axis.set_ylim(0, 1.1)  # room for the numbers
        axis.grid(alpha=0.3, axis="y", linewidth=0.5)
    axes[0].set(ylabel="share of D's steps", title="angle above 90 degrees")
    axes[1].set_title("aw-loss's case")
    legend(figure, handles)
    return figure
