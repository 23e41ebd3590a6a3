"""The table as text, on runs that are written by hand."""

import math

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stubs import StubResults, stub_runs

from reports.spreadsheet import to_csv
from reports.table import as_text, ratio, telling
from spaces import Study
from spaces.study import POINT_METRICS
from trainers.config import Config


@given(st.floats(0.9, 1.1))
@example(0.998)
@example(1.0004)
@example(1.0)
def test_a_printed_bound_lies_where_the_bound_does(bound):
    """An interval that holds no effect is never printed as one that ends there, nor one that leaves it out."""
    printed = float(ratio(bound, telling(bound, 1, 2)))
    assert printed == pytest.approx(bound, abs=0.0051)
    if abs(bound - 1) > 0.00005:
        assert (printed > 1, printed < 1) == (bound > 1, bound < 1)


def test_texts(results):
    text = as_text(results)
    assert list(text.cells.columns) == ["FID ↓", "best FID ↓", "FID / GAN", "lost runs", "n"]
    lost = "lost 0/3 [0.00, 0.71]"
    assert list(text.cells.loc["GAN"]) == ["10.10 ± 0.10", "9.10 ± 0.10", "", lost, "3"]
    told = ["8.50 ± 0.71", "7.50 ± 0.71", "0.84, P(better) 0.67", "lost 1/3 [0.01, 0.91], p 1", "2/3"]
    assert list(text.cells.loc["=2+3"]) == told
    assert list(text.cells.loc["lost"]) == ["–", "–", "–, P(better) 0.00", "lost 3/3 [0.29, 1.00], p 0.1", "0/3"]
    assert text.cells.iloc[1]["FID / GAN"].startswith("0.97 [0.9")


def test_a_star_and_bold_stand_on_the_first_metric():
    study = Study("s", Config(), {"GAN": {}, "a": {"lr": 1.0}}, seeds=4, metrics=("fid_final", "fid_best"))
    values = {"GAN": [20.0, 30.0, 25.0, 22.0], "a": [10.0, 15.1, 12.4, 11.1]}
    text = as_text(StubResults(study, stub_runs(values, study.metrics)))
    assert text.cells.loc["a", "FID / GAN"] == "0.50 [0.49, 0.51]*"
    assert text.marks["FID ↓"].tolist() == [False, True]
    assert not text.marks.drop(columns="FID ↓").any(axis=None)
    assert "over the 1 comparison of FID" in text.caption
    assert "without a star" in text.caption


def test_events_are_shown_as_counts():
    study = Study("s", "ring8_gan", {"GAN": {}, "a": {"lr": 1.0}}, seeds=5, metrics=("all_modes_final",))
    text = as_text(StubResults(study, stub_runs({"GAN": [0.0] * 5, "a": [1.0] * 5}, study.metrics)))
    assert text.cells["all modes covered ↑"].tolist() == ["0/5 [0.00, 0.52]", "5/5 [0.48, 1.00]"]
    assert text.cells.loc["a", "all modes covered / GAN"].endswith("]*")


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
    assert "Fisher" in caption


def test_mixed_code_versions_get_a_note(results):
    runs = pd.concat([stub_runs({"GAN": [1.0]}), stub_runs({"=2+3": [1.0]}, code_version="2")])
    assert "several code versions: 1, 2" in as_text(StubResults(results.study, runs)).caption


def test_columns_are_ranked_apart():
    study = Study("s", Config(), rows={"a": {}, "b": {"lr": 1.0}}, columns={"x": {}, "y": {"n_train": 100}}, seeds=3)
    low, high = [1.0, 1.1, 0.9], [8.0, 8.1, 9.3]
    runs = stub_runs({("a", "x"): low, ("b", "x"): high, ("a", "y"): high, ("b", "y"): low})
    text = as_text(StubResults(study, runs))
    assert list(text.marks["x: FID ↓"]) == [True, False]
    assert list(text.marks["y: FID ↓"]) == [False, True]
    assert text.cells["y: FID / a"].tolist()[0] == ""
    assert text.cells.loc["b", "y: FID / a"].startswith("0.12 [")


def test_a_column_is_compared_with_the_first_row_that_it_has():
    rows, only = {"GAN": {}, "a": {"lr": 1e-3}, "b": {"lr": 2e-3}}, {"GAN": ["one"]}
    study = Study("s", Config(), rows, {"one": {}, "two": {"loss": "hinge"}}, seeds=2, only=only)
    text = as_text(StubResults(study, stub_runs({("a", "two"): [10.0, 10.5], ("b", "two"): [8.0, 8.5]})))
    held = text.cells["two: FID / a"]
    assert held["a"] == ""
    assert held["b"] == "0.80"  # of two pairs there is no interval
    assert "Compared with the first row that a column has" in text.caption
    assert "no interval below 3 seeds" in text.caption


def test_a_published_column_without_cells_of_ours_is_compared_with_nothing():
    study = Study("s", "stylegan2_cifar10", {"GAN": {}, "a": {"lr": 1e-3}}, published="coopinit/table7")
    text = as_text(StubResults(study, stub_runs({("GAN", "none"): [10.0]})))
    assert "lr=0.0020: published best FID ↓" in text.cells
    assert [name for name in text.cells if "/" in name] == ["FID / GAN"]


def test_every_final_metric_is_compared_on_its_scale():
    study = Study("s", "ring8_gan", {"GAN": {}, "a": {"lr": 1e-3}}, seeds=3, metrics=POINT_METRICS)
    results = StubResults(study, stub_runs({"GAN": [8.0, 6.0, 7.0], "a": [4.0, 3.0, 3.5]}, POINT_METRICS))
    text, frame = as_text(results), to_csv(results)
    assert frame["energy_distance_late_ratio"].tolist()[1] == pytest.approx(0.5)
    assert frame["modes_final_difference"].tolist()[1] == pytest.approx(-3.5)
    assert math.isnan(frame["modes_final_difference"][0])  # the first row's own is empty
    assert text.cells.loc["a", "modes covered − GAN"].startswith("-3.50 [")
    assert text.cells.loc["a", "energy distance / GAN"] == "0.50 [0.50, 0.50]"
    assert text.cells.loc["a", "late energy distance / GAN"] == "0.50 [0.50, 0.50]*"
    named = ("ratio", "ratio_low", "ratio_high", "p", "p_holm", "pairs", "r", "lost")
    assert {f"energy_distance_late_{name}" for name in named} <= set(frame)
