"""The results of a study whose runs other code made, and what `plan` and `why` tell of it."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from reports.comparisons import Sample
from reports.results import Results, Series
from search.store import Store
from search.store.foreign import KEPT, ForeignRun, Imported, imported_in, read_imported
from spaces.claims import Label
from spaces.foreign import ForeignStudy
from trainers.messages import counted, did_you_mean, file_name
from trainers.run_state import RunState

MOST_SEEDS = 10  # that are named one by one


class ForeignResults(Results):
    """The results of an import, by default of its own study: it has no Configs, and gives answers of its own where
    these are asked for."""

    lost_are = "ended with a value that is not finite"

    def __init__(self, imported: Imported, study: ForeignStudy | None = None) -> None:
        self.imported = imported
        super().__init__(study or imported.study, None, imported.frame())

    @cached_property
    def samples(self) -> dict[Label, Sample]:
        """The runs of each cell; two cells of a column are pairs if whoever made them says so."""
        return {label: sample(label, runs, paired=self.imported.paired) for label, runs in self.cells.items()}

    @property
    def protocols(self) -> list[str]:
        return [self.imported.protocol]

    def budgets(self, labels: Iterable[Label] | None = None) -> set[int]:
        return set()

    @property
    def training(self) -> str:
        """The same of runs that nobody here made."""
        seeds, shares = self.imported.seeds, self.imported.shares_seeds
        told = (
            f"the seeds {', '.join(map(str, seeds))}"
            if shares and len(seeds) <= MOST_SEEDS
            else counted(self.study.seeds, "seed")
        )
        return f"Each of the {len(self.study.places)} settings was run by other code, with {told}."

    @property
    def paired_are(self) -> str:
        if self.imported.paired:
            return "paired since equal seeds share data and start, as was said when they were imported"
        return "not paired"

    @property
    def kept(self) -> Mapping[str, object]:
        return {KEPT: self.imported.model_dump()}

    @property
    def evaluation_keys(self) -> list[str]:
        return list(self.study.metrics)

    def histories(self, key: str, run_ids: Iterable[str] | None = None) -> dict[str, Series]:
        of_runs = {run.run_id: run.series.get(key, []) for run in self.imported.runs}
        done = [run_id for group in self.done.values() for run_id in group["run_id"]]
        return {run_id: of_runs[run_id] for run_id in (done if run_ids is None else run_ids)}


def sample(label: Label, runs: pd.DataFrame, *, paired: bool) -> Sample:
    """The runs of a cell that other code made, in pairs with those of its column if so said."""
    ended = runs.sort_values("seed")
    return Sample(ended, ended[~ended["lost"].to_numpy(bool)], ("paired", label[1]) if paired else label)


def find_import(place: Store | Path, name: str) -> Imported | None:
    """The import of that name, in a store or a folder of reports; None if there is none. Raises ValueError."""
    if isinstance(place, Store):
        return read_imported(place, name)
    found = imported_in(place / file_name(name))
    return found if found and found.name == name else None


def to_json(imported: Imported) -> dict[str, Any]:
    """What `plan --json` prints of it, in the form of a plan of ours."""
    cells: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    for row, column in imported.study.places:
        runs = {run.seed: run for run in imported.runs if (run.row, run.column) == (row, column)}
        seeds = imported.seeds if imported.shares_seeds else sorted(runs)
        lines = [
            {"seed": seed, "state": _state(runs.get(seed)), "run_id": runs[seed].run_id if seed in runs else None}
            for seed in seeds
        ]
        cells.append({"row": row, "column": column, "cell_key": None, "published": {}, "runs": lines})
        missing += [{"row": row, "column": column, "seed": seed} for seed in seeds if seed not in runs]
    return {"study": imported.name, "cells": cells, "missing": missing, "seconds_left": None}


def plan_lines(imported: Imported) -> list[str]:
    """What `plan` prints of it: a line a cell with its seeds' states, then where they come from."""
    told, lines = to_json(imported), []
    for cell in told["cells"]:
        states = ", ".join(f"{run['seed']}: {run['state']}" for run in cell["runs"])
        lines.append(f"{' / '.join(filter(None, (cell['row'], cell['column'])))}  {states}")
    made = f"{imported.name}: {counted(len(imported.runs), 'run')} of {imported.source}, made elsewhere"
    missing = f", {len(told['missing'])} missing, which only their own code can make" if told["missing"] else ""
    return [*lines, made + missing]


def why_lines(imported: Imported, row: str | None, column: str | None) -> list[str]:
    """Lines on a cell, or on all cells of a row: a run a seed. Raises ValueError for a label that there is not."""
    study = imported.study
    for side, label, labels in (("row", row, study.rows), ("column", column, study.columns)):
        if label not in labels and (label is not None or side == "row"):
            raise ValueError(f"{side} {label!r} is not in study {study.name!r}; {did_you_mean(str(label), labels)}")
    lines = []
    for place in study.places:
        if place[0] == row and column in (None, place[1]):
            lines += [f"{study.name}: {' / '.join(filter(None, place))}", f"  {imported.protocol}, at {imported.place}"]
            runs = sorted((run for run in imported.runs if (run.row, run.column) == place), key=lambda run: run.seed)
            for run in runs:
                values = ", ".join(f"{key} {value:.{study.metric(key).decimals}f}" for key, value in run.values.items())
                code = f", code {run.code_version}" if run.code_version else ""
                lines += [f"  seed {run.seed}: {_state(run)}, {values}", f"    run {run.run_id}{code}"]
    return lines


def _state(run: ForeignRun | None) -> RunState:
    """The state of a run that is there, or is not."""
    return RunState.MISSING if run is None else RunState.DIVERGED if run.is_lost else RunState.DONE
