"""What two backbones share.

The residual blocks are those of SN-GAN (Miyato et al., ICLR 2018; Miyato and Koyama, ICLR 2018; public code
pfnet-research/sngan_projection), which BigGAN (ajbrock/BigGAN-PyTorch) and AutoGAN's discriminator have kept.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from trainers.config import Config


class Generator(nn.Module):
    """Base of the generators that start from z ~ N(0, I): source [n, latent]."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    def sample_source(self, n: int, rng: torch.Generator) -> Tensor:
        """n inputs of the generator from a random stream, on the stream's device."""
        return torch.randn(n, self.latent, generator=rng, device=rng.device)


def image_side(config: Config, shape: tuple[int, ...], fits: Callable[[int], bool], sides: str) -> int:
    """The side R of images of shape (C, R, R); `sides` says in words which ones `fits` takes.

    Raises ValueError for every other shape.
    """
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
        normalized: Tensor = self.norm(x)
        return normalized * (1 + gain[:, :, None, None]) + bias[:, :, None, None]


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
        out: Tensor = self.conv2(h) + interpolate(self.shortcut(x), scale_factor=2)
        return out


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
        out: Tensor = h + self.shortcut(x)
        return out


def image_head(channels: int, colours: int, eps: float = 1e-5) -> nn.Sequential:
    """[N, channels, H, W] -> images [N, colours, H, W] in [-1, 1]: the last layers of a residual generator."""
    return nn.Sequential(
        nn.BatchNorm2d(channels, eps), nn.ReLU(), nn.Conv2d(channels, colours, 3, padding=1), nn.Tanh()
    )


class ResidualDiscriminator(nn.Module):
    """x [N, C, R, R], labels [N] -> logits [N]: blocks, sum pooling to h [N, features], a linear layer.

    With classes the projection <embedding(label), h> is added (Miyato and Koyama, "cGANs with Projection
    Discriminator", ICLR 2018); with n_classes = 0 labels are ignored.
    """

    def __init__(self, blocks: Iterable[nn.Module], features: int, n_classes: int, *, bias: bool) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(features, 1, bias=bias)
        self.embedding = nn.Embedding(n_classes, features) if n_classes else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        h = self.blocks(x).relu().sum((2, 3))  # [N, features]
        logits: Tensor = self.linear(h).squeeze(1)
        if self.embedding is not None:
            logits = logits + (self.embedding(labels) * h).sum(1)
        return logits
