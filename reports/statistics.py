"""The statistics of everything that is told of seeds: tables, ledger, plans and figures go by these.

Functions of arrays that end in one value a seed, [..., seeds], NaN where a seed is missing; what stands before it is
kept, so that a simulation of many studies is one call. An effect is a difference of means: of logarithms for a ratio.
Rows of one seed share data, latents and noise, so cells that are alike but for their method are compared seed by seed;
spreads of rows differ, so nothing is pooled (Welch). Knows no study and no store.
"""

import math
import warnings
from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import betaincinv, stdtr, stdtrit
from scipy.stats.contingency import odds_ratio

LEVEL = 0.05  # two-sided
LEAST = 3  # seeds, or pairs of them, below which there is neither interval nor p value


class Estimate(NamedTuple):
    """An effect, its standard error and degrees of freedom, [...] each; NaN errors where there are too few seeds."""

    effect: np.ndarray
    error: np.ndarray
    freedom: np.ndarray

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """The 95% t interval."""
        half = self.error * stdtrit(self.freedom, 1 - LEVEL / 2)
        return self.effect - half, self.effect + half

    @property
    def p(self) -> np.ndarray:
        """Two-sided, that the effect is 0."""
        return 2 * stdtr(self.freedom, -np.abs(self.t(0.0)))

    def t(self, bound: float) -> np.ndarray:
        """How far the effect lies above a bound, in standard errors."""
        with np.errstate(over="ignore"):
            return (self.effect - bound) / self.error

    def p_below(self, bound: float) -> np.ndarray:
        """One-sided: small where the effect is below the bound."""
        return stdtr(self.freedom, self.t(bound))

    def p_above(self, bound: float) -> np.ndarray:
        """One-sided: small where the effect is above the bound."""
        return stdtr(self.freedom, -self.t(bound))


def estimate(*blocks: ArrayLike) -> Estimate:
    """The sum of the blocks' means over seeds. A block [..., seeds] holds what is paired, so differences for two cells:
    one block is a paired (or one-sample) t test, two are Welch's, with Satterthwaite's degrees of freedom."""
    total, variance, squares = np.zeros(()), np.zeros(()), np.zeros(())
    least = np.full((), np.inf)
    for block in blocks:
        values = np.asarray(block, float)
        there = np.isfinite(values)
        n = there.sum(-1)
        mean = np.where(there, values, 0).sum(-1) / np.maximum(n, 1)
        deviations = np.where(there, values - mean[..., None], 0)
        part = (deviations**2).sum(-1) / np.maximum(n - 1, 1) / np.maximum(n, 1)
        total, variance, least = total + np.where(n > 0, mean, np.nan), variance + part, np.minimum(least, n)
        squares = squares + part**2 / np.maximum(n - 1, 1)
    alike = variance == 0  # all seeds agree
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = np.where(alike, least - 1, variance**2 / squares)
    error = np.where(alike, np.finfo(float).tiny, np.sqrt(variance))
    return Estimate(total, np.where(least >= LEAST, error, np.nan), freedom)


def blocks_of(cells: Iterable[tuple[int, ArrayLike, Hashable]]) -> list[np.ndarray]:
    """The blocks of a contrast of cells (sign, values [..., seeds], pairing): those of one pairing are taken seed by
    seed, of the seeds that all of them have."""
    blocks: dict[Hashable, np.ndarray] = {}
    for sign, values, pairing in cells:
        signed = sign * np.asarray(values, float)
        blocks[pairing] = blocks[pairing] + signed if pairing in blocks else signed
    return list(blocks.values())


def compare(values: ArrayLike, reference: ArrayLike, paired: bool) -> Estimate:
    """Mean of values less mean of reference, [..., seeds] both."""
    return estimate(*blocks_of([(1, values, 0), (-1, reference, 0 if paired else 1)]))


