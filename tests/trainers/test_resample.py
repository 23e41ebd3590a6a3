"""Up- and down-sampling against a direct convolution by SciPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve2d
from scipy.special import comb

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
