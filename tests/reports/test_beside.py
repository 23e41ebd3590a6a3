"""Rows of other code beside ours: in one table only if so said, and compared by the tests of all others."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from stubs import StubResults, stub_runs
from typer.testing import CliRunner

import ganablate as ga
from ganablate.command import app
from reports.beside import JoinedResults, results_beside
from reports.folder import rebuild
from reports.paper import methods
from reports.report import write_report
from reports.spreadsheet import to_csv
from reports.table import as_text
from search.store.foreign import ForeignMetric, ForeignRun, Imported, write_imported
from spaces import STUDIES, Study
from trainers.config import Config

OURS = {"GAN": [10.0, 10.4, 10.1], "+ aw": [8.0, 8.3, 8.1]}
THEIRS = {"theirs": {7: 6.0, 8: 6.2, 9: 6.1, 11: 6.3}, "older": {7: 20.0, 8: math.nan}}
SAID = "FID on Inception, 50k samples"


def ours(columns=None):
    study = Study(
        "s", Config(), {"GAN": {}, "+ aw": {"lr": 1e-3}}, columns or {"": {}}, metrics=("fid_final", "fid_best")
    )
    runs = stub_runs(OURS, ("fid_final", "fid_best"), evaluations=3)
    return StubResults(study, runs, {(run, "fid"): [(0, 99.0), (64, 9.0)] for run in runs["run_id"]})


def imported_of(cells=THEIRS, key="fid_final", *, lower=True, paired=False, column=""):
    runs = [
        ForeignRun(row=row, column=column, seed=seed, run_id=f"t.csv:{row}{seed}", values={key: value, "other": 1.0})
        for row, seeds in cells.items()
        for seed, value in seeds.items()
    ]
    metrics = [ForeignMetric(key=name, lower_is_better=lower, scale="difference") for name in (key, "other")]
    return Imported(name="bench", source="t.csv", place="t.csv", paired=paired, metrics=metrics, runs=runs)


@pytest.mark.parametrize("paired", [False, True])
def test_rows_of_other_code_are_compared_with_our_first_by_welch(paired):
    results = JoinedResults(ours(), imported_of(paired=paired), SAID)
    table = to_csv(results).set_index("row")
    assert list(table.index) == ["GAN", "+ aw", "theirs", "older"]
    assert table.loc["theirs", "fid_final_mean"] == pytest.approx(6.15)
    test = stats.ttest_ind(np.log([6.0, 6.2, 6.1, 6.3]), np.log(OURS["GAN"]), equal_var=False)
    found = results.comparisons["theirs", "", "fid_final"]
    assert (found.method, found.scale) == ("Welch t", "ratio")  # as our metric is compared
    assert found.p == pytest.approx(test.pvalue)
    alone = ours()
    for name in ("fid_final", "fid_best"):
        assert results.comparisons["+ aw", "", name].p == alone.comparisons["+ aw", "", name].p
    assert ("theirs", "", "fid_best") not in results.comparisons
    assert results.family == 3
    assert table.loc["older", "fid_final_lost"] == 1


def test_the_caption_tells_whose_rows_these_are_and_why_they_may_stand_there(tmp_path):
    results = JoinedResults(ours(), imported_of(), f"{SAID}.")
    text, _ = write_report(results, tmp_path)
    told = f"from t.csv: theirs, older; of the same protocol, as was said when this table was made: {SAID}."
    assert told in text.caption
    assert told in (tmp_path / "methods.md").read_text()
    assert "Protocol: " + ours().protocols[0] in text.caption
    assert "2 runs are not done." in text.caption  # of the row of two seeds
    assert list(text.cells["n"]) == ["3", "3", "4", "1/4"]
    assert text.cells.filter(like="best").loc["theirs"].iloc[0] == "–"
    assert {"dots.png", "table.tex", "curves.csv"} <= {path.name for path in tmp_path.iterdir()}
    assert SAID not in as_text(ours()).caption
    assert SAID not in methods(ours())
    with pytest.raises(ValueError, match="rows of other code too"):
        rebuild(tmp_path, None, "quick", None, {})


@pytest.mark.parametrize(
    ("imported", "key", "told"),
    [
        (imported_of({"GAN": {1: 3.0}}), "", "s and bench both have a row 'GAN'"),
        (imported_of(key="eval/fid"), "", "bench has no fid_final, .* --beside bench:KEY .*: eval/fid, other"),
        (imported_of(key="eval/fid"), "eval/fdi", "no metric 'eval/fdi'; did you mean 'eval/fid'"),
        (imported_of(lower=False), "", "lower fid_final is better, and fid_final of bench was imported as higher"),
        (imported_of(column="c"), "", "bench has a column 'c', and must have those of s: none"),
    ],
)
def test_what_cannot_stand_in_one_table_is_a_sentence(imported, key, told):
    with pytest.raises(ValueError, match=told):
        JoinedResults(ours(), imported, SAID, key)


def test_nothing_is_put_beside_without_words_on_the_protocol(store):
    write_imported(store, imported_of(key="eval/fid"))
    for said in (None, " "):
        with pytest.raises(ValueError, match="never share a table with ours unless --same-protocol TEXT"):
            results_beside(ours(), store, "bench:eval/fid", said)
    with pytest.raises(ValueError, match="no study of that name was imported"):
        results_beside(ours(), store, "bensh", SAID)
    found = results_beside(ours(), store, "bench:eval/fid", SAID)
    assert to_csv(found).set_index("row").loc["theirs", "fid_final_n"] == 4
    assert store.report_folder(found.study.title) == Path(store.storage, "reports", "s beside bench")


def test_the_command_and_ga_put_an_import_beside_a_study(
    store, make_runs, tiny_study, none_lost, tmp_path, monkeypatch
):
    make_runs(tiny_study)
    monkeypatch.setitem(STUDIES, "tiny", tiny_study)
    (tmp_path / "t.csv").write_text("row,seed,energy\ntheirs,1,0.5\ntheirs,2,0.6\n")
    place = ["--storage", str(store.storage)]
    source = ["import", f"csv:{tmp_path / 't.csv'}", "--study", "bench", "--metric", "energy:lower:ratio"]
    said = ["report", "tiny", "--beside", "bench:energy"]
    done = [CliRunner().invoke(app, [*command, *place]) for command in (source, [*said, "--same-protocol", SAID], said)]
    assert [each.exit_code for each in done[:2]] == [0, 0], done[1].output
    assert (store.storage / "reports" / "tiny beside bench" / "samples.png").exists()
    assert "never share a table" in str(done[2].exception)
    table = ga.table("tiny", beside="bench:energy", same_protocol=SAID, storage=store.storage)
    assert list(table.frame["row"]) == ["GAN", "+ aw", "theirs"]
    assert table.frame["energy_distance_final_mean"].iloc[2] == pytest.approx(0.55)
    assert SAID in table.text.caption
