"""The papers, a folder each. To add one, add a folder: its `__init__.py` describes it by a spaces.paper.Paper called
`PAPER`, and its published.csv holds what it published. Lists, plans, tables and verdicts then have it too."""

import dataclasses
from importlib import import_module
from pkgutil import iter_modules

from spaces.claims import Claim
from spaces.paper import Paper, Published


def _find_papers() -> list[Paper]:
    """The papers of all folders, newest first."""
    papers: list[Paper] = [import_module(f"{__name__}.{folder.name}").PAPER for folder in iter_modules(__path__)]
    return sorted(papers, key=lambda paper: (-paper.year, paper.name))


PAPERS: dict[str, Paper] = {paper.name: paper for paper in _find_papers()}
CLAIMS: dict[str, Claim] = {
    claim.id: dataclasses.replace(claim, paper=paper.name) for paper in PAPERS.values() for claim in paper.claims
}


def find_paper(table: str | None) -> Paper | None:
    """The paper of a table as Study.published names it ("coopinit/table7"); none of another."""
    return PAPERS.get((table or "").partition("/")[0])


def published(table: str | None) -> list[Published]:
    """The values of a table as Study.published names it, in the paper's order; none of another."""
    paper = find_paper(table)
    return [value for value in paper.published if f"{paper.name}/{value.table}" == table] if paper else []


def published_cells(table: str | None) -> dict[tuple[str, str], dict[str, float]]:
    """The values of a table by row and column, then by metric."""
    cells: dict[tuple[str, str], dict[str, float]] = {}
    for line in published(table):
        cells.setdefault((line.row, line.column), {})[line.metric] = line.value
    return cells
