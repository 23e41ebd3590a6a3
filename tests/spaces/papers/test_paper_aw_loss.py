"""aw-loss's studies: their labels and numbers are the paper's, and cells that its tables share are one."""

import math

import pytest

from spaces import CLAIMS, PAPERS, STUDIES

# Typed from the paper's text: study, row, column, metric, value, std.
TYPED = [
    ("aw-table3", "SN-GAN", "", "is", 8.18, 0.12),
    ("aw-table3", "aw-SN-GAN", "", "is", 8.31, 0.02),
    ("aw-table3", "AutoGAN", "", "is", 8.54, 0.10),
    ("aw-table3", "aw-AutoGAN", "", "is", 8.90, 0.06),
    ("aw-table3", "aw-SN-GAN", "", "fid", 19.08, None),
    ("aw-table3", "SS-GAN", "", "fid", 21.02, None),
    ("aw-fig5", "DCGAN original loss", "", "logit_real_after", 0.248, None),
    ("aw-fig5", "DCGAN aw-loss", "", "gap_after", 1.413, None),
]


def test_all_of_the_paper_is_there():
    names = ["table1", "table2", "table3", "table4", "fig3", "fig4", "fig5", "fig6", "alphas", "normalisation"]
    assert {study.name for study in PAPERS["aw-loss"].studies} == {f"aw-{name}" for name in names}
    assert [claim.id for claim in CLAIMS.values() if claim.paper == "aw-loss"] == [f"A{n}" for n in range(1, 13)]
    assert len(PAPERS["aw-loss"].published) == 30


def test_scores_are_the_papers():
    assert (PAPERS["aw-loss"].features, PAPERS["aw-loss"].samples) == ("inception", 50_000)


@pytest.mark.parametrize(("study", "row", "column", "metric", "value", "std"), TYPED)
def test_values_are_the_papers(find_value, study, row, column, metric, value, std):
    line = find_value(study, row, column, metric)
    assert line.value == value
    assert line.std == std or (std is None and math.isnan(line.std))
    assert line.quoted == ((row, column) not in {(c.row, c.column) for c in STUDIES[study].cells()})


@pytest.mark.parametrize(
    "cells",
    [
        [("aw-table1", "aw-AutoGAN"), ("aw-fig3", "aw-AutoGAN", "cifar10")],
        [("aw-table2", "AutoGAN"), ("aw-fig3", "AutoGAN", "stl10")],
        [
            ("aw-table1", "aw-SN-GAN"),
            ("aw-alphas", "alpha1=0.5", "alpha2=0.75"),
            ("aw-normalisation", "aw, normalised", "SN-GAN"),
            ("sngan", "+ aw-loss"),
        ],
        [("aw-fig4", "original"), ("aw-fig5", "DCGAN original loss")],
        [("aw-fig6", "aw-GAN"), ("ring", "+ aw-loss")],
    ],
)
def test_cells_that_tables_share_run_once(key, cells):
    assert len({key(*cell) for cell in cells}) == 1


def test_figure_5_tries_either_loss_on_one_trajectory():
    original, aw = (cell.config for cell in STUDIES["aw-fig5"].cells())
    assert (original.probe, aw.probe) == ("off", "normalized")
    assert original.replace(probe="none") == aw.replace(probe="none")
    assert original.aw == "off"


def test_figure_4_looks_at_the_steps_that_are_taken():
    assert all(cell.config.probe == cell.config.aw for cell in STUDIES["aw-fig4"].cells())


def test_epochs_are_those_of_the_data_set():
    """Section 4 of the aw paper: 320 (SN-GAN) and 300 (AutoGAN), an evaluation every 5."""
    for name, size in (("aw-table1", 50_000), ("aw-table2", 105_000), ("aw-table3", 50_000)):
        for cell in STUDIES[name].cells():
            assert cell.config.n_images == (300 if "AutoGAN" in cell.row else 320) * size
            assert cell.config.eval_every == 5 * size
