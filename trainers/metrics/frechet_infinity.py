"""FD-infinity: the Frechet distance that infinitely many generated samples would have."""

from itertools import pairwise
from statistics import linear_regression

import numpy as np
import torch
from torch import Tensor

from trainers.heartbeat import heartbeat
from trainers.metrics.frechet import Moments, frechet_distance
from trainers.metrics.sampled import Sampled
from trainers.names import FD_LOWEST, FD_SIZES
from trainers.streams import stream


def fd_infinity(sampled: Sampled) -> dict[str, float]:
    """Of generated features, held against the moments of real ones."""
    real = sampled.real
    return {"fd_infinity": frechet_infinity(real.mean, real.covariance, real.root, sampled.features)}


def frechet_infinity(mean: Tensor, covariance: Tensor, root: Tensor, features: Tensor) -> float:
    """Frechet distance of generated features to the real ones without its bias, which falls with the number of samples
    as 1/n (Chong and Forsyth 2020, there of Inception's features): the intercept of its regression on 1/n.

    The real side is a mean [d], a covariance [d, d] and its symmetric root, in float64; `features` are [n, d]. There
    are FD_SIZES subsets, evenly spaced in size from one in FD_LOWEST samples (and at least 2) to all, as in Stein et
    al. 2023 up to n = 50,000. Each is the beginning of one fixed permutation, so that one pass takes them all and
    equal features have equal values; the samples are not drawn anew for each size, as they are there. An intercept
    may lie below 0.

    Raises ValueError where there are fewer than 3 features, which have no two sizes, or one is not finite.
    """
    n = len(features)
    if n < 3:
        raise ValueError(f"FD-infinity needs at least 3 features, not {n}")
    order = torch.randperm(n, generator=stream(0, "fd infinity")).to(features.device)
    sizes = subset_sizes(n)
    moments, distances = Moments(), []
    for start, end in pairwise([0, *sizes]):
        heartbeat()
        moments.update(features[order[start:end]])
        if not moments.mean.isfinite().all():
            raise ValueError("FD-infinity needs finite features")
        distances.append(frechet_distance(mean, covariance, moments.mean, moments.covariance, root1=root))
    return linear_regression([1 / size for size in sizes], distances).intercept


def subset_sizes(n: int) -> list[int]:
    """The sizes of the subsets of n samples, ascending; fewer than FD_SIZES where n is so small that some coincide."""
    spaced = np.linspace(max(n // FD_LOWEST, 2), n, FD_SIZES)
    return sorted({int(size) for size in spaced})
