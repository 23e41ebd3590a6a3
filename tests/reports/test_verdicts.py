"""Rules of verdicts: known answers, error rates by seeded simulation, and what more data must and must not do."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.statistics import LEVEL
from reports.verdicts import Test, compare_means, compare_ranks, compare_shares, judge

Test.__test__ = False  # no class of tests
LOWER, HIGHER, EQUAL = (0, 1), (1, math.inf), (1 / 1.1, 1.1)
A, B = [21.0, 19.0, 23.5, 18.0], [30.0, 36.0, 27.0, 41.0, 33.0]


def test_two_cells_are_welchs_t_test_of_logs():
    found, known = compare_means([A], [B], LOWER), stats.ttest_ind(np.log(A), np.log(B), equal_var=False)
    interval = known.confidence_interval(0.95)
    assert found.effect == pytest.approx(stats.gmean(A) / stats.gmean(B))
    assert (found.low, found.high) == pytest.approx((math.exp(interval.low), math.exp(interval.high)))
    assert found.p_for == pytest.approx(known.pvalue / 2)
    assert found.p_against == pytest.approx(1 - known.pvalue / 2)
    assert compare_means([B], [A], HIGHER).p_for == pytest.approx(found.p_for)


def test_paired_cells_are_compared_seed_by_seed():
    """Two of one stream, beside a third and a fourth of another: Welch's test of the two differences."""
    a, b, c, d = (np.array(values) for values in ([21.0, 19, 23], [30.0, 36, 27], [5.0, 6, 5.5], [9.0, 8, 7.5]))
    found, known = compare_means([a], [b], LOWER, pairings=["x", "x"]), stats.ttest_rel(np.log(a), np.log(b))
    assert found.p_for == pytest.approx(known.pvalue / 2)
    gain = compare_means([a, d], [b, c], LOWER, pairings=["x", "y", "x", "y"])
    assert gain.p_for == pytest.approx(
        stats.ttest_ind(np.log(a / b), np.log(c / d), equal_var=False, alternative="less").pvalue
    )
    with_gap = np.array([21.0, 19, 23, math.nan]), np.array([30.0, 36, 27, 40])
    assert compare_means(*([each] for each in with_gap), LOWER, pairings=["x", "x"]) == found


def test_one_cell_is_a_one_sample_t_test():
    found = compare_means([A], [], (15.0, math.inf), ratio=False)
    assert found.p_for == pytest.approx(stats.ttest_1samp(A, 15.0, alternative="greater").pvalue)
    assert found.effect == pytest.approx(np.mean(A))


def test_four_cells_are_a_ratio_of_ratios():
    c, d = [5.0, 6.0, 5.5], [9.0, 8.0, 7.5]
    found = compare_means([A, d], [B, c], LOWER)
    gain = stats.gmean(A) / stats.gmean(B) / (stats.gmean(c) / stats.gmean(d))
    assert found.effect == pytest.approx(gain)
    assert found.low < gain < found.high
    assert compare_means([A, A], [B, A], LOWER).effect == pytest.approx(compare_means([A], [B], LOWER).effect)


@given(st.lists(st.floats(1, 100), min_size=3, max_size=6), st.lists(st.floats(1, 100), min_size=3, max_size=6))
def test_a_verdict_agrees_with_its_interval(a, b):
    """Significant for the claim: the interval lies in the range; against it: the interval lies outside."""
    for claimed in (LOWER, HIGHER, EQUAL, (0, 1.1)):
        found = compare_means([a], [b], claimed)
        inside = claimed[0] < found.low and found.high < claimed[1]
        outside = found.high < claimed[0] or found.low > claimed[1]
        assert (found.p_for < LEVEL / 2) == inside
        assert (found.p_against < LEVEL / 2) == outside
        assert not (inside and outside)


def test_no_difference_is_not_equivalence():
    """Wide intervals around 1 decide nothing; tight ones do; a tight one far off contradicts."""
    wide, tight = [10.0, 20.0, 14.0], [14.0, 14.1, 13.9, 14.05]
    assert judge([compare_means([wide], [tight], EQUAL)]) == "undecided"
    assert judge([compare_means([tight], [np.multiply(tight, 1.02)], EQUAL)]) == "holds"
    assert judge([compare_means([tight], [np.multiply(tight, 1.5)], EQUAL)]) == "fails"


def test_seeds_that_all_agree_and_a_seed_alone():
    assert judge([compare_means([[1.0] * 3], [], (0.9, math.inf), ratio=False)]) == "holds"
    assert judge([compare_means([[2.0] * 3], [[2.0] * 3], LOWER)]) == "undecided"
    assert judge([compare_means([[1.0, 1.0]], [], (0.9, math.inf), ratio=False)]) == "undecided"  # below three
    assert judge([compare_means([[1.0]], [[100.0]], LOWER)]) == "undecided"


