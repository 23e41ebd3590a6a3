"""CUT's pair for unpaired translation of images of domain A into domain B: ResNet generator and PatchGAN discriminator.

Park, Efros, Zhang, Zhu, "Contrastive Learning for Unpaired Image-to-Image Translation", ECCV 2020; layers, weights and
antialiased sampling are those of the public code's defaults (taesungp/contrastive-unpaired-translation:
models/networks.py, resnet_9blocks and basic). What G starts from are images of A; PatchNCE is in regularizers.py.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import cache

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import pad

from trainers.config import Config
from trainers.data.dataset import Dataset, scale
from trainers.data.load import load_dataset
from trainers.data.rows import Rows
from trainers.networks.layers import image_side
from trainers.resample import binomial, resample, upsample
from trainers.streams import seeded

Draw = Callable[[int, torch.Generator], Tensor]


class Down(nn.Module):
    """[N, C, H, W] -> [N, C, H/2, W/2], sides rounded up, behind the filter (1, 2, 1)/4 (Zhang 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.taps = nn.Buffer(binomial(3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return resample(pad(x, (1, 1, 1, 1), mode="reflect"), self.taps, down=2)


class Up(nn.Module):
    """[N, C, H, W] -> [N, C, 2H, 2W] by the filter (1, 3, 3, 1)/8."""

    def __init__(self) -> None:
        super().__init__()
        self.taps = nn.Buffer(binomial(4), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return upsample(pad(x, (1, 1, 1, 1), mode="replicate"), self.taps)[:, :, 2:-2, 2:-2]


class ResidualBlock(nn.Module):
    """[N, C, H, W] -> [N, C, H, W]: x + two convolutions with reflected borders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels), nn.ReLU()),
            *(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ResnetGenerator(nn.Module):
    """Images of A [N, C, R, R] -> images of B [N, C, R, R] in [-1, 1].

    `draw(n, rng)` gives n images of A. `nce_layers` counts the modules of `layers` from 0, as the public code does: 0
    is the padded image, 4 and 8 the convolutions before the two halvings, 12 and 16 the first and the fifth block.
    `projections`, PatchNCE's two-layer networks of `projection` units, one for each such layer, are G's own parameters:
    Adam treats each parameter alone, so that G's optimiser is the same as one of their own.
    """

    def __init__(
        self, shape: tuple[int, ...], width: int, blocks: int, draw: Draw, nce_layers: Sequence[int], projection: int
    ) -> None:
        super().__init__()
        stack: list[nn.Module] = [nn.ReflectionPad2d(3), *_convolution(shape[0], width, 7, padding=0)]
        for before, after in ((width, 2 * width), (2 * width, 4 * width)):
            stack += [*_convolution(before, after, 3), Down()]
        stack += [ResidualBlock(4 * width) for _ in range(blocks)]
        for before, after in ((4 * width, 2 * width), (2 * width, width)):
            stack += [Up(), *_convolution(before, after, 3)]
        self.layers = nn.Sequential(*stack, nn.ReflectionPad2d(3), nn.Conv2d(width, shape[0], 7), nn.Tanh())
        self.draw = draw
        self.nce_layers = nce_layers
        channels = [_channels(self.layers[: layer + 1], shape[0]) for layer in nce_layers]
        self.apply(initialize)
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(c, projection), nn.ReLU(), nn.Linear(projection, projection)) for c in channels
        )
        self.projections.apply(initialize)  # last, so that G's own start does not depend on them

    def sample_source(self, n: int, rng: torch.Generator) -> Tensor:
        """n images of A from a random stream, on the stream's device."""
        return self.draw(n, rng)

    def forward(self, source: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(source)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features [N, C_l, H_l, W_l] of images x [N, C, R, R] at each of `nce_layers`."""
        features = []
        for index, layer in enumerate(self.layers[: max(self.nce_layers) + 1]):
            x = layer(x)
            features += [x] if index in self.nce_layers else []
        return features


class PatchDiscriminator(nn.Module):
    """x [N, C, R, R] -> logits [N, 1, H, W], one for each patch: of 70x70 pixels with 3 layers (Isola et al. 2017)."""

    def __init__(self, shape: tuple[int, ...], width: int, layers: int) -> None:
        super().__init__()
        widths = [width * min(2**level, 8) for level in range(layers + 1)]
        stack: list[nn.Module] = [nn.Conv2d(shape[0], width, 4, padding=1), nn.LeakyReLU(0.2), Down()]
        for level, (before, after) in enumerate(itertools.pairwise(widths), 1):
            stack += [nn.Conv2d(before, after, 4, padding=1), nn.InstanceNorm2d(after), nn.LeakyReLU(0.2)]
            stack += [Down()] if level < layers else []
        self.layers = nn.Sequential(*stack, nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.apply(initialize)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(x)


def _convolution(before: int, after: int, kernel: int, padding: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(before, after, kernel, padding=padding), nn.InstanceNorm2d(after), nn.ReLU()]


def _channels(layers: nn.Sequential, colours: int) -> int:
    """Channels behind the layers."""
    convolutions = [module for module in layers.modules() if isinstance(module, nn.Conv2d)]
    return convolutions[-1].out_channels if convolutions else colours


def initialize(module: nn.Module) -> None:
    """Glorot's normal weights of gain 0.02, no offsets: the public code's `xavier`."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_normal_(module.weight, 0.02)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


def draw_from(sources: Dataset, *, mirror: bool) -> Draw:
    """A function that draws images of A with replacement, flipped left to right at random if `mirror`. Which
    ones is drawn on the CPU whatever device the stream is on: to ask that for it, each step would wait."""

    @cache
    def examples(device: torch.device) -> Rows:
        return Rows(sources.examples, device)

    def draw(n: int, rng: torch.Generator) -> Tensor:
        here = rng if rng.device.type == "cpu" else torch.Generator().manual_seed(rng.initial_seed())
        indices = torch.randint(len(sources.examples), (n,), generator=here)
        turned = torch.rand(n, generator=here) < 0.5 if mirror else None
        return scale(examples(rng.device).take(indices, turned))

    return draw  # not a method: a copy of the generator shares the images


def build(
    config: Config,
    shape: tuple[int, ...],
    n_classes: int,
    *,
    width: PositiveInt = 64,
    d_width: PositiveInt = 64,
    blocks: NonNegativeInt = 9,
    d_layers: PositiveInt = 3,
    projection: PositiveInt = 256,
) -> tuple[ResnetGenerator, PatchDiscriminator]:
    """G of `width` channels at full resolution and residual `blocks`, D of `d_width` channels and `d_layers`. Raises
    ValueError for data without domain A, sides that G or D cannot halve, and `nce_layers` that G lacks."""
    pair = load_dataset(config).pair
    if pair is None:
        raise ValueError(f"backbone = 'cut' translates images, and dataset = {config.dataset!r} has no domain A")
    least = 2 ** (d_layers + 2)  # below it, D's last instance norm would see one pixel
    sides = f"with a side from {least} that 4 divides for d_layers = {d_layers}"
    image_side(config, shape, lambda side: side >= least and side % 4 == 0, sides)
    draw, nce_layers = draw_from(pair.sources, mirror=config.mirror), config.nce_layers if config.nce_weight else ()
    with seeded(config.seed, "init of G"):
        generator = ResnetGenerator(shape, width, blocks, draw, nce_layers, projection)
    if max(nce_layers, default=0) >= len(generator.layers):
        last = len(generator.layers) - 1
        raise ValueError(f"nce_layers = {list(nce_layers)}: with blocks = {blocks}, G has the layers 0 to {last}")
    with seeded(config.seed, "init of D"):
        discriminator = PatchDiscriminator(shape, d_width, d_layers)
    return generator, discriminator
