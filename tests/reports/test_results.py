"""Results: each number computed once, the store asked once."""

import pytest
from stubs import no_results, stub_runs

import reports.results
from reports.results import Results
from search.store import load_runs, queries
from spaces import Study
from trainers.config import Config


@pytest.fixture
def study():
    rows = {"GAN": {}, "a": {"lr": 1e-3}, "b": {"lr": 2e-3}}
    return Study("s", Config(), rows, {"one": {}, "two": {"loss": "hinge"}}, seeds=2, only={"b": ["two"]})


@pytest.fixture
def results(study):
    return Results(study, object(), stub_runs({("GAN", "one"): [9.0, None], ("a", "two"): [7.0, 8.0]}))


def test_cells_stand_in_the_studys_order_whatever_was_run(results):
    labels = [("GAN", "one"), ("GAN", "two"), ("a", "one"), ("a", "two"), ("b", "two")]
    assert list(results.cells) == list(results.done) == list(results.configs) == labels
    assert [len(runs) for runs in results.cells.values()] == [2, 0, 0, 2, 0]
    assert [len(runs) for runs in results.done.values()] == [1, 0, 0, 2, 0]
    assert results.pictured_runs == {("GAN", "one"): "GAN/one/0", ("a", "two"): "a/two/0"}


def test_the_reference_of_a_column_is_the_first_row_that_it_has():
    rows = {"GAN": {}, "a": {"lr": 1e-3}, "b": {"lr": 2e-3}}
    study = Study("s", Config(), rows, {"one": {}, "two": {"loss": "hinge"}}, only={"GAN": ["one"]})
    assert no_results(study).references == {"one": "GAN", "two": "a"}


def test_a_part_has_the_runs_of_its_rows_and_columns(results):
    small = Study("s", Config(), {"GAN": {}}, {"one": {}}, seeds=2)
    assert list(results.part(small).runs["run_id"]) == ["GAN/one/0", "GAN/one/1"]


def test_the_store_is_asked_for_each_run_and_key_once(results, monkeypatch):
    asked = []

    def histories(store, run_ids, key):
        asked.append((key, list(run_ids)))
        return {run_id: [(1, 0, 5.0), (2, 64, 4.0), (3, 64, 3.0)] for run_id in run_ids}

    monkeypatch.setattr(queries, "histories", histories)
    done = ["GAN/one/0", "a/two/0", "a/two/1"]
    expected = [(0, 5.0), (64, 3.0)]  # what was recorded last
    assert results.histories("fid") == dict.fromkeys(done, expected)
    assert results.histories("fid", ["GAN/one/1", "a/two/0"]) == dict.fromkeys(["GAN/one/1", "a/two/0"], expected)
    results.histories("fid")
    results.histories("loss_d", ["a/two/0"])
    assert asked == [("fid", done), ("fid", ["GAN/one/1"]), ("loss_d", ["a/two/0"])]


def test_the_store_is_asked_for_the_runs_once(store, tiny_study, monkeypatch):
    asked = []

    def load(study, store):
        asked.append(study.title)
        return load_runs(study, store=store)

    monkeypatch.setattr(reports.results, "load_runs", load)
    results = Results(tiny_study, store)
    assert results.table["energy_distance_final", "n"].tolist() == [0, 0]
    assert len(results.comparisons) == 2
    assert results.table is results.table
    assert asked == ["tiny"]
