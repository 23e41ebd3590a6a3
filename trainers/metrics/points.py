"""Metrics of 2-D points: energy distance, modes covered, high-quality share."""

from functools import cache

import torch
from torch import Tensor

from trainers.data.dataset import Dataset
from trainers.metrics import BATCH
from trainers.metrics.sampled import Sampled
from trainers.names import MODE_RADIUS, MODE_SHARE, REAL_POINTS
from trainers.streams import stream


def mean_distance(x: Tensor, y: Tensor) -> float:
    """Mean Euclidean distance over all pairs of x [n, d] and y [m, d], in float64."""
    x, y = x.double(), y.double()
    sums = [torch.cdist(part, y, compute_mode="donot_use_mm_for_euclid_dist").sum() for part in x.split(BATCH)]
    return float(torch.stack(sums).sum()) / (len(x) * len(y))


def energy_distance(x: Tensor, y: Tensor, within_y: float | None = None) -> float:
    """Energy distance sqrt(2 E|X - Y| - E|X - X'| - E|Y - Y'|) of two samples [n, d] and [m, d], 0 only for equal
    distributions (Szekely and Rizzo 2013; as in scipy.stats). `within_y` is E|Y - Y'|, if at hand."""
    within = mean_distance(y, y) if within_y is None else within_y
    return max(0.0, 2 * mean_distance(x, y) - mean_distance(x, x) - within) ** 0.5


def mode_shares(points: Tensor, modes: Tensor, radius: float) -> Tensor:
    """Share of the points [n, 2] that lie within the radius of each mode [k, 2]: [k]. No point may be near two."""
    return (torch.cdist(points.double(), modes.double()) <= radius).double().mean(0)


@cache
def _real_points(data: Dataset, threads: int) -> tuple[Tensor, float]:
    """Fresh real points of a 2-D data set and their mean distance to each other, drawn once a process."""
    assert data.fresh is not None
    points = data.fresh(REAL_POINTS, stream(0, "real points"))
    return points, mean_distance(points, points)


def energy(sampled: Sampled) -> dict[str, float]:
    """Energy distance of generated to fresh real points."""
    real, within = _real_points(sampled.data, torch.get_num_threads())
    return {"energy_distance": energy_distance(sampled.samples, real, within)}


def modes(sampled: Sampled) -> dict[str, float]:
    """Modes covered, whether that is all of them, and the share of generated points that lie near one."""
    data = sampled.data
    assert data.modes is not None
    shares = mode_shares(sampled.samples, data.modes, MODE_RADIUS * data.mode_std)
    covered = shares >= MODE_SHARE
    return {"modes": float(covered.sum()), "high_quality": float(shares.sum()), "all_modes": float(covered.all())}
