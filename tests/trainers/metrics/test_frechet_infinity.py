"""FD-infinity against its regression, and where it is known."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.linear_model import LinearRegression

from trainers.metrics.frechet import frechet_distance, symmetric_root
from trainers.metrics.frechet_infinity import frechet_infinity, subset_sizes
from trainers.streams import stream


def features(seed, n, d, shift=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def moments(x):
    return x.double().mean(0), torch.cov(x.double().T).reshape(x.shape[1], x.shape[1])


def real_side(x):
    mean, covariance = moments(x)
    return mean, covariance, symmetric_root(covariance)


def by_regression(real, fake, distance):
    """Of Frechet distances of the same subsets, as Stein et al. 2023 take it."""
    n = len(fake)
    sizes = np.linspace(min(5000, max(n // 10, 2)), n, 15).astype("int32")
    order = torch.randperm(n, generator=stream(0, "fd infinity"))
    values = [distance(*real[:2], *moments(fake[order[:size]])) for size in sizes]
    return float(LinearRegression().fit(1 / sizes.reshape(-1, 1), values).predict([[0]])[0])


def by_matrix_root(mean1, cov1, mean2, cov2):
    cross = sqrtm((cov1 @ cov2).numpy()).real.trace()
    return float((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * cross)


@pytest.mark.parametrize(("n", "d"), [(2000, 8), (1797, 3), (200, 30), (150, 1)])
def test_it_is_the_intercept_of_the_regression(n, d):
    """Also of subsets of fewer samples than features."""
    real, fake = real_side(features(0, 500, d)), features(1, n, d, 0.2)
    distance = by_matrix_root if n > 1000 else frechet_distance
    assert frechet_infinity(*real, fake) == pytest.approx(by_regression(real, fake, distance), rel=1e-7)


@pytest.mark.parametrize(
    ("n", "lowest", "count"), [(50_000, 5000, 15), (1797, 179, 15), (20, 2, 15), (10, 2, 9), (3, 2, 2)]
)
def test_sizes_of_subsets(n, lowest, count):
    sizes = subset_sizes(n)
    assert (sizes[0], sizes[-1], len(sizes)) == (lowest, n, count)
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_it_is_nearer_to_what_many_samples_have(shift):
    """Of Gaussians the true distance is |shift|^2 d; that of the samples is above it."""
    d = 24
    identity = torch.eye(d, dtype=torch.float64)
    real, fake = (torch.zeros(d, dtype=torch.float64), identity, identity), features(2, 1500, d, shift)
    finite, true = frechet_distance(*real[:2], *moments(fake)), shift**2 * d
    assert abs(frechet_infinity(*real, fake) - true) < 0.5 * abs(finite - true)


def test_constant_features_have_no_bias():
    """The distance is the same of any number of them."""
    real, fake = real_side(features(3, 100, 4)), torch.full((40, 4), 0.7)
    expected = frechet_distance(*real[:2], *moments(fake))
    assert frechet_infinity(*real, fake) == pytest.approx(expected, rel=1e-9)


def test_it_depends_on_the_features_alone():
    real, fake = real_side(features(4, 100, 4)), features(5, 300, 4)
    first = frechet_infinity(*real, fake)
    torch.randn(5)
    before = torch.get_rng_state()
    assert frechet_infinity(*real, fake.clone()) == first
    assert torch.equal(torch.get_rng_state(), before)


def test_scale_and_shift_of_both_sides():
    """Twice as wide: four times the squared distance; from elsewhere: the same."""
    x, y = features(6, 300, 5), features(7, 300, 5, 0.3)
    distance = frechet_infinity(*real_side(x), y)
    assert frechet_infinity(*real_side(2 * x), 2 * y) == pytest.approx(4 * distance, rel=1e-7)
    assert frechet_infinity(*real_side(x + 3), y + 3) == pytest.approx(distance, rel=1e-4)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_features(n):
    with pytest.raises(ValueError, match=f"at least 3 features, not {n}"):
        frechet_infinity(*real_side(features(8, 10, 2)), features(9, n, 2))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_features_that_are_not_finite(bad):
    fake = features(10, 50, 2)
    fake[7, 0] = bad
    with pytest.raises(ValueError, match="needs finite features"):
        frechet_infinity(*real_side(features(8, 10, 2)), fake)


@pytest.mark.slow
@pytest.mark.parametrize("d", [500, 2048])
def test_5_000_inception_like_features(d):
    """The general root of so many as 2,048 takes minutes."""
    real, fake = real_side(features(11, 5000, d).relu()), features(12, 5000, d, 0.1).relu()
    distance = by_matrix_root if d < 1000 else partial(frechet_distance, root1=real[2])
    assert frechet_infinity(*real, fake) == pytest.approx(by_regression(real, fake, distance), rel=1e-6)
