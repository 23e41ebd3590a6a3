"""What a table compares: pairs, families, marks, counts."""

import dataclasses
import math

import numpy as np
import pytest
from stubs import StubResults, stub_runs

from reports.comparisons import pairing
from reports.statistics import compare, holm
from reports.table import as_text
from spaces import STUDIES, Study
from trainers.config import Config

SEEDS = 8
rng = np.random.default_rng(0)
SHARED = rng.normal(2, 0.3, SEEDS)


def values_at(factor, noise=0.02):
    return list(factor * np.exp(SHARED + rng.normal(0, noise, SEEDS)))


def results_of(rows, columns=None, metrics=("fid_final",), values=None, **changed):
    study = Study(
        "s", Config(), {row: {"lr": 1e-4 * (i + 1)} for i, row in enumerate(rows)}, seeds=SEEDS, metrics=metrics
    )
    study = dataclasses.replace(study, columns=columns) if columns else study
    return StubResults(study, stub_runs(values or rows, metrics, **changed))


def test_rows_of_a_study_are_compared_seed_by_seed():
    rows = {"GAN": values_at(1.0), "half": values_at(0.5)}
    found = results_of(rows).comparisons["half", "", "fid_final"]
    known = compare(np.log(rows["half"]), np.log(rows["GAN"]), paired=True)
    assert (found.method, found.pairs, found.reference, found.scale) == ("paired t", SEEDS, "GAN", "ratio")
    assert (found.effect, found.low, found.high) == pytest.approx(
        (math.exp(known.effect), *(math.exp(bound) for bound in known.interval))
    )
    assert found.p == pytest.approx(float(known.p))
    assert found.r > 0.9
    assert found.is_starred


def test_the_rule_of_pairs_looks_at_configs():
    base = Config()
    assert pairing(base) == pairing(base.replace(lr=1e-3, n_coop=640, aw="normalized", loss="hinge"))
    for field, value in {"n_train": 100, "batch_size": 32, "n_critic": 2, "dataset": "digits_outlines"}.items():
        other = base.replace(**{field: value}, **({"backbone": "cut"} if field == "dataset" else {}))
        assert pairing(base) != pairing(other), field
    assert pairing(base) != pairing(base.replace(backbone_options={"width": 8}))
    ring = Config(dataset="ring8", backbone="mlp")
    assert pairing(ring) != pairing(ring.replace(dataset_options={"radius": 2}))
    assert pairing(base, devices=["x86_64"]) != pairing(base, devices=["NVIDIA H100"])
    assert pairing(base, digests=["a"]) != pairing(base, digests=["b"])


def test_cells_that_share_no_stream_are_welchs():
    study = Study("s", Config(), {"GAN": {}, "small": {"n_train": 100}}, seeds=SEEDS, metrics=("fid_final",))
    found = StubResults(study, stub_runs({"GAN": values_at(1.0), "small": values_at(0.9)}))
    compared = found.comparisons["small", "", "fid_final"]
    assert (compared.method, compared.pairs) == ("Welch t", 0)
    assert math.isnan(compared.r)
    assert not found.bold  # the same values would differ as pairs


def test_the_family_is_all_columns_by_the_first_metric():
    columns = {"one": {}, "two": {"loss": "hinge"}}
    cells = {(row, column): values_at(f) for column in columns for row, f in (("GAN", 1.0), ("a", 0.98), ("b", 1.01))}
    metrics = ("fid_final", "fid_best")
    found = results_of({"GAN": 0, "a": 0, "b": 0}, columns, metrics, cells).comparisons
    first = [each for (*_, metric), each in found.items() if metric == "fid_final"]
    assert len(first) == 4
    assert [each.p_holm for each in first] == pytest.approx(holm([each.p for each in first]))
    others = [each for (*_, metric), each in found.items() if metric == "fid_best"]
    assert all(math.isnan(each.p_holm) and not each.is_starred and each.p > 0 for each in others)


def test_a_value_of_nothing_has_no_ratio():
    rows = {"GAN": values_at(1.0), "zero": [0.0, *values_at(1.0)[1:]]}
    results = results_of(rows)
    found = results.comparisons["zero", "", "fid_final"]
    assert found.scale == "difference"
    assert found.effect == pytest.approx(np.mean(rows["zero"]) - np.mean(rows["GAN"]))


