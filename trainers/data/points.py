"""2-D data sets: mixtures of Gaussians."""

import math

import torch
from pydantic import PositiveFloat
from torch import Tensor

from trainers.data.dataset import Dataset
from trainers.names import MODE_RADIUS
from trainers.streams import stream

POINTS = 100_000  # points of a 2-D data set


def ring8(*, radius: PositiveFloat = 1.0, std: PositiveFloat = 0.01) -> Dataset:
    """8 Gaussians of std 0.01, equally spaced on a circle of radius 1, by default, as in Unrolled GAN's notebook
    (poolio/unrolled_gan); its paper (Metz et al. 2017, appendix A) has radius 2 and std 0.02."""
    angles = torch.arange(8) * (2 * math.pi / 8)
    return _mixture(radius * torch.stack([angles.cos(), angles.sin()], dim=1), std)


def grid25(*, spacing: PositiveFloat = 2.0, std: PositiveFloat = 0.05) -> Dataset:
    """25 Gaussians on a grid of 5 x 5 around 0, by default as in PacGAN (Lin et al. 2018)."""
    line = spacing * torch.arange(-2.0, 3.0)
    return _mixture(torch.cartesian_prod(line, line), std)


def _mixture(modes: Tensor, std: float) -> Dataset:
    """A balanced mixture of isotropic Gaussians: POINTS fixed examples, and fresh ones on demand; label = mode. Raises
    ValueError for modes so wide that a point could count as of two."""
    widest = float(torch.pdist(modes).min()) / (2 * MODE_RADIUS)
    if std > widest:
        raise ValueError(
            f"dataset_options: std = {std:g} should be at most {0.999 * widest:.3g}, so that the modes lie "
            f"{2 * MODE_RADIUS:g} standard deviations apart"
        )

    def draw(n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        labels = torch.randint(len(modes), (n,), generator=rng)
        return modes[labels] + std * torch.randn(n, 2, generator=rng), labels

    points, labels = draw(POINTS, stream(0, "examples"))
    return Dataset(points, labels, len(modes), modes, std, fresh=lambda n, rng: draw(n, rng)[0])
