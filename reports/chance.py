"""How many verdicts of a ledger are false by chance: what its tests say of claims all of whose cells follow one law."""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np
from scipy import stats

from reports.planning import LOG_STD
from reports.statistics import blocks_of, estimate
from reports.verdicts import Range, Test, decided, p_values

DRAWS = 4_000


class Contrast(NamedTuple):
    """How a part was tested: its cells (sign, name, pairing), treatment first, seeds a cell, what was claimed, by which
    test, and of shares that of all its runs. Without a control there is no law to share: what was found stays."""

    test: Test
    cells: tuple[tuple[int, Hashable, Hashable], ...]
    seeds: int
    claimed: Range
    is_ratio: bool
    share: float

    @property
    def is_of_order(self) -> bool:
        """Whether the claim is that something is better, false if nothing has an effect; of a margin that is true."""
        return self.test.kind == "share" or (1.0 if self.is_ratio else 0.0) in self.claimed

    @property
    def has_control(self) -> bool:
        return any(sign < 0 for sign, *_ in self.cells)


def false_chance(readings: Sequence[Sequence[Contrast | None]], can_hold: bool = True) -> float:
    """The chance that a claim gets a verdict that is false if nothing has an effect: that it holds or fails, of order,
    or fails, of a margin. A part that could not be tested is None. Seeded by
    the cells: the same claim has the same chance, and other claims other draws."""
    names = repr([contrast.cells for contrasts in readings for contrast in contrasts if contrast])
    rng, drawn = np.random.default_rng(crc32(names.encode())), dict[Hashable, np.ndarray]()
    holds, fails = np.full(DRAWS, can_hold), np.full(DRAWS, True)
    of_order = False
    for contrasts in readings:
        p = [_drawn(contrast, drawn, rng) for contrast in contrasts]
        held, failed = decided(*(np.stack(side, -1) for side in zip(*p, strict=True)))
        holds, fails = holds & held, fails & failed
        of_order |= any(each.is_of_order and each.has_control for each in contrasts if each)
    return float(((holds & of_order) | fails).mean())


def _drawn(
    contrast: Contrast | None, drawn: dict[Hashable, np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """p values for and against a part in DRAWS studies; cells that several parts name are drawn once."""
    if contrast is None or not contrast.has_control:
        found = contrast.test if contrast else Test()
        return np.full(DRAWS, found.p_for), np.full(DRAWS, found.p_against)
    for _, name, _ in contrast.cells:
        if name not in drawn:
            drawn[name] = rng.standard_normal((DRAWS, contrast.seeds))
    if contrast.test.kind == "share":
        first, second = ((drawn[name] < stats.norm.ppf(contrast.share)).sum(-1) for _, name, _ in contrast.cells)
        n, both = contrast.seeds, first + second
        return stats.hypergeom.sf(first - 1, 2 * n, both, n), stats.hypergeom.cdf(first, 2 * n, both, n)
    blocks = blocks_of((sign, drawn[name], pairing) for sign, name, pairing in contrast.cells)
    unit = estimate(*blocks)
    error = LOG_STD if math.isnan(contrast.test.error) else contrast.test.error
    spread = error * math.sqrt(contrast.seeds / len(contrast.cells))  # of one run
    scaled = unit._replace(effect=unit.effect * spread, error=unit.error * spread)
    return p_values(scaled, contrast.claimed, ratio=contrast.is_ratio)