def correlation(values: ArrayLike, reference: ArrayLike) -> np.ndarray:
    """Pearson's r over the pairs, [...]; NaN below LEAST pairs and where one side does not vary."""
    a, b = np.broadcast_arrays(np.asarray(values, float), np.asarray(reference, float))
    both = np.isfinite(a) & np.isfinite(b)
    n = both.sum(-1)
    a, b = (np.where(both, side, 0) for side in (a, b))
    a, b = (np.where(both, side - (side.sum(-1) / np.maximum(n, 1))[..., None], 0) for side in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (a * b).sum(-1) / np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.where(n >= LEAST, r, np.nan)


def holm(p_values: ArrayLike) -> np.ndarray:
    """p values adjusted over the last axis (Holm 1979): those at or below a level are rejected with any false rejection
    rarer than it. A NaN, a test that could not be made, counts among the tests and stays NaN."""
    given = np.asarray(p_values, float)
    p = np.where(np.isnan(given), 1.0, given)
    order = np.argsort(p, -1, kind="stable")
    steps = np.take_along_axis(p, order, -1) * np.arange(p.shape[-1], 0, -1)
    raised = np.minimum(np.maximum.accumulate(steps, -1), 1.0)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, raised, -1)
    return np.where(np.isnan(given), np.nan, adjusted)


def stars(values: ArrayLike, references: ArrayLike, paired: bool) -> np.ndarray:
    """Which of the rows [..., rows, seeds] differ from their reference [..., 1 or rows, seeds], [..., rows]: p after
    Holm over the rows below LEVEL."""
    return holm(compare(values, references, paired).p) < LEVEL


def among_best(values: ArrayLike, paired: np.ndarray) -> np.ndarray:
    """Which rows of [..., rows, seeds], lower being better, no other is better than, [..., rows]: one-sided tests of
    all ordered pairs, Holm over all of them at LEVEL (Mogstad, Romano, Shaikh, Wilhelm 2024), so that the row that is
    truly best is left out with at most that probability. `paired` [rows, rows] says which are taken seed by seed."""
    rows = np.asarray(values, float)
    left, right = np.nonzero(~np.eye(rows.shape[-2], dtype=bool))
    p = np.empty((*rows.shape[:-2], len(left)))
    for pairing in (True, False):
        these = paired[left, right] == pairing
        if these.any():
            found = compare(rows[..., right[these], :], rows[..., left[these], :], pairing)
            p[..., these] = found.p_below(0.0)
    beaten = holm(p) < LEVEL
    return ~np.stack([beaten[..., left == row].any(-1) for row in range(rows.shape[-2])], -1)


def share_interval(events: ArrayLike, runs: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Clopper and Pearson's 95% interval of a share, [...]."""
    k, n = np.asarray(events, float), np.asarray(runs, float)
    low = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, LEVEL / 2), 0.0)
    high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - LEVEL / 2), 1.0)
    return low, high


def share(events: int, runs: int) -> str:
    """Events of runs with the interval of their share, in words."""
    low, high = share_interval(events, runs)
    return f"{events}/{runs} [{low:.2f}, {high:.2f}]"


def fisher(events: int, runs: int, other_events: int, other_runs: int, alternative: str = "two-sided") -> float:
    """Fisher's exact p value that an event is as likely in both, or `greater` or `less` in the first."""
    table = [[events, runs - events], [other_events, other_runs - other_events]]
    return float(stats.fisher_exact(table, alternative=alternative).pvalue)


def odds(events: int, runs: int, other_events: int, other_runs: int) -> tuple[float, float, float]:
    """Odds ratio of an event (conditional maximum likelihood) with its exact 95% interval."""
    if events + other_events in (0, runs + other_runs):  # always or never
        return math.nan, 0.0, math.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an end of the interval at 0 or infinity
        table = [[events, runs - events], [other_events, other_runs - other_events]]
        found = odds_ratio(np.array(table))
        interval = found.confidence_interval(1 - LEVEL)
    return float(found.statistic), float(interval.low), float(interval.high)


def chance_better(values: ArrayLike, reference: ArrayLike) -> float:
    """P(better): the share of pairs, one of [n] and one of [m], in which the first is lower; ties half, infinite (lost)
    last."""
    a, b = np.asarray(values, float)[:, None], np.asarray(reference, float)[None, :]
    return float(((a < b) + 0.5 * (a == b)).mean()) if a.size and b.size else math.nan
