"""Scores on Inception's features beside the FID: inception score and KID, on the device of the features.

Both equal torch-fidelity's, to rounding: its order, its subsets and its seed, drawn by numpy as it does.
"""

from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from trainers.heartbeat import heartbeat
from trainers.metrics.sampled import Sampled
from trainers.names import KID_REAL, KID_SUBSET, KID_SUBSETS, SCORE_SPLITS

SEED = 2020  # of torch-fidelity's draws
STRIP = 250  # rows of a KID's subset at a time


def inception_score(sampled: Sampled) -> dict[str, float]:
    """Of generated features (Salimans et al. 2016), with the standard deviation over its parts."""
    features, logits = sampled.features, sampled.net.logits
    assert logits is not None
    n = len(features)
    order = torch.from_numpy(np.random.RandomState(SEED).permutation(n)).to(features.device)
    bounds = pairwise(part * n // SCORE_SPLITS for part in range(SCORE_SPLITS + 1))
    scores = torch.stack([_score(logits(features[order[start:end]])) for start, end in bounds])
    return {"inception_score": float(scores.mean()), "inception_score_std": float(scores.std(correction=0))}


def _score(logits: Tensor) -> Tensor:
    """exp of the mean divergence of p(y|x) from p(y), in float64, of logits [n, classes]: of what the samples share in
    entropy, H(y) - E H(y|x)."""
    heartbeat()
    logits = logits.double()
    p = logits.softmax(1)
    log_total = logits.amax(1) - p.amax(1).log()  # of the exponentials, which saves a second round of them
    within = log_total - (p * logits).sum(1)  # entropies; no log of a p, which may be 0
    mean = p.mean(0)
    return (-torch.xlogy(mean, mean).sum() - within.mean()).exp()


def kid(sampled: Sampled) -> dict[str, float]:
    """Squared kernel distance of generated to real features (Binkowski et al. 2018), with the standard deviation over
    its subsets, which have KID_SUBSET features, or as many as the smaller side."""
    fake, real = sampled.features, sampled.real.drawn(KID_REAL)
    size = min(KID_SUBSET, len(fake), len(real))
    subsets = _subsets(len(fake), len(real), size, KID_SUBSETS).to(fake.device)
    values = torch.stack([_kernel_distance(fake[of_fake], real[of_real]) for of_fake, of_real in subsets])
    return {"kid": float(values.mean()), "kid_std": float(values.std(correction=0))}


@lru_cache(maxsize=4)
def _subsets(n_fake: int, n_real: int, size: int, count: int) -> Tensor:
    """Indices of the subsets of both sides, without repetition within one: [count, 2, size]."""
    rng = np.random.RandomState(SEED)
    return torch.from_numpy(
        np.stack([[rng.choice(n, size, replace=False) for n in (n_fake, n_real)] for _ in range(count)])
    )


def _kernel_distance(x: Tensor, y: Tensor) -> Tensor:
    """The unbiased squared maximum mean discrepancy of x and y, both [n, d], 0-d in float64: the means over all pairs
    within a side and over all pairs across."""
    heartbeat()
    n = len(x)
    across = _cubic(x, y).sum(dtype=torch.float64)
    return (_within(x) + _within(y)) / (n * (n - 1)) - 2 * across / n**2


def _within(x: Tensor) -> Tensor:
    """The sum of the kernel over all pairs of different rows of x [n, d], each computed about once: strip by strip with
    the rows from there on."""
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    for start in range(0, len(x), STRIP):
        kernel = _cubic(x[start : start + STRIP], x[start:])
        own = kernel[:, : len(kernel)]
        total += 2 * kernel.sum(dtype=torch.float64) - own.sum(dtype=torch.float64) - own.trace()
    return total


def _cubic(x: Tensor, y: Tensor) -> Tensor:
    """The kernel (x.y / d + 1)^3 of all pairs of x [n, d] and y [m, d]: [n, m]."""
    base = (x @ y.T).div_(x.shape[1]).add_(1)
    return base.square().mul_(base)
