"""Frechet distance of two sets of features, the FID."""

import torch
from torch import Tensor


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

    Means [d] and covariances [d, d], in float64. tr (S1 S2)^(1/2) is the sum of the roots of the eigenvalues of R S2 R
    with R the symmetric root of S1 (`root1`, if at hand), which singular covariances have too.
    """
    root = symmetric_root(cov1) if root1 is None else root1
    inner = root @ cov2 @ root
    cross = torch.linalg.eigvalsh((inner + inner.T) / 2).clamp_min(0).sqrt().sum()
    return float((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * cross)
