"""What two backbones share.

The residual blocks are those of SN-GAN (Miyato et al., ICLR 2018; Miyato and Koyama, ICLR 2018; public code
pfnet-research/sngan_projection), which BigGAN (ajbrock/BigGAN-PyTorch) and AutoGAN's discriminator have kept.
"""

import itertools
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, cat, nn, zeros
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from trainers.config import Config


class Generator(nn.Module):
    """Base of the generators that start from z ~ N(0, I): source [n, latent]."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    def sample_source(self, n: int, rng: torch.Generator) -> Tensor:
        """n inputs of the generator from a random stream, on the stream's device."""
        return torch.randn(n, self.latent, generator=rng, device=rng.device)


@contextmanager
def in_32_bits(x: Tensor) -> Iterator[Tensor]:
    """Within it x has 32 bits at least, and nothing on its device is computed in fewer, whatever the precision is."""
    with torch.autocast(x.device.type, enabled=False):
        yield x.float() if x.element_size() < 4 else x


def image_side(config: Config, shape: tuple[int, ...], fits: Callable[[int], bool], sides: str) -> int:
    """The side R of images of shape (C, R, R); `sides` says in words which ones `fits` takes. Raises ValueError for
    every other shape."""
    side = shape[-1]
    if len(shape) != 3 or shape[1] != side or not fits(side):
        hint = "; set resolution, to 32 say" if config.data_source.is_image_files else ""
        raise ValueError(f"backbone = {config.backbone!r} needs square images {sides}, not {shape}{hint}")
    return side


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm that can stand where a conditional one does, and ignores the condition."""

    def forward(self, input: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(input)


class ConditionalBatchNorm2d(nn.Module):
    """x [N, C, H, W], condition -> (1 + gain(condition)) * x, normalized, + bias(condition).

    `linear(C)` makes each of the two maps: an embedding of labels [N], or a linear layer on vectors [N, K]. Both start
    at 0, as plain batch norm (de Vries et al. 2017, Dumoulin et al. 2017).
    """

    def __init__(self, channels: int, linear: Callable[[int], nn.Embedding | nn.Linear], eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps, affine=False)
        self.gain = linear(channels)
        self.bias = linear(channels)
        nn.init.zeros_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias = self.gain(condition), self.bias(condition)  # [N, C] each
        return self.norm(x) * (1 + gain[:, :, None, None]) + bias[:, :, None, None]


class UpBlock(nn.Module):
    """x [N, before, H, W], condition -> [N, after, 2H, 2W]: residual block of a generator.

    `norm(channels)` makes a norm that takes the condition. The published code puts the shortcut's 1x1 convolution after
    the upsampling; the two commute, and this order costs a quarter.
    """

    def __init__(self, before: int, after: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.norm1 = norm(before)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.norm2 = norm(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        h = interpolate(self.norm1(x, condition).relu(), scale_factor=2)
        h = self.norm2(self.conv1(h), condition).relu()
        return self.conv2(h) + interpolate(self.shortcut(x), scale_factor=2)


class DownBlock(nn.Module):
    """x [N, before, H, W] -> [N, after, H/2, W/2] if `down`, else [N, after, H, W]: residual block of a discriminator.

    `hidden` channels between its two convolutions; the `first` block of a network has no ReLU before them. Pooling and
    the shortcut's 1x1 convolution commute, as in UpBlock.
    """

    def __init__(self, before: int, after: int, *, hidden: int, down: bool, first: bool) -> None:
        super().__init__()
        self.down = down
        self.first = first
        self.conv1 = nn.Conv2d(before, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if down or before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(x if self.first else x.relu())
        h = self.conv2(h.relu())
        if self.down:
            h, x = avg_pool2d(h, 2), avg_pool2d(x, 2)
        return h + self.shortcut(x)


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
        return x + self.gamma * self.out(found.unflatten(2, x.shape[2:]))


def image_head(channels: int, colours: int, eps: float = 1e-5) -> nn.Sequential:
    """[N, channels, H, W] -> images [N, colours, H, W] in [-1, 1]: the last layers of a residual generator."""
    return nn.Sequential(
        nn.BatchNorm2d(channels, eps), nn.ReLU(), nn.Conv2d(channels, colours, 3, padding=1), nn.Tanh()
    )


class ResidualGenerator(Generator):
    """z [N, latent], labels [N] -> x [N, C, R, R] in [-1, 1], with `channels` before the first block and after each.

    BigGAN's; with `eps` alone, which is batch norm's, it is SN-GAN's. The batch norms are conditioned on the label or,
    with shared_dim, on its embedding, to which `hierarchical` adds a piece of z for each block; the first piece makes
    the start. They are plain if n_classes is 0. `attention`: the side of the feature maps that get it, 0: none.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        latent: int,
        channels: Sequence[int],
        n_classes: int,
        *,
        eps: float = 1e-5,
        shared_dim: int = 0,
        hierarchical: bool = False,
        attention: int = 0,
    ) -> None:
        super().__init__(latent)
        n_blocks = len(channels) - 1
        self.pieces = n_blocks + 1 if hierarchical else 1
        piece = latent // self.pieces
        condition = shared_dim + piece if hierarchical else shared_dim

        def linear(width: int) -> nn.Embedding | nn.Linear:
            return nn.Linear(condition, width, bias=False) if shared_dim else nn.Embedding(n_classes, width)

        def norm(width: int) -> nn.Module:
            return ConditionalBatchNorm2d(width, linear, eps) if n_classes else BatchNorm2d(width, eps)

        self.start = shape[-1] // 2**n_blocks  # side before the first block: 4 at 32x32 and 64x64, 6 at 48x48
        self.shared = nn.Embedding(n_classes, shared_dim) if shared_dim else nn.Identity()
        self.linear = nn.Linear(piece, channels[0] * self.start**2)
        self.blocks = nn.ModuleList(UpBlock(before, after, norm) for before, after in itertools.pairwise(channels))
        sides = [self.start * 2**index for index in range(1, n_blocks + 1)]  # after each block
        self.attentions = nn.ModuleList(
            SelfAttention(width) if side == attention else nn.Identity()
            for side, width in zip(sides, channels[1:], strict=True)
        )
        self.head = image_head(channels[-1], shape[0], eps)

    def forward(self, source: Tensor, labels: Tensor | None = None) -> Tensor:
        first, *rest = source.chunk(self.pieces, 1)
        label = self.shared(labels)
        conditions = [cat([label, piece], 1) for piece in rest] or [label] * len(self.blocks)
        h = self.linear(first).unflatten(1, (-1, self.start, self.start))  # [N, C, start, start]
        for block, attention, condition in zip(self.blocks, self.attentions, conditions, strict=True):
            h = attention(block(h, condition))
        return self.head(h)


