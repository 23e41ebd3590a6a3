"""ADA: random augmentations of all that D sees, with a strength p that follows how far D overfits.

Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020, arXiv 2006.06676; public
source NVlabs/stylegan2-ada-pytorch, `training/augment.py` and `training/training_loop.py`. Each transformation acts on
an image with probability p, independently of the others and of the other images. All of it is linear in the image
plus a constant, so it can be differentiated any number of times.

Three things are done otherwise than in the public source, two of which change the result. Mirroring and quarter turns
copy pixels; there they go through the filters, whose slight asymmetry distorts a mirrored image. The mirrored border
goes on without end; there it ends in black after one image side at most. The filters are matrix products instead of
convolutions, which makes an augmentation more than ten times as fast on a CPU.
"""

import functools
import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


class Distribution(NamedTuple):
    """How a parameter is drawn: an integer below `spread`, uniformly within +-spread, or normal of that deviation."""

    kind: Literal["integer", "uniform", "normal"]
    spread: float
    size: int = 1  # 2: along x and along y

    def draw(self, n: int, rng: torch.Generator, dtype: torch.dtype) -> Tensor:
        """n values [n, size]."""
        if self.kind == "normal":
            return self.spread * torch.randn(n, self.size, generator=rng, device=rng.device, dtype=dtype)
        value = torch.rand(n, self.size, generator=rng, device=rng.device, dtype=dtype)
        return (self.spread * value).floor() if self.kind == "integer" else self.spread * (2 * value - 1)


# The transformations in the order in which they act, each with the law of its parameter; at 0 each changes nothing.
BLIT = {
    "mirror": Distribution("integer", 2),  # 1: left and right exchanged
    "quarter_turns": Distribution("integer", 4),  # anticlockwise
    "shift": Distribution("uniform", 0.125, 2),  # right and down, in sides of the image, rounded to whole pixels
}
GEOMETRY = {
    "scale": Distribution("normal", 0.2),  # log2 of the factor
    "turn": Distribution("uniform", math.pi),  # anticlockwise, radians
    "stretch": Distribution("normal", 0.2),  # log2 of the factor of x and of 1/y
    "second_turn": Distribution("uniform", math.pi),
    "drift": Distribution("normal", 0.125, 2),  # right and down, in sides of the image
}
COLOUR = {
    "brightness": Distribution("normal", 0.2),  # added to all channels
    "contrast": Distribution("normal", 0.5),  # log2 of the factor
    "luma_flip": Distribution("integer", 2),  # 1: light and dark exchanged, hues kept
    "hue": Distribution("uniform", math.pi),  # radians
    "saturation": Distribution("normal", 1.0),  # log2 of the factor
}
TRANSFORMATIONS = BLIT | GEOMETRY | COLOUR
PIPES = {"b": (*BLIT,), "bg": (*BLIT, *GEOMETRY), "bgc": (*BLIT, *GEOMETRY, *COLOUR)}

# Low-pass filter of the wavelet sym6 (Daubechies), of sum sqrt 2: orthogonal to itself shifted by 2, 4, ... taps.
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)
BEFORE = 5  # taps before the largest one, which stands on the pixel


def augment(x: Tensor, p: Tensor, rng: torch.Generator, pipe: str = "bgc") -> Tensor:
    """x [N, C, H, W] in [-1, 1], each transformation of `pipe` acting on each image with probability p.

    `p` is a 0-d tensor in [0, 1], `rng` a stream, both on x's device. The stream gives the same numbers whatever p
    and the pipe are. What no transformation acts on is returned bit for bit: at p = 0 all of x. The cost does not
    depend on p, since no number is read back from the device. Colours may leave [-1, 1], as in the public source.
    Raises ValueError for an unknown pipe, or channels other than 1 (without hue and saturation) or 3.
    """
    if pipe not in PIPES:
        raise ValueError(f"pipe = {pipe!r} is not one of {', '.join(map(repr, PIPES))}")
    if x.shape[1] not in (1, 3):
        raise ValueError(f"ADA takes images of 1 or 3 channels, not of {x.shape[1]}")
    return transform(x, draw(PIPES[pipe], len(x), p, rng, x.dtype))


def next_p(p: Tensor, mean_sign: Tensor, *, target: float, images: int, full: int) -> Tensor:
    """p after `images` more real images: up if mean sign D(real) exceeds the target, else down; all 0-d tensors. From 0
    to 1 in `full` images, and no further, where only the way back would grow (the public source goes beyond 1)."""
    return (p + (mean_sign - target).sign() * (images / full)).clamp(0, 1)


