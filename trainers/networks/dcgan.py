"""DCGAN pair for images of any power-of-two resolution from 16.

Radford, Metz, Chintala, "Unsupervised Representation Learning with Deep Convolutional GANs", ICLR 2016: strided
convolutions, batch norm in both networks except at G's output and D's input, N(0, 0.02) weights. Kernels of 4x4 and, at
64x64 and width 64, 512, 256, 128 and 64 channels are those of later public code; the paper has 5x5, twice as many, and
uniform z.
"""

import itertools
from typing import Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from trainers.config import Config
from trainers.networks.layers import Generator, image_side
from trainers.streams import seeded


class DCGANGenerator(Generator):
    """z [N, latent] -> x [N, C, R, R] in [-1, 1]."""

    def __init__(self, shape: tuple[int, ...], latent: int, width: int) -> None:
        super().__init__(latent)
        widths = channels(shape[-1], width)[::-1]  # at 4, 8, ..., R/2
        stack: list[nn.Module] = [nn.ConvTranspose2d(latent, widths[0], 4, bias=False)]
        for before, after in itertools.pairwise(widths):
            stack += [nn.BatchNorm2d(before), nn.ReLU(), nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
        stack += [nn.BatchNorm2d(widths[-1]), nn.ReLU(), nn.ConvTranspose2d(widths[-1], shape[0], 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*stack)
        self.apply(initialize)

    def forward(self, source: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(source[:, :, None, None])


class DCGANDiscriminator(nn.Module):
    """x [N, C, R, R] -> logits [N]."""

    def __init__(self, shape: tuple[int, ...], width: int, norm: str) -> None:
        super().__init__()
        widths = channels(shape[-1], width)  # at R/2, ..., 8, 4
        stack: list[nn.Module] = [nn.Conv2d(shape[0], widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for before, after in itertools.pairwise(widths):
            stack += [nn.Conv2d(before, after, 4, 2, 1, bias=norm == "none")]
            stack += [nn.BatchNorm2d(after)] if norm == "batch" else []
            stack += [nn.LeakyReLU(0.2)]
        stack += [nn.Conv2d(widths[-1], 1, 4)]
        self.layers = nn.Sequential(*stack)
        self.apply(initialize)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(x).flatten()


def channels(resolution: int, width: int) -> list[int]:
    """Channels at resolutions R/2, R/4, ..., 4: width, doubled at each halving."""
    return [width * 2**level for level in range(resolution.bit_length() - 3)]


def initialize(module: nn.Module) -> None:
    """N(0, 0.02) weights, batch norm scales around 1, no offsets."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    bias = getattr(module, "bias", None)
    if isinstance(bias, Tensor):
        nn.init.zeros_(bias)


def build(
    config: Config,
    shape: tuple[int, ...],
    n_classes: int,
    *,
    width: PositiveInt = 64,
    latent: PositiveInt = 100,
    d_norm: Literal["batch", "none"] = "batch",
) -> tuple[DCGANGenerator, DCGANDiscriminator]:
    """`width` channels at half the resolution, z of `latent` dimensions, `d_norm` after D's inner convolutions. Raises
    ValueError unless shape is (C, R, R) with R a power of two from 16."""
    image_side(config, shape, lambda r: r >= 16 and r.bit_count() == 1, "with a power-of-two side from 16")
    with seeded(config.seed, "init of G"):
        generator = DCGANGenerator(shape, latent, width)
    with seeded(config.seed, "init of D"):
        discriminator = DCGANDiscriminator(shape, width, d_norm)
    return generator, discriminator
