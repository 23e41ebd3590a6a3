"""Tables as CSV, for people with spreadsheets."""

import csv
import math
import re
from collections.abc import Hashable
from pathlib import Path

import pandas as pd

from reports.published import PublishedValue
from reports.results import Results

COMPARED = {"{}": "effect", "{}_low": "low", "{}_high": "high"}  # columns of a metric, and fields of its comparison
COMPARED |= {name: name for name in ("p", "p_holm", "pairs", "r", "lost_p", "p_better")}


def to_csv(results: Results) -> pd.DataFrame:
    """The table with raw numbers, one line a cell: statistics, comparison with the first row, run ids, code version."""
    table, study = results.table, results.study
    flat = table.set_axis([f"{metric}_{name}" for metric, name in table.columns], axis=1)
    for metric, scale in results.scales.items():
        found = [results.comparisons.get((*label, metric)) for label in flat.index]
        for name, field in COMPARED.items():
            name = name.format("odds" if scale == "event" else scale)
            flat[f"{metric}_{name}"] = [math.nan if each is None else getattr(each, field) for each in found]
    if study.searched:
        flat["search_value"] = [study.searched.get(row, math.nan) for row, _ in flat.index]
    for metric in {metric: None for _, _, metric in results.published}:
        values = [results.published.get((*label, metric), PublishedValue()) for label in flat.index]
        flat[f"{metric}_published_std"] = [value.std for value in values]
        flat[f"{metric}_comparable"] = [value.comparable for value in values]
        flat[f"{metric}_notes"] = ["; ".join(value.notes) for value in values]
    none = results.runs.iloc[:0]
    for name in ("run_id", "code_version", "protocol"):
        of_cells = [results.done.get(label, none)[name] for label in flat.index]
        flat[f"{name}s"] = [";".join(dict.fromkeys(each)) for each in of_cells]
    return flat.reset_index()


def spreadsheet_safe(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an apostrophe before each text that a spreadsheet would take for a formula, column names included.

    Numbers stay numbers, and "+ aw-loss" stays as it is: a sign before plain words has nothing to compute.
    """

    def safe(value: Hashable) -> Hashable:
        risky = isinstance(value, str) and re.match(r"\s*[=+\-@＝＋－＠]|[\t\r\n]", value)
        return f"'{value}" if risky and not re.fullmatch(r"[+-]( [^\W\d_]+(-[^\W\d_]+)*)+", str(value)) else value

    return frame.map(safe).rename(columns=safe)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as CSV for people with spreadsheets: texts are quoted, so that no other separator splits them."""
    spreadsheet_safe(frame).to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC)