def draw(names: tuple[str, ...], n: int, p: Tensor, rng: torch.Generator, dtype: torch.dtype) -> dict[str, Tensor]:
    """Parameters of all transformations for n images, [n] or [n, 2] each: 0 where one does not act. Each of `names`
    acts with probability p, except that p is the probability of either rotation."""
    chances = dict.fromkeys(names, p) | {name: 1 - (1 - p).sqrt() for name in names if name in ("turn", "second_turn")}
    drawn = {}
    for name, law in TRANSFORMATIONS.items():
        value = law.draw(n, rng, dtype)
        coin = torch.rand(n, 1, generator=rng, device=rng.device, dtype=dtype)
        drawn[name] = torch.where(coin < chances.get(name, 0), value, 0).squeeze(1)
    return drawn


def transform(x: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """x [N, C, H, W] under all transformations, with parameters as `draw` gives them."""
    channels, height, width = x.shape[1:]
    x = blit(x, drawn["mirror"], drawn["quarter_turns"])
    x = warp(x, inverse_matrix(drawn, height, width))
    return recolour(x, drawn["brightness"], colour_matrix(drawn, channels))


def blit(x: Tensor, mirror: Tensor, quarter_turns: Tensor) -> Tensor:
    """x [N, C, H, W] mirrored, then turned about its centre, pixel by pixel; mirror and quarter_turns [N]. If H is not
    W, turned images are cropped and continued by reflection."""
    channels, height, width = x.shape[1:]
    mirror, angle = mirror[:, None, None], quarter_turns[:, None, None] * (math.pi / 2)
    cos, sin = angle.cos().round(), angle.sin().round()
    right, down = _from_centre(width, x), _from_centre(height, x)[:, None]
    column = (1 - 2 * mirror) * (cos * right - sin * down) + width / 2  # [N, H, W]; floor takes it to the pixel
    row = sin * right + cos * down + height / 2
    index = reflect(row.floor().long(), height) * width + reflect(column.floor().long(), width)
    return x.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, channels, -1)).view_as(x)


def inverse_matrix(drawn: dict[str, Tensor], height: int, width: int) -> Tensor:
    """[N, 3, 3]: where a pixel of the warped image comes from; positions (right, down, 1) in pixels from the centre.
    The last transformation is undone first, hence stands on the right."""
    shift_x, shift_y = (drawn["shift"][:, 0] * width).round(), (drawn["shift"][:, 1] * height).round()
    drift_x, drift_y = drawn["drift"][:, 0] * width, drawn["drift"][:, 1] * height
    scale, stretch = drawn["scale"].exp2(), drawn["stretch"].exp2()
    return (
        _translation(-shift_x, -shift_y)
        @ _scaling(1 / scale, 1 / scale)
        @ _rotation(drawn["turn"])
        @ _scaling(1 / stretch, stretch)
        @ _rotation(drawn["second_turn"])
        @ _translation(-drift_x, -drift_y)
    )


def warp(x: Tensor, inverse: Tensor) -> Tensor:
    """x [N, C, H, W], continued by reflection without end, under the maps whose inverses [N, 3, 3] are given; the
    identity returns x bit for bit. Sampled on a grid twice as fine, without which each warp would blur."""
    height, width = x.shape[2:]
    assert min(height, width) > 1, "a side of one pixel has no reflection"
    fine = _upsampling(height, x.dtype, x.device) @ (x @ _upsampling(width, x.dtype, x.device).T)

    # Pixel i of a line is pixel 2i of its finer one; the result's finer lines reach out as far as the filter's taps.
    right, down = (
        (torch.arange(2 * side + len(SYM6) - 2, device=x.device) - BEFORE) / 2 - (side - 1) / 2
        for side in (width, height)
    )
    along_x, along_y, offset = inverse[:, None, None, :2].unbind(-1)  # [N, 1, 1, 2], the columns of the map
    source = along_x * right[:, None] + along_y * down[:, None, None] + offset  # [N, 2H + 10, 2W + 10, 2]
    source = torch.stack([source[..., 0] / (width - 1), source[..., 1] / (height - 1)], dim=-1)
    grid = (source + 0.5).remainder(2) - 1  # -1 to 1 is one period of the reflected image
    sampled: Tensor = _Sample.apply(fine, grid)  # [N, C, 2H + 10, 2W + 10]
    warped = _downsampling(height, x.dtype, x.device) @ (sampled @ _downsampling(width, x.dtype, x.device).T)
    moved = (inverse != torch.eye(3, device=x.device)).any(2).any(1)
    return torch.where(moved[:, None, None, None], warped, x)


