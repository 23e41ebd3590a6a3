"""Study: an ablation table to be."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from spaces.recipes import RECIPES
from trainers.config import Config
from trainers.messages import did_you_mean
from trainers.names import METRICS, Metric, metric_named, short_name
from trainers.score_request import requests_of

Overrides = Mapping[str, Any]
POINT_METRICS = (
    "energy_distance_late",
    "energy_distance_final",
    "modes_final",
    "all_modes_final",
    "high_quality_final",
)
OPTIONS = {"backbone_options", "dataset_options"}  # fields that are set one by one
COMPARED = {"ratio": "ratio", "difference": "difference", "event": "odds"}  # what parent runs say of it, by its scale
FIRST_SEARCH_SEED = 10_000  # table seeds end below it, so that no table holds a trial of a search


def _merged(by_row: Overrides, by_column: Overrides) -> dict[str, Any]:
    """A column's overrides on top of a row's, options of a backbone or a data set one by one."""
    merged = {**by_row, **by_column}
    for name in OPTIONS & by_row.keys() & by_column.keys():
        merged[name] = {**by_row[name], **by_column[name]}
    return merged


def summary_name(metric: str) -> str:
    """How the names begin by which parent runs say what a metric of the table comes to: MLflow's have no @."""
    return metric.replace("@", " on ")


def diff(base: Config, other: Config) -> dict[str, Any]:
    """The overrides that make `other` of `base`; where both have one backbone, `other` gives all of base's options."""
    return {name: value for name, value in other.model_dump().items() if value != getattr(base, name)}


class Cell(NamedTuple):
    """One row x column of a study: its labels, and its Config with seed 0."""

    row: str
    column: str
    config: Config

    @property
    def known_key(self) -> str | None:
        """The Config's cell_key; None where nobody knows what its image files hold."""
        return None if self.config.is_at_path and not self.config.data_digest else self.config.cell_key

    @property
    def label(self) -> str:
        """Row and column in words."""
        return " / ".join(filter(None, (self.row, self.column)))


