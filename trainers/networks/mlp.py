"""MLP pair of the 2-D experiments: tanh layers, orthogonal weights.

Sizes and initialisation follow the notebook of Unrolled GAN (poolio/unrolled_gan): two layers of 128, gain 1.4,
256 latent dimensions. Works for data of any shape.
"""

import itertools
import math

from pydantic import PositiveInt
from torch import Tensor, nn

from trainers.config import Config
from trainers.networks.layers import Generator
from trainers.streams import seeded


class MLPGenerator(Generator):
    """z [N, latent] -> x [N, *shape]."""

    def __init__(self, shape: tuple[int, ...], latent: int, width: int, depth: int) -> None:
        super().__init__(latent)
        self.shape = shape
        self.layers = layers(latent, width, depth, math.prod(shape))

    def forward(self, source: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(source).unflatten(1, self.shape)


class MLPDiscriminator(nn.Module):
    """x [N, *shape] -> logits [N]."""

    def __init__(self, shape: tuple[int, ...], width: int, depth: int) -> None:
        super().__init__()
        self.layers = layers(math.prod(shape), width, depth, 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(x.flatten(1)).squeeze(1)


def layers(inputs: int, width: int, depth: int, outputs: int) -> nn.Sequential:
    """`depth` tanh layers of `width` and a linear one."""
    widths = [inputs, *[width] * depth, outputs]
    stack: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        linear = nn.Linear(before, after)
        nn.init.orthogonal_(linear.weight, gain=1.4)
        nn.init.zeros_(linear.bias)
        stack += [linear, nn.Tanh()]
    return nn.Sequential(*stack[:-1])


def build(
    config: Config,
    shape: tuple[int, ...],
    n_classes: int,
    *,
    width: PositiveInt = 128,
    depth: PositiveInt = 2,
    latent: PositiveInt = 256,
) -> tuple[MLPGenerator, MLPDiscriminator]:
    """`depth` hidden layers of `width` units in both networks, z of `latent` dimensions."""
    with seeded(config.seed, "init of G"):
        generator = MLPGenerator(shape, latent, width, depth)
    with seeded(config.seed, "init of D"):
        discriminator = MLPDiscriminator(shape, width, depth)
    return generator, discriminator
