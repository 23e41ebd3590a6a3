"""The Vendi score against its definition, its package and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.metrics.vendi import vendi


def features(seed, n, d):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + 0.5


def by_all_cosines(x):
    x = x.double().numpy()
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    shares = np.linalg.eigvalsh(units @ units.T / len(x))
    shares = shares[shares > 1e-14]
    return np.exp(-(shares * np.log(shares)).sum())


@pytest.mark.parametrize(("n", "d"), [(1200, 30), (30, 30), (30, 100), (1, 5), (7, 1)])
def test_it_equals_its_definition(n, d):
    """More samples than features, and fewer."""
    x = features(0, n, d)
    assert vendi(x) == pytest.approx(by_all_cosines(x), rel=1e-9)


@pytest.mark.parametrize(("n", "d"), [(300, 40), (40, 300)])
def test_it_equals_its_package(n, d):
    package = pytest.importorskip("vendi_score.vendi")
    x = features(1, n, d)
    assert vendi(x) == pytest.approx(package.score_dual(x.double().numpy()), rel=1e-9)


@pytest.mark.parametrize("n", [3, 6])
@pytest.mark.parametrize("copies", [1, 2, 200])
def test_it_counts_what_is_different(n, copies):
    """Features at right angles, each so many times and at another length; the opposite is in the same direction."""
    lengths = torch.arange(n * copies)[:, None] - 3.5
    x = torch.eye(6)[:n].repeat(copies, 1) * lengths
    assert vendi(x) == pytest.approx(n)


@pytest.mark.parametrize("value", [0.0, 0.3, -1e30, 1e-30])
def test_constant_features_count_as_one(value):
    assert vendi(torch.full((50, 9), value)) == pytest.approx(1)
    assert vendi(torch.full((5, 9), value)) == pytest.approx(1)


@pytest.mark.parametrize("d", [2, 50])
def test_features_of_zeros_count_as_one_direction(d):
    x = torch.zeros(12, d)
    x[:4, 0] = x[4:8, 1] = 3.0
    assert vendi(x) == pytest.approx(3)


@given(st.integers(0, 1000), st.integers(1, 20), st.integers(1, 20))
def test_order_and_length_change_nothing(seed, n, d):
    x, rng = features(seed, n, d), torch.Generator().manual_seed(seed)
    lengths = torch.rand(n, 1, generator=rng) + 0.1
    assert vendi((x * lengths)[torch.randperm(n, generator=rng)]) == pytest.approx(vendi(x), rel=1e-5)
    assert 1 - 1e-9 < vendi(x) < min(n, d) + 1e-9


def test_what_has_no_score():
    with pytest.raises(ValueError, match="at least one feature"):
        vendi(torch.zeros(0, 3))
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="needs finite features"):
            vendi(torch.tensor([[1.0, 2.0], [bad, 1.0]]))


@pytest.mark.slow
def test_5_000_inception_like_features():
    x = features(2, 5000, 2048).relu()
    assert vendi(x) == pytest.approx(by_all_cosines(x), rel=1e-6)
