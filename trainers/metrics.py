"""Scores of a generator: Frechet distance, inception score, KID, energy distance, modes covered, high-quality share.

Each function takes plain tensors; `evaluate` says which of them a Config's rows carry, by its protocol.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainers.cache import cache_folder, key_of, made_once, reading
from trainers.config import FEATURE_METRICS, KID_REAL, KID_SUBSET, KID_SUBSETS, MODE_RADIUS, SCORE_SPLITS, Config
from trainers.data import Dataset
from trainers.features import FeatureNet, load_features
from trainers.networks.layers import Generator
from trainers.streams import stream

BATCH = 500  # examples generated or scored at a time
PIXELS = BATCH * 64 * 64  # that a generator makes at a time, if that is less: larger images need more memory
REAL_POINTS = 10_000  # fresh real points that 2-D samples are held against
STATISTICS_FORMAT = 1  # of the files of real statistics; another number makes all of them anew
MODE_SHARE = 0.01  # of all samples that a mode needs near it to count as covered

log = logging.getLogger(__name__)


class Moments:
    """Mean and covariance of features that stream by, in float64; n x d features are never held."""

    def __init__(self) -> None:
        self.n = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self.scatter = torch.zeros(0, 0, dtype=torch.float64)

    def update(self, features: Tensor) -> None:
        """Take a batch [n, d] in (Chan, Golub, LeVeque 1979)."""
        features = features.double()
        n, mean = len(features), features.mean(0)
        centred = features - mean
        scatter = centred.T @ centred
        if self.n == 0:
            self.n, self.mean, self.scatter = n, mean, scatter
            return
        shift, total = mean - self.mean, self.n + n
        self.scatter += scatter  # in place, since a scatter of 2,048 features takes 34 MB
        self.scatter += torch.outer(shift, shift).mul_(self.n * n / total)
        self.mean = self.mean + shift * (n / total)
        self.n = total

    @property
    def covariance(self) -> Tensor:
        """Unbiased, [d, d]; needs at least two examples."""
        return self.scatter / (self.n - 1)


def symmetric_root(covariance: Tensor) -> Tensor:
    """The symmetric positive semi-definite square root, [d, d]; rounding below zero counts as zero."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor, *, root1: Tensor | None = None) -> float:
    """Squared Frechet distance of two Gaussians (Dowson and Landau 1982), the FID of Heusel et al. 2017.

    Means [d] and covariances [d, d], in float64. tr (S1 S2)^(1/2) is taken as the sum of the roots of the eigenvalues
    of R S2 R with R the symmetric root of S1 (`root1`, if at hand): a symmetric problem that also has an answer for
    singular covariances.
    """
    root = symmetric_root(cov1) if root1 is None else root1
    inner = root @ cov2 @ root
    cross = torch.linalg.eigvalsh((inner + inner.T) / 2).clamp_min(0).sqrt().sum()
    return float((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * cross)


def mean_distance(x: Tensor, y: Tensor) -> float:
    """Mean Euclidean distance over all pairs of x [n, d] and y [m, d], in float64."""
    sums = [
        torch.cdist(part, y.double(), compute_mode="donot_use_mm_for_euclid_dist").sum()
        for part in x.double().split(BATCH)
    ]
    return float(torch.stack(sums).sum()) / (len(x) * len(y))


def energy_distance(x: Tensor, y: Tensor, within_y: float | None = None) -> float:
    """Energy distance sqrt(2 E|X - Y| - E|X - X'| - E|Y - Y'|) of two samples [n, d] and [m, d].

    Szekely and Rizzo 2013, as a distance like scipy.stats.energy_distance; 0 only for equal distributions.
    `within_y` is E|Y - Y'|, if at hand.
    """
    within = mean_distance(y, y) if within_y is None else within_y
    return max(0.0, 2 * mean_distance(x, y) - mean_distance(x, x) - within) ** 0.5


def mode_shares(points: Tensor, modes: Tensor, radius: float) -> Tensor:
    """Share of the points [n, 2] that lie within the radius of each mode [k, 2]: [k]. No point may be near two."""
    return (torch.cdist(points.double(), modes.double()) <= radius).double().mean(0)


class _Reference(NamedTuple):
    """The real side of a Frechet distance, and of a KID where the feature net has one."""

    mean: Tensor
    covariance: Tensor
    root: Tensor
    features: Tensor | None  # [at most KID_REAL, d], on the CPU


@cache
def _reference(data: Dataset, features: str, device: torch.device, threads: int) -> _Reference:
    """Statistics of all training examples, taken once a process; sums depend on the number of threads.

    Those of a slow feature net are taken once a machine: a file of the cache folder holds them.
    """
    net = load_features(features)
    if not net.slow:
        statistics = _real_statistics(data, features, device)
    else:
        on = (threads, device.type, torch.__version__)
        key = key_of(STATISTICS_FORMAT, data.digest, features, net.digest, BATCH, *on)
        path = cache_folder() / "statistics" / f"{key}.npz"
        made_once(path, lambda aside: _save(aside, _real_statistics(data, features, device)))
        with reading(path):
            statistics = _read(path, _has_kid(features))
    mean, covariance = statistics["mean"].to(device), statistics["covariance"].to(device)
    return _Reference(mean, covariance, symmetric_root(covariance), statistics.get("features"))


def _real_statistics(data: Dataset, features: str, device: torch.device) -> dict[str, Tensor]:
    """Mean and covariance of the features, and for a KID the features of at most KID_REAL examples, on the CPU."""
    net, moments = load_features(features), Moments()
    if net.slow:
        log.info("taking %s features of %s training examples once", features, f"{len(data.examples):,}")
    has_kid = _has_kid(features)
    is_kept = _drawn_once(len(data.examples), KID_REAL)
    kept, filled = torch.empty(0, 0), 0
    for indices in torch.arange(len(data.examples)).split(BATCH):
        batch = net.extract(data.scaled(indices).to(device))
        moments.update(batch)
        if has_kid:
            chosen = batch.cpu()[is_kept[indices]]
            if kept.numel() == 0:  # at once: pieces would be held twice while they are joined
                kept = chosen.new_empty(int(is_kept.sum()), *chosen.shape[1:])
            kept[filled : filled + len(chosen)] = chosen
            filled += len(chosen)
    statistics = {"mean": moments.mean, "covariance": moments.covariance}
    return {**statistics, "features": kept} if has_kid else statistics


def _drawn_once(n: int, size: int) -> Tensor:
    """Which of n examples are in a random subset of the size, the same for all runs: [n] bool."""
    drawn = torch.zeros(n, dtype=torch.bool)
    drawn[torch.randperm(n, generator=stream(0, "kid reference"))[:size]] = True
    return drawn


def _has_kid(features: str) -> bool:
    return "kid" in FEATURE_METRICS.get(features, ())


def _read(path: Path, has_kid: bool) -> dict[str, Tensor]:
    """What _save wrote; raises anything if it is damaged."""
    with np.load(path, allow_pickle=False) as stored:
        names = ("mean", "covariance", *(("features",) if has_kid else ()))
        statistics = {name: torch.from_numpy(stored[name]) for name in names}
    shapes = {name: tuple(value.shape) for name, value in statistics.items()}
    n, d = shapes.get("features", (0,))[0], shapes["mean"][0]
    if shapes != {"mean": (d,), "covariance": (d, d), **({"features": (n, d)} if has_kid else {})}:
        raise ValueError(f"its arrays do not fit: {shapes}")
    if not all(value.is_floating_point() for value in statistics.values()):
        raise ValueError("its numbers are no floats")
    return statistics


def _save(path: Path, statistics: dict[str, Tensor]) -> None:
    with path.open("wb") as file:
        np.savez(file, **{name: value.cpu().numpy() for name, value in statistics.items()})  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())


