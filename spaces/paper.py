"""What a paper is to us: its studies, its claims, and the values of its tables."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import NamedTuple

from spaces.claims import Claim
from spaces.study import Study
from trainers.config import Config


class Published(NamedTuple):
    """One published value, found by (table, row, column, metric).

    `std` is NaN where the paper gives none; `quoted` rows repeat what others published of methods that cannot be run
    here; `note` tells where the papers contradict themselves or what the value is of. `comparable` is False where the
    paper does not tell the setting, or the value is of other networks than those that run here.
    """

    table: str
    dataset: str
    conditional: bool
    row: str
    column: str
    metric: str
    value: float
    std: float
    source: str
    quoted: bool
    comparable: bool
    note: str


@dataclass(frozen=True)
class Paper:
    """A paper: a folder of spaces/papers, whose `PAPER` this is.

    `name` is the first half of Study.published ("coopinit/table7"), and `published` are the lines of the folder's
    published.csv. `metrics` maps their metrics to names in METRICS, best or final as the paper reports them; `datasets`
    maps a Config's dataset to its name in published.csv where that differs, {resolution} standing for the Config's.
    Scores of images are of this many `samples`, on these `features`.
    """

    name: str
    year: int
    studies: Sequence[Study]
    claims: Sequence[Claim]
    published: Sequence[Published]
    metrics: Mapping[str, str]
    features: str
    samples: int
    datasets: Mapping[str, str] = field(default_factory=dict)

    def dataset_name(self, config: Config) -> str:
        """What published.csv calls a cell's data, or, of data that the paper lacks, what the cell does."""
        name = self.datasets.get(config.dataset, config.data_name)
        return name.replace("{resolution}", str(config.resolution))


def read_published(package: str) -> list[Published]:
    """The lines of the published.csv in a package's folder, one value a line."""
    with (files(package) / "published.csv").open(encoding="utf-8") as file:
        return [_published(fields) for fields in csv.DictReader(file)]


def _published(fields: dict[str, str]) -> Published:
    numbers = {"value": float(fields["value"]), "std": float(fields["std"] or "nan")}
    truths = {name: fields[name] == "yes" for name in ("conditional", "quoted", "comparable")}
    return Published(**{**fields, **numbers, **truths})  # type: ignore[arg-type]
