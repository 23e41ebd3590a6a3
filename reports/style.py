"""How figures look: panels of the width of a paper's column, the colours of Okabe and Ito, with line styles and markers
so that they read in grey too, and one legend below all panels."""

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from trainers.messages import printable

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]  # Okabe and Ito
STYLES = ["-", "--", "-.", (0, (4, 1, 1, 1, 1, 1))]  # dotted lines are of stages and references
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
GREY = "0.35"
PANEL = (3.4, 2.6)  # inches
ABREAST = 3  # panels in a line
LETTERS = 16  # of the legend in an inch
LOOKS = {
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7.5,
    "legend.title_fontsize": 7.5,
    "lines.linewidth": 1.3,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "text.parse_math": False,  # letters and dollars stay so
}
in_our_looks = matplotlib.rc_context(LOOKS)  # decorates what draws: the user's own figures, in a notebook, keep theirs


def axes_of(lines: int, abreast: int, size: tuple[float, float], layout: Any = None, **grid: Any) -> tuple[Figure, Any]:
    """A figure of so many inches that no window of pyplot's knows, and its axes [lines, abreast]."""
    figure = Figure(size, layout=layout)
    return figure, figure.subplots(lines, abreast, squeeze=False, **grid)


def panels(n: int, labels: int = 0) -> tuple[Figure, list[Axes]]:
    """A figure of n panels, a few abreast, with room for a legend of so many labels below."""
    abreast = min(n, ABREAST)
    lines = math.ceil(n / abreast)
    size = (PANEL[0] * abreast, PANEL[1] * lines + 0.16 * math.ceil(labels / abreast))
    figure, axes = axes_of(lines, abreast, size, "constrained", sharey=True)
    for axis in axes.flat[n:]:
        axis.axis("off")
    for axis in axes.flat[n - abreast : n]:
        axis.tick_params(labelbottom=True)
    return figure, list(axes.flat[:n])


def legend(figure: Figure, handles: Mapping[str, Any], note: str = "") -> None:
    """A legend of {label: what was drawn} below the panels, headed by the note."""
    width = figure.get_figwidth() * LETTERS
    labels = [textwrap.fill(labelled(label), int(width) - 6) for label in handles]
    longest = max((len(line) for label in labels for line in label.split("\n")), default=1)
    abreast = max(1, min(len(labels), int(width // (longest + 6))))
    place = {"loc": "outside lower center", "ncols": abreast, "frameon": False, "title": note or None}
    if labels:
        figure.legend(list(handles.values()), labels, **place)


def labelled(text: str) -> str:
    """A label as a legend takes it, which leaves out what begins with an underscore."""
    return re.sub("^_", " _", printable(text))


def line_style(index: int) -> dict[str, Any]:
    """Colour and line style of the i-th line."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": STYLES[index % len(STYLES)]}


def mean_line(axis: Axes, x: Sequence[float], points: pd.DataFrame, floor: Any, index: int, label: str) -> Line2D:
    """Draw the i-th line through the means, with a band of one standard deviation that ends at the floor, if any."""
    style, spread = line_style(index), points["std"].fillna(0)
    low, high = (points["mean"] - spread).clip(lower=floor), points["mean"] + spread
    axis.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
    line: Line2D = axis.plot(x, points["mean"], label=labelled(label), **style)[0]
    return line


def log_values(axis: Axes) -> None:
    """A logarithmic y axis whose ticks are plain numbers."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 200 * low else (1,)))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def read_image(path: Path) -> np.ndarray:
    """A picture as RGB [H, W, 3] in 0..1."""
    picture: np.ndarray = imread(path)
    return np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture[..., :3]


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PNG and as PDF, laid out once."""
    paths = [stem.with_name(stem.name + suffix) for suffix in (".png", ".pdf")]  # a stem may have dots
    for path in paths:
        figure.savefig(path)
        figure.set_layout_engine("none")
    return paths
