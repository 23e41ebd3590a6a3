"""Samples of runs, one seed a cell: the last grids side by side, 2-D samples over training, translations by source."""

import itertools
import textwrap
from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from reports.results import Pictures, Results
from reports.style import COLOURS, axes_of, read_image
from spaces import Study
from spaces.claims import Label
from trainers.messages import printable

Scores = dict[Label, dict[int, list[float]]]  # by cell, then by images shown: D's mean logit of each mode
STRIP_STEPS = 6  # evenly spaced; those at the end of a cooperative stage come on top
STRIP, TILE = 0.95, 0.55  # inches: a picture of a strip, an image of a translation
BARS = 0.45  # of a picture's height: the scores below it
GRID, PADDING = 8, 2  # of what trainers.loop writes for pairs: images a line, pixels between them
SHOWN = 8  # images that are shown translated


def class_scores(results: Results) -> Scores:
    """D's mean logits of real points of each mode (aw paper, section 5.3) at every evaluation of the runs that pictures
    show; none of a run that has none."""
    cells = {run_id: label for label, run_id in results.pictured_runs.items()}
    scores: Scores = {}
    for mode in itertools.count():
        logits = results.histories(f"class_logit_{mode:02d}", cells)
        if not any(logits.values()):
            break
        for run_id, points in logits.items():
            for images, logit in points:
                scores.setdefault(cells[run_id], {}).setdefault(images, []).append(logit)
    return scores


def draw_samples(pictures: Pictures, study: Study) -> Figure:
    """The last grids side by side, one a row of the study, a line a column."""
    rows, columns = list(dict.fromkeys(cell.row for cell in study.cells())), list(study.columns)
    width, height = 2.6 * len(rows), 2.8 * len(columns)  # inches
    space = {"left": 0, "right": 1, "bottom": 0, "top": 1 - 0.3 / height, "wspace": 0.05, "hspace": 0.15}
    figure, axes = axes_of(len(columns), len(rows), (width, height), gridspec_kw=space)
    for line, column in zip(axes, columns, strict=True):
        for axis, row in zip(line, rows, strict=True):
            axis.axis("off")
            axis.set_title(printable(" / ".join(filter(None, (row, column)))), fontsize=10)
            if (row, column) in pictures:
                axis.imshow(read_image(max(pictures[row, column].items())[1]), interpolation="nearest")
    return figure