def simulate(cells, claims, shift=0.0, n=5, studies=1_000):
    """Share of studies that hold, fail: log-normal cells of equal mean, the first one shifted."""
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(studies):
        values = np.exp(rng.normal(3, 0.27, (cells, n)))
        values[0] *= math.exp(shift)
        verdicts.append(judge(claims(values)))
    return verdicts.count("holds") / studies, verdicts.count("fails") / studies


def test_false_verdicts_are_rarer_than_the_level():
    """Nothing differs: 'lower' holds in at most 2.5%, fails in at most 2.5%; and so it is for many parts together."""
    limit = LEVEL / 2 + 3 * math.sqrt(0.025 * 0.975 / 1_000)  # three standard errors
    assert max(simulate(2, lambda v: [compare_means([v[0]], [v[1]], LOWER)])) < limit
    holds, fails = simulate(4, lambda v: [compare_means([v[0]], [other], LOWER) for other in v[1:]])
    assert holds < 0.005  # all parts at once
    assert fails < limit  # Holm: any of them
    assert max(simulate(4, lambda v: [compare_means([v[0], v[1]], [v[2], v[3]], LOWER)])) < limit


def test_false_equivalence_at_the_edge_of_the_margin():
    holds, _ = simulate(2, lambda v: [compare_means([v[0]], [v[1]], EQUAL)], shift=math.log(1.1), n=60, studies=400)
    assert holds < LEVEL / 2 + 3 * math.sqrt(0.025 * 0.975 / 400)


def test_fishers_exact_test():
    found = compare_shares((5, 5), (0, 5))
    assert found.p_for == pytest.approx(1 / 252)
    assert found.effect == math.inf
    assert found.low > 1
    assert compare_shares((8, 8), (3, 8)).p_for == pytest.approx(
        stats.fisher_exact([[8, 0], [3, 5]], alternative="greater").pvalue
    )
    assert judge([compare_shares((8, 8), (3, 8))]) == "holds"
    assert judge([compare_shares((8, 8), (4, 8))]) == "undecided"
    assert judge([compare_shares((3, 8), (8, 8))]) == "fails"
    assert judge([compare_shares((5, 5), (5, 5))]) == "undecided"


def test_fishers_false_verdicts():
    """All outcomes of 8 runs a side at equal odds, each with its chance: an exact test errs below its level."""
    chance = stats.binom(8, 0.5).pmf(range(9))
    verdicts = {(a, b): judge([compare_shares((a, 8), (b, 8))]) for a in range(9) for b in range(9)}
    for wrong in ("holds", "fails"):
        error = sum(chance[a] * chance[b] for (a, b), verdict in verdicts.items() if verdict == wrong)
        assert 0.001 < error < LEVEL / 2


def test_lost_seeds_are_the_worst_rank():
    inf = math.inf
    assert judge([compare_ranks([1.0, 2.0, 3.0, 4.0, 5.0], [9.0, 8.0, inf, inf, 7.0], LOWER)]) == "holds"
    assert judge([compare_ranks([9.0, 8.0, inf, inf, 7.0], [1.0, 2.0, 3.0, 4.0, 5.0], LOWER)]) == "fails"
    assert judge([compare_ranks([1.0, 2.0, inf, inf, inf], [9.0] * 5, LOWER)]) == "undecided"  # survivors flatter
    assert compare_ranks([inf] * 5, [inf] * 5, LOWER).p_for > 0.5
    assert judge([compare_ranks([1.0] * 5, [1.1] * 5, EQUAL)]) == "undecided"  # order tells no margin


def test_ranks_of_a_difference():
    """Of medians 5 apart: a bound of 0 is an order, another one moves the control."""
    low, high = np.array([-2.0, -1.5, -1.0, -0.5, 0.0]), np.array([3.0, 3.5, 4.0, 4.5, math.inf])
    for claimed, said in {(0.0, math.inf): "holds", (2.0, math.inf): "holds", (-math.inf, 0.0): "fails"}.items():
        assert judge([compare_ranks(high, low, claimed, ratio=False)]) == said
    assert compare_ranks(high, low, (0.0, math.inf), ratio=False).effect == 5.0
    assert compare_ranks(high, low, (5.0, math.inf), ratio=False).p_for > 0.3


def test_the_rank_test_enumerates_permutations():
    assert compare_ranks([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], LOWER).p_for == pytest.approx(1 / 70)


def test_every_part_must_hold_and_one_may_fail():
    yes, no, open_ = Test(p_for=1e-4), Test(p_against=1e-4), Test(p_for=0.2, p_against=0.8)
    assert judge([yes, yes]) == "holds"
    assert judge([yes, open_]) == "undecided"
    assert judge([yes, no]) == "fails"
    assert judge([yes, Test()]) == "undecided"  # a part that was not run
    assert judge([no, Test()]) == "fails"


@given(st.floats(0.3, 0.95), st.floats(0.3, 0.95))
def test_a_larger_effect_is_never_less_certain(first, second):
    b = np.array(B)
    smaller, larger = max(first, second), min(first, second)
    assert compare_means([b * larger], [b], LOWER).p_for <= compare_means([b * smaller], [b], LOWER).p_for
