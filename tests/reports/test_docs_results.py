"""The tables of docs/results hold the numbers that their runs give."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports.folder import FolderResults, study_in
from reports.ledger import Ledger, ledger_of, variants, write_ledger
from reports.markdown import to_markdown
from reports.spreadsheet import to_csv
from reports.statistics import estimate
from reports.table import as_text

RESULTS = Path(__file__).parents[2] / "docs" / "results"
FOLDERS = sorted(path.parent for path in RESULTS.glob("*/runs.csv"))
CIFAR = {"dataset": "folder:cifar10-jpeg/train", "features": "lite0", "eval_samples": 1000}
SETTINGS = {"aw-fig4": CIFAR, "aw-fig5": CIFAR}  # what --set gave, as docs/results/README.md tells


def results_of(name):
    folder = next(folder for folder in FOLDERS if folder.name == name)
    return FolderResults(study_in(folder, None, None, {"settings": SETTINGS.get(name, {})}), folder)


def read_csv(path):
    """A CSV as it was written: empty labels are texts, and numbers keep their last digit."""
    texts = dict.fromkeys(["row", "column"], str)
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""], float_precision="round_trip").fillna(
        dict.fromkeys(texts, "")
    )


def check_same(rebuilt, written):
    """Two frames of the same numbers, but for the last digits, and texts."""
    assert list(rebuilt) == list(written)
    for name in rebuilt:
        if pd.api.types.is_numeric_dtype(rebuilt[name]):
            expected = pytest.approx(list(written[name]), rel=1e-12, abs=1e-300, nan_ok=True)
            assert list(rebuilt[name]) == expected, name
        else:
            assert list(rebuilt[name].fillna("")) == list(written[name].fillna("")), name


def test_there_are_results():
    assert len(FOLDERS) == 15


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_numbers_of_a_table_are_those_of_its_runs(folder):
    results, written = results_of(folder.name), read_csv(folder / "table.csv")
    check_same(to_csv(results), written)
    assert to_markdown(as_text(results)) == (folder / "table.md").read_text()


LOST = {
    ("ring-deep", "GAN"): [0, 4],  # which cover one mode or two
    ("ring-eta", "eta=1"): [0, 1, 2, 5],  # whose chains ran away
    ("ring-searched", "ring8_coop"): [5, 6],  # which cover none
}


def test_the_lost_runs_are_these():
    lost = {}
    for folder in FOLDERS:
        runs = results_of(folder.name).runs
        for row, seed in runs.loc[runs["lost"], ["row", "seed"]].itertuples(index=False):
            lost.setdefault((folder.name, row), []).append(seed)
    assert lost == LOST


@pytest.mark.long
def test_the_ledger_is_that_of_the_folders(tmp_path):
    """As its command in docs/results/README.md makes it."""
    verdicts = Ledger(RESULTS, *variants(10, {"budget": None, "settings": CIFAR, "tiny": False})).verdicts()
    rebuilt, written = (
        read_csv(path) for path in (write_ledger(verdicts, tmp_path)[0], RESULTS / "claims" / "claims.csv")
    )
    check_same(rebuilt, written)
    assert (tmp_path / "claims.md").read_text() == (RESULTS / "claims" / "claims.md").read_text()


@pytest.mark.parametrize("name", ["digits-wide", "ring-deep"])
def test_what_was_registered_has_the_verdict_of_the_folder(name, tmp_path):
    """When it was, the store alone knows."""
    ledger, wanted = ledger_of(RESULTS, [str(RESULTS / name / "study.py")], variants(None, {}), False)
    verdicts = ledger.verdicts(wanted)
    rebuilt, written = (read_csv(path) for path in (write_ledger(verdicts, tmp_path)[0], RESULTS / name / "claims.csv"))
    assert set(written["registered"]) == {"registered before the first run"}
    check_same(rebuilt.drop(columns="registered"), written.drop(columns="registered"))


def test_the_main_effect_of_aw_in_quick():
    """Its mean ratio over both levels of CoopInit, seed by seed."""
    runs = results_of("quick").runs.set_index(["row", "seed"])["fid_final"].map(math.log)
    rows = {row: runs.xs(row).sort_index().to_numpy() for row in ("GAN", "+ CoopInit", "+ aw-loss", "+ both")}
    effect = estimate((rows["+ aw-loss"] - rows["GAN"] + rows["+ both"] - rows["+ CoopInit"]) / 2)
    found = [float(np.exp(bound)) for bound in (effect.effect, *effect.interval)]
    assert found == pytest.approx([1.023, 0.973, 1.076], abs=0.0005)
