"""When a claim holds: the tests and levels of all verdicts, on arrays of one value a seed. Knows no store and no study.

A claim says that an effect lies in a range: a ratio of means below 1 (A < B), above 1, or between 1 / 1.1 and 1.1
(equivalent). Each direction is tested at LEVEL / 2, so a verdict agrees with the 95% interval that stands beside it;
Holm's correction runs over the parts of a claim. Absence of significance is never equivalence.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit
from scipy.stats.contingency import odds_ratio

LEVEL = 0.05  # two-sided: false verdicts of either direction together
LOG_STD = 0.27  # of a FID over seeds, as measured on digits: the middle of 0.23 to 0.30
RESAMPLES = 9_999  # of a permutation test; fewer permutations than that are enumerated

Kind = Literal["mean", "rank", "share"]
Judgement = Literal["holds", "fails", "undecided"]
Range = tuple[float, float]
Cells = Sequence[ArrayLike]


class Test(NamedTuple):
    """An effect with its 95% interval (NaN where there is none), and the p values that it lies in the claimed range
    and that it lies beyond it, both one-sided; of shares also the counts. The default is a test that could not be
    made."""

    effect: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p_for: float = 1.0
    p_against: float = 1.0
    kind: Kind = "mean"
    counts: str = ""


def compare_means(treatment: Cells, control: Cells, claimed: Range, *, ratio: bool = True) -> Test:
    """Sum of the means of the cells in `treatment` minus that of those in `control`, with Welch's t interval.

    Each cell is an array [n] of finite values. With `ratio`, of their logarithms (values > 0), and effect, interval and
    range are ratios of geometric means: two cells give the ratio of one to the other, two and two a ratio of ratios,
    one and none the mean itself. Degrees of freedom are Welch and Satterthwaite's. A cell of one value decides nothing.
    """
    signs = [1] * len(treatment) + [-1] * len(control)
    cells = [np.log(cell) if ratio else np.asarray(cell, float) for cell in (*treatment, *control)]
    back = math.exp if ratio else float
    effect = float(sum(sign * cell.mean() for sign, cell in zip(signs, cells, strict=True)))
    if min(map(len, cells)) < 2:
        return Test(back(effect))
    variances = [float(cell.var(ddof=1)) / len(cell) for cell in cells]
    freedom, error = 1.0, float(np.finfo(float).tiny)  # where all seeds agree
    if any(variances):
        parts = sum(variance**2 / (len(cell) - 1) for variance, cell in zip(variances, cells, strict=True))
        freedom, error = sum(variances) ** 2 / parts, math.sqrt(sum(variances))
    low, high = (math.log(bound) if bound else -math.inf for bound in claimed) if ratio else claimed
    inward = [(effect - low) / error, (high - effect) / error]  # how far within each bound, in standard errors
    half = error * float(stdtrit(freedom, 1 - LEVEL / 2))
    p_for, p_against = max(stdtr(freedom, -t) for t in inward), min(stdtr(freedom, t) for t in inward)
    return Test(back(effect), back(effect - half), back(effect + half), float(p_for), float(p_against))


def compare_ranks(treatment: ArrayLike, control: ArrayLike, claimed: Range) -> Test:
    """Ratio of medians [n], [m] with Mann and Whitney's permutation test; infinite values are the worst rank.

    For cells that lost seeds: the mean of the survivors would flatter them. That the ratio lies below a bound is tested
    as `treatment` against the bound times `control`.
    """
    first, second = np.asarray(treatment, float), np.asarray(control, float)
    with np.errstate(invalid="ignore"):
        effect = float(np.divide(np.median(first), np.median(second)))
    low, high = claimed
    sides = [(low, "greater", "less"), (high, "less", "greater")]
    sides = [side for side in sides if 0 < side[0] < math.inf]
    p_for = max(_p_of_ranks(first, bound * second, inward) for bound, inward, _ in sides)
    p_against = min(_p_of_ranks(first, bound * second, outward) for bound, _, outward in sides)
    return Test(effect, math.nan, math.nan, p_for, p_against, "rank")


def _p_of_ranks(first: np.ndarray, second: np.ndarray, alternative: str) -> float:
    ranks = stats.rankdata(np.concatenate([first, second]))  # no infinities in sums
    method = stats.PermutationMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(0))
    halves = ranks[: len(first)], ranks[len(first) :]
    return float(stats.mannwhitneyu(*halves, alternative=alternative, method=method).pvalue)


def compare_shares(treatment: tuple[int, int], control: tuple[int, int]) -> Test:
    """Fisher's exact test that an event is likelier in `treatment`, both (events, runs); the effect is the odds ratio
    (conditional maximum likelihood) with its exact interval."""
    table = [[treatment[0], treatment[1] - treatment[0]], [control[0], control[1] - control[0]]]
    counts = f"{_share(*treatment)} against {_share(*control)}"
    p_for, p_against = (float(stats.fisher_exact(table, alternative=side).pvalue) for side in ("greater", "less"))
    if treatment[0] + control[0] in (0, treatment[1] + control[1]):  # always or never: no odds
        return Test(math.nan, 0.0, math.inf, p_for, p_against, "share", counts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an end of the interval at 0 or infinity
        odds = odds_ratio(np.array(table))
        interval = odds.confidence_interval(1 - LEVEL)
    return Test(float(odds.statistic), float(interval.low), float(interval.high), p_for, p_against, "share", counts)


def _share(events: int, runs: int) -> str:
    """Events of runs with Clopper and Pearson's 95% interval of the share."""
    interval = stats.binomtest(events, runs).proportion_ci(1 - LEVEL, "exact")
    return f"{events}/{runs} [{interval.low:.2f}, {interval.high:.2f}]"


def holm(p_values: Sequence[float], level: float = LEVEL / 2) -> list[bool]:
    """Which hypotheses are rejected while all true ones survive together with probability 1 - level (Holm 1979)."""
    rejected = [False] * len(p_values)
    for rank, i in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[i] > level / (len(p_values) - rank):
            break
        rejected[i] = True
    return rejected


def judge(tests: Sequence[Test]) -> Judgement:
    """A claim holds if each of its parts does, and fails if one lies beyond its range. With a part that could not be
    tested, which counts in Holm's correction, it cannot hold."""
    if all(holm([test.p_for for test in tests])):
        return "holds"
    return "fails" if any(holm([test.p_against for test in tests])) else "undecided"


def least_seeds(kind: Kind, parts: int = 1) -> int:
    """Seeds a cell below which even the clearest outcome, all values of one cell beyond all of the other, has a p value
    above the level. Two for means, whose p value has no lower bound."""
    n = 2
    while kind != "mean" and 1 / math.comb(2 * n, n) > LEVEL / 2 / parts:
        n += 1
    return n


def detectable_ratio(seeds: int, parts: int = 1, *, log_std: float = LOG_STD, power: float = 0.8) -> float:
    """The ratio of geometric means nearest to 1, below it, that a t test of two cells of 2 seeds or more sees with this
    power at the first of Holm's levels. With equal variances: Welch's sees a little less below five seeds."""
    freedom = 2 * seeds - 2
    needed = stats.t.isf(LEVEL / 2 / parts, freedom)
    shift = brentq(lambda shift: stats.nct.sf(needed, freedom, shift) - power, 0, 10 * needed)
    return math.exp(-shift * log_std * math.sqrt(2 / seeds))
