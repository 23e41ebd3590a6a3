"""The figures that a study gets, by what it is: learning curves of each metric, a metric against a swept number, 2-D
samples over training, translations, grids of samples, angles. Data are computed apart from drawing."""

import dataclasses
import io
import tempfile
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from reports.angles import angle_data, draw_angles, draw_histograms
from reports.curves import curves_data, draw_curves
from reports.dots import dots_data, draw_dots
from reports.pictures import class_scores, draw_samples, draw_strips, draw_translations, strip_steps
from reports.results import Results
from reports.spreadsheet import write_csv
from reports.style import in_our_looks, save
from reports.sweeps import draw_sweeps, sweep_data, sweep_metric
from spaces.foreign import ForeignStudy, JoinedStudy
from trainers.messages import plain_name

MAX_ROWS_IN_FIGURE = 14  # as many have room in the legend
MAX_COLUMNS_IN_FIGURE, MAX_CELLS_IN_FIGURE = 8, 42
SHARP = 100  # dots an inch of a picture on a screen, at most


def legible(results: Results) -> Results:
    """Those that a figure can show: the first columns; the first row, and the best in column one."""
    study = results.study
    columns = dict(list(study.columns.items())[:MAX_COLUMNS_IN_FIGURE])
    most, rows = min(MAX_ROWS_IN_FIGURE, MAX_CELLS_IN_FIGURE // len(columns)), study.rows
    if len(rows) > most:
        metric = study.metrics[0]
        means = results.table.xs(next(iter(columns)), level="column")[metric, "mean"].dropna().sort_index()
        ranked = means.sort_values(ascending=study.metric(metric).lower_is_better).index
        kept = list(dict.fromkeys([next(iter(rows)), *ranked]))[:most]
        rows = {row: overrides for row, overrides in rows.items() if row in kept}
    return results.part(dataclasses.replace(study, rows=rows, columns=columns))


def _left_out(part: Results, results: Results) -> str:
    """What the figures have of all rows and columns, where they do not have all."""
    shown, study = part.study, results.study
    sides = (shown.rows, study.rows, "rows"), (shown.columns, study.columns, "columns")
    return ", ".join(f"{len(some)} of {len(all_)} {name}" for some, all_, name in sides if len(some) < len(all_))


@in_our_looks
def first_curves(results: Results, widest: int) -> Image.Image | None:
    """Learning curves of the study's first metric, at most so many pixels wide; None where no run was evaluated twice
    or it has no curve."""
    metric, part = results.study.metric(results.study.metrics[0]), legible(results)
    if metric.features or (curves := curves_data(part, metric.key))["images"].nunique() < 2:
        return None
    figure, written = draw_curves(curves, part.study, metric.key, _left_out(part, results)), io.BytesIO()
    figure.savefig(written, dpi=min(SHARP, widest / figure.get_figwidth()))
    return Image.open(written)


@in_our_looks
def make_figures(results: Results, out: Path) -> list[Path]:
    """Write every figure for which there are done runs or published values; returns the paths."""
    study, part = results.study, legible(results)
    note, paths = _left_out(part, results), []
    metrics = [metric for metric in map(study.metric, study.metrics) if not metric.features]
    keys = dict.fromkeys(metric.key for metric in metrics)  # what was scored after training has no curve
    for key in keys:
        curves = curves_data(part, key)
        stem = "curves" if key == next(iter(keys)) else f"curves-{plain_name(key)}"
        if curves["images"].nunique() > 1:  # what is told at the end alone has no curve
            told = curves.rename(columns={"images": study.counted})
            paths += _with_data(draw_curves(curves, part.study, key, note), told, out / stem)
    for metric in study.metrics if isinstance(study, ForeignStudy | JoinedStudy) else ():
        dots = dots_data(part, metric)
        stem = "dots" if metric == study.metrics[0] else f"dots-{plain_name(metric)}"
        if not dots.empty:
            paths += _with_data(draw_dots(dots, part.study, metric, note), dots, out / stem)
    metric = sweep_metric(results)
    points = sweep_data(results, metric)
    paths += [] if points.empty else _with_data(draw_sweeps(points, metric), points, out / "sweep")
    angles = angle_data(part)
    if not angles.empty:
        paths += _with_data(draw_angles(angles), angles, out / "angles")
        paths += save(draw_histograms(angles), out / "angle-histograms")
    with tempfile.TemporaryDirectory() as folder:
        return paths + _picture_figures(part, Path(folder), out)


def _with_data(figure: Figure, data: pd.DataFrame, stem: Path) -> list[Path]:
    """Write a figure and, as CSV, what it shows."""
    table = stem.with_name(f"{stem.name}.csv")
    write_csv(data, table)
    return [*save(figure, stem), table]


def _picture_figures(results: Results, folder: Path, out: Path) -> list[Path]:
    """The figures made of pictures that runs have drawn: samples, and of points a strip; of pairs the translations."""
    study, pictures = results.study, results.pictures(folder)
    if not pictures:
        return []
    if all(config.is_paired for config in results.configs.values()):
        return save(draw_translations(pictures, study), out / "translations")
    paths = save(draw_samples(pictures, study), out / "samples")
    if all(config.has_points for config in results.configs.values()):
        strips = results.pictures(folder, strip_steps(study))
        paths += save(draw_strips(strips, study, class_scores(results)), out / "strips")
    return paths
