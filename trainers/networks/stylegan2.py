"""StyleGAN2 pair for images of any power-of-two resolution from 8.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020; the small-image settings of Karras et
al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020, whose definition of the layers, the
discriminators and the conditioning is followed (NVlabs/stylegan2-ada-pytorch, `training/networks.py`). Left out: style
mixing, path length regularization and truncation, with none of which the CIFAR-10 setting trains, and half precision
from 8x8 on, with which it does.
"""

import itertools
import math
from typing import Literal, TypeVar

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, one_hot
from torch.nn.utils.parametrize import register_parametrization

from trainers.config import Config
from trainers.networks.layers import Generator, image_side, in_32_bits
from trainers.resample import binomial, downsample, resample, upsample
from trainers.streams import seeded

MAPPING_LR = 0.01  # learning rate of the mapping networks, as a share of the others'
D_MAPPING_LAYERS = 8  # depth of D's own mapping network of the labels, whatever G's is

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


class Scale(nn.Module):
    """Parametrization by which a tensor is `gain` times what is trained."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, trained: Tensor) -> Tensor:
        return trained * self.gain

    def right_inverse(self, tensor: Tensor) -> Tensor:
        return tensor / self.gain


def equalized(layer: Layer, lr: float = 1.0) -> Layer:
    """The layer with weights N(0, 1/fan_in) and no offsets, at an equalized learning rate.

    Adam moves all numbers about equally fast. So what is trained has a standard deviation of 1/`lr`, and the layer
    computes with `lr`/sqrt(fan_in) times that and with `lr` times its biases (Karras et al., "Progressive Growing of
    GANs", ICLR 2018, section 4.1).
    """
    gain = 1 / math.sqrt(layer.weight[0].numel())
    nn.init.normal_(layer.weight, std=gain)
    register_parametrization(layer, "weight", Scale(lr * gain))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
        if lr != 1:
            register_parametrization(layer, "bias", Scale(lr))
    return layer


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU that about keeps the mean square."""
    return leaky_relu(x, 0.2) * math.sqrt(2)


def normalize(x: Tensor) -> Tensor:
    """x [N, d] at a mean square of 1 over each row."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def modulated_conv2d(
    x: Tensor, weight: Tensor, style: Tensor, *, demodulate: bool = True, up: Tensor | None = None
) -> Tensor:
    """x [N, I, H, W] through weights [O, I, k, k] whose inputs each sample scales by its style [N, I]: [N, O, H, W].

    `demodulate` divides each sample's weights of one output by their norm (CVPR 2020, equations 1 and 3). `up`, four
    taps, makes the convolution, which must be 3x3, one of the image with a zero after each pixel, smoothed by the taps:
    [N, O, 2H, 2W]. Activations are scaled in place of the weights: the same by linearity, and one convolution serves
    the whole batch.
    """
    x = x * style[:, :, None, None]
    if up is None:
        x = conv2d(x, weight, padding=weight.shape[-1] // 2)
    else:
        x = conv_transpose2d(x, weight.transpose(0, 1), stride=2)  # [N, O, 2H + 1, 2W + 1]
        x = resample(x, up, padding=(1, 1), gain=4)
    if demodulate:
        squares = style.square() @ weight.square().sum((2, 3)).T  # [N, O]
        x = x * (squares + 1e-8).rsqrt()[:, :, None, None]
    return x


class Mapping(nn.Module):
    """z [N, latent], labels [N] or both -> [N, width], through `depth` layers from inputs of mean square 1. `latent` =
    0 stands for no z, `n_classes` = 0 for no labels. In 32 bits, as in the public code."""

    def __init__(self, latent: int, n_classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.embed = equalized(nn.Linear(n_classes, width)) if n_classes else None
        widths = [latent + (width if n_classes else 0), *[width] * depth]
        self.layers = nn.ModuleList(equalized(nn.Linear(i, o), MAPPING_LR) for i, o in itertools.pairwise(widths))

    def forward(self, z: Tensor | None, labels: Tensor | None) -> Tensor:
        known = labels if z is None else z
        assert known is not None
        with in_32_bits(known) as exact:
            inputs = [] if z is None else [normalize(exact)]
            if self.embed is not None:
                assert labels is not None
                classes = one_hot(labels, self.embed.in_features).to(self.embed.bias.dtype)
                inputs.append(normalize(self.embed(classes)))
            x = torch.cat(inputs, dim=1)
            for layer in self.layers:
                x = activate(layer(x))
            return x


class ModulatedConv(nn.Module):
    """What StyledConv and ToImage have in common: style [N, I] of w [N, latent], 1 without w, weights and bias."""

    def __init__(self, inputs: int, outputs: int, latent: int, kernel: int) -> None:
        super().__init__()
        self.style = equalized(nn.Linear(latent, inputs))
        nn.init.ones_(self.style.bias)
        self.conv = equalized(nn.Conv2d(inputs, outputs, kernel, bias=False))
        self.bias = nn.Parameter(torch.zeros(outputs, 1, 1))


class StyledConv(ModulatedConv):
    """x [N, I, H, W], w [N, latent], noise [N, pixels out] -> [N, O, H, W], with `up` [N, O, 2H, 2W]. A modulated 3x3
    convolution, noise of a trained strength that starts from 0, bias, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, latent: int, *, up: bool, noise: bool) -> None:
        super().__init__(inputs, outputs, latent, kernel=3)
        self.noise_strength = nn.Parameter(torch.zeros(())) if noise else None
        self.up = nn.Buffer(binomial(4), persistent=False) if up else None

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        x = modulated_conv2d(x, self.conv.weight, self.style(w), up=self.up)
        if self.noise_strength is not None:
            x = x + self.noise_strength * noise.unflatten(1, (1, *x.shape[2:]))
        return activate(x + self.bias)


