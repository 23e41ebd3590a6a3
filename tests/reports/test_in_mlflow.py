import logging
import math

import pytest
from matplotlib import pyplot as plt
from stubs import StubResults, stub_runs

from reports.figures import make_figures
from reports.in_mlflow import compared, show_in_mlflow
from reports.results import Results
from reports.spreadsheet import to_csv
from search.store.parents import NOTE, Parents
from search.store.queries import stored_cells
from spaces import Study
from trainers.config import Config


def test_cells_compare_as_the_reports_table_says():
    study = Study("s", Config(), {"GAN": {}, "lr": {"lr": 1e-3}}, metrics=("fid_final",))
    results = StubResults(study, stub_runs({"GAN": [10.0, 11.0, 12.0], "lr": [5.0, 5.6, 5.9]}))
    told, first = compared(results)["lr", ""], compared(results)["GAN", ""]
    line = to_csv(results).set_index("row").loc["lr"]
    assert told["ratio"] == pytest.approx((5.0 * 5.6 * 5.9 / 1320) ** (1 / 3))
    for name in ("ratio", "ratio_low", "ratio_high"):
        assert told[name] == line[f"fid_final_{name}"]
    assert math.isnan(told["difference"])
    assert all(map(math.isnan, first.values()))


def test_the_uis_study_is_the_table(store, make_runs, none_lost, tiny_study, caplog, monkeypatch, tmp_path):
    """Written twice as once, and drawn once; a table that is too long gives way to a word, and what cannot be written
    to a warning."""
    make_runs(tiny_study)
    results = Results(tiny_study, store)
    monkeypatch.setitem(plt.rcParams, "font.size", 11)
    show_in_mlflow(tiny_study, store)
    with monkeypatch.context() as patch:
        patch.setattr("reports.figures.first_curves", lambda *_: pytest.fail("drawn again"))
        show_in_mlflow(tiny_study, store)
    make_figures(results, tmp_path)
    assert plt.rcParams["font.size"] == 11  # of the user's own figures
    found = {run.tags["row"]: run for run in stored_cells(store, [c.config for c in tiny_study.cells()]).parents}
    assert found["+ aw"].metrics["ratio"] == results.comparisons["+ aw", "", tiny_study.metrics[0]].effect
    assert "ratio" not in found["GAN"].metrics
    tags = store.client.get_experiment(Parents(store).experiment(tiny_study)).tags
    assert "| GAN | " in tags[NOTE]
    assert "(#/experiments/1/runs?" in tags[NOTE]
    assert f"](get-artifact?path=curves.png&run_uuid={found['GAN'].run_id})" in tags[NOTE]
    assert [each.path for each in store.client.list_artifacts(found["GAN"].run_id)] == ["curves.png"]
    with monkeypatch.context() as patch:
        patch.setattr("reports.in_mlflow.LONGEST_NOTE", len(tags[NOTE]) - 1)
        show_in_mlflow(tiny_study, store)
    tags = store.client.get_experiment("1").tags
    assert "\n\nThe table is too long to stand here.\n\n![" in tags[NOTE]
    assert "(#/experiments/1/runs?" in tags[NOTE]
    last = results.runs["run_id"].iloc[-1]
    store.client.set_tag(last, "state", "diverged")
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr("reports.figures.first_curves", lambda *_: [][0])
        show_in_mlflow(tiny_study, store)
    assert "does not show the curves of tiny: list index out of range" in caplog.text
    assert "| GAN | " in (told := store.client.get_experiment("1").tags[NOTE])
    assert "curves.png" not in told
    store.client.delete_experiment("1")
    with caplog.at_level(logging.WARNING):
        show_in_mlflow(tiny_study, store)
    assert "does not show the table of tiny: experiment 'tiny' is deleted" in caplog.text
