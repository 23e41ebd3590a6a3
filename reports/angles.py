"""Angles between the gradients of D's step, real and fake loss (aw paper, section 5.1): shares above 90 degrees, and
shares of aw-loss's five cases."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports.style import COLOURS, labelled, legend, panels
from search.store import Store
from spaces import Study

ANGLES = {"real_fake_obtuse": "real, fake", "step_real_obtuse": "step, real", "step_fake_obtuse": "step, fake"}
CASES = {f"aw_case_{case}": f"case {case}" for case in range(1, 6)}

HATCHES = ["", "///", "...", "xxx"]


def angle_data(runs: pd.DataFrame, study: Study, store: Store) -> pd.DataFrame:
    """Shares of steps at the end of the done runs: one line a (cell, key) with mean, std and n; empty if none has
    angles. Keys are those of ANGLES and CASES."""
    done = runs[(runs["state"] == "done") & runs["row"].isin(study.rows) & runs["column"].isin(study.columns)]
    cells = {run.run_id: " / ".join(filter(None, (run.row, run.column))) for run in done.itertuples()}
    shares = []
    for key in (*ANGLES, *CASES):
        histories = store.histories(cells, key)
        shares += [(cells[run], key, points[-1][2]) for run, points in histories.items() if points]
        if not shares:  # no run measures angles
            break
    grouped = pd.DataFrame(shares, columns=["cell", "key", "share"]).groupby(["cell", "key"], sort=False)
    return grouped["share"].agg(mean="mean", std="std", n="count").reset_index()


def draw_angles(data: pd.DataFrame) -> Figure:
    """Left the shares of angles above 90 degrees, right those of the cases: mean with one standard deviation."""
    cells = list(dict.fromkeys(data["cell"]))
    figure, axes = panels(2, len(cells))
    width = 0.8 / len(cells)
    counts = data.groupby("cell")["n"].max()
    handles = {}
    for axis, kinds in zip(axes, (ANGLES, CASES), strict=True):
        for index, cell in enumerate(cells):
            part = data[data["cell"] == cell].set_index("key").reindex(list(kinds))
            places = np.arange(len(kinds)) + (index - (len(cells) - 1) / 2) * width
            colour, hatch = COLOURS[index % len(COLOURS)], HATCHES[index % len(HATCHES)]
            bars = axis.bar(places, part["mean"], width, color=colour, hatch=hatch, edgecolor="white", linewidth=0.4)
            axis.errorbar(places, part["mean"], part["std"], fmt="none", ecolor="black", elinewidth=0.8, capsize=2)
            handles[labelled(f"{cell} (n = {counts[cell]})")] = bars
        axis.set_xticks(range(len(kinds)), list(kinds.values()))
        axis.set_ylim(0, 1)
        axis.grid(alpha=0.3, axis="y", linewidth=0.5)
    axes[0].set_ylabel("share of D's steps")
    axes[0].set_title("angle above 90 degrees")
    axes[1].set_title("aw-loss's case")
    legend(figure, handles)
    return figure
