"""A report made again from its own folder: from runs.csv and, where it has one, evaluations.csv, without a store."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.foreign import ForeignResults
from reports.report import USUAL, Form, show_report
from reports.results import Results, Series
from reports.spreadsheet import spreadsheet_safe
from search.store.foreign import imported_in
from search.store.former import spelled_key
from search.store.frames import PROTOCOL, TAGS
from search.store.summaries import judged
from spaces import STUDIES, Study, find_study
from trainers.names import METRICS, metric_named

TEXTS = ("row", "column", "state", "run_id", "cell_key", *TAGS)


class FolderResults(Results):
    """The results of a study by the folder of a report on it. Raises ValueError if that holds no such report."""

    def __init__(self, study: Study, folder: Path) -> None:
        self.folder, self.evaluations = folder, _evaluations(folder)
        runs = _runs(folder, study)
        known = tuple(metric for metric in study.metrics if metric in runs and runs[metric].notna().any())
        at_path = [cell.config.data_spelling for cell in study.cells() if cell.config.is_at_path]
        digests = dict.fromkeys(at_path, str(runs["data_digest"].iloc[0]))  # a table holds one data set a column
        study = dataclasses.replace(study, metrics=known or study.metrics, data=digests)
        super().__init__(study, None, judged(_with_untrained(runs, study, folder), study))

    def histories(self, key: str, run_ids: Iterable[str] | None = None) -> dict[str, Series]:
        wanted = [run for group in self.done.values() for run in group["run_id"]] if run_ids is None else list(run_ids)
        return {run_id: self.evaluations.get((run_id, key), []) for run_id in wanted}


def rebuild(
    folder: Path,
    out: Path | None,
    name: str | None,
    seeds: int | None,
    options: Mapping[str, Any],
    form: Form = USUAL,
) -> None:
    """Write and print the report of a folder anew, into itself unless told. Raises ValueError."""
    imported = imported_in(folder)
    if imported and name not in (None, imported.name):
        raise ValueError(f"{folder} has the report on {imported.name}, not on {name}")
    if imported:
        results: Results = ForeignResults(imported, imported.study.variant(seeds=seeds, **options))
    else:
        results = FolderResults(study_in(folder, name, seeds, options), folder)
    show_report(results, out or folder, form=form)


def reported(folder: Path, study: Study) -> FolderResults:
    """The results of a study by its report in a folder of reports, each in a folder that is called as its study. Raises
    ValueError if there is none, or its runs were made with other settings."""
    place = folder / study.name
    if not (place / "runs.csv").is_file():
        raise ValueError(f"there is no report on {study.name}")
    results = FolderResults(study, place)
    for label, config in results.configs.items():
        if not {config.cell_key, spelled_key(config)} >= set(results.cells[label].get("cell_key", ["not told"])):
            raise ValueError(f"the report on {study.name} is of other settings than {study.title}")
    return results


def study_in(folder: Path, name: str | None, seeds: int | None, options: Mapping[str, Any]) -> Study:
    """The study that a folder reports on: the one named, else that of its study.py, else the one called as the folder
    is; with the seeds that it has runs of and the scores after training that they have. Raises ValueError."""
    if not (folder / "runs.csv").is_file():
        raise ValueError(f"{folder} has no runs.csv, so it is no folder that `report` wrote")
    own = folder / "study.py"
    name = name or (str(own) if own.is_file() else folder.resolve().name)
    if name not in STUDIES and not name.partition(":")[0].endswith(".py"):
        raise ValueError(f"what study is {folder} of? name it: ganablate report STUDY --from {folder}")
    study, runs = find_study(name), _read(folder / "runs.csv")
    scored = [head for head in runs if "@" in head and not head.endswith(PROTOCOL) and study.has_metric(head)]
    options = {
        "metrics": tuple(dict.fromkeys((*study.metrics, *scored))),
        **{key: value for key, value in options.items() if value is not None},
    }
    return study.variant(seeds=seeds or int(runs["seed"].max()) + 1, **options)


def _read(path: Path) -> pd.DataFrame:
    """A CSV of ours as it was written. Raises ValueError for what is none."""
    try:
        found = pd.read_csv(
            path, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""], float_precision="round_trip"
        )
        found["seed"] = found["seed"].astype(int)
    except (KeyError, TypeError, ValueError, UnicodeError) as error:
        raise ValueError(f"{path} is no table that `report` wrote: {error}") from None
    texts = [name for name in found if name in TEXTS or name.endswith(PROTOCOL)]
    return found.astype(dict.fromkeys(texts, object)).fillna(dict.fromkeys(texts, ""))


def _runs(folder: Path, study: Study) -> pd.DataFrame:
    """runs.csv with the study's own labels, in the study's order. Raises ValueError if it has none of its cells."""
    runs, labels = _read(folder / "runs.csv"), pd.DataFrame({"label": [*study.rows, *study.columns]})
    lacking = {"row", "column", "state", "run_id", "protocol"} - set(runs)
    if lacking:
        raise ValueError(f"{folder / 'runs.csv'} lacks {', '.join(sorted(lacking))}")
    if "place" in runs:
        raise ValueError(f"{folder} has rows of other code too; make it again from the store, by `report --beside`")
    as_written = dict(zip(spreadsheet_safe(labels)["label"], labels["label"], strict=True))
    runs[["row", "column"]] = runs[["row", "column"]].map(lambda label: as_written.get(label, label))
    cells = {(cell.row, cell.column) for cell in study.cells()}
    known = [(row, column) in cells for row, column in zip(runs["row"], runs["column"], strict=True)]
    runs = runs[np.array(known) & (runs["seed"] < study.seeds)].reset_index(drop=True)
    if runs.empty:
        raise ValueError(f"{folder / 'runs.csv'} has no run of study {study.title!r}")
    return runs


def _evaluations(folder: Path) -> dict[tuple[str, str], Series]:
    """The evaluations of evaluations.csv by run and key; none without it."""
    path, found = folder / "evaluations.csv", dict[tuple[str, str], Series]()
    frame = _read(path) if path.is_file() else pd.DataFrame()
    for line in frame.to_dict("records"):
        for key, value in line.items():
            if key not in ("row", "column", "seed", "run_id", "images") and not math.isnan(value):
                found.setdefault((line["run_id"], str(key)), []).append((int(line["images"]), float(value)))
    return found


def _with_untrained(runs: pd.DataFrame, study: Study, folder: Path) -> pd.DataFrame:
    """The runs with the score of the untrained generator, where an earlier version did not write it: the mean over the
    seeds of a cell that curves.csv has, which is of the study's first score."""
    key, path = metric_named(study.metrics[0]).key, folder / "curves.csv"
    name = next((name for name, each in METRICS.items() if each.key == key and each.when == "untrained"), "")
    if metric_named(study.metrics[0]).features or not name or name in runs or not path.is_file():
        return runs
    curves = pd.read_csv(path, keep_default_na=False)
    first = curves[curves["images"] == 0].set_index(["row", "column"])["mean"]
    means = {label: float(value) for label, value in first.items()}
    labels = zip(runs["row"], runs["column"], strict=True)
    return runs.assign(**{name: [means.get(label, math.nan) for label in labels]})
