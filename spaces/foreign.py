"""ForeignStudy: a table of runs that other code made, by the names that it gave them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar

from spaces.claims import HIGHER, LESS, LOWER, MORE, Claim, contrasts
from spaces.study import Cell, Overrides, Study
from trainers.config import Config
from trainers.names import Metric, Scale

# columns of a table of runs, which no metric may be called as
RESERVED = (
    *("row", "column", "seed", "state", "run_id", "cell_key", "protocol", "code_version", "data_digest", "lost"),
    *("features_digest", "own_code_digest", "device", "torch", "evaluations", "seconds", "place"),
)


@dataclass(frozen=True)
class ForeignStudy(Study):
    """A table of runs that were made elsewhere. It has no recipe and no Configs, so no `cells()` that could be trained.

    `measured` says of each metric how it is ordered, compared and printed; `source` is where the runs come from, in
    words; `paired` whether runs of one column and seed share data and start, which only who made them knows.
    """

    recipe: str | Config = field(init=False, default="")
    measured: Mapping[str, Metric] = field(default_factory=dict)
    source: str = ""
    paired: bool = False
    counted: ClassVar[str] = "steps"

    def __post_init__(self) -> None:
        self._check_shape()
        for name in self.metrics:
            if name not in self.measured:
                raise ValueError(f"study {self.name!r} has no metric {name!r}; its own: {', '.join(self.measured)}")

    def _made(self, *, tiny: bool) -> Iterator[Cell]:
        return iter(())

    def metric(self, name: str) -> Metric:
        return self.measured[name]

    def metric_of(self, key: str) -> Metric:
        return self.measured[key]

    def variant(
        self,
        *,
        seeds: int | None = None,
        budget: float | None = None,
        settings: Overrides | None = None,
        tiny: bool = False,
        metrics: tuple[str, ...] | None = None,
        score_samples: int | None = None,
    ) -> "ForeignStudy":
        """This study with some of its metrics. Raises ValueError for all else, which its runs do not have."""
        asked = {"--seeds": seeds not in (None, self.seeds), "--budget": budget not in (None, 1.0)}
        asked |= {"--set": bool(settings), "--tiny": tiny, "--samples": score_samples is not None}
        if any(asked.values()):
            option = next(name for name, is_asked in asked.items() if is_asked)
            raise ValueError(f"{option} changes nothing of study {self.name!r}, whose runs were made elsewhere")
        return replace(self, metrics=metrics or self.metrics)


@dataclass(frozen=True)
class JoinedStudy(Study):
    """A study of ours with rows of runs that other code made, those of an import, below its own: `elsewhere` has their
    labels, each with its seeds. They have no overrides, and no `cells()`; `own_seeds` are those of all other rows."""

    elsewhere: Mapping[str, int] = field(default_factory=dict)
    own_seeds: int = 0
    imported: str = ""

    def _made(self, *, tiny: bool) -> Iterator[Cell]:
        return (cell for cell in super()._made(tiny=tiny) if cell.row not in self.elsewhere)

    @property
    def title(self) -> str:
        return f"{super().title} beside {self.imported}"

    def seeds_of(self, row: str) -> int:
        return self.elsewhere.get(row, self.own_seeds)


def joined(study: Study, theirs: ForeignStudy) -> JoinedStudy:
    """A study of ours with the rows of an import. Raises ValueError for a row that both have, and for a column that
    ours lacks."""
    if clash := [row for row in theirs.rows if row in study.rows]:
        raise ValueError(f"{study.name} and {theirs.name} both have a row {clash[0]!r}; import it by another name")
    if lacking := [column for column in theirs.columns if column not in study.columns]:
        has = f"has a column {lacking[0]!r}" if lacking[0] else "has no columns"
        own = ", ".join(filter(None, study.columns)) or "none"
        raise ValueError(f"{theirs.name} {has}, and must have those of {study.name}: {own}")
    values = {each.name: getattr(study, each.name) for each in fields(study)} | {
        "rows": {**study.rows, **theirs.rows},
        "only": {**study.only, **theirs.only},
        "seeds": max(study.seeds, theirs.seeds),
        "elsewhere": dict.fromkeys(theirs.rows, theirs.seeds),
        "own_seeds": study.seeds,
        "imported": theirs.name,
    }
    return JoinedStudy(**values)


def parse_metric(text: str) -> Metric:
    """A metric as KEY[:lower|higher][:ratio|difference]; lower is better, and rows are compared by differences, unless
    said. Decimals are those of the values, once these are known. Raises ValueError for a name that tables need."""
    match = re.fullmatch(r"([^:].*?)(?::(lower|higher))?(?::(ratio|difference))?", text.strip())
    if match is None:
        raise ValueError(f"--metric {text!r} should read KEY, KEY:lower:ratio or the like")
    key = match[1].strip()
    if key in RESERVED:
        raise ValueError(f"--metric {text!r}: a column of tables is called {key!r}; give the metric another name")
    scale: Scale = "ratio" if match[3] == "ratio" else "difference"
    return Metric(key, "final", key, match[2] != "higher", 0, scale)


def better_than_first(study: ForeignStudy) -> dict[str, Claim]:
    """A claim a row, by its label: it is better than the first one, by the first metric, in each column that has
    both."""
    metric, (first, *others) = study.metric(study.metrics[0]), study.rows
    of_ratio, lower = metric.scale == "ratio", metric.lower_is_better
    claimed = (LOWER if lower else HIGHER) if of_ratio else (LESS if lower else MORE)
    claims = {}
    for row in others:
        parts = tuple(
            part
            for column in study.columns
            if {(row, column), (first, column)} <= set(study.places)
            for part in contrasts(
                study.name, (row, column), (first, column), claimed=claimed, metric=metric.key, kind=metric.scale
            )
        )
        if parts:
            text = f"{row} {'<' if lower else '>'} {first} by {metric.label}"
            claims[row] = Claim(row, text, f"study {study.name}", parts)
    return claims
