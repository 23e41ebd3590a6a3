"""Up- and down-sampling against a direct convolution by SciPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve2d
from scipy.special import comb
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from trainers.resample import binomial, downsample, resample, upsample


def directly(image, taps, up, down, padding, gain):
    """The definition, one image at a time."""
    spread = np.zeros((image.shape[0] * up, image.shape[1] * up))
    spread[::up, ::up] = image
    before, after = padding
    spread = np.pad(spread, [(max(before, 0), max(after, 0))] * 2)
    spread = spread[max(-before, 0) :, max(-before, 0) :]
    spread = spread[: spread.shape[0] - max(-after, 0), : spread.shape[1] - max(-after, 0)]
    return gain * convolve2d(spread, np.outer(taps, taps), mode="valid")[::down, ::down]


@given(
    seed=st.integers(0, 10**6),
    up=st.integers(1, 3),
    down=st.integers(1, 3),
    n=st.integers(1, 5),
    padding=st.tuples(st.integers(-1, 3), st.integers(-1, 3)),
    gain=st.floats(0.5, 4),
)
def test_a_direct_convolution(seed, up, down, n, padding, gain):
    rng = np.random.default_rng(seed)
    x, taps = rng.normal(size=(2, 3, 7, 8)), rng.normal(size=n)  # taps of no symmetry
    found = resample(torch.from_numpy(x), torch.from_numpy(taps), up=up, down=down, padding=padding, gain=gain)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(found[i, j], directly(x[i, j], taps, up, down, padding, gain), atol=1e-9)


@pytest.mark.parametrize("n", range(1, 7))
def test_binomial_taps_are_pascals(n):
    torch.testing.assert_close(binomial(n), torch.tensor([comb(n - 1, k) / 2 ** (n - 1) for k in range(n)]).float())


@pytest.mark.parametrize("change", [upsample, downsample])
def test_a_plain_image_stays_plain_inside(change):
    x = torch.full((1, 2, 16, 16), 0.7)
    changed = change(x, binomial(4))
    assert changed.shape == (1, 2, *[32 if change is upsample else 8] * 2)
    torch.testing.assert_close(changed[:, :, 2:-2, 2:-2], torch.full_like(changed[:, :, 2:-2, 2:-2], 0.7))


def test_a_ramp_keeps_its_slope():
    """No half-pixel shift: pixel centres of the coarse grid lie between those of the fine one."""
    x = torch.arange(16.0).expand(1, 1, 16, 16)
    up, down = upsample(x, binomial(4)), downsample(x, binomial(4))
    torch.testing.assert_close(up[0, 0, 8, 4:28], torch.arange(4.0, 28.0) / 2 - 0.25)
    torch.testing.assert_close(down[0, 0, 4, 1:7], torch.arange(1.0, 7.0) * 2 + 0.5)


CHANGES = [
    {"up": 2, "padding": (2, 1), "gain": 4.0},
    {"down": 2, "padding": (1, 1)},
    {"up": 2, "down": 3, "padding": (-1, 3)},
    {"padding": (2, 2)},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_derivatives_of_first_and_second_order(change):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(1, 2, 4, 5, generator=rng, dtype=torch.float64, requires_grad=True)
    taps = torch.randn(4, generator=rng, dtype=torch.float64)  # of no symmetry
    assert gradcheck(lambda x: resample(x, taps, **change), x)
    assert gradgradcheck(lambda x: resample(x, taps, **change).square(), x)


class Convolutions(TorchDispatchMode):
    """Counts them, backward ones too."""

    n = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.n += "convolution" in str(func)
        return func(*args, **(kwargs or {}))


def test_second_derivatives_take_no_convolution_a_channel():
    counts = []
    for channels in (2, 32):
        x = torch.ones(1, channels, 8, 8, requires_grad=True)
        with Convolutions() as counted:
            (grad,) = torch.autograd.grad(resample(x, binomial(4), padding=(2, 2)).square().sum(), x, create_graph=True)
            grad.square().sum().backward()
        counts.append(counted.n)
    assert counts == [8, 8]  # two each: there and back, then back through both


def test_second_derivatives_in_bfloat16():
    x = torch.linspace(0, 1, 64).reshape(1, 1, 8, 8).requires_grad_(True)
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = resample(x, binomial(4), up=2, padding=(2, 1)).float()
        (grad,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(grad.square().sum(), x)
        assert second.dtype == torch.float32
        found.append(second)
    torch.testing.assert_close(found[0], found[1], rtol=0.1, atol=0.1)
