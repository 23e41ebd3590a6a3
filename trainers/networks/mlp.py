"""MLP pair of the 2-D experiments: orthogonal weights, no offsets at the start.

By default of the sizes and the initialisation of the notebook of Unrolled GAN (poolio/unrolled_gan): two tanh layers of
128, gain 1.4, 256 latent dimensions. Its paper (Metz, Poole, Pfau, Sohl-Dickstein, ICLR 2017, appendix A) has ReLU, a D
of one layer that sees x / 4, and gain 0.8. Works for data of any shape.
"""

import itertools
import math
from collections.abc import Callable
from typing import Literal

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from trainers.config import Config
from trainers.networks.layers import Generator
from trainers.streams import seeded

Activation = Literal["tanh", "relu", "leaky_relu"]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),  # DCGAN's slope
}


class MLPGenerator(Generator):
    """z [N, latent] -> x [N, *shape]."""

    def __init__(self, shape: tuple[int, ...], latent: int, layers: nn.Sequential) -> None:
        super().__init__(latent)
        self.shape = shape
        self.layers = layers

    def forward(self, source: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(source).unflatten(1, self.shape)


class MLPDiscriminator(nn.Module):
    """x [N, *shape] -> logits [N] of input_scale * x."""

    def __init__(self, layers: nn.Sequential, input_scale: float) -> None:
        super().__init__()
        self.layers = layers
        self.input_scale = input_scale

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        x = x.flatten(1)
        x = x if self.input_scale == 1 else self.input_scale * x  # a launch less
        return self.layers(x).squeeze(1)


def layers(inputs: int, width: int, depth: int, outputs: int, activation: Activation, gain: float) -> nn.Sequential:
    """`depth` layers of `width` units with an activation, and a linear one; the gain is of all their weights."""
    widths = [inputs, *[width] * depth, outputs]
    stack: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        linear = nn.Linear(before, after)
        nn.init.orthogonal_(linear.weight, gain=gain)
        nn.init.zeros_(linear.bias)
        stack += [linear, ACTIVATIONS[activation]()]
    return nn.Sequential(*stack[:-1])


def build(
    config: Config,
    shape: tuple[int, ...],
    n_classes: int,
    *,
    width: PositiveInt = 128,
    depth: PositiveInt = 2,
    g_depth: PositiveInt | None = None,
    d_depth: PositiveInt | None = None,
    latent: PositiveInt = 256,
    activation: Activation = "tanh",
    g_gain: PositiveFloat = 1.4,
    d_gain: PositiveFloat = 1.4,
    d_input_scale: PositiveFloat = 1.0,
) -> tuple[MLPGenerator, MLPDiscriminator]:
    """`depth` hidden layers of `width` units in both networks, or `g_depth` in G and `d_depth` in D; z of `latent`
    dimensions. Weights W start orthogonal: the smaller of W W^T and W^T W is gain^2 I. D sees `d_input_scale` * x.
    """
    size = math.prod(shape)
    with seeded(config.seed, "init of G"):
        stack = layers(latent, width, g_depth or depth, size, activation, g_gain)
        generator = MLPGenerator(shape, latent, stack)
    with seeded(config.seed, "init of D"):
        stack = layers(size, width, d_depth or depth, 1, activation, d_gain)
        discriminator = MLPDiscriminator(stack, d_input_scale)
    return generator, discriminator
