"""AutoGAN's pair: the generator that was found on CIFAR-10 ("A") and SN-GAN's discriminator.

Gong, Chang, Jiang, Wang, "AutoGAN: Neural Architecture Search for Generative Adversarial Networks", ICCV 2019; public
code VITA-Group/AutoGAN (models/autogan_cifar10_a.py, building_blocks.py), which trains the same pair on STL-10 from a
start of 6x6 (exps/autogan_cifar10_a2stl10.sh). Spectral norm, in the public code of D alone, is the Config's.
"""

from collections.abc import Sequence

from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn.functional import interpolate

from trainers.config import Config
from trainers.networks.layers import Generator, ResidualDiscriminator, image_head, image_side
from trainers.streams import seeded

CELLS = (("nearest", True), ("bilinear", True), ("nearest", False))  # upsampling, and whether there is a shortcut


class Cell(nn.Module):
    """x [N, C, H, H], skips of the cells before -> skip, out, both [N, C, 2H, 2H]. The 1x1 convolutions stand before
    the interpolations, with which they commute, at a quarter of the cost."""

    def __init__(self, width: int, mode: str, n_skips: int, shortcut: bool) -> None:
        super().__init__()
        self.mode = mode
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.skips = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(n_skips))
        self.shortcut = nn.Conv2d(width, width, 1) if shortcut else None

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        h = self.conv1(interpolate(x.relu(), scale_factor=2, mode=self.mode))
        for conv, skip in zip(self.skips, skips, strict=True):
            h = h + interpolate(conv(skip), size=h.shape[2:], mode=self.mode)
        out = self.conv2(h.relu())
        if self.shortcut is not None:
            out = out + interpolate(self.shortcut(x), scale_factor=2, mode=self.mode)
        return h, out  # a skip holds what was skipped in, since the public code adds that in place


class AutoGANGenerator(Generator):
    """z [N, latent] -> x [N, C, R, R] in [-1, 1]."""

    def __init__(self, shape: tuple[int, ...], latent: int, width: int) -> None:
        super().__init__(latent)
        self.start = shape[-1] // 2 ** len(CELLS)  # side before the first cell: 4 at 32x32, 6 at 48x48
        self.linear = nn.Linear(latent, width * self.start**2)
        self.cells = nn.ModuleList(Cell(width, mode, index, shortcut) for index, (mode, shortcut) in enumerate(CELLS))
        self.head = image_head(width, shape[0])

    def forward(self, source: Tensor, labels: Tensor | None = None) -> Tensor:
        h = self.linear(source).unflatten(1, (-1, self.start, self.start))  # [N, C, start, start]
        skips: list[Tensor] = []
        for cell in self.cells:
            skip, h = cell(h, skips)
            skips.append(skip)
        return self.head(h)


def initialize(module: nn.Module) -> None:
    """Glorot's uniform weights in the convolutions, batch norm scales around 1; the rest as torch makes it."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def build(
    config: Config,
    shape: tuple[int, ...],
    n_classes: int,
    *,
    g_width: PositiveInt = 256,
    d_width: PositiveInt = 128,
    latent: PositiveInt = 128,
) -> tuple[AutoGANGenerator, ResidualDiscriminator]:
    """`g_width` and `d_width` channels in G and D, z of `latent` dimensions. Raises ValueError unless shape is (C, R,
    R) with R 16, 32 or 48, and for n_classes > 0: the search was for an unconditional generator."""
    if n_classes:
        raise ValueError(f"backbone = 'autogan' is unconditional: it takes n_classes = 0, not {n_classes}")
    image_side(config, shape, (16, 32, 48).__contains__, "of side 16, 32 or 48")
    with seeded(config.seed, "init of G"):
        generator = AutoGANGenerator(shape, latent, g_width)
        generator.apply(initialize)
    with seeded(config.seed, "init of D"):
        discriminator = ResidualDiscriminator(shape[0], [d_width] * 4, 2, n_classes, narrow=True, bias=False)
        discriminator.apply(initialize)
    return generator, discriminator
