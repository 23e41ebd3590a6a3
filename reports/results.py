"""A study's results, each computed once: what tables, figures and claims are made of, and what they ask the store."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from reports.ablation import ablation_table, by_cell
from reports.comparisons import Comparison, Key, Sample, bold_cells, compare_table, samples, scales
from reports.published import PublishedValue, published_values
from search.store import Store, load_runs, queries
from search.store.image_sets import resolved
from search.store.summaries import judged
from spaces import Study
from spaces.claims import Label
from trainers.config import Config
from trainers.names import Scale
from trainers.run_state import RunState

Series = list[tuple[int, float]]  # a run's evaluations: images, value
Pictures = dict[Label, dict[int, Path]]  # by cell, then by images


def span(numbers: Collection[int]) -> str:
    """One number, or the smallest to the largest."""
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


class Results:
    """The results of a study, from a store, or of runs that are given in the form of load_runs, without a store too.

    The store is asked for the runs once, and for each run's evaluations once a key: ValueError if it does not answer.
    """

    lost_are = "diverged, ended no better than untrained, or far above their own best evaluation"

    def __init__(self, study: Study, store: Store | None, runs: pd.DataFrame | None = None) -> None:
        self.study, self.store = resolved(study, store) if store and runs is None else study, store
        self._series: dict[str, dict[str, Series]] = {}  # by key, then by run
        if runs is not None:
            self.runs = runs if "lost" in runs else judged(runs, study)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The runs of the study's cells and seeds that the store holds, as load_runs gives them."""
        return load_runs(self.study, store=self.store)

    @cached_property
    def configs(self) -> dict[Label, Config]:
        """The Config of each cell, in the study's order."""
        return {(cell.row, cell.column): cell.config for cell in self.study.cells()}

    @cached_property
    def cells(self) -> dict[Label, pd.DataFrame]:
        """The runs of each cell, in the study's order; an empty frame where there are none."""
        return by_cell(self.runs, self.study)

    @cached_property
    def done(self) -> dict[Label, pd.DataFrame]:
        """The done runs of each cell, in the study's order; an empty frame where there are none."""
        return {label: runs[runs["state"] == RunState.DONE] for label, runs in self.cells.items()}

    @cached_property
    def published(self) -> dict[tuple[str, str, str], PublishedValue]:
        """What is published of the study's metrics, by (row, column, metric)."""
        return published_values(self.study)

    @cached_property
    def table(self) -> pd.DataFrame:
        """What ablation_table gives. Raises ValueError if runs cannot stand in one table."""
        return ablation_table(self.runs, self.study)

    @cached_property
    def references(self) -> dict[str, str]:
        """The row of each column that the others are compared with: the first that it has."""
        return {column: row for row, column in reversed(self.study.places)}

    @cached_property
    def samples(self) -> dict[Label, Sample]:
        """The ended runs of each cell, and those that are not lost."""
        return samples(self.cells, self.configs)

    @cached_property
    def scales(self) -> dict[str, Scale]:
        """How each metric is compared."""
        return scales(self.study, self.samples)

    @cached_property
    def comparisons(self) -> dict[Key, Comparison]:
        """Each cell against the first row of its column, by (row, column, metric)."""
        return compare_table(self.study, self.samples, self.references)

    @property
    def family(self) -> int:
        """Comparisons over which the correction runs: those by the first metric."""
        return sum(metric == self.study.metrics[0] for *_, metric in self.comparisons)

    @cached_property
    def bold(self) -> set[Label]:
        """The cells that no other of their column is better than."""
        return bold_cells(self.study, self.samples)

    @cached_property
    def pictured_runs(self) -> dict[Label, str]:
        """The id of the run that pictures show of each cell: its first done seed; of those that have one."""
        return {label: runs.sort_values("seed")["run_id"].iloc[0] for label, runs in self.done.items() if len(runs)}

    @property
    def paired_are(self) -> str:
        """Which cells are compared seed by seed, in words."""
        return (
            "paired where data, training set size, batch size, updates of the discriminator a step, networks and kind "
            "of device are the same"
        )

    @property
    def made_elsewhere(self) -> str:
        """Of a table with rows of other code too: which, and why they may stand in it."""
        return ""

    @property
    def protocols(self) -> list[str]:
        """By what the runs were scored, in words."""
        return sorted({config.protocol for config in self.configs.values()})

    def budgets(self, labels: Iterable[Label] | None = None) -> set[int]:
        """The training images of a run in some cells, by default in all; none where nobody counted them."""
        return {self.configs[label].n_images for label in labels or self.configs}

    @property
    def training(self) -> str:
        """A sentence on how many settings were trained, with what seeds, for how long."""
        return (
            f"Each of the {len(self.configs)} settings was trained with the seeds 0 to {self.study.seeds - 1}, each "
            f"run on {span(self.budgets())} training images."
        )

    @property
    def kept(self) -> Mapping[str, object]:
        """What a report keeps as JSON, by file name, since runs.csv does not tell all that it is made of."""
        return {}

    @property
    def evaluation_keys(self) -> list[str]:
        """What is told of each evaluation, by key."""
        return list(dict.fromkeys(key for config in self.configs.values() for key in config.evaluation_keys))

    def part(self, study: Study) -> Results:
        """The results of a study that has some of this one's rows and columns."""
        is_part = self.runs["row"].isin(study.rows) & self.runs["column"].isin(study.columns)
        part = object.__new__(type(self))
        known = {name: value for name, value in vars(self).items() if not hasattr(type(self), name)}  # nothing cached
        vars(part).update({**known, "study": study, "runs": self.runs[is_part]})
        return part

    def histories(self, key: str, run_ids: Iterable[str] | None = None) -> dict[str, Series]:
        """The evaluations of runs, by default of all done ones: images and the value of a key, in the order of images;
        empty for a run without that key."""
        if run_ids is None:
            run_ids = [run_id for group in self.done.values() for run_id in group["run_id"]]
        known, wanted = self._series.setdefault(key, {}), list(run_ids)
        new = [run_id for run_id in wanted if run_id not in known]
        for run_id, points in (queries.histories(self.store, new, key) if new and self.store else {}).items():
            known[run_id] = list({images: value for _, images, value in points}.items())
        return {run_id: known[run_id] for run_id in wanted}

    def pictures(self, folder: Path, nearest: Sequence[float] = (math.inf,)) -> Pictures:
        """The grids of samples of the pictured runs that are nearest to some numbers of images, by default the last;
        fetched into the folder where they do not lie here. A cell without any is left out."""
        store, runs = self.store, self.pictured_runs.items() if self.store else ()
        pictures = ((label, queries.pictures(store, run_id, folder, nearest)) for label, run_id in runs if store)
        return {label: grids for label, grids in pictures if grids}
