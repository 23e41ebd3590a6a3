"""BigGAN's pair for images of 32x32 and 64x64 (16x16 by a smaller start).

Brock, Donahue, Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019; the author's
public code ajbrock/BigGAN-PyTorch (BigGAN.py, layers.py), of which the defaults here are the CIFAR settings
(scripts/launch_cifar_ema.sh): width 64, every batch norm with class embeddings of its own, no attention, N(0, 0.02)
weights. Spectral norm is the Config's: the public code has it in all convolutions and linear layers of both networks
(those of G's batch norms included) and in D's embedding, and in no embedding of G.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, cat, nn, zeros
from torch.nn.functional import max_pool2d

from trainers.config import Config
from trainers.networks.layers import (
    BatchNorm2d,
    ConditionalBatchNorm2d,
    DownBlock,
    Generator,
    ResidualDiscriminator,
    UpBlock,
    image_head,
    image_side,
)
from trainers.streams import seeded

# By side of the images. Channels in widths: of G before and after each block, of D after each block; and how many
# blocks of D halve the side, the first ones.
G_CHANNELS = {16: (4, 4, 4, 4), 32: (4, 4, 4, 4), 64: (16, 16, 8, 4, 2)}
D_CHANNELS = {16: (4, 4, 4, 4), 32: (4, 4, 4, 4), 64: (1, 2, 4, 8, 16)}
D_HALVINGS = {16: 2, 32: 2, 64: 4}
# Where attention in D is put: the sides of its feature maps by the public code's table, which at 32x32 calls the last
# three 16 too, though they are 8x8. So attention = 16 follows every block there, and 8 none.
D_ATTENTION = {16: (8, 8, 8, 8), 32: (16, 16, 16, 16), 64: (32, 16, 8, 4, 4)}
INITS: dict[str, Callable[[Tensor], object]] = {
    "N02": functools.partial(nn.init.normal_, std=0.02),
    "ortho": nn.init.orthogonal_,
}


class SelfAttention(nn.Module):
    """x [N, C, H, W] -> x + gamma * attention over all places, gamma being learned from 0.

    SAGAN (Zhang et al., ICML 2019) in the form of its public code: keys and values at half the resolution. Written out,
    since torch's fused attention has no second derivatives, which R1 needs.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        keys = max(1, channels // 8)
        self.query = nn.Conv2d(channels, keys, 1, bias=False)
        self.key = nn.Conv2d(channels, keys, 1, bias=False)
        self.value = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.out = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)  # [N, C/8, HW]
        key = max_pool2d(self.key(x), 2).flatten(2)  # [N, C/8, HW/4]
        value = max_pool2d(self.value(x), 2).flatten(2)  # [N, C/2, HW/4]
        weights = (query.transpose(1, 2) @ key).softmax(-1)  # [N, HW, HW/4]
        found = value @ weights.transpose(1, 2)  # [N, C/2, HW]
        out: Tensor = x + self.gamma * self.out(found.unflatten(2, x.shape[2:]))
        return out


