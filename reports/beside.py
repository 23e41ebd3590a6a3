"""Rows of runs that other code made in one table with ours, where a user says that both are of the same protocol."""

from collections.abc import Iterable
from functools import cached_property

import pandas as pd

from reports.ablation import ablation_table
from reports.comparisons import Comparison, Key, Sample, samples
from reports.foreign import ForeignResults, sample
from reports.results import Results, Series
from search.store import Store
from search.store.foreign import Imported, read_imported
from spaces import Study
from spaces.claims import Label
from spaces.foreign import ForeignStudy, JoinedStudy, joined
from trainers.messages import did_you_mean

RULE = "values of other code never share a table with ours unless --same-protocol TEXT says by what both were scored"


class JoinedResults(Results):
    """The results of a study of ours with the rows of an import below its own. Its metrics are found by their names, or
    `key` is the one that stands for the study's first. They are compared as ours are; no run of ours is a pair with
    one of theirs. Raises ValueError for what cannot stand in one table, and without words on the protocol."""

    lost_are = f"{Results.lost_are}, or, made by other code, {ForeignResults.lost_are}"

    def __init__(self, ours: Results, imported: Imported, same_protocol: str, key: str = "") -> None:
        if not same_protocol.strip():
            raise ValueError(RULE)
        self.ours, self.imported, self.same_protocol = ours, imported, same_protocol.strip().rstrip(".")
        self.metrics = _matched(ours.study, imported, key)
        theirs = imported.frame().rename(columns=self.metrics)
        theirs = theirs[[name for name in theirs if name in ours.runs or name == "place"]]
        runs = pd.concat([ours.runs.assign(place=ours.runs["seed"]), theirs], ignore_index=True)
        super().__init__(joined(ours.study, imported.study), ours.store, runs)

    @property
    def _elsewhere(self) -> Iterable[str]:
        study = self.study
        return study.elsewhere if isinstance(study, JoinedStudy) else ()

    @property
    def paired_are(self) -> str:
        return f"{super().paired_are}, and never with runs of other code"

    @property
    def made_elsewhere(self) -> str:
        """Which rows other code made, from where, and what was said of their protocol."""
        return (
            f"Made by other code, from {self.imported.source}: {', '.join(self._elsewhere)}; of the same "
            f"protocol, as was said when this table was made: {self.same_protocol}."
        )

    @cached_property
    def table(self) -> pd.DataFrame:
        _ = self.ours.table  # which refuses what is not of one protocol among ours
        alike = dict.fromkeys(("protocol", "data_digest", "features_digest"), "")
        return ablation_table(self.runs.assign(**alike), self.study)

    @cached_property
    def samples(self) -> dict[Label, Sample]:
        own = {label: runs for label, runs in self.cells.items() if label[0] not in self._elsewhere}
        found = samples(own, self.configs)
        return {
            label: found[label] if label in own else sample(label, runs, paired=self.imported.paired)
            for label, runs in self.cells.items()
        }

    @cached_property
    def comparisons(self) -> dict[Key, Comparison]:
        """Without those by metrics that the import lacks."""
        known = self.metrics.values()
        found = super().comparisons.items()
        return {key: each for key, each in found if key[0] not in self._elsewhere or key[2] in known}

    @property
    def training(self) -> str:
        return self.ours.training

    @cached_property
    def pictured_runs(self) -> dict[Label, str]:
        return {label: run_id for label, run_id in super().pictured_runs.items() if label[0] not in self._elsewhere}

    def histories(self, key: str, run_ids: Iterable[str] | None = None) -> dict[str, Series]:
        """Those of ours: the steps of other code are no images."""
        done = (run_id for group in self.done.values() for run_id in group["run_id"])
        wanted, own = list(done if run_ids is None else run_ids), set(self.ours.runs["run_id"])
        found = self.ours.histories(key, [run_id for run_id in wanted if run_id in own])
        return {run_id: found.get(run_id, []) for run_id in wanted}


def results_beside(ours: Results, store: Store, name: str, same_protocol: str | None) -> JoinedResults:
    """The results of a study of ours with the import NAME, or NAME:KEY, below it. Raises ValueError."""
    if same_protocol is None:
        raise ValueError(f"--beside {name}: {RULE}")
    if isinstance(ours.study, ForeignStudy):
        raise ValueError(f"--beside {name}: {ours.study.name} was imported too, and is no study of ganablate")
    imported, key = read_imported(store, name), ""
    if imported is None:
        name, _, key = name.partition(":")
        imported = read_imported(store, name)
    if imported is None:
        raise ValueError(f"--beside {name}: no study of that name was imported")
    return JoinedResults(ours, imported, same_protocol, key)


def _matched(study: Study, imported: Imported, key: str) -> dict[str, str]:
    """The metrics of ours that those of an import are, by its keys. Raises ValueError if there is none for the study's
    first, and for one that is the better the other way."""
    theirs, first = {metric.key: metric for metric in imported.metrics}, study.metrics[0]
    if key and key not in theirs:
        raise ValueError(f"{imported.name} has no metric {key!r}; {did_you_mean(key, theirs)}")
    found = {key: first} if key else {name: name for name in theirs if name in study.metrics}
    if first not in found.values():
        raise ValueError(
            f"{imported.name} has no {first}, by which {study.name} compares; --beside {imported.name}:KEY says which "
            f"of its metrics that is: {', '.join(theirs)}"
        )
    for name, ours in found.items():
        lower = study.metric(ours).lower_is_better
        if theirs[name].lower_is_better != lower:
            is_, was = ("lower", "higher") if lower else ("higher", "lower")
            raise ValueError(f"{is_} {ours} is better, and {name} of {imported.name} was imported as {was}")
    return found
