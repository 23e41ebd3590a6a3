"""The table as text, on runs that are written by hand."""

import pandas as pd
from stubs import StubResults, stub_runs

from reports.spreadsheet import to_csv
from reports.table import as_text
from spaces import Study
from spaces.study import POINT_METRICS
from trainers.config import Config


def test_texts(results):
    text = as_text(results)
    assert list(text.cells.columns) == ["FID ↓", "best FID ↓", "FID − GAN", "n"]
    assert list(text.cells.loc["GAN"]) == ["10.10 ± 0.10", "9.10 ± 0.10", "", "3"]
    assert list(text.cells.loc["=2+3"])[::3] == ["8.50 ± 0.71 (div 1/3)", "2/3"]
    assert list(text.cells.loc["lost"]) == ["div 3/3", "div 3/3", "–", "0/3"]
    assert text.cells.iloc[1]["FID − GAN"].startswith("-0.30 [")


def test_an_empty_store_gives_dashes(results):
    text = as_text(StubResults(results.study, stub_runs({})))
    assert set(text.cells["FID ↓"]) == {"–"}
    assert "12 runs are not done" in text.caption


def test_caption_says_protocol_and_budget(results):
    caption = as_text(results).caption
    assert "10,000 generated samples" in caption
    assert "96,000 training images" in caption
    assert "11 scheduled evaluations" in caption
    assert "diverged" in caption


def test_mixed_code_versions_get_a_note(results):
    runs = pd.concat([stub_runs({"GAN": [1.0]}), stub_runs({"=2+3": [1.0]}, code_version="2")])
    assert "several code versions: 1, 2" in as_text(StubResults(results.study, runs)).caption


def test_columns_are_ranked_apart():
    study = Study("s", Config(), rows={"a": {}, "b": {"lr": 1.0}}, columns={"x": {}, "y": {"n_train": 100}}, seeds=1)
    runs = stub_runs({("a", "x"): [1.0], ("b", "x"): [2.0], ("a", "y"): [9.0], ("b", "y"): [8.0]})
    text = as_text(StubResults(study, runs))
    assert list(text.marks["x: FID ↓"]) == [1, 2]
    assert list(text.marks["y: FID ↓"]) == [2, 1]
    assert list(text.cells["y: FID − a"]) == ["", "-1.00"]


def test_a_column_is_compared_with_the_first_row_that_it_has():
    rows, only = {"GAN": {}, "a": {"lr": 1e-3}, "b": {"lr": 2e-3}}, {"GAN": ["one"]}
    study = Study("s", Config(), rows, {"one": {}, "two": {"loss": "hinge"}}, seeds=2, only=only)
    text = as_text(StubResults(study, stub_runs({("a", "two"): [10.0, 10.5], ("b", "two"): [8.0, 8.5]})))
    held = text.cells["two: FID − a"]
    assert held["a"] == ""
    assert held["b"].startswith("-2.00 [")
    assert "differences to the first row that a column has" in text.caption


def test_a_published_column_without_cells_of_ours_is_compared_with_nothing():
    study = Study("s", "stylegan2_cifar10", {"GAN": {}, "a": {"lr": 1e-3}}, published="coopinit/table7")
    text = as_text(StubResults(study, stub_runs({("GAN", "none"): [10.0]})))
    assert "lr=0.0020: published best FID ↓" in text.cells
    assert [name for name in text.cells if "−" in name] == ["FID − GAN"]


def test_every_final_metric_has_its_differences():
    study = Study("s", "ring8_gan", {"GAN": {}, "a": {"lr": 1e-3}}, seeds=2, metrics=POINT_METRICS)
    results = StubResults(study, stub_runs({"GAN": [8.0, 6.0], "a": [5.0, 4.0]}, POINT_METRICS))
    text, frame = as_text(results), to_csv(results)
    for metric in POINT_METRICS:
        assert frame[f"{metric}_difference_mean"].tolist() == [0.0, -2.5]
    assert text.cells.loc["a", "modes covered − GAN"].startswith("-2.50 [")
