"""The figures that a study gets, by what it is: learning curves of each metric, a metric against a swept number, 2-D
samples over training, translations, grids of samples, angles. Data are computed apart from drawing."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from reports.angles import angle_data, draw_angles, draw_histograms
from reports.curves import curves_data, draw_curves
from reports.pictures import (
    class_scores,
    draw_samples,
    draw_strips,
    draw_translations,
    has_points,
    moments,
    samples_data,
)
from reports.style import save
from reports.sweeps import draw_sweeps, sweep_data, sweep_metric
from reports.table import write_csv
from search.store import Store
from spaces import Study
from trainers.names import METRICS
from trainers.run_state import RunState

ROWS = 14  # of a figure: as many have room in the legend
COLUMNS, CELLS = 8, 42  # of a figure


def legible(runs: pd.DataFrame, study: Study) -> Study:
    """The study cut down to what a figure can show: the first columns; the first row, and the best in column one."""
    columns = dict(list(study.columns.items())[:COLUMNS])
    most = min(ROWS, CELLS // len(columns))
    if len(study.rows) <= most:
        return dataclasses.replace(study, columns=columns)
    done = runs[(runs["state"] == RunState.DONE) & (runs["column"] == next(iter(columns)))]
    means = done.groupby("row")[study.metrics[0]].mean()
    ranked = means.sort_values(ascending=METRICS[study.metrics[0]].lower_is_better).index
    kept = list(dict.fromkeys([next(iter(study.rows)), *ranked]))[:most]
    rows = {row: overrides for row, overrides in study.rows.items() if row in kept}
    return dataclasses.replace(study, rows=rows, columns=columns)


def make_figures(runs: pd.DataFrame, study: Study, store: Store, out: Path) -> list[Path]:
    """All figures of a study, written into a folder; none of what no done run has, nor is published."""
    part = legible(runs, study)
    shown = [(len(part.rows), len(study.rows), "rows"), (len(part.columns), len(study.columns), "columns")]
    note = ", ".join(f"{some} of {all_} {name}" for some, all_, name in shown if some < all_)
    paths = []
    keys = dict.fromkeys(METRICS[name].key for name in study.metrics)
    for key in keys:
        curves = curves_data(runs, part, store, key)
        stem = "curves" if key == next(iter(keys)) else f"curves-{key}"
        if curves["images"].nunique() > 1:  # what is told at the end alone has no curve
            paths += _with_data(draw_curves(curves, part, key, note), curves, out / stem)
    metric = sweep_metric(study)
    points = sweep_data(runs, study, metric)
    paths += [] if points.empty else _with_data(draw_sweeps(points, metric), points, out / "sweep")
    angles = angle_data(runs, part, store)
    if not angles.empty:
        paths += _with_data(draw_angles(angles), angles, out / "angles")
        paths += save(draw_histograms(angles), out / "angle-histograms")
    with tempfile.TemporaryDirectory() as folder:
        return paths + _picture_figures(runs, part, store, Path(folder), out)


def _with_data(figure: Figure, data: pd.DataFrame, stem: Path) -> list[Path]:
    """Write a figure and, as CSV, what it shows."""
    table = stem.with_suffix(".csv")
    write_csv(data, table)
    return [*save(figure, stem), table]


def _picture_figures(runs: pd.DataFrame, study: Study, store: Store, folder: Path, out: Path) -> list[Path]:
    """The figures made of pictures that runs have drawn: samples, and of points a strip; of pairs the translations."""
    pictures = samples_data(runs, study, store, folder)
    if not pictures:
        return []
    if all(cell.config.is_paired for cell in study.cells()):
        return save(draw_translations(pictures, study), out / "translations")
    paths = save(draw_samples(pictures, study), out / "samples")
    if has_points(study):
        strips = samples_data(runs, study, store, folder, moments(study))
        paths += save(draw_strips(strips, study, class_scores(runs, study, store)), out / "strips")
    return paths
