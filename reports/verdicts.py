"""When a claim holds: the tests and levels of all verdicts, on arrays of one value a seed. Knows no store and no study.

A claim says that an effect lies in a range: a ratio of means below 1 (A < B), above 1, or between 1 / 1.1 and 1.1
(equivalent). Each direction is tested at LEVEL / 2, so a verdict agrees with the 95% interval that stands beside it;
Holm's correction runs over the parts of a claim. Absence of significance is never equivalence.
"""

import math
from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from reports.statistics import LEVEL, Estimate, blocks_of, estimate, fisher, holm, odds, share

RESAMPLES = 9_999  # of a permutation test; fewer permutations than that are enumerated

Kind = Literal["mean", "rank", "share"]
Judgement = Literal["holds", "fails", "undecided"]
Range = tuple[float, float]
Cells = Sequence[ArrayLike]


class Test(NamedTuple):
    """An effect with its 95% interval (NaN where there is none), and the p values that it lies in the claimed range
    and that it lies beyond it, both one-sided; of shares also the counts, of means the standard error, of logarithms
    for a ratio. The default is a test that could not be made."""

    effect: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p_for: float = 1.0
    p_against: float = 1.0
    kind: Kind = "mean"
    counts: str = ""
    error: float = math.nan


def compare_means(
    treatment: Cells, control: Cells, claimed: Range, *, ratio: bool = True, pairings: Sequence[Hashable] = ()
) -> Test:
    """Sum of the means of the cells in `treatment` minus that of those in `control`.

    Each cell is an array [n] of values by seed, NaN where one is missing. With `ratio`, of their logarithms (values
    > 0), and effect, interval and range are ratios of geometric means: two cells give the ratio of one to the other,
    two and two a ratio of ratios, one and none the mean itself. Cells of one of the `pairings`, treatment first, are
    compared seed by seed, others (by default all) by Welch's test.
    """
    signs = [1] * len(treatment) + [-1] * len(control)
    cells = [np.log(cell) if ratio else np.asarray(cell, float) for cell in (*treatment, *control)]
    found = estimate(*blocks_of(zip(signs, cells, pairings or range(len(cells)), strict=True)))
    p_for, p_against = p_values(found, claimed, ratio=ratio)
    back = math.exp if ratio else float
    effect, low, high = (back(float(number)) for number in (found.effect, *found.interval))
    if math.isnan(low):  # too few seeds
        return Test(effect)
    return Test(effect, low, high, float(p_for), float(p_against), error=float(found.error))


def p_values(found: Estimate, claimed: Range, *, ratio: bool) -> tuple[np.ndarray, np.ndarray]:
    """One-sided p values that an effect lies in the claimed range, and that it lies beyond it, [...] both."""
    low, high = (math.log(bound) if bound else -math.inf for bound in claimed) if ratio else claimed
    p_for = np.maximum(found.p_above(low), found.p_below(high))
    return p_for, np.minimum(found.p_below(low), found.p_above(high))


def compare_ranks(treatment: ArrayLike, control: ArrayLike, claimed: Range, *, ratio: bool = True) -> Test:
    """Ratio, or difference, of medians [n], [m] with Mann and Whitney's permutation test; infinite values are the worst
    rank.

    For cells that lost seeds: the mean of the survivors would flatter them. That the ratio lies below a bound is tested
    as `treatment` against the bound times `control`, of a difference against the bound plus it.
    """
    first, second = np.asarray(treatment, float), np.asarray(control, float)
    apart, moved, least = (np.divide, np.multiply, 0.0) if ratio else (np.subtract, np.add, -math.inf)
    with np.errstate(invalid="ignore"):
        effect = float(apart(np.median(first), np.median(second)))
    low, high = claimed
    sides = [(low, "greater", "less"), (high, "less", "greater")]
    sides = [side for side in sides if least < side[0] < math.inf]
    p_for = max(_p_of_ranks(first, moved(bound, second), inward) for bound, inward, _ in sides)
    p_against = min(_p_of_ranks(first, moved(bound, second), outward) for bound, _, outward in sides)
    return Test(effect, math.nan, math.nan, p_for, p_against, "rank")


def _p_of_ranks(first: np.ndarray, second: np.ndarray, alternative: str) -> float:
    ranks = stats.rankdata(np.concatenate([first, second]))  # no infinities in sums
    method = stats.PermutationMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(0))
    halves = ranks[: len(first)], ranks[len(first) :]
    return float(stats.mannwhitneyu(*halves, alternative=alternative, method=method).pvalue)


def compare_shares(treatment: tuple[int, int], control: tuple[int, int]) -> Test:
    """Fisher's exact test that an event is likelier in `treatment`, both (events, runs); the effect is the odds ratio
    with its exact interval."""
    sides = ("greater", "less")
    p_for, p_against = (fisher(*treatment, *control, alternative=side) for side in sides)
    counts = f"{share(*treatment)} against {share(*control)}"
    return Test(*odds(*treatment, *control), p_for, p_against, "share", counts)


def decided(p_for: ArrayLike, p_against: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Whether claims hold, and whether they fail, by their parts' p values, [..., parts] both."""
    holds = np.asarray((holm(p_for) <= LEVEL / 2).all(-1))
    return holds, np.asarray((holm(p_against) <= LEVEL / 2).any(-1)) & ~holds


def judge(tests: Sequence[Test]) -> Judgement:
    """A claim holds if each of its parts does, and fails if one lies beyond its range. With a part that could not be
    tested, which counts in Holm's correction, it cannot hold."""
    holds, fails = decided([test.p_for for test in tests], [test.p_against for test in tests])
    return "holds" if holds else "fails" if fails else "undecided"