class ToImage(ModulatedConv):
    """x [N, I, H, W], w [N, latent] -> [N, colours, H, W]: a modulated 1x1 convolution and no more."""

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return modulated_conv2d(x, self.conv.weight, self.style(w), demodulate=False) + self.bias


class SynthesisBlock(nn.Module):
    """One resolution of G: x [N, I, H, W] -> [N, O, 2H, 2W], and the image grown so far with it. With `first` nothing
    is upsampled, and there is no image yet."""

    def __init__(
        self, inputs: int, outputs: int, side: int, colours: int, latent: int, *, first: bool, noise: bool
    ) -> None:
        super().__init__()
        convs = [] if first else [StyledConv(inputs, outputs, latent, up=True, noise=noise)]
        convs += [StyledConv(outputs, outputs, latent, up=False, noise=noise)]
        self.convs = nn.ModuleList(convs)
        self.to_image = ToImage(outputs, colours, latent, kernel=1)
        self.noise_size = len(convs) * side**2 if noise else 0  # values for each sample
        self.taps = nn.Buffer(binomial(4), persistent=False)

    def forward(self, x: Tensor, image: Tensor | None, w: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        for conv, part in zip(self.convs, noise.tensor_split(len(self.convs), dim=1), strict=True):
            x = conv(x, w, part)
        change = self.to_image(x, w)
        return x, change if image is None else upsample(image, self.taps) + change


class StyleGAN2Generator(Generator):
    """source [N, latent + noise_size] -> x [N, C, R, R], not bounded.

    A source is z and, behind it, the noise of all layers, so that one source makes one image wherever it is used. That
    is 32-bit numbers: 2.7 thousand a sample at 32x32, 175 thousand (0.7 MB) at 256x256.
    """

    def __init__(
        self, shape: tuple[int, ...], n_classes: int, latent: int, widths: list[int], mapping_layers: int, noise: bool
    ) -> None:
        super().__init__(latent)
        self.mapping = Mapping(latent, n_classes, latent, mapping_layers)
        self.start = nn.Parameter(torch.randn(widths[0], 4, 4))
        blocks = [
            SynthesisBlock(inputs, outputs, side, shape[0], latent, first=side == 4, noise=noise)
            for side, (inputs, outputs) in zip(sides(shape[-1]), itertools.pairwise([widths[0], *widths]), strict=True)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.noise_sizes = [block.noise_size for block in blocks]  # of a sample at 4, 8, ..., R

    def sample_source(self, n: int, rng: torch.Generator) -> Tensor:
        """n inputs of the generator from a random stream, on its device; the z do not depend on whether noise is on."""
        z = super().sample_source(n, rng)
        noise = torch.randn(n, sum(self.noise_sizes), generator=rng, device=rng.device)
        return torch.cat([z, noise], dim=1)

    def forward(self, source: Tensor, labels: Tensor | None = None) -> Tensor:
        z, *noises = source.split([self.latent, *self.noise_sizes], dim=1)
        w = self.mapping(z, labels)
        x, image = self.start.expand(w.shape[0], -1, -1, -1), None
        for block, noise in zip(self.blocks, noises, strict=True):
            x, image = block(x, image, w, noise)
        assert image is not None
        return image


class MinibatchStd(nn.Module):
    """x [N, C, H, W] -> [N, C + 1, H, W]: the deviation within groups of samples, averaged over all else, as a channel.

    Groups hold the largest divisor of N that is at most `group`, so that every sample has one of the same size; if that
    is 1 (a prime N beyond `group`) the channel is constant. Samples i and j share a group if i = j mod N/size.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        size = max(size for size in range(1, min(self.group, n) + 1) if n % size == 0)
        with in_32_bits(x) as exact:  # a square of a small deviation is lost in fewer
            groups = exact.unflatten(0, (size, n // size))  # [size, n / size, C, H, W]
            deviation = (groups.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3)).to(x.dtype)  # [n / size]
        channel = deviation.repeat(size)[:, None, None, None].expand(-1, 1, height, width)
        return torch.cat([x, channel], dim=1)


class DiscriminatorBlock(nn.Module):
    """x [N, I, H, W] -> [N, O, H/2, W/2]; `residual` adds a shortcut, and halves the sum's variance."""

    def __init__(self, inputs: int, outputs: int, *, residual: bool) -> None:
        super().__init__()
        self.conv0 = equalized(nn.Conv2d(inputs, inputs, 3, padding=1))
        self.conv1 = equalized(nn.Conv2d(inputs, outputs, 3, stride=2))
        self.shortcut = equalized(nn.Conv2d(inputs, outputs, 1, bias=False)) if residual else None
        self.taps = nn.Buffer(binomial(4), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y = activate(self.conv0(x))
        y = activate(self.conv1(resample(y, self.taps, padding=(2, 2))))  # smoothed to [N, I, H + 1, W + 1]
        return y if self.shortcut is None else (y + self.shortcut(downsample(x, self.taps))) / math.sqrt(2)


class StyleGAN2Discriminator(nn.Module):
    """x [N, C, R, R] -> logits [N].

    `architecture`: "orig" sees the image at its full resolution, "skip" at every one, "resnet" has shortcuts. With
    labels the logit is the product of the image's features and the mapped label's, over the root of their number.
    """

    def __init__(
        self, shape: tuple[int, ...], n_classes: int, widths: list[int], architecture: str, group: int
    ) -> None:
        super().__init__()
        top = widths[0]  # channels at 4x4; widths are those at 4, 8, ..., R
        seen = widths[::-1] if architecture == "skip" else widths[-1:]
        self.from_image = nn.ModuleList(equalized(nn.Conv2d(shape[0], width, 1)) for width in seen)
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(inputs, outputs, residual=architecture == "resnet")
            for inputs, outputs in itertools.pairwise(widths[::-1])
        )
        self.std = MinibatchStd(group) if group else nn.Identity()
        self.conv = equalized(nn.Conv2d(top + (1 if group else 0), top, 3, padding=1))
        self.hidden = equalized(nn.Linear(top * 16, top))
        self.out = equalized(nn.Linear(top, top if n_classes else 1))
        self.mapping = Mapping(0, n_classes, top, D_MAPPING_LAYERS) if n_classes else None
        self.taps = nn.Buffer(binomial(4), persistent=False)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.features(x)  # [N, top], without labels [N, 1]
        if self.mapping is None:
            return features.squeeze(1)
        mapped = self.mapping(None, labels)
        return (features * mapped).sum(1) / math.sqrt(mapped.shape[1])

    def features(self, x: Tensor) -> Tensor:
        """What the label of x [N, C, R, R] is held against [N, top]; without labels the logit [N, 1]."""
        image, first, others = x, self.from_image[0], self.from_image[1:]
        x = activate(first(image))
        for block, from_image in itertools.zip_longest(self.blocks, others):
            x = block(x)
            if from_image is not None:
                image = downsample(image, self.taps)
                x = x + activate(from_image(image))
        x = activate(self.conv(self.std(x)))  # [N, top, 4, 4]
        return self.out(activate(self.hidden(x.flatten(1))))


def channels(resolution: int, scale: float, at_most: int) -> list[int]:
    """Channels at 4, 8, ..., resolution: 16384 scale / side, bounded."""
    return [min(int(16384 * scale) // side, at_most) for side in sides(resolution)]


def sides(resolution: int) -> list[int]:
    """4, 8, ..., resolution."""
    return [2**level for level in range(2, resolution.bit_length())]


def build(
    config: Config,
    shape: tuple[int, ...],
    n_classes: int,
    *,
    latent: PositiveInt = 512,
    mapping_layers: PositiveInt = 2,
    g_scale: PositiveFloat = 1.0,
    d_scale: PositiveFloat = 1.0,
    max_channels: PositiveInt = 512,
    d_architecture: Literal["orig", "skip", "resnet"] = "orig",
    mbstd_group: NonNegativeInt = 32,
    noise: bool = True,
) -> tuple[StyleGAN2Generator, StyleGAN2Discriminator]:
    """The `cifar` setting of StyleGAN2-ADA; n_classes = 0 makes the unconditional pair.

    z and w of `latent` dimensions with `mapping_layers` between them. At most `max_channels` and at most 16384 s / side
    channels, where s is `g_scale` in G and `d_scale` in D: CoopInit's s, 1/4 in its base model, 1 in StyleGAN2-ADA at
    32x32 and 256x256. `mbstd_group` samples share a minibatch deviation in D, 0: none do. `noise` on all layers of G.
    Raises ValueError unless shape is (C, R, R) with R a power of two from 8, and for a scale that leaves no channel.
    """
    side = image_side(config, shape, lambda r: r >= 8 and r.bit_count() == 1, "with a power-of-two side from 8")
    for name, scale in (("g_scale", g_scale), ("d_scale", d_scale)):
        if 16384 * scale < side:
            least = side / 16384
            raise ValueError(f"{name} = {scale:g} leaves no channel at {side}x{side}; it must be at least {least:g}")
    with seeded(config.seed, "init of G"):
        widths = channels(side, g_scale, max_channels)
        generator = StyleGAN2Generator(shape, n_classes, latent, widths, mapping_layers, noise)
    with seeded(config.seed, "init of D"):
        widths = channels(side, d_scale, max_channels)
        discriminator = StyleGAN2Discriminator(shape, n_classes, widths, d_architecture, mbstd_group)
    return generator, discriminator