class BigGANGenerator(Generator):
    """z [N, latent], labels [N] -> x [N, C, R, R] in [-1, 1].

    The batch norms are conditioned on the label or, with shared_dim, on its embedding, to which `hierarchical` adds a
    piece of z for each block; the first piece makes the start. They are plain ones if n_classes is 0.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        latent: int,
        channels: Sequence[int],
        n_classes: int,
        shared_dim: int,
        hierarchical: bool,
        attention: int,
    ) -> None:
        super().__init__(latent)
        n_blocks = len(channels) - 1
        self.pieces = n_blocks + 1 if hierarchical else 1
        piece = latent // self.pieces
        condition = shared_dim + piece if hierarchical else shared_dim

        def linear(width: int) -> nn.Embedding | nn.Linear:
            return nn.Linear(condition, width, bias=False) if shared_dim else nn.Embedding(n_classes, width)

        def norm(width: int) -> nn.Module:
            return ConditionalBatchNorm2d(width, linear) if n_classes else BatchNorm2d(width)

        self.start = shape[-1] // 2**n_blocks  # side before the first block: 4 at 32x32 and 64x64
        self.shared = nn.Embedding(n_classes, shared_dim) if shared_dim else nn.Identity()
        self.linear = nn.Linear(piece, channels[0] * self.start**2)
        self.blocks = nn.ModuleList(UpBlock(before, after, norm) for before, after in itertools.pairwise(channels))
        sides = [self.start * 2**index for index in range(1, n_blocks + 1)]  # after each block
        self.attentions = nn.ModuleList(
            SelfAttention(width) if side == attention else nn.Identity()
            for side, width in zip(sides, channels[1:], strict=True)
        )
        self.head = image_head(channels[-1], shape[0])

    def forward(self, source: Tensor, labels: Tensor | None = None) -> Tensor:
        first, *rest = source.chunk(self.pieces, 1)
        label = self.shared(labels)
        conditions = [cat([label, piece], 1) for piece in rest] or [label] * len(self.blocks)
        h = self.linear(first).unflatten(1, (-1, self.start, self.start))  # [N, C, start, start]
        for block, attention, condition in zip(self.blocks, self.attentions, conditions, strict=True):
            h = attention(block(h, condition))
        x: Tensor = self.head(h)
        return x


def down_blocks(shape: tuple[int, ...], width: int, attention: int) -> list[nn.Module]:
    """Blocks of D and its attention layers; D_CHANNELS[side][-1] * width features come out."""
    side = shape[-1]
    channels = [shape[0], *(n * width for n in D_CHANNELS[side])]
    blocks: list[nn.Module] = []
    for index, (before, after) in enumerate(itertools.pairwise(channels)):
        blocks.append(DownBlock(before, after, hidden=after, down=index < D_HALVINGS[side], first=index == 0))
        if D_ATTENTION[side][index] == attention:
            blocks.append(SelfAttention(after))
    return blocks


def initialize(network: nn.Module, init: str) -> None:
    """All weights N(0, 0.02) or orthogonal, those of embeddings and conditional batch norms too."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            INITS[init](module.weight)


def check_options(side: int, n_classes: int, latent: int, shared_dim: int, hierarchical: bool, attention: int) -> None:
    """Raises ValueError, in one sentence, for options that do not fit together."""
    if shared_dim and not n_classes:
        raise ValueError(
            f"shared_dim = {shared_dim} embeds classes, and there are none; it must be 0 unless conditional"
        )
    if hierarchical and not shared_dim:
        raise ValueError("hierarchical = True needs a shared embedding; set shared_dim, to 128 say")
    pieces = len(G_CHANNELS[side])
    if hierarchical and latent % pieces:
        raise ValueError(
            f"latent = {latent} should be a multiple of {pieces} at {side}x{side} with hierarchical = True"
        )
    sides = {side >> halvings for halvings in range(pieces - 1)}.union(D_ATTENTION[side])
    if attention not in (0, *sides):
        allowed = ", ".join(map(str, sorted(sides)))
        raise ValueError(f"attention = {attention} should be 0 (off) or the side of a feature map: {allowed}")


def build(
    config: Config,
    shape: tuple[int, ...],
    n_classes: int,
    *,
    g_width: PositiveInt = 64,
    d_width: PositiveInt = 64,
    latent: PositiveInt = 128,
    shared_dim: NonNegativeInt = 0,
    hierarchical: bool = False,
    attention: NonNegativeInt = 0,
    init: Literal["N02", "ortho"] = "N02",
) -> tuple[BigGANGenerator, ResidualDiscriminator]:
    """z of `latent` dimensions; at 32x32 every block has 4 g_width or 4 d_width channels, at 64x64 G goes from 16 to 2
    widths and D from 1 to 16.

    `shared_dim` > 0: one class embedding of so many dimensions serves all batch norms of G through linear layers; 0:
    each has its own (the public CIFAR settings). `hierarchical`: each block gets a piece of z too. `attention`: the
    side of the feature maps that get self-attention, 0: none (the public code's default is 64, which at 64x64 acts in
    G alone; of D see D_ATTENTION). `init`: of all weights. With n_classes = 0, which the public code does not have,
    batch norm is plain and D has no projection. Raises ValueError unless shape is (C, R, R) with R 16, 32 or 64, and
    for options that do not fit together.
    """
    side = image_side(config, shape, G_CHANNELS.__contains__, "of side 16, 32 or 64")
    check_options(side, n_classes, latent, shared_dim, hierarchical, attention)
    with seeded(config.seed, "init of G"):
        channels = [n * g_width for n in G_CHANNELS[side]]
        generator = BigGANGenerator(shape, latent, channels, n_classes, shared_dim, hierarchical, attention)
        initialize(generator, init)
    with seeded(config.seed, "init of D"):
        features = D_CHANNELS[side][-1] * d_width
        discriminator = ResidualDiscriminator(down_blocks(shape, d_width, attention), features, n_classes, bias=True)
        initialize(discriminator, init)
    return generator, discriminator