def colour_matrix(drawn: dict[str, Tensor], channels: int) -> Tensor:
    """[N, C, C]: contrast, luma flip, hue and saturation; for one channel the last two are the identity. Luma is the
    projection on (1, 1, 1), the grey axis about which hues turn."""
    contrast, luma_flip = drawn["contrast"].exp2()[:, None, None], drawn["luma_flip"][:, None, None]
    hue, saturation = drawn["hue"][:, None, None], drawn["saturation"].exp2()[:, None, None]
    identity = torch.eye(channels, device=hue.device, dtype=hue.dtype)
    luma = torch.full_like(identity, 1 / channels)
    axis = (identity.roll(1, 0) - identity.roll(1, 1)) / 3**0.5  # cross product with (1, 1, 1)/sqrt 3; 0 for C = 1
    flipped = identity - 2 * luma_flip * luma
    turned = identity + hue.sin() * axis + (1 - hue.cos()) * axis @ axis  # Rodrigues
    saturated = identity + (saturation - 1) * (identity - luma)
    return saturated @ turned @ flipped * contrast


def recolour(x: Tensor, brightness: Tensor, matrix: Tensor) -> Tensor:
    """matrix [N, C, C] times (x [N, C, H, W] + brightness [N]); where both change nothing, x bit for bit."""
    coloured = (matrix @ (x + brightness[:, None, None, None]).flatten(2)).view_as(x)
    changed = (matrix != torch.eye(x.shape[1], device=x.device)).any(2).any(1) | (brightness != 0)
    return torch.where(changed[:, None, None, None], coloured, x)


def reflect(index: Tensor, side: int) -> Tensor:
    """The pixel that stands at an index [...] of an image of this side continued by reflection at its outer pixels."""
    return side - 1 - (index.remainder(2 * side - 2) - (side - 1)).abs()


class _Sample(torch.autograd.Function):
    """Bilinear sampling, linear in the image [N, C, H, W]; no gradient for the grid [N, H', W', 2]. torch's own can be
    differentiated twice only after 2.11 (pytorch/pytorch pull request 177487)."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = image.shape
        return grid_sample(image, grid, align_corners=True)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _Spread.apply(grad, *ctx.saved_tensors, ctx.shape), None


class _Spread(torch.autograd.Function):
    """The adjoint of _Sample, whose adjoint is _Sample."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        image = grad.new_empty(shape)  # tells the shape; its values would matter to the grid's gradient alone
        bilinear, zeros = 0, 0
        return torch.ops.aten.grid_sampler_2d_backward(grad, image, grid, bilinear, zeros, True, (True, False))[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _Sample.apply(grad, *ctx.saved_tensors), None, None


@functools.cache
def _upsampling(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[4 side - 3, side]: from a line of pixels to one period of its reflection, twice as fine, the end repeated."""
    fine = torch.arange(4 * side - 3)[:, None]
    origin = fine + BEFORE - torch.arange(len(SYM6))  # [4 side - 3, taps]: fine position that each tap weighs
    weights = torch.where(origin % 2 == 0, math.sqrt(2) * torch.tensor(SYM6, dtype=torch.float64), 0)
    matrix = torch.zeros(len(fine), side, dtype=torch.float64)
    return matrix.scatter_add(1, reflect(origin.div(2, rounding_mode="floor"), side), weights).to(device, dtype)


@functools.cache
def _downsampling(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[side, 2 side + 10]: undoes the upsampling, being its transpose but for the border."""
    fine = 2 * torch.arange(side)[:, None] + torch.arange(len(SYM6))
    weights = torch.tensor(SYM6, dtype=torch.float64) / math.sqrt(2)
    matrix = torch.zeros(side, 2 * side + len(SYM6) - 2, dtype=torch.float64)
    return matrix.scatter(1, fine, weights.expand(side, -1)).to(device, dtype)


def _from_centre(side: int, like: Tensor) -> Tensor:
    """[side]: positions of a line of pixels from its centre."""
    return torch.arange(side, device=like.device, dtype=like.dtype) - (side - 1) / 2


def _translation(x: Tensor, y: Tensor) -> Tensor:
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return _matrix((one, zero, x), (zero, one, y), (zero, zero, one))


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return _matrix((x, zero, zero), (zero, y, zero), (zero, zero, one))


def _rotation(angle: Tensor) -> Tensor:
    """Undoes an anticlockwise turn by the angle, y pointing down."""
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    return _matrix((angle.cos(), -angle.sin(), zero), (angle.sin(), angle.cos(), zero), (zero, zero, one))


def _matrix(*rows: tuple[Tensor, ...]) -> Tensor:
    """[N, 3, 3] from rows of entries [N]."""
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