def strip_steps(study: Study) -> list[int]:
    """Images at which a strip shows samples: evaluations from 0 to the end, and the last of each cooperative stage."""
    chosen = set()
    for cell in study.cells():
        every, end = cell.config.eval_every, cell.config.n_images
        chosen |= {min(round(end * i / (STRIP_STEPS - 1) / every) * every, end) for i in range(STRIP_STEPS)}
        if every < cell.config.coop_images < end:
            chosen.add(cell.config.coop_images // every * every)
    return sorted(chosen)[: 2 * STRIP_STEPS]


def draw_strips(pictures: Pictures, study: Study, scores: Scores | None = None) -> Figure:
    """A line of pictures a cell over the images shown, framed by stage; below each, of points, a bar a mode."""
    scores = scores or {}
    steps = sorted({step for grids in pictures.values() for step in grids})
    cells = [cell for cell in study.cells() if (cell.row, cell.column) in pictures]
    heights = [share for cell in cells for share in ([1, BARS] if (cell.row, cell.column) in scores else [1])]
    size = (0.45 + STRIP * len(steps), 0.5 + STRIP * sum(heights) + 0.06 * len(heights))
    sides = {"left": 0.45 / size[0], "right": 0.995, "top": 1 - 0.25 / size[1], "bottom": 0.25 / size[1]}
    space = {**sides, "wspace": 0.06, "hspace": 0.06, "height_ratios": heights}
    figure, axes = axes_of(len(heights), len(steps), size, gridspec_kw=space)
    lines = iter(axes)
    for cell in cells:
        line, grids = next(lines), pictures[cell.row, cell.column]
        for axis, step in zip(line, steps, strict=True):
            cooperative = 0 < step <= cell.config.coop_images  # the stage that had made the picture
            axis.set(xticks=[], yticks=[], visible=step in grids)
            axis.spines[:].set(color=COLOURS[1] if cooperative else "0.7", linewidth=2.2 if cooperative else 0.6)
            if step in grids:
                axis.imshow(read_image(grids[step]), interpolation="antialiased")
        line[0].set_visible(True)
        line[0].set_ylabel(_wrapped(cell.label, STRIP), fontsize=7)
        if (cell.row, cell.column) in scores:
            _bars(next(lines), steps, scores[cell.row, cell.column])
    for axis, step in zip(axes[0], steps, strict=True):
        axis.set_title(EngFormatter(sep="")(step), fontsize=7, pad=3)
    legend = "images shown to the discriminator"
    staged = any(0 < step <= cell.config.coop_images for cell in cells for step in steps)
    legend += "; thick orange frame: cooperative stage" if staged else ""
    legend += "; bars: its mean logit of each mode" if scores else ""
    figure.text(0.5, 0.04 / size[1], legend, ha="center", va="bottom", fontsize=7)
    return figure


def _bars(line: Iterable[Axes], steps: Iterable[int], scores: dict[int, list[float]]) -> None:
    """The scores of each mode at some of the steps, by one scale, which the first tells."""
    scores = {step: logits for step, logits in scores.items() if step > 0}  # untrained, they would set the scale
    every = [logit for step in steps for logit in scores.get(step, [])]
    low, high = min([0.0, *every]), max([0.0, *every])
    for index, (axis, step) in enumerate(zip(line, steps, strict=True)):
        axis.bar(range(len(scores.get(step, []))), scores.get(step, []), color=COLOURS[0])
        axis.axhline(0, color="black", linewidth=0.5)
        axis.set(xticks=[], ylim=(low - 0.05 * (high - low), high + 0.05 * (high - low)))
        axis.spines[:].set(color="0.7", linewidth=0.6)
        axis.tick_params(labelsize=6, length=2, pad=1, left=index == 0, labelleft=index == 0)
        axis.yaxis.set_major_locator(MaxNLocator(3))


def _wrapped(label: str, inches: float) -> str:
    """A label of so many inches at 7 points, in at most two lines."""
    return "\n".join(textwrap.wrap(printable(label), max(8, int(inches * 17)), max_lines=2, placeholder=" …"))


def split_pairs(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sources and translations, each [32, H, W, 3], of a grid of samples that holds them by turns, in frames."""
    height, width = ((side - PADDING) // GRID for side in picture.shape[:2])
    assert picture.shape[:2] == (PADDING + GRID * height, PADDING + GRID * width)
    inner = picture[PADDING:, PADDING:].reshape(GRID, height, GRID, width, -1).swapaxes(1, 2)
    images = inner[:, :, : height - PADDING, : width - PADDING].reshape(GRID**2, height - PADDING, width - PADDING, -1)
    return images[::2], images[1::2]


def draw_translations(pictures: Pictures, study: Study) -> Figure:
    """The first source images and below each what every row of the study makes of it, a block a column."""
    blocks: dict[str, dict[str, np.ndarray]] = {}
    for (row, column), grids in pictures.items():
        sources, translations = split_pairs(read_image(max(grids.items())[1]))
        blocks.setdefault(column, {"source": sources})[row] = translations
    labels = [label for block in blocks.values() for label in block]
    left, title = 0.1 + 0.055 * min(24, max(map(len, labels))), 0.25 if any(blocks) else 0.02  # inches
    size = (left + TILE * SHOWN, TILE * len(labels) + title * len(blocks))
    figure, axes = axes_of(len(blocks), 1, size, "compressed")
    for axis, (column, block) in zip(axes[:, 0], blocks.items(), strict=True):
        tiles = np.stack([images[:SHOWN] for images in block.values()], axis=1)  # [SHOWN, rows, H, W, 3]
        gap = max(1, tiles.shape[2] // 20)  # white, below and beside each
        tiles = np.pad(tiles, ((0, 0), (0, 0), (0, gap), (0, gap), (0, 0)), constant_values=1.0)
        axis.imshow(np.concatenate(np.concatenate(tiles, axis=2)), interpolation="nearest")
        height = axis.get_ylim()[0] / len(block)
        axis.set_yticks([height * (i + 0.5) for i in range(len(block))], [_wrapped(label, left) for label in block])
        axis.tick_params(length=0, labelsize=7, labelbottom=False)
        axis.spines[:].set_visible(False)
        axis.set_xticks([])
        axis.set_title(printable(column), pad=3)
    return figure