@cache
def _real_points(data: Dataset, threads: int) -> tuple[Tensor, float]:
    """Fresh real points of a 2-D data set and their mean distance to each other, drawn once a process."""
    assert data.fresh is not None
    points = data.fresh(REAL_POINTS, stream(0, "real points"))
    return points, mean_distance(points, points)


@torch.no_grad()
def evaluate(config: Config, data: Dataset, generator: Generator, device: torch.device) -> dict[str, float]:
    """The metrics of a generator, with latents that depend on the seed alone; leaves it in the mode it was in."""
    net = load_features(config.feature_net)
    moments, features, points = Moments(), [], []
    n = config.eval_samples if data.pair is None else min(config.eval_samples, len(data.pair.test_sources.examples))
    for samples in generate(config, data, generator, device, n):
        batch = net.extract(samples)
        moments.update(batch)
        if "kid" in config.row_metrics:
            features.append(batch.cpu())
        if data.modes is not None:
            points.append(samples.cpu())
    if not moments.covariance.isfinite().all():
        return dict.fromkeys(config.row_metrics, float("nan"))
    targets = data if data.pair is None else data.pair.test_targets
    real = _reference(targets, config.feature_net, device, torch.get_num_threads())
    fid = frechet_distance(real.mean, real.covariance, moments.mean, moments.covariance, root1=real.root)
    values = {"fid": fid}
    if real.features is not None:
        values |= inception_metrics(net, torch.cat(features), real.features)
    if data.modes is not None:
        values |= _point_metrics(data, torch.cat(points))
    return values


