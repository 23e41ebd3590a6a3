"""Pictures within a page, as data URIs: figures, grids of samples, and a cell's curves."""

import base64
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.ticker import EngFormatter
from PIL import Image

from reports.results import Series
from reports.style import COLOURS, LOOKS, PANEL, axes_of, labelled, line_style, log_values
from spaces import Study

WIDEST, WIDEST_GRID = 1400, 512  # pixels
SVG = {"svg.fonttype": "none", "svg.hashsalt": "ganablate", "font.family": "sans-serif"}
FEW_COLOURS = 256  # of a picture that is kept as it is: one of points or of digits


class Picture(NamedTuple):
    """A picture of a page, and what stands below it."""

    uri: str
    label: str
    width: int = 0  # as it is shown, in pixels of a page; 0: as the page likes


def inlined(path: Path, label: str, widest: int = WIDEST) -> Picture:
    """A picture file, no wider than so many pixels. Raises OSError if it cannot be read."""
    with Image.open(path) as opened:
        image, width = opened.convert("RGB"), opened.width // 2 if widest == WIDEST else 0
    image.thumbnail((widest, 2 * widest), Image.Resampling.LANCZOS)
    written, is_plain = io.BytesIO(), image.getcolors(FEW_COLOURS) is not None
    image.save(written, "WEBP", lossless=is_plain, quality=90)
    return Picture(_uri("image/webp", written.getvalue()), label, width)


@rc_context(LOOKS | SVG)
def cell_curves(series: Mapping[str, Mapping[int, Series]], study: Study) -> Picture | None:
    """Curves of a cell's runs, a panel a key of evaluations: {key: {seed: evaluations}}; None if there are none."""
    finite = {
        key: {seed: [point for point in points if math.isfinite(point[1])] for seed, points in some.items()}
        for key, some in series.items()
    }
    series = {key: some for key, some in finite.items() if max(map(len, some.values()), default=0) > 1}
    if not series:
        return None
    size = (PANEL[0] * len(series), PANEL[1])
    figure, axes = axes_of(1, len(series), size, "constrained")
    for axis, (key, some) in zip(axes[0], series.items(), strict=True):
        metric = study.metric_of(key)
        values = [value for points in some.values() for _, value in points]
        for index, (seed, points) in enumerate(some.items()):
            images, of_images = zip(*points, strict=True) if points else ((), ())
            axis.plot(images, of_images, label=labelled(f"seed {seed}"), **line_style(index))
        axis.set(xlabel=f"training {study.counted}", ylabel=metric.label.removeprefix("best "))
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.grid(alpha=0.3, which="both", linewidth=0.5)
        if metric.lower_is_better and min(values) > 0:
            log_values(axis)
    if len(max(series.values(), key=len)) <= len(COLOURS):
        axes[0, 0].legend(frameon=False)
    written = io.BytesIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    return Picture(_uri("image/svg+xml", written.getvalue()), f"Done seeds over training {study.counted}")


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
