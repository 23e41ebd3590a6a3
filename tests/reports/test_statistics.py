"""The statistics of tables and ledgers: known answers, and what they must not depend on."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from reports.statistics import (
    LEVEL,
    among_best,
    blocks_of,
    chance_better,
    compare,
    correlation,
    estimate,
    fisher,
    holm,
    odds,
    share,
    share_interval,
    stars,
)

A, B = np.array([3.0, 5.0, 4.5, 6.0]), np.array([8.0, 9.0, 12.0, 7.0])
finite = arrays(float, st.integers(3, 6), elements=st.floats(-50, 50), unique=True)


def test_pairs_are_students_t_test_of_differences():
    found, known = compare(A, B, paired=True), stats.ttest_rel(A, B)
    interval = known.confidence_interval(0.95)
    assert found.effect == pytest.approx((A - B).mean())
    assert [*found.interval] == pytest.approx([interval.low, interval.high])
    assert (found.p, found.t(0.0), found.freedom) == pytest.approx((known.pvalue, known.statistic, 3))


def test_others_are_welchs_t_test():
    found, known = compare(A[:3], B, paired=False), stats.ttest_ind(A[:3], B, equal_var=False)
    interval = known.confidence_interval(0.95)
    assert [*found.interval] == pytest.approx([interval.low, interval.high])
    assert (found.p, found.freedom) == pytest.approx((known.pvalue, known.df))
    assert found.p_below(0.0) == pytest.approx(known.pvalue / 2)
    assert found.p_above(0.0) == pytest.approx(1 - known.pvalue / 2)


def test_pairs_are_the_seeds_done_in_both():
    with_gaps = np.array([3.0, math.nan, 5.0, 4.5, 6.0]), np.array([8.0, 9.0, 9.0, math.nan, 7.0])
    found, known = compare(*with_gaps, paired=True), compare(np.array([3.0, 5.0, 6.0]), np.array([8.0, 9.0, 7.0]), True)
    assert [*map(float, found)] == pytest.approx([*map(float, known)])
    few = compare(A[:2], B[:2], paired=True)
    assert few.effect == pytest.approx((A[:2] - B[:2]).mean())
    assert np.isnan([few.p, *few.interval]).all()  # below three pairs there is no interval


def test_many_studies_at_once_are_each_alone():
    values = np.random.default_rng(0).normal(size=(5, 4, 6))
    for paired in (True, False):
        together = compare(values[:, 1:], values[:, :1], paired)
        for study in range(5):
            for row in range(3):
                alone = compare(values[study, row + 1], values[study, 0], paired)
                assert [part[study, row] for part in together] == pytest.approx([*map(float, alone)])


def test_seeds_that_all_agree_are_certain():
    assert compare(np.ones(3), np.ones(3), True).p == 1
    assert compare(np.ones(3), np.ones(3), False).p == 1
    assert compare(np.full(3, 2.0), np.ones(3), True).p < 1e-6
    assert [*estimate(np.ones(3)).interval] == pytest.approx([1, 1])


def test_a_contrast_is_taken_seed_by_seed_where_its_cells_are_paired():
    cells = [(1, A, "x"), (-1, B, "x"), (1, A + 1, "y"), (-1, B**2, "z")]
    first, second, third = blocks_of(cells)
    assert list(first) == list(A - B)
    assert list(second) == list(A + 1)
    assert list(third) == list(-(B**2))


@given(finite, st.floats(-5, 5))
def test_shifting_a_cell_shifts_the_interval(values, shift):
    other = np.arange(len(values))[::-1]
    for paired in (True, False):
        before, after = compare(values, other, paired), compare(values + shift, other, paired)
        assert [*after.interval] == pytest.approx([bound + shift for bound in before.interval], abs=1e-6)


def test_correlation():
    assert correlation(A, B) == pytest.approx(np.corrcoef(A, B)[0, 1])
    assert correlation([*A, math.nan], [*B, 1.0]) == pytest.approx(np.corrcoef(A, B)[0, 1])
    assert math.isnan(correlation(A[:2], B[:2]))


def test_holm():
    """Holm 1979: the smallest p times all, the next times one less, and none below the one before."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([[0.01, 0.02, 0.03], [0.5, 0.6, 0.7]]).tolist() == [pytest.approx([0.03, 0.04, 0.04]), [1.0, 1.0, 1.0]]
    found = holm([0.01, math.nan])  # what could not be tested was planned
    assert found[0] == pytest.approx(0.02)
    assert math.isnan(found[1])
    assert holm([]).size == 0


def test_stars_are_few_and_bold_is_what_none_is_better_than():
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 0.2, 8)
    values = np.array([shared + shift + rng.normal(0, 0.05, 8) for shift in (0.0, 0.0, 1.0)])
    assert stars(values[1:], values[:1], True).tolist() == [False, True]
    assert among_best(values, np.full((3, 3), True)).tolist() == [True, True, False]


def test_bold_takes_pairs_where_it_may():
    """The same values, which only a comparison by seed tells apart."""
    common = np.linspace(0, 5, 6)
    values = np.array([common, common + np.array([0.5, 0.6, 0.4, 0.5, 0.6, 0.4])])
    assert among_best(values, np.full((2, 2), True)).tolist() == [True, False]
    assert among_best(values, np.full((2, 2), False)).tolist() == [True, True]


@given(st.integers(1, 30), st.data())
def test_the_interval_of_a_share_is_clopper_and_pearsons(runs, data):
    events = data.draw(st.integers(0, runs))
    known = stats.binomtest(events, runs).proportion_ci(1 - LEVEL, "exact")
    assert [*map(float, share_interval(events, runs))] == pytest.approx([known.low, known.high])


def test_counts():
    assert share(2, 10) == "2/10 [0.03, 0.56]"
    assert fisher(9, 10, 4, 10) == pytest.approx(stats.fisher_exact([[9, 1], [4, 6]]).pvalue)
    assert odds(5, 5, 0, 5)[0] == math.inf
    assert odds(0, 5, 0, 5)[1:] == (0.0, math.inf)


def test_the_chance_to_be_better_has_lost_runs_last():
    assert chance_better([1.0, 2.0], [3.0, 4.0]) == 1
    assert chance_better([1.0, math.inf], [2.0, 2.0]) == 0.5
    assert chance_better([math.inf], [math.inf]) == 0.5  # ties half
    assert math.isnan(chance_better([], [1.0]))
