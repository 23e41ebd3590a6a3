"""The tables of docs/results hold the numbers that their runs give."""

from pathlib import Path

import pandas as pd
import pytest
from stubs import StubResults

from reports.spreadsheet import to_csv
from spaces import STUDIES, find_study

FOLDERS = sorted(path.parent for path in Path(__file__).parents[2].glob("docs/results/*/runs.csv"))
CIFAR = {"dataset": "folder:cifar10-jpeg/train", "features": "lite0", "eval_samples": 1000}
SETTINGS = {"aw-fig4": CIFAR, "aw-fig5": CIFAR}  # what --set gave, as docs/results/README.md tells


def read_csv(path):
    """A CSV as it was written: empty labels are texts, and numbers keep their last digit."""
    texts = dict.fromkeys(["row", "column"], str)
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""], float_precision="round_trip").fillna(
        dict.fromkeys(texts, "")
    )


def study_of(folder, seeds):
    if (folder / "study.py").exists():
        return find_study(str(folder / "study.py"))
    return STUDIES[folder.name].variant(seeds=seeds, settings=SETTINGS.get(folder.name))


def test_there_are_results():
    assert len(FOLDERS) == 12


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_numbers_of_a_table_are_those_of_its_runs(folder):
    runs = read_csv(folder / "runs.csv")
    study, written = study_of(folder, int(runs["seed"].max()) + 1), read_csv(folder / "table.csv")
    rebuilt = to_csv(StubResults(study, runs))
    assert rebuilt[["row", "column"]].equals(written[["row", "column"]])
    for metric in study.metrics:
        names = [f"{metric}_{name}" for name in ("mean", "std", "n", "diverged")]
        names += [f"{metric}_difference_{name}" for name in ("mean", "low", "high")]
        for name in names:
            expected = pytest.approx(list(written[name]), rel=1e-12, abs=0, nan_ok=True)
            assert list(rebuilt[name]) == expected, name
    assert list(rebuilt["run_ids"]) == list(written["run_ids"])
