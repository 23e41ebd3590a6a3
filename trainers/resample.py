"""Resampling of images with a small filter, as in signal processing: zeros between, convolution, every k-th kept.

The building block of StyleGAN2's up- and down-sampling (`upfirdn2d` in NVlabs/stylegan2-ada-pytorch). All of it is
linear, and differentiable any number of times.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad
from torch.nn.grad import conv2d_input


def binomial(n: int) -> Tensor:
    """The n taps (1, 3, 3, 1)/8 and their like: a row of Pascal's triangle that sums to 1."""
    return torch.tensor([math.comb(n - 1, k) / 2 ** (n - 1) for k in range(n)])


def resample(
    x: Tensor, taps: Tensor, *, up: int = 1, down: int = 1, padding: tuple[int, int] = (0, 0), gain: float = 1.0
) -> Tensor:
    """x [N, C, H, W] with up - 1 zeros after each pixel, padded, convolved, and every down-th pixel kept.

    `taps` [k] is the filter along each axis, which is turned round as a convolution demands, and gets no gradient;
    `padding` are the pixels added before and after along each axis, negative ones cut off; `gain` multiplies the
    result.
    """
    n, c, height, width = x.shape
    if up > 1:
        x = pad(x[:, :, :, None, :, None], (0, up - 1, 0, 0, 0, up - 1)).reshape(n, c, height * up, width * up)
    x = pad(x, (*padding, *padding))
    taps = taps.flip(0).to(x) * gain**0.5
    x = _Filter.apply(x, taps[:, None].expand(c, 1, -1, 1), (down, 1))
    filtered: Tensor = _Filter.apply(x, taps.expand(c, 1, 1, -1), (1, down))
    return filtered


class _Filter(torch.autograd.Function):
    """x [N, C, H, W] convolved, each channel with its own of the filters [C, 1, h, w]; no gradient for these. torch's
    second derivative of such a convolution takes one for each channel to get it: a thousand launches at 512."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, filters: Tensor, stride: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(filters)
        ctx.shape, ctx.stride = x.shape, stride
        return conv2d(x, filters.to(x), stride=stride, groups=len(filters))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _Spread.apply(grad, *ctx.saved_tensors, ctx.stride, ctx.shape), None, None


class _Spread(torch.autograd.Function):
    """The adjoint of _Filter, whose adjoint is _Filter."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, filters: Tensor, stride: tuple[int, int], shape: torch.Size) -> Tensor:
        ctx.save_for_backward(filters)
        ctx.stride = stride
        return conv2d_input(shape, filters.to(grad), grad, stride=stride, groups=len(filters))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return _Filter.apply(grad, *ctx.saved_tensors, ctx.stride), None, None, None


def upsample(x: Tensor, taps: Tensor, factor: int = 2) -> Tensor:
    """x [N, C, H, W] at `factor` times its sides, of the same mean."""
    padding = ((len(taps) + factor - 1) // 2, (len(taps) - factor) // 2)
    return resample(x, taps, up=factor, padding=padding, gain=factor**2)


def downsample(x: Tensor, taps: Tensor, factor: int = 2) -> Tensor:
    """x [N, C, H, W] at 1/`factor` of its sides, of the same mean."""
    padding = ((len(taps) - factor + 1) // 2, (len(taps) - factor) // 2)
    return resample(x, taps, down=factor, padding=padding)
