"""Precision, recall, density, coverage and AuthPct against all distances, their reference code and by hand."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from trainers.metrics import manifold
from trainers.metrics.manifold import manifold_scores


def features(seed, n, d, scale=1.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * scale


def by_all_distances(x, y, squares=lambda a, b: cdist(a, b, "sqeuclidean")):
    """The definitions, with distances rounded as scikit-learn rounds those of float32 features."""
    x, y = x.double().numpy(), y.double().numpy()
    xx, yy, xy = (np.sqrt(np.float32(squares(a, b))) for a, b in ((x, x), (y, y), (x, y)))
    own_x, own_y = np.sort(xx), np.sort(yy)  # the first is a point's distance to itself
    within = xy < own_x[:, 5:6]
    return {
        "precision": (xy <= own_x[:, 3:4]).any(0).mean(),
        "recall": (xy <= own_y[:, 3]).any(1).mean(),
        "density": within.sum() / (5 * len(y)),
        "coverage": within.any(1).mean(),
        "auth_pct": 100 * (own_x[xy.argmin(0), 1] < xy.min(0)).mean(),
    }


@pytest.mark.parametrize(("n", "m", "d"), [(1000, 900, 64), (6, 4, 3), (300, 400, 1), (1001, 10, 200)])
def test_scores_equal_those_by_all_distances(n, m, d):
    """Sides of different spread, so that none of them is 0 or 1 alone."""
    x, y = features(0, n, d), features(1, m, d, 0.95)
    assert manifold_scores(x, y) == by_all_distances(x, y)


def test_any_blocks_give_the_same(monkeypatch):
    x, y = features(2, 30, 5), features(3, 25, 5)
    whole = manifold_scores(x, y)
    assert 0 < whole["recall"] < 1
    for size in (1, 7, 25, 29):
        monkeypatch.setattr(manifold, "BLOCK", size)
        assert manifold_scores(x, y) == whole


@pytest.mark.parametrize(("n", "d"), [(1000, 64), pytest.param(5000, 2048, marks=pytest.mark.slow)])
def test_prdc_are_those_of_their_package(n, d):
    """Its balls are open for precision and recall too, which shows at ties alone."""
    prdc = pytest.importorskip("prdc")
    x, y = features(4, n, d), features(5, n, d, 0.95)
    pair, ours = (x.numpy(), y.numpy()), manifold_scores(x, y)
    theirs = prdc.compute_prdc(*pair, nearest_k=5) | {
        key: value for key, value in prdc.compute_prdc(*pair, nearest_k=3).items() if key in ("precision", "recall")
    }
    assert theirs.keys() == ours.keys() - {"auth_pct"}
    assert theirs == pytest.approx({key: ours[key] for key in theirs}, rel=1e-12)  # it divides in another order


@given(st.integers(0, 1000), st.integers(6, 40), st.integers(1, 8))
def test_equal_sets_are_within_each_other(seed, n, d):
    """Each ball of density holds its own centre and the four nearest others, not the fifth on its edge."""
    x = features(seed, n, d)
    same = {"precision": 1, "recall": 1, "density": 1, "coverage": 1, "auth_pct": 0}
    assert manifold_scores(x, x.clone()) == pytest.approx(same)


def test_sets_far_apart_share_nothing():
    scores = manifold_scores(features(6, 50, 4), features(7, 60, 4) + 1e3)
    assert scores == {"precision": 0, "recall": 0, "density": 0, "coverage": 0, "auth_pct": 100}


def test_a_dropped_mode_costs_recall_and_coverage():
    """Of two modes alike the generated points are the first."""
    mode = features(8, 40, 3)
    scores = manifold_scores(torch.cat([mode, mode + 1e3]), mode)
    assert scores == {"precision": 1, "recall": 0.5, "density": 1, "coverage": 0.5, "auth_pct": 0}


def test_by_hand_on_a_line():
    """Real points 0 to 9, whose third nearest others are at 3, 2, ..., 2, 3 and the fifth at 5, 4, 3, ..., 3, 4, 5."""
    fake = torch.tensor([[0.5], [1.0], [1.25], [2.0], [-20.0]])  # third nearest others at 1.5, 1, 0.75, 1.5 and 21.25
    assert manifold_scores(torch.arange(10.0)[:, None], fake) == {
        "precision": 4 / 5,
        "recall": 4 / 10,  # 3 is 1 from 2, which reaches to 3.5
        "density": (4 + 4 + 5 + 5 + 0) / (5 * 5),  # 1 is 3 from 4 and not within its ball
        "coverage": 5 / 10,  # 4 is 2 from 2
        "auth_pct": 20,
    }


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_not_authentic(seed):
    """As many of the generated are copies of real ones as are far from all."""
    x = features(seed, 30, 6)
    assert manifold_scores(x, torch.cat([x[:10], features(9, 10, 6) + 100]))["auth_pct"] == 50


@given(st.integers(0, 1000), st.integers(-20, 20))
def test_order_and_scale_change_nothing(seed, exponent):
    x, y = features(seed, 30, 3), features(seed + 1, 25, 3)
    rng = torch.Generator().manual_seed(seed)
    mixed = [side[torch.randperm(len(side), generator=rng)] * 2.0**exponent for side in (x, y)]
    assert manifold_scores(*mixed) == manifold_scores(x, y)


@given(st.integers(0, 1000), st.integers(1, 30), st.sampled_from([1.0, 1e3]))
def test_equal_rows_are_at_distance_0(seed, different, scale):
    """Also far from zero, where sums of squares are rounded; ties with them remain ties."""
    rows = features(seed, different, 50) + scale
    rng = torch.Generator().manual_seed(seed)
    x, y = (rows[torch.randint(different, (n,), generator=rng)] for n in (40, 30))
    ours, expected = manifold_scores(x, y), by_all_distances(x, y)
    assert ours == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e4 / 3, 1e15])
def test_constant_features(value):
    """A ball of radius 0 has its centre, an open one nothing; no copy is authentic, and all else is."""
    x, y = torch.full((8, 333), value), torch.full((9, 333), value)
    assert manifold_scores(x, y) == {"precision": 1, "recall": 1, "density": 0, "coverage": 0, "auth_pct": 0}
    apart = {"precision": 0, "recall": 0, "density": 0, "coverage": 0, "auth_pct": 100}
    assert manifold_scores(x, y * 1.5 + 1) == apart
    assert manifold_scores(x, -y) == (apart if value else manifold_scores(x, y))  # -0 equals 0


def test_a_generator_of_one_real_point():
    x = features(10, 20, 4)
    scores = manifold_scores(x, x[:1].expand(15, 4))
    assert (scores["precision"], scores["recall"], scores["auth_pct"]) == (1, 0.05, 0)


@pytest.mark.parametrize(("n", "m"), [(5, 4), (6, 3), (1, 1), (0, 0)])
def test_too_few_points(n, m):
    with pytest.raises(ValueError, match=f"at least 6 real and 4 generated features, not {n} and {m}"):
        manifold_scores(features(0, n, 2), features(1, m, 2))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e19])
def test_features_that_distances_do_not_hold(bad):
    x, y = features(0, 20, 2), features(1, 20, 2)
    y[3, 1] = bad
    for sides in ((x, y), (y, x)):
        with pytest.raises(ValueError, match="need finite features, of norms below 9e18"):
            manifold_scores(*sides)


def by_products(x, y):
    squares = np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T, 0)
    if x is y:
        np.fill_diagonal(squares, 0)
    return squares


@pytest.mark.slow
def test_scores_of_5_000_inception_like_features():
    x, y = features(11, 5000, 2048).relu(), features(12, 5000, 2048, 0.98).relu()
    expected = by_all_distances(x, y, by_products)
    assert manifold_scores(x, y) == expected
    assert 0.01 < expected["precision"] < 1


MEMORY = """
import torch
import trainers.metrics.manifold as module
torch.set_num_threads(1)
x, y = torch.rand(50_000, 2048), torch.rand(50_000, 2048)
blocks = module._blocks
module._blocks = lambda n: blocks(n)[::10]  # a hundredth of the pairs of blocks, which keep nothing
module.manifold_scores(x, y)
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of resident memory in /proc")
def test_scores_of_50_000_features_a_side_need_less_than_2_gb():
    """At 2,048 features, all of the process included."""
    command = [sys.executable, "-c", MEMORY]
    peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert peak * 1024 < 2e9
