"""What a paper needs beside the table."""

import math

import pytest
from stubs import StubResults, stub_runs

from reports.paper import evaluations_frame, methods, tests_frame
from search.store.registry import Registration
from spaces import Study
from trainers.config import Config

tests_frame.__test__ = False  # no test


@pytest.fixture
def results():
    study = Study("s", Config(), {"GAN": {}, "a": {"lr": 1.0}}, seeds=3, metrics=("fid_final", "fid_best"))
    runs = stub_runs({"GAN": [20.0, 30.0, 25.0], "a": [10.0, 15.1, 12.4]}, study.metrics)
    series = {(run, "fid"): [(0, 900.0), (64, float(i))] for i, run in enumerate(runs["run_id"])}
    return StubResults(study, runs, series)


def test_methods_are_four_sentences(results):
    told = methods(results).strip().split("\n\n")
    assert len(told) == 4
    assert all(sentence.count(". ") == 0 and sentence.endswith(".") for sentence in told)
    for words, sentence in zip(("seeds 0 to 2", "generated samples", "Holm", "were lost"), told, strict=True):
        assert words in sentence
    assert "no claim was registered" in told[3]
    claims = [Registration("2026-11-01", 20, 0), Registration("2026-11-02", 20, 3), Registration("2026-11-01", 20, 0)]
    told = methods(results, claims).replace("\\", "")
    assert "claims on them were registered, 2 before the first run (on 2026-11-01, for 20 seeds), one after 3" in told


def test_each_comparison_is_a_line(results):
    frame = tests_frame(results)
    assert frame[["row", "metric", "against", "test"]].to_numpy().tolist() == [
        ["a", "fid_final", "GAN", "paired t"],
        ["a", "fid_best", "GAN", "paired t"],
    ]
    first = frame.iloc[0]
    found = results.comparisons["a", "", "fid_final"]
    assert (first["statistic"], first["freedom"], first["p"], first["p_holm"]) == (
        found.statistic,
        2,
        found.p,
        found.p_holm,
    )
    assert len(first["values"]) == 16
    other = StubResults(results.study, stub_runs({"GAN": [20.0, 30.0, 25.1], "a": [10.0, 15.1, 12.4]}, ["fid_final"]))
    assert tests_frame(other)["values"][0] != first["values"]  # other values, another hash


def test_each_evaluation_is_a_line(results):
    frame = evaluations_frame(results)
    assert len(frame) == 12
    assert frame.loc[1, ["row", "seed", "images", "fid"]].tolist() == ["GAN", 0, 64, 0.0]
    assert evaluations_frame(StubResults(results.study, results.runs)).empty


def test_a_study_of_one_row_compares_nothing():
    study = Study("s", Config(), {"GAN": {}}, seeds=2)
    alone = StubResults(study, stub_runs({"GAN": [20.0, math.pi]}))
    assert "No settings were compared." in methods(alone)
    assert tests_frame(alone).empty
