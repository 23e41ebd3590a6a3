"""What the papers' tables say: published.csv, one value a line."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Published(NamedTuple):
    """One published value, found by (paper, table, row, column, metric).

    `std` is NaN where the paper gives none; `quoted` rows repeat what others published of methods that cannot be run
    here; `note` tells where the papers contradict themselves or what the value is of. `comparable` is False where the
    paper does not tell the setting, or the value is of other networks than those that run here.
    """

    paper: str
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


@cache
def _everything() -> tuple[Published, ...]:
    with (files("spaces") / "published.csv").open(encoding="utf-8") as file:
        return tuple(_line(fields) for fields in csv.DictReader(file))


def _line(fields: dict[str, str]) -> Published:
    numbers = {"value": float(fields["value"]), "std": float(fields["std"] or "nan")}
    truths = {name: fields[name] == "yes" for name in ("conditional", "quoted", "comparable")}
    return Published(**{**fields, **numbers, **truths})  # type: ignore[arg-type]


def published(table: str | None) -> list[Published]:
    """The values of a table as Study.published names it ("coopinit/table7"), in the paper's order; none of another."""
    return [line for line in _everything() if f"{line.paper}/{line.table}" == table]


def published_cells(table: str | None) -> dict[tuple[str, str], dict[str, float]]:
    """The values of a table by row and column, then by metric."""
    cells: dict[tuple[str, str], dict[str, float]] = {}
    for line in published(table):
        cells.setdefault((line.row, line.column), {})[line.metric] = line.value
    return cells