def test_a_lost_run_takes_all_marks_and_is_compared_by_counts():
    rows = {"GAN": values_at(1.0), "lossy": [None, None, None, None, *values_at(0.5)[4:]], "half": values_at(0.5)}
    results = results_of(rows)
    found = results.comparisons["lossy", "", "fid_final"]
    assert math.isnan(found.p)
    assert not found.is_starred
    assert found.effect == pytest.approx(0.5, rel=0.05)  # of the survivors
    assert found.lost_p == pytest.approx(0.0769, abs=1e-4)  # Fisher, 4 of 8 against none
    assert found.p_better == pytest.approx(np.mean([(x or math.inf) < y for x in rows["lossy"] for y in rows["GAN"]]))
    assert results.bold == {("half", "")}
    assert results.comparisons["half", "", "fid_final"].p_holm == pytest.approx(
        2 * results.comparisons["half", "", "fid_final"].p
    )  # what could not be tested stays in the family


def test_what_d_alone_is_scored_by_is_known_of_lost_runs():
    """Where every run of both rows collapses: nothing to say of samples, all of D's logits but a diverged run's."""
    logits = {"GAN": [-0.1, 0.0, 0.1, 0.0], "aw": [1.0, 1.1, None, 0.9]}
    metrics = ("energy_distance_final", "class_logit_min_final")
    study = Study(
        "s", Config(dataset="ring8", backbone="mlp"), {"GAN": {}, "aw": {"aw": "normalized"}}, seeds=4, metrics=metrics
    )
    runs = stub_runs(logits, metrics[1:]).assign(energy_distance_final=1.5, lost=True)
    results = StubResults(study, runs)
    of_samples, of_d = (results.comparisons["aw", "", metric] for metric in metrics)
    assert math.isnan(of_samples.effect)
    assert of_samples.lost_p == 1
    assert (of_d.effect, of_d.pairs) == (pytest.approx(np.mean([1.1, 1.1, 0.9])), 3)
    assert math.isnan(of_d.p)  # one diverged
    assert of_d.p_better == 12 / 16
    table = results.table.loc[("aw", "")]
    assert table["energy_distance_final", "n"] == 0
    assert table["class_logit_min_final", "mean"] == pytest.approx(1.0)
    assert tuple(table["class_logit_min_final", name] for name in ("n", "diverged", "lost")) == (3, 1, 1)
    assert "known of lost runs too: lowest class logit" in as_text(results).caption


def test_bold_needs_all_seeds_and_a_row_that_is_beaten():
    rows = {"GAN": values_at(1.0), "half": values_at(0.5), "same": values_at(0.501, 0.05)}
    assert results_of(rows).bold == {("half", ""), ("same", "")}
    assert not results_of({"GAN": values_at(1.0), "same": values_at(1.0, 0.3)}).bold  # none is beaten
    assert not results_of({"GAN": values_at(1.0), "half": values_at(0.5)[:7]}).bold  # a seed is missing
    assert not results_of(rows, metrics=("fid_best",)).bold  # flatters noisy runs


def test_higher_is_better_where_the_metric_says_so():
    study = Study("s", "ring8_gan", rows={"a": {}, "b": {"lr": 1.0}}, metrics=("high_quality_final",), seeds=4)
    runs = stub_runs({"a": [0.1, 0.2, 0.3, 0.2], "b": [0.7, 0.8, 0.9, 0.8]}, ["high_quality_final"])
    assert StubResults(study, runs).bold == {("b", "")}


def test_events_are_counts():
    study = Study("s", "ring8_gan", rows={"a": {}, "b": {"lr": 1.0}}, metrics=("all_modes_final",), seeds=5)
    runs = stub_runs({"a": [0.0] * 4 + [None], "b": [1.0] * 5}, ["all_modes_final"])
    found = StubResults(study, runs).comparisons["b", "", "all_modes_final"]
    assert (found.scale, found.method, found.effect) == ("event", "Fisher", math.inf)
    assert found.p == pytest.approx(1 / 126)  # a diverged run covers none
    assert found.is_starred


def test_studies_of_the_papers_are_paired_where_they_should_be():
    """quick's rows share all; of table 7 those with and without R1 too; limited data differ by column alone."""
    for name in ("quick", "ring", "coopinit-table7", "coopinit-table10", "aw-table1"):
        cells = STUDIES[name].cells()
        for column in STUDIES[name].columns:
            keys = {pairing(cell.config) for cell in cells if cell.column == column}
            assert len(keys) == (2 if name == "aw-table1" else 1), name  # its rows have two backbones
