"""How many seeds a comparison needs, before it is made: the power of the tests of reports.statistics."""

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from reports.ablation import by_seed
from reports.comparisons import Sample, pairing
from reports.results import Results
from reports.statistics import LEAST, LEVEL, fisher
from spaces import CLAIMS, Part, Study
from spaces.claims import Label, Range
from trainers.config import Config
from trainers.messages import counted

LOG_STD = 0.27  # of a FID over seeds, as measured on digits: the middle of 0.23 to 0.30
R_COOP, R_ALIKE = 0.2, 0.6  # of logarithms over seeds, if one row alone has a cooperative stage, and otherwise
POWER = 0.8
FEW = 5  # seeds below which a spread is widened
BOUND = 0.8  # to its upper bound at this confidence
MOST = 10_000  # seeds that are looked at
EFFECT = 0.7  # ratio that a claim of order is to show
LIKELY, UNLIKELY = 0.9, 0.4  # shares that a claim of shares is to tell apart


class Spread(NamedTuple):
    """Standard deviation over seeds of a difference of two cells' logarithms, or of what stands for it, and whence."""

    std: float
    paired: bool
    source: str


def power(effect: float, spread: Spread, seeds: int, level: float = LEVEL) -> float:
    """The chance that so many seeds a cell show an effect, a difference of logarithms, at a two-sided level. Where
    cells are not paired, as with equal spreads: Welch's test sees a little less below five seeds."""
    freedom = seeds - 1 if spread.paired else 2 * seeds - 2
    shift = abs(effect) * math.sqrt(seeds) / spread.std
    return float(stats.nct.sf(stats.t.isf(level / 2, freedom), freedom, shift)) if seeds >= LEAST else 0.0


def equivalence_power(margin: float, spread: Spread, seeds: int, level: float = LEVEL) -> float:
    """The chance that two cells that are equal are shown to be so within a margin, by two one-sided tests."""
    return max(0.0, 2 * power(margin, spread, seeds, level) - 1)


def fisher_power(share: float, other: float, seeds: int, level: float = LEVEL) -> float:
    """The chance that Fisher's exact test tells two shares of runs apart."""
    counts = np.arange(seeds + 1)
    chance = np.outer(stats.binom.pmf(counts, seeds, share), stats.binom.pmf(counts, seeds, other))
    p = stats.hypergeom.sf(counts[:, None] - 1, 2 * seeds, counts[:, None] + counts[None, :], seeds)
    return float(chance[p <= level / 2].sum())


def seeds_for(chance: Callable[[int], float]) -> int:
    """The least number of seeds with which something has a chance of POWER; MOST where not even these have."""
    few, many = LEAST - 1, LEAST
    while chance(many) < POWER:
        if many >= MOST:
            return MOST
        few, many = many, min(2 * many, MOST)
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if chance(middle) >= POWER else (middle, many)
    return many


def visible_ratio(seeds: int, spread: Spread, level: float = LEVEL) -> float:
    """The ratio below 1 that so many seeds see with a chance of POWER."""
    return math.exp(-brentq(lambda effect: power(effect, spread, seeds, level) - POWER, 1e-9, 1e3 * spread.std))


def visible_events(seeds: int) -> int:
    """Fisher's smallest visible difference: of so many runs the least with an event that none of as many others had;
    0 where even all of them are too few."""
    return next((k for k in range(1, seeds + 1) if fisher(k, seeds, 0, seeds) < LEVEL), 0)


def prior(config: Config, other: Config) -> Spread:
    """What to expect of two cells of which nothing was run."""
    paired = pairing(config) == pairing(other)
    coop = [bool(each.acting().n_coop) for each in (config, other)]
    r = (R_COOP if coop[0] != coop[1] else R_ALIKE) if paired else 0.0
    return Spread(LOG_STD * math.sqrt(2 - 2 * r), paired, f"log std {LOG_STD}, r {r:g} by prior")


def widened(std: float, n: int) -> float:
    """A standard deviation of n values, of few its upper bound."""
    return std if n >= FEW else std * math.sqrt((n - 1) / stats.chi2.ppf(1 - BOUND, n - 1))


def spread_of(results: Results, label: Label, reference: Label) -> Spread:
    """The spread of a comparison by what was run of it, else by the prior."""
    metric, configs = results.study.metrics[0], results.configs
    if label in configs:
        expected = prior(configs[label], configs[reference])
    else:  # made elsewhere: what its own runs do not tell, nobody knows
        expected = Spread(math.nan, results.samples[label].pairing == results.samples[reference].pairing, "")
    logs = [_logs(results.samples[each], metric, results.study.seeds) for each in (label, reference)]
    differences = logs[0] - logs[1]
    n = int(np.isfinite(differences).sum())
    if expected.paired and n >= LEAST:
        return Spread(widened(float(np.nanstd(differences, ddof=1)), n), True, f"{n} pairs")
    counts = [int(np.isfinite(each).sum()) for each in logs]
    if min(counts) < LEAST:
        if math.isnan(expected.std):
            cell = " / ".join(filter(None, label))
            raise ValueError(f"{results.study.title}: {cell} and {reference[0]} need {LEAST} seeds that both have")
        return expected
    stds = [widened(float(np.nanstd(each, ddof=1)), n) for each, n in zip(logs, counts, strict=True)]
    return Spread(math.hypot(*stds), False, f"{counts[0]} and {counts[1]} seeds")