@dataclass(frozen=True)
class Study:
    """A recipe, crossed with rows and columns of overrides, each trained with seeds 0 to seeds - 1.

    `recipe` is a name in RECIPES or a Config; `rows` and `columns` map labels to overrides, a column's on top of a
    row's; `only` names the columns of those rows that do not have all. `metrics` are names in METRICS, the first of
    which orders and compares; `fid@lite0` and the like are of the generators that runs keep, which `run` scores once
    these are done, by `score_samples` samples or as many as evaluations take. `published` names the table of
    published.csv that it stands beside, and `note` tells the paper's budget and protocol and what a run costs. `budget`
    scales the budgets in images, `settings` change the recipe, `tiny` makes every cell a matter of seconds; all three
    show in the title, and a metric that the changed cells lack is left out. `searched` gives rows the final value by
    which a search chose them, to stand beside fresh seeds. `data` has the digests of image files at a path, by
    `Config.data_spelling`, "" where nobody knows it, and `told` the spellings whose digest shows in the title, since a
    store has other images of that name too.

    Raises ValueError, with the label, for overrides that do not make a Config.
    """

    name: str
    recipe: str | Config
    rows: Mapping[str, Overrides]
    columns: Mapping[str, Overrides] = field(default_factory=lambda: {"": {}})
    seeds: int = 3
    metrics: tuple[str, ...] = ("fid_final", "fid_best")
    score_samples: int | None = None
    published: str | None = None
    note: str = ""
    only: Mapping[str, Collection[str]] = field(default_factory=dict)
    budget: float = 1.0
    settings: Overrides = field(default_factory=dict)
    tiny: bool = False
    searched: Mapping[str, float] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    told: frozenset[str] = frozenset()
    counted: ClassVar[str] = "images"  # what the evaluations of a run are told by

    def __post_init__(self) -> None:
        self._check_shape()
        for metric in self.metrics:
            try:
                metric_named(metric)
            except ValueError as error:
                raise ValueError(f"study {self.name!r}: {error}") from None
        self._check_settings()
        self._check_metrics()
        self._check_protocols()

    def _check_shape(self) -> None:
        """Raise ValueError unless there are names, rows, columns, metrics and seeds."""
        labels = [self.name, *self.rows, *self.columns]
        if not all(isinstance(label, str) for label in labels) or not self.name:
            raise ValueError(f"study {self.name!r}: name and labels should be texts, the name not empty, not {labels}")
        if not self.rows or not self.columns or not self.metrics:
            raise ValueError(f"study {self.name!r} needs at least one row, one column and one metric")
        if type(self.seeds) is not int or not 1 <= self.seeds <= FIRST_SEARCH_SEED:
            raise ValueError(f"seeds = {self.seeds!r} should be a whole number from 1 to {FIRST_SEARCH_SEED:,}")

    def _check_settings(self) -> None:
        """Raise ValueError if something else decides a field that is set, or a cell would set the seed."""
        varied = {name for overrides in (*self.rows.values(), *self.columns.values()) for name in overrides}
        for name in self.settings:
            if name in varied:
                raise ValueError(f"{name} cannot be set, since the rows or columns of study {self.name!r} vary it")
        for name in self._replaced_settings():
            raise ValueError(f"{name} cannot be set beside --tiny, which sets it for every study alike")
        if "seed" in varied or "seed" in self.settings:
            raise ValueError(f"seed cannot be set or varied in study {self.name!r}: seeds are its repetitions")

    def _replaced_settings(self) -> list[str]:
        """The settings, options of the backbone one by one, that --tiny would overrule."""
        names = dict.fromkeys(name for name in self.settings if name != "backbone_options")
        options = self.settings.get("backbone_options", {})
        names |= dict.fromkeys(f"backbone_options.{option}" for option in options)
        replaced: set[str] = set()
        for config in self._full_configs if self.tiny else ():
            fields = config.tiny_fields
            replaced |= {*fields, *(f"backbone_options.{option}" for option in fields.get("backbone_options", {}))}
        return [name for name in names if name in replaced]

    def _check_metrics(self) -> None:
        """Of a changed study, leave out metrics that cells lack. Raise ValueError if none is left, or for any other."""
        lacks = [(cell, metric) for cell in self.cells() for metric in self.metrics if not self._gives(cell, metric)]
        kept = tuple(metric for metric in self.metrics if metric not in {lacked for _, lacked in lacks})
        if lacks and not (kept and (self.settings or self.tiny)):
            cell, metric = lacks[0]
            on = f"dataset = {cell.config.dataset!r} and features = {cell.config.feature_net!r}"
            raise ValueError(f"study {self.name!r}, {cell.label}: there is no {metric} with {on}")
        object.__setattr__(self, "metrics", kept)

    def has_metric(self, name: str) -> bool:
        """Whether the runs of all cells have a metric, or may be scored by it. Raises ValueError if there is none."""
        return all(self._gives(cell, name) for cell in self.cells())

    def _gives(self, cell: Cell, name: str) -> bool:
        """Whether the runs of a cell have a metric, or the generators that they keep may be scored by it."""
        metric = metric_named(name)
        if not metric.features:
            return metric.key in cell.config.evaluation_keys
        try:
            return all(request.config(cell.config) for request in requests_of([name], self.score_samples))
        except ValueError:
            return False

    def _check_protocols(self) -> None:
        """Raise ValueError if a column would mix protocols."""
        firsts: dict[str, str] = {}
        for cell in self.cells():
            first, own = firsts.setdefault(cell.column, cell.config.protocol), cell.config.protocol
            if first != own:
                raise ValueError(f"study {self.name!r}, {cell.label}: a column cannot mix protocols ({first}; {own})")

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

    def job_number(self, cell: Cell, seed: int) -> int:
        """The number of a run among all cells x seeds: from 0 on the cells with seed 0, in the study's order, then
        these with seed 1, and so on. So more seeds move no number."""
        labels = [each[:2] for each in self._cells]
        return seed * len(labels) + labels.index(cell[:2])

    def job(self, number: int) -> Config:
        """The run of that number. Raises ValueError if there is none."""
        seed, place = divmod(number, len(self._cells))
        if not 0 <= seed < self.seeds:
            raise ValueError(
                f"job = {number} is none of {self.title} with {self.seeds} seeds, which has the jobs 0 to "
                f"{self.seeds * len(self._cells) - 1}"
            )
        return self._cells[place].config.replace(seed=seed)

    def seeds_of(self, row: str) -> int:
        """The seeds that are planned of each cell of a row."""
        return self.seeds

    @property
    def places(self) -> list[tuple[str, str]]:
        """Row and column of all cells that there are, row by row."""
        return [
            (row, column) for row in self.rows for column in self.columns if column in self.only.get(row, self.columns)
        ]

    def metric(self, name: str) -> Metric:
        """How one of its metrics is named, ordered, compared and printed. Raises ValueError if there is none."""
        return metric_named(name)

    def metric_of(self, key: str) -> Metric:
        """The same of a score of evaluations, by its key."""
        return next(metric for metric in METRICS.values() if metric.key == key)

    @cached_property
    def _full_configs(self) -> tuple[Config, ...]:
        """The cells' Configs, but for --tiny."""
        return tuple(cell.config for cell in self._made(tiny=False))

    @cached_property
    def _cells(self) -> tuple[Cell, ...]:
        return tuple(self._made(tiny=self.tiny))

    def _made(self, *, tiny: bool) -> Iterator[Cell]:
        base = self.base
        for row, column in self.places:
            try:
                config = base.replace(**_merged(self.rows[row], self.columns[column]))
                config = config if self.budget == 1 else config.scaled(self.budget)
                config = config.tiny() if tiny else config
            except ValueError as error:
                raise ValueError(f"study {self.name!r}, {Cell(row, column, base).label}: {error}") from None
            known = self.data.get(config.data_spelling)
            yield Cell(row, column, config if known is None else config.with_data(known))

    @property
    def title(self) -> str:
        """The name, with the variant's label in brackets: the name of its experiment."""
        return f"{self.name} ({self.variant_label})" if self.variant_label else self.name

    @property
    def images(self) -> str:
        """The digests of its image files, by which an experiment is told from one of the same title."""
        return ",".join(sorted({digest for digest in self.data.values() if digest}))

    def labels(self) -> tuple[str, str]:
        """Its variant's labels without and with the first digits of its images' digests."""
        plain, told = (dataclasses.replace(self, told=frozenset(each)) for each in ((), self.data))
        return plain.variant_label, told.variant_label

    def titles(self) -> tuple[str, str]:
        """Its titles without and with these digits."""
        plain, told = (f"{self.name} ({label})" if label else self.name for label in self.labels())
        return plain, told

    @property
    def variant_label(self) -> str:
        """How it differs from the study as it is defined: settings, budget, tiny."""
        parts = [f"{name} {self._setting(name)}" for name in sorted(self.settings)]
        parts += sorted(self._told(config) for config in self._told_apart() if "dataset" not in self.settings)
        parts += [f"budget {self.budget}"] if self.budget != 1 else []
        return ", ".join([*parts, "tiny"] if self.tiny else parts)

    def _setting(self, name: str) -> str:
        """A setting as the Config has it, however it was typed; a data set by its short name."""
        value = getattr(self.base, name)
        if name == "dataset":
            told = self._told_apart()
            return self._told(told[0]) if told else short_name(self.base.dataset)
        if name in OPTIONS:
            return str(dict(self.settings[name]))
        return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)

    def _told_apart(self) -> list[Config]:
        """A Config for each of the image sets whose digest shows in the title."""
        configs = {cell.config.data_spelling: cell.config for cell in self.cells()}
        return [config for spelling, config in configs.items() if spelling in self.told and self.data[spelling]]

    def _told(self, config: Config) -> str:
        return f"{config.data_name} {self.data[config.data_spelling][:4]}"

    @property
    def summary(self) -> tuple[str, ...]:
        """Columns of its table in the MLflow UI: what the cells' parent runs say of their seeds, the mean under the
        name that the seeds' own values have."""
        first, *others = map(summary_name, self.metrics)
        more = [name for metric in others for name in (metric, f"{metric}_std")]
        compared = COMPARED[self.metric(self.metrics[0]).scale]
        return (first, f"{first}_std", "n", "lost", compared, f"{compared}_low", f"{compared}_high", *more)

    def variant(
        self,
        *,
        seeds: int | None = None,
        budget: float | None = None,
        settings: Overrides | None = None,
        tiny: bool = False,
        metrics: tuple[str, ...] | None = None,
        score_samples: int | None = None,
    ) -> Study:
        """This study with more or fewer seeds, another budget, a changed recipe, tiny, or other metrics. Raises
        ValueError."""
        return dataclasses.replace(
            self,
            metrics=metrics or self.metrics,
            score_samples=self.score_samples if score_samples is None else score_samples,
            seeds=self.seeds if seeds is None else seeds,
            budget=self.budget if budget is None else budget,
            settings={**self.settings, **(settings or {})},
            tiny=self.tiny or tiny,
        )
