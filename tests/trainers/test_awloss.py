"""aw-loss against its Algorithm 1, written out case by case, and against Theorem 2."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from trainers import awloss
from trainers.awloss import aw_weights

DEFAULTS = {"alpha1": 0.5, "alpha2": 0.75, "delta": 0.05, "epsilon": 0.05}
SHAPES = [(3, 2), (4,), (1, 2, 2)]
LOW, MIDDLE, HIGH = 0.2, 0.6, 0.9


def gradients(seed, scale=1.0):
    """Random float64 gradients of three parameters."""
    rng = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(shape, generator=rng, dtype=torch.float64) for shape in SHAPES]


def flat(parts):
    return torch.cat([part.flatten() for part in parts])


def weigh(real, fake, s_r, s_f, normalized, **constants):
    scores = (torch.tensor(s, dtype=torch.float64) for s in (s_r, s_f))
    return aw_weights(real, fake, *scores, **{**DEFAULTS, **constants}, normalized=normalized)


def algorithm_1(r, f, s_r, s_f, normalized, alpha1, alpha2, delta, epsilon):
    """The table of Algorithm 1, literally."""
    dot, nr, nf = float(r @ f), float(r.norm()), float(f.norm())
    if s_r < s_f - delta or s_r < alpha1:
        case = 1 if dot <= 0 else 2
    elif s_r > s_f - delta and s_r > alpha2:
        case = 3 if dot <= 0 else 4
    else:
        case = 5
    if normalized:
        pairs = {
            1: (1 / nr, -dot / (nf**2 * nr)),
            2: (1 / nr, 0),
            3: (-dot / (nr**2 * nf), 1 / nf),
            4: (0, 1 / nf),
            5: (1 / nr, 1 / nf),
        }
    else:
        pairs = {1: (1, -dot / nf**2), 2: (1, 0), 3: (-dot / nr**2, 1), 4: (0, 1), 5: (1, 1)}
    return case, pairs[case][0] + epsilon, pairs[case][1] + epsilon


@pytest.mark.parametrize("size", [16, 17, 1_000, 40_001])
def test_the_two_gradients_are_summed_alike(size):
    """To the bit as each by itself, whatever their number of parameters: where a sum begins decides its order."""
    rng = torch.Generator().manual_seed(size)
    real, fake = (torch.randn(size, generator=rng) for _ in range(2))
    parts = ([gradient[: size // 3], gradient[size // 3 :].view(-1, 1)] for gradient in (real, fake))
    found = aw_weights(*parts, torch.tensor(0.2), torch.tensor(0.3), **DEFAULTS, normalized=True)
    norms = [torch.linalg.vector_norm(gradient) for gradient in (real, fake)]
    assert found.cosine == torch.dot(real / norms[0], fake / norms[1])
    assert found.w_real == 1 / norms[0] + DEFAULTS["epsilon"]


scores = st.floats(0, 1)
seeds = st.integers(0, 10_000)


@given(seeds, seeds, scores, scores, st.floats(-6, 6), st.booleans(), st.sampled_from([0.0, 0.05]))
def test_equals_algorithm_1(seed_r, seed_f, s_r, s_f, log_scale, normalized, epsilon):
    real, fake = gradients(seed_r, 10**log_scale), gradients(seed_f + 10_001)
    expected = algorithm_1(flat(real), flat(fake), s_r, s_f, normalized, 0.5, 0.75, 0.05, epsilon)
    got = weigh(real, fake, s_r, s_f, normalized, epsilon=epsilon)
    assert int(got.case) == expected[0]
    assert float(got.w_real) == pytest.approx(expected[1], rel=1e-9)
    assert float(got.w_fake) == pytest.approx(expected[2], rel=1e-9)


def opposed(seed, sign):
    """A pair of gradients at an obtuse (sign -1) or acute (+1) angle."""
    real, fake = gradients(seed), gradients(seed + 20_000)
    dot = float(flat(real) @ flat(fake))
    assume(abs(dot) > 1e-3)
    return real, [g * math.copysign(1, dot) * sign for g in fake]


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize(
    ("s_r", "sign", "case"), [(LOW, -1, 1), (LOW, 1, 2), (HIGH, -1, 3), (HIGH, 1, 4), (MIDDLE, -1, 5), (MIDDLE, 1, 5)]
)
def test_all_cases_are_reached(normalized, s_r, sign, case):
    real, fake = opposed(1, sign)
    assert int(weigh(real, fake, s_r, 0.3, normalized).case) == case


@given(seeds)
def test_theorem_2_bisector(seed):
    """Case 5 with epsilon = 0 goes along the bisector of the two gradients."""
    real, fake = gradients(seed), gradients(seed + 1, 7.0)
    weights = weigh(real, fake, MIDDLE, 0.3, True, epsilon=0.0)
    r, f = flat(real), flat(fake)
    step = weights.w_real * r + weights.w_fake * f
    assert float(torch.cosine_similarity(step, r, 0)) == pytest.approx(float(torch.cosine_similarity(step, f, 0)))


@given(seeds, st.booleans(), st.floats(-4, 4))
def test_theorem_2_orthogonal(seed, normalized, log_scale):
    """Case 1 is orthogonal to f and acute to r; case 3 is orthogonal to r and acute to f."""
    real, fake = opposed(seed, -1)
    real = [g * 10**log_scale for g in real]
    r, f = flat(real), flat(fake)
    for s_r, still, moved in ((LOW, f, r), (HIGH, r, f)):
        weights = weigh(real, fake, s_r, 0.3, normalized, epsilon=0.0)
        step = weights.w_real * r + weights.w_fake * f
        assert abs(float(torch.cosine_similarity(step, still, 0))) < 1e-7
        assert float(step @ moved) > 0


def test_small_gradients_keep_the_angle():
    """At norms of 0.01 case 1 is still orthogonal to the fake gradient: the guard is no 1e-4."""
    real, fake = opposed(3, -1)
    real, fake = ([0.01 * g / flat(gs).norm() for g in gs] for gs in (real, fake))
    weights = weigh(real, fake, LOW, 0.3, True, epsilon=0.0)
    step = weights.w_real * flat(real) + weights.w_fake * flat(fake)
    assert abs(float(torch.cosine_similarity(step, flat(fake), 0))) < 1e-9


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("s_r", [LOW, MIDDLE, HIGH])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_gradients_give_a_finite_step(normalized, s_r, dtype):
    """And, since weights are logged as running means, no huge one."""
    ones, zeros = [torch.full((5,), 30.0, dtype=dtype)], [torch.zeros(5, dtype=dtype)]
    for real, fake in ((ones, zeros), (zeros, ones), (zeros, zeros)):
        w = aw_weights(real, fake, torch.tensor(s_r), torch.tensor(0.3), **DEFAULTS, normalized=normalized)
        assert torch.isfinite(w.w_real * real[0] + w.w_fake * fake[0]).all()
        for gradient, weight in ((real, w.w_real), (fake, w.w_fake)):
            assert 0 <= weight <= 1 + DEFAULTS["epsilon"]
            if normalized and gradient is zeros:
                assert weight == pytest.approx(DEFAULTS["epsilon"])


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("score", [0.2, 0.6, 0.9])
def test_the_weighed_sum_is_that_of_the_weights(score, normalized):
    """To the bit; the gradients stay as they were."""
    rng = torch.Generator().manual_seed(0)
    real, fake = ([torch.randn(shape, generator=rng) for shape in [(3, 2), (), (4,)]] for _ in range(2))
    before = [gradient.clone() for gradient in (*real, *fake)]
    scores, options = (torch.tensor(score), torch.tensor(0.5)), {**DEFAULTS, "normalized": normalized}
    total, weights = awloss.weigh(real, fake, *scores, **options)
    assert weights == aw_weights(real, fake, *scores, **options)
    for sum_, r, f in zip(total, real, fake, strict=True):
        assert torch.equal(sum_, weights.w_real * r + weights.w_fake * f)
    assert all(map(torch.equal, (*real, *fake), before))
