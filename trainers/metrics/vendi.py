"""Vendi score: how many different samples there are in effect."""

import torch
from torch import Tensor

from trainers.heartbeat import heartbeat
from trainers.metrics import BATCH
from trainers.metrics.sampled import Sampled


def vendi_score(sampled: Sampled) -> dict[str, float]:
    """Of generated features."""
    return {"vendi": vendi(sampled.features)}


def vendi(features: Tensor) -> float:
    """The Vendi score (Friedman and Dieng 2022) of features [n, d] under the cosine kernel, in float64.

    It is the exponential of the entropy of the eigenvalues of K / n, where K has the cosines of all pairs: between 1,
    of features in one direction, and n, of features at right angles to each other. X^T X of the unit vectors X has the
    same eigenvalues but for zeros, and is taken where it is smaller. A feature of zeros has no direction; all such
    count as one more, at right angles to the others, since a kernel is 1 of a point and itself.

    Raises ValueError where there is no feature or one is not finite.
    """
    n, d = features.shape
    if n == 0:
        raise ValueError("the Vendi score needs at least one feature")
    norms = torch.cat([part.double().square().sum(1).sqrt() for part in features.split(BATCH)])
    if not norms.isfinite().all():
        raise ValueError("the Vendi score needs finite features")
    divisors = norms.where(norms > 0, 1)[:, None]
    if n < d:
        units = features.double() / divisors
        products = units @ units.T
    else:
        products = torch.zeros(d, d, dtype=torch.float64, device=features.device)
        for part, divisor in zip(features.split(BATCH), divisors.split(BATCH), strict=True):
            heartbeat()
            units = part.double() / divisor
            products.addmm_(units.T, units)
    heartbeat()
    shares = (torch.linalg.eigvalsh(products) / n).clamp_min(0)  # rounding below zero counts as zero
    directionless = (norms == 0).double().mean()
    return float((-torch.xlogy(shares, shares).sum() - torch.xlogy(directionless, directionless)).exp())