class ResidualDiscriminator(nn.Module):
    """x [N, colours, R, R], labels [N] -> logits [N]: blocks, sum pooling to h [N, features], a linear layer.

    `channels` come out of the blocks, the first `halvings` of which halve the sides. Inside, a block is as wide as what
    comes out or, if `narrow`, but for the first, as what goes in. Self-attention follows the blocks whose numbers, from
    0, are `attended`. `bias` is that of the linear layer. With classes the projection <embedding(label), h> is added
    (Miyato and Koyama, "cGANs with Projection Discriminator", ICLR 2018); with n_classes = 0 labels are ignored.
    """

    def __init__(
        self,
        colours: int,
        channels: Sequence[int],
        halvings: int,
        n_classes: int,
        *,
        narrow: bool,
        bias: bool,
        attended: Container[int] = (),
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential()
        for index, (before, after) in enumerate(itertools.pairwise((colours, *channels))):
            hidden = before if narrow and index else after
            self.blocks.append(DownBlock(before, after, hidden=hidden, down=index < halvings, first=index == 0))
            if index in attended:
                self.blocks.append(SelfAttention(after))
        self.linear = nn.Linear(channels[-1], 1, bias=bias)
        self.embedding = nn.Embedding(n_classes, channels[-1]) if n_classes else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        h = self.blocks(x).relu().sum((2, 3))  # [N, features]
        logits = self.linear(h).squeeze(1)
        return logits if self.embedding is None else logits + (self.embedding(labels) * h).sum(1)
