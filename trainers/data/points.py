"""2-D data sets: mixtures of Gaussians."""

import math

import torch
from torch import Tensor

from trainers.data.dataset import Dataset
from trainers.streams import stream

POINTS = 100_000  # points of a 2-D data set


def ring8() -> Dataset:
    """8 Gaussians of std 0.01, equally spaced on the unit circle (Unrolled GAN's notebook, poolio/unrolled_gan)."""
    angles = torch.arange(8) * (2 * math.pi / 8)
    return _mixture(torch.stack([angles.cos(), angles.sin()], dim=1), 0.01)


def grid25() -> Dataset:
    """25 Gaussians of std 0.05 on the grid {-4, -2, 0, 2, 4} squared (as in PacGAN, Lin et al. 2018)."""
    line = torch.arange(-4.0, 5.0, 2.0)
    return _mixture(torch.cartesian_prod(line, line), 0.05)


def _mixture(modes: Tensor, std: float) -> Dataset:
    """A balanced mixture of isotropic Gaussians: POINTS fixed examples, and fresh ones on demand; label = mode."""

    def draw(n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        labels = torch.randint(len(modes), (n,), generator=rng)
        return modes[labels] + std * torch.randn(n, 2, generator=rng), labels

    points, labels = draw(POINTS, stream(0, "examples"))
    return Dataset(points, labels, len(modes), modes, std, fresh=lambda n, rng: draw(n, rng)[0])
