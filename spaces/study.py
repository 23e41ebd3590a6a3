"""Study: an ablation table to be."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from spaces.recipes import RECIPES
from trainers.config import TINY_FIELDS, Config
from trainers.messages import did_you_mean
from trainers.names import METRICS

Overrides = Mapping[str, Any]
POINT_METRICS = ("energy_distance_final", "modes_final", "high_quality_final")
FIRST_SEARCH_SEED = 10_000  # table seeds end below it, so that no table holds a trial of a search


def _merged(by_row: Overrides, by_column: Overrides) -> dict[str, Any]:
    """A column's overrides on top of a row's, a backbone's options one by one."""
    merged = {**by_row, **by_column}
    parts = [overrides["backbone_options"] for overrides in (by_row, by_column) if "backbone_options" in overrides]
    return {**merged, "backbone_options": {**parts[0], **parts[-1]}} if parts else merged


def changes(base: Config, other: Config) -> dict[str, Any]:
    """The overrides that make `other` of `base`; where both have one backbone, `other` gives all of base's options."""
    return {name: value for name, value in other.model_dump().items() if value != getattr(base, name)}


class Cell(NamedTuple):
    """One row x column of a study: its labels, and its Config with seed 0."""

    row: str
    column: str
    config: Config

    @property
    def label(self) -> str:
        """Row and column in words."""
        return " / ".join(filter(None, (self.row, self.column)))


@dataclass(frozen=True)
class Study:
    """A recipe, crossed with rows and columns of overrides, each trained with seeds 0 to seeds - 1.

    `recipe` is a name in RECIPES or a Config; `rows` and `columns` map labels to overrides, a column's on top of a
    row's; `only` names the columns of those rows that do not have all. `metrics` are names in METRICS, the first of
    which orders and compares; `published` names the table of published.csv that it stands beside, and `note` tells the
    paper's budget and protocol and what a run costs. `budget` scales the budgets in images, `settings` change the
    recipe, `tiny` makes every cell a matter of seconds; all three show in the title, and a metric that the changed
    cells lack is left out. `searched` gives rows the value of the first metric by which a search chose them, to stand
    beside their fresh seeds.

    Raises ValueError, with the label, for overrides that do not make a Config.
    """

    name: str
    recipe: str | Config
    rows: Mapping[str, Overrides]
    columns: Mapping[str, Overrides] = field(default_factory=lambda: {"": {}})
    seeds: int = 3
    metrics: tuple[str, ...] = ("fid_final", "fid_best")
    published: str | None = None
    note: str = ""
    only: Mapping[str, Collection[str]] = field(default_factory=dict)
    budget: float = 1.0
    settings: Overrides = field(default_factory=dict)
    tiny: bool = False
    searched: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        labels = [self.name, *self.rows, *self.columns]
        if not all(isinstance(label, str) for label in labels) or not self.name:
            raise ValueError(f"study {self.name!r}: name and labels should be texts, the name not empty, not {labels}")
        if not self.rows or not self.columns or not self.metrics:
            raise ValueError(f"study {self.name!r} needs at least one row, one column and one metric")
        if not isinstance(self.seeds, int) or isinstance(self.seeds, bool):
            raise ValueError(f"seeds = {self.seeds!r} should be a whole number")
        if not 1 <= self.seeds <= FIRST_SEARCH_SEED:
            raise ValueError(f"seeds = {self.seeds} should be 1 or more, and at most {FIRST_SEARCH_SEED}")
        for metric in self.metrics:
            if metric not in METRICS:
                raise ValueError(
                    f"metric {metric!r} of study {self.name!r} is unknown; {did_you_mean(metric, METRICS)}"
                )
        varied = {name for overrides in (*self.rows.values(), *self.columns.values()) for name in overrides}
        for name in self.settings:
            if name in varied:
                raise ValueError(f"{name} cannot be set, since the rows or columns of study {self.name!r} vary it")
        for name in TINY_FIELDS if self.tiny else ():
            if name in self.settings:
                raise ValueError(f"{name} cannot be set beside --tiny, which sets it for every study alike")
        if "seed" in varied or "seed" in self.settings:
            raise ValueError(f"seed cannot be set or varied in study {self.name!r}: seeds are its repetitions")
        self._check_metrics()

    def _check_metrics(self) -> None:
        """Raise ValueError if a cell lacks a metric, or a column would mix protocols."""
        cells = self.cells()
        held = [
            name for name in self.metrics if all(METRICS[name].key in cell.config.evaluation_keys for cell in cells)
        ]
        if held and (self.settings or self.tiny):
            object.__setattr__(self, "metrics", tuple(held))
        protocols: dict[str, str] = {}
        for cell in cells:
            for metric in self.metrics:
                if METRICS[metric].key not in cell.config.evaluation_keys:
                    on = f"dataset = {cell.config.dataset!r} and features = {cell.config.feature_net!r}"
                    raise ValueError(f"study {self.name!r}, {cell.label}: there is no {metric} with {on}")
            first = protocols.setdefault(cell.column, cell.config.protocol)
            if first != cell.config.protocol:
                raise ValueError(
                    f"study {self.name!r}, {cell.label}: a column cannot mix protocols "
                    f"({first}; {cell.config.protocol})"
                )

    @property
    def base(self) -> Config:
        """The recipe with the settings."""
        if isinstance(self.recipe, str) and self.recipe not in RECIPES:
            raise ValueError(f"recipe {self.recipe!r} is unknown; {did_you_mean(self.recipe, RECIPES)}")
        recipe = RECIPES[self.recipe] if isinstance(self.recipe, str) else self.recipe
        return recipe.replace(seed=0, **self.settings)

    def cells(self) -> list[Cell]:
        """All cells that there are, row by row."""
        return list(self._cells)

    @cached_property
    def _cells(self) -> tuple[Cell, ...]:
        base = self.base
        cells = []
        for row, by_row in self.rows.items():
            for column, by_column in self.columns.items():
                if column not in self.only.get(row, self.columns):
                    continue
                try:
                    config = base.replace(**_merged(by_row, by_column))
                    config = config if self.budget == 1 else config.scaled(self.budget)
                    config = config.tiny() if self.tiny else config
                except ValueError as error:
                    place = Cell(row, column, base).label
                    raise ValueError(f"study {self.name!r}, {place}: {error}") from None
                cells.append(Cell(row, column, config))
        return tuple(cells)

    @property
    def title(self) -> str:
        """The name, with what was varied in brackets: the name of its experiment."""
        return f"{self.name} ({self.variant})" if self.variant else self.name

    @property
    def variant(self) -> str:
        """What was varied: settings, budget, tiny."""
        parts = [f"{name} {self.settings[name]}" for name in sorted(self.settings)]
        parts += [f"budget {self.budget}"] if self.budget != 1 else []
        return ", ".join([*parts, "tiny"] if self.tiny else parts)

    @property
    def summary(self) -> tuple[str, ...]:
        """What the cells' parent runs say of their seeds."""
        return (*(f"{metric}_{name}" for metric in self.metrics for name in ("mean", "std", "n")), "diverged")

    def varied(
        self,
        *,
        seeds: int | None = None,
        budget: float | None = None,
        settings: Overrides | None = None,
        tiny: bool = False,
    ) -> Study:
        """This study with more or fewer seeds, another budget, a changed recipe, or tiny. Raises ValueError."""
        return dataclasses.replace(
            self,
            seeds=self.seeds if seeds is None else seeds,
            budget=self.budget if budget is None else budget,
            settings={**self.settings, **(settings or {})},
            tiny=self.tiny or tiny,
        )