def _logs(cell: Sample, metric: str, seeds: int) -> np.ndarray:
    values = by_seed(cell.counted(metric), metric, seeds)
    return np.log(np.where(values > 0, values, np.nan))


class Need(NamedTuple):
    """The seeds that a row needs to be told from the first one of its column, and the chance that those planned do."""

    row: str
    column: str
    against: str
    seeds: int
    paired: bool
    spread: str  # where it is known from
    chance: float

    @property
    def line(self) -> str:
        """In words, but for the seeds that are planned."""
        cell, more = " / ".join(filter(None, (self.row, self.column))), " or more" if self.seeds == MOST else ""
        paired = "paired" if self.paired else "not paired"
        return f"{cell} against {self.against}: {self.seeds:,} seeds{more} ({paired}; {self.spread})"


class Detection(NamedTuple):
    """What `plan --detect` says: of a study the seeds that its comparisons need, and those of the papers' claims on it
    that the planned ones can hardly decide."""

    study: Study
    ratio: float
    level: float  # that of Holm's first step
    needs: list[Need]
    claims: dict[str, int]

    def to_json(self) -> dict[str, object]:
        """Its fields, the study left out."""
        fields = self._asdict() | {"needs": [need._asdict() for need in self.needs]}
        return {"detect": {name: value for name, value in fields.items() if name != "study"}}

    def to_text(self) -> list[str]:
        """Lines of text."""
        planned, metric = self.study.seeds, self.study.metric(self.study.metrics[0])
        least = visible_events(planned)
        counts = f"{least} of {planned} against none" if least else f"not even {planned} of {planned}"
        told = ", ".join(f"{name} {seeds:,}" for name, seeds in self.claims.items())
        return [
            f"Seeds that show a {metric.label} ratio of {self.ratio:g} with a chance of {POWER:.0%}, at the level of "
            f"the first of {counted(len(self.needs), 'comparison')} ({self.level:.2g}):",
            *(f"{need.line}; {planned} decide with {need.chance:.0%}" for need in self.needs),
            f"Of counts, as lost runs, {planned} seeds show {counts} (Fisher)" + (" at the least." if least else "."),
            *([f"Claims that {planned} seeds can hardly decide, and seeds that they need: {told}."] if told else []),
        ]


def detect(results: Results, ratio: float) -> Detection:
    """What seeds show a ratio of means in a study. Raises ValueError for what is no such ratio, and where neither runs
    nor a prior tell how much seeds differ."""
    study = results.study
    claimed = [(claim.id, part) for claim in CLAIMS.values() for part in claim.all_parts if part.study == study.name]
    needed: dict[str, int] = {}
    for name, part in claimed:
        needed[name] = max(needed.get(name, 0), part_needs(part, results.configs))
    undecided = {name: seeds for name, seeds in needed.items() if seeds > study.seeds}
    level, needs = needs_of(results, ratio)
    return Detection(study, ratio, level, needs, undecided)


def part_needs(part: Part, configs: Mapping[Label, Config]) -> int:
    """Seeds a cell with which a part of a claim is decided with a chance of POWER, by the prior: a ratio of EFFECT if
    it is of order, equality if it is of a margin, shares of LIKELY and UNLIKELY. 0 where no prior tells."""
    if part.kind == "share":
        return _of_shares()
    if part.kind != "ratio" or len(part.treatment) != 1 or len(part.control) != 1:
        return 0
    return _needed(prior(configs[part.treatment[0]], configs[part.control[0]]), part.claimed)


@cache
def _of_shares() -> int:
    return seeds_for(lambda n: fisher_power(LIKELY, UNLIKELY, n))


@cache
def _needed(spread: Spread, claimed: Range) -> int:
    """Seeds that a ratio of two cells needs to be shown in a range."""
    if 1.0 in claimed:
        return seeds_for(lambda n: power(math.log(EFFECT), spread, n))
    chance = equivalence_power if claimed[0] > 0 else power
    return seeds_for(lambda n: chance(math.log(claimed[1]), spread, n))


def needs_of(results: Results, ratio: float) -> tuple[float, list[Need]]:
    """The level of the first of a study's comparisons, and of each the seeds that it needs to show a ratio of means.
    Raises ValueError for what is no such ratio."""
    study, metric = results.study, results.study.metric(results.study.metrics[0])
    if not (0 < ratio < math.inf and ratio != 1):
        raise ValueError(f"detect = {ratio} should be a ratio of means that is to be seen, as 0.7")
    if metric.scale != "ratio":
        raise ValueError(f"detect = {ratio}: {study.title} compares {metric.label}, its first metric, by no ratio")
    labels = [label for label in study.places if label[0] != results.references[label[1]]]
    needs, level = [], LEVEL / max(1, len(labels))
    for row, column in labels:
        reference = results.references[column]
        spread = spread_of(results, (row, column), (reference, column))
        seeds = seeds_for(lambda n, spread=spread: power(math.log(ratio), spread, n, level))  # type: ignore[misc]
        chance = power(math.log(ratio), spread, study.seeds, level)
        needs.append(Need(row, column, reference, seeds, spread.paired, spread.source, chance))
    return level, needs