def inception_metrics(net: FeatureNet, fake: Tensor, real: Tensor) -> dict[str, float]:
    """Inception score of generated features [n, d] (Salimans et al. 2016) and their KID, the squared kernel distance to
    real ones [m, d] (Binkowski et al. 2018), each with the standard deviation over its parts or subsets; by
    torch-fidelity. Subsets have KID_SUBSET features, or as many as the smaller side.
    """
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    assert net.logits is not None
    score = isc_features_to_metric(net.logits(fake), splits=SCORE_SPLITS)
    size = min(KID_SUBSET, len(fake), len(real))
    kid = kid_features_to_metric(fake, real, kid_subsets=KID_SUBSETS, kid_subset_size=size, verbose=False)
    return {
        "inception_score": score["inception_score_mean"],
        "inception_score_std": score["inception_score_std"],
        "kid": kid["kernel_inception_distance_mean"],
        "kid_std": kid["kernel_inception_distance_std"],
    }


def _point_metrics(data: Dataset, points: Tensor) -> dict[str, float]:
    assert data.modes is not None
    real, within = _real_points(data, torch.get_num_threads())
    shares = mode_shares(points, data.modes, MODE_RADIUS * data.mode_std)
    return {
        "energy_distance": energy_distance(points, real, within),
        "modes": float((shares >= MODE_SHARE).sum()),
        "high_quality": float(shares.sum()),
    }


@torch.no_grad()
def generate(
    config: Config, data: Dataset, generator: Generator, device: torch.device, n: int, labels: Tensor | None = None
) -> Iterator[Tensor]:
    """Yield n samples in batches [BATCH, *shape], the same for the same weights, of the labels [n]; None: of labels as
    frequent as in the data. Of a pair: the translations of test A, in order and over again."""
    was_training = generator.training
    generator.eval()
    part = max(1, min(BATCH, PIXELS // math.prod(data.shape[-2:])))
    for index, indices in enumerate(torch.arange(n).split(BATCH)):
        if data.pair is None:
            source = generator.sample_source(len(indices), stream(config.seed, "evaluation", index, device))
        else:
            source = data.pair.test_sources.scaled(indices % len(data.pair.test_sources.examples)).to(device)
        rng = stream(config.seed, "evaluation labels", index)
        drawn = data.labels[torch.randint(len(data.labels), (len(indices),), generator=rng)]
        wanted = drawn if labels is None else labels[indices]
        parts = zip(source.split(part), wanted.to(device).split(part), strict=True)
        yield torch.cat([generator(*inputs) for inputs in parts])
    generator.train(was_training)
