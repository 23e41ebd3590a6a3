"""Claims as contrasts on studies. What the verdicts are, the store decides.

A part of a claim says that a ratio (or a difference) of means over seeds lies in a range: below 1 where the claim reads
A < B, and lower is better unless said. A claim holds only if each of its parts does.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Label = tuple[str, str]  # row and column of a study
Range = tuple[float, float]
LOWER, HIGHER = (0.0, 1.0), (1.0, math.inf)
EQUIVALENT, NOT_WORSE = (1 / 1.1, 1.1), (0.0, 1.1)  # a margin of 10%
LESS, MORE = (-math.inf, 0.0), (0.0, math.inf)  # of a difference


class Part(NamedTuple):
    """A contrast: the cells of `treatment` against those of `control`, by a metric, and the range claimed of it.

    `kind` is what is compared: ratio of geometric means (two cells a side: a ratio of ratios), difference of means, or
    share of the runs whose metric is at least `reaches`, where `treatment` is claimed to have the larger one. `metric`
    is a name in METRICS, a measure of reports.measurements, a key of a run's evaluations (its last value: `seconds` are
    those of training alone), or two keys with a minus between.
    """

    study: str
    treatment: tuple[Label, ...]
    control: tuple[Label, ...] = ()
    claimed: Range = LOWER
    metric: str = "fid_final"
    kind: Literal["ratio", "difference", "share"] = "ratio"
    reaches: float = 1.0


@dataclass(frozen=True)
class Claim:
    """A claim, where its paper states it, its parts, and parts of a small study that stand in until those are run.

    `covered` tells which of the claim's cases the small study has, if it lacks some: it can then speak against the
    claim, not for it. Where the paper leaves a setting open, `readings` are alternative sets of parts, by what each
    takes it to be, in place of `parts`: the claim holds only if it does by all, and fails only if by all. With
    `setting_told` false the paper does not say on what, so that no run is at its scale.
    `paper` is the name of the paper that holds it.
    """

    id: str
    text: str
    place: str
    parts: tuple[Part, ...] = ()
    small: tuple[Part, ...] = ()
    covered: str = ""
    setting_told: bool = True
    paper: str = ""
    readings: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.parts) == bool(self.readings) or not all(self.readings.values()):
            raise ValueError(f"claim {self.id!r} should have parts, or readings that each have some, and not both")

    @property
    def all_parts(self) -> tuple[Part, ...]:
        """Of its readings, and of the small study."""
        return (*(part for parts in self.sets.values() for part in parts), *self.small)

    @property
    def sets(self) -> Mapping[str, tuple[Part, ...]]:
        """Its readings, of which it has one, "", where it leaves nothing open."""
        return self.readings or {"": self.parts}


def contrasts(study: str, treatment: Label | str, *controls: Label | str, **fields: Any) -> tuple[Part, ...]:
    """One cell against each of others, or alone; a text is a row of a study without columns. `fields` are of Part."""
    cells = (treatment, *controls)
    sides: list[tuple[Label, ...]] = [((cell, ""),) if isinstance(cell, str) else (cell,) for cell in cells]
    return tuple(Part(study, sides[0], side, **fields) for side in sides[1:] or [()])


def by_column(study: str, rows: tuple[str, str], columns: Iterable[str], **fields: Any) -> tuple[Part, ...]:
    """The first row against the second in each of some columns."""
    return tuple(Part(study, ((rows[0], column),), ((rows[1], column),), **fields) for column in columns)


def gains(study: str, rows: tuple[str, str], columns: Iterable[str], other: str) -> tuple[Part, ...]:
    """The ratio of the first row to the second in each of some columns, against that ratio in another column."""
    a, b = rows
    return tuple(Part(study, ((a, column), (b, other)), ((b, column), (a, other))) for column in columns)


def covers(study: str, treatment: Label | str, control: Label | str) -> tuple[Part, ...]:
    """All eight modes are likelier to be covered."""
    return contrasts(study, treatment, control, claimed=HIGHER, metric="modes_final", kind="share", reaches=8)
