"""Figures of a search: Optuna's own, on its trials as they are in the store, and importances side by side."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from optuna.visualization.matplotlib import (
    plot_optimization_history,
    plot_parallel_coordinate,
    plot_rank,
    plot_slice,
)

from reports.style import COLOURS, LOOKS, PANEL, in_our_looks, panels, save
from trainers.messages import printable
from trainers.names import metric_named

if TYPE_CHECKING:
    from search.optimize.analysis import Analysis, Importances

STYLE = {"figure.constrained_layout.use": True, "text.parse_math": True}  # Optuna has powers of ten at its axes
LEAST = 2  # done trials of a figure
FIGURES: dict[
    str, tuple[Callable[..., Any], tuple[float, float], tuple[float, float]]
] = {  # by the names of their files, with inches a parameter, and at the least
    "history": (plot_optimization_history, (0, 0), (6.4, 4.0)),
    "slices": (plot_slice, (0, 0), (6.4, 3.6)),  # which Optuna makes wider by itself
    "parallel": (plot_parallel_coordinate, (1.1, 0), (6.4, 4.4)),
    "rank": (plot_rank, (1.7, 1.5), (5.0, 4.0)),
}


def draw_search(analysis: Analysis, folder: Path, name: str) -> list[Path]:
    """Write history, slices, parallel coordinates and ranks of the done trials, which each figure says, as PNG and PDF;
    returns the paths, none where fewer than two trials are done."""
    done = analysis.outcome.done
    if len(done) < LEAST:
        return []
    paths, label = [], metric_named(analysis.search.metric).label
    for kind, (plot, each, least) in FIGURES.items():
        size = [max(low, step * len(done[0].params)) for low, step in zip(least, each, strict=True)]
        with plt.rc_context({**LOOKS, "figure.figsize": size, **STYLE}), quiet():
            figure = np.ravel(plot(analysis.study, target_name=label))[0].figure
            for axis in figure.axes:
                axis.label_outer()
                if kind == "rank":
                    axis.tick_params("x", rotation=90)
                for side in (axis.xaxis, axis.yaxis):
                    if side.get_scale() == "log":
                        _plain_ticks(side)
            figure.supxlabel(textwrap.fill(analysis.counts, int(figure.get_figwidth() * 14)), fontsize=7)
            paths += save(figure, folder / f"{kind} {name}")
            plt.close(figure)
    return paths


def _plain_ticks(axis: Axis) -> None:
    """Few ticks on a logarithmic axis: within two decades plain numbers, else Optuna's powers of ten. None between
    them, which took most of the time of drawing ranks: eight parameters have 64 panels."""
    axis.set_minor_locator(NullLocator())
    low, high = axis.get_view_interval()
    if high < 100 * low:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))


def quiet() -> warnings.catch_warnings:
    """Without the warnings that these functions are experimental, and that an axis of one value has no extent."""
    return warnings.catch_warnings(action="ignore")


@in_our_looks
def draw_importances(found: list[Importances], title: str, stem: Path) -> list[Path]:
    """Write the shares of each parameter, a panel a set of trials, or why one has none; returns the paths."""
    names = list(dict.fromkeys(name for each in found for name in each.shares))[::-1]
    figure, axes = panels(len(found))
    figure.set_figheight(max(PANEL[1], 0.25 * len(names) + 1))
    for axis, each, colour in zip(axes, found, COLOURS, strict=False):
        axis.barh([printable(name) for name in names], [each.shares.get(name, 0.0) for name in names], color=colour)
        axis.set_xlim(0, 1)
        axis.set_title(f"{each.of} ({each.trials})")
        if each.refusal:
            axis.text(0.5, 0.5, textwrap.fill(each.refusal, 30), ha="center", va="center", transform=axis.transAxes)
    figure.suptitle(f"{printable(title)}: importances by fANOVA", fontsize=8)
    return save(figure, stem)
