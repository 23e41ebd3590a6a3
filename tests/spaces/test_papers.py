"""The papers' studies: their labels and numbers are the papers', and cells that tables share are one."""

import math
from collections import Counter

import pytest

from spaces import RECIPES, STUDIES, published
from spaces.published import _everything, published_cells

PAPERS = [name for name in STUDIES if name.startswith(("coopinit-", "aw-"))]

# Typed from the papers' text: study, row, column, metric, value, std.
TYPED = [
    ("coopinit-table1", "BigGAN", "conditional", "fid", 14.73, None),
    ("coopinit-table1", "BigGAN + CoopInit", "conditional", "is", 9.35, None),
    ("coopinit-table1", "StyleGAN2 w/ ADA + CoopInit + tuning", "conditional", "fid", 2.20, None),
    ("coopinit-table1", "StyleGAN2 w/ ADA + CoopInit + tuning", "unconditional", "is", 9.94, None),
    ("coopinit-table1", "NCSNv2", "unconditional", "fid", 10.87, None),
    ("coopinit-table2", "StyleGAN2 + CoopInit", "", "fid", 3.61, None),
    ("coopinit-table3", "StyleGAN2", "32x32", "fid", 6.87, None),
    ("coopinit-table3", "StyleGAN2 + CoopInit", "32x32 conditional", "fid", 3.84, None),
    ("coopinit-table3", "BigGAN + CoopInit", "64x64 conditional", "fid", 10.63, None),
    ("coopinit-table4", "CUT", "cat2dog", "fid", 76.2, None),
    ("coopinit-table4", "CUT + CoopInit", "horse2zebra", "fid", 38.7, None),
    ("coopinit-table5", "StyleGAN2", "NS (R1 gamma=0.01)", "fid", 8.71, None),
    ("coopinit-table5", "StyleGAN2 + CoopInit", "Hinge", "fid", 5.09, None),
    ("coopinit-table6", "R1 + zCR", "", "fid", 5.71, None),
    ("coopinit-table6", "WGAN-GP", "", "fid", 12.33, None),
    ("coopinit-table7", "StyleGAN2 (gamma=0.00)", "lr=0.0030", "fid", 14.94, None),
    ("coopinit-table7", "StyleGAN2 + CoopInit (gamma=0.01)", "lr=0.0025", "fid", 8.29, None),
    ("coopinit-table8", "StyleGAN2 + CoopInit (gamma=0.00)", "Skip", "fid", 5.46, None),
    ("coopinit-table8", "StyleGAN2 (gamma=0.01)", "Orig + Cond", "fid", 7.94, None),
    ("coopinit-table9", "StyleGAN2", "D scale 1/16", "fid", 35.52, None),
    ("coopinit-table10", "StyleGAN2 + CoopInit (gamma=0.00)", "10K", "fid", 20.95, None),
    ("coopinit-table11", "StyleGAN2-ADA + CoopInit (gamma=0.01)", "20K", "fid", 6.45, None),
    ("coopinit-table12", "eta (T=10)", "0.5", "fid", 6.61, None),
    ("coopinit-table12", "T (eta=1.0)", "15", "fid", 5.95, None),
    ("coopinit-fig7", "StyleGAN2 s=1/1 (gamma=0)", "", "fid", 17.56, None),
    ("coopinit-joint", "joint cooperative + adversarial objective", "", "fid", 35, None),
    ("aw-table3", "SN-GAN", "", "is", 8.18, 0.12),
    ("aw-table3", "aw-SN-GAN", "", "is", 8.31, 0.02),
    ("aw-table3", "AutoGAN", "", "is", 8.54, 0.10),
    ("aw-table3", "aw-AutoGAN", "", "is", 8.90, 0.06),
    ("aw-table3", "aw-SN-GAN", "", "fid", 19.08, None),
    ("aw-table3", "SS-GAN", "", "fid", 21.02, None),
    ("aw-fig5", "DCGAN original loss", "", "logit_real_after", 0.248, None),
    ("aw-fig5", "DCGAN aw-loss", "", "gap_after", 1.413, None),
]


def key(study, row, column=""):
    """The cell_key of one cell."""
    (found,) = [c.config.cell_key for c in STUDIES[study].cells() if (c.row, c.column) == (row, column)]
    return found


def test_all_of_both_papers_is_there():
    coopinit = [f"table{n}" for n in range(1, 13)] + ["fig1", "fig6", "fig7", "fig8", "joint", "was"]
    aw = ["table1", "table2", "table3", "table4", "fig3", "fig4", "fig5", "fig6", "alphas", "normalisation"]
    assert {f"coopinit-{name}" for name in coopinit} | {f"aw-{name}" for name in aw} == set(PAPERS)
    assert "coop-x-aw" in STUDIES


def test_a_published_value_has_one_place():
    places = Counter((line.paper, line.table, line.row, line.column, line.metric) for line in _everything())
    assert len(places) == 167
    assert set(places.values()) == {1}
    assert all(math.isfinite(line.value) for line in _everything())


@pytest.mark.parametrize(("study", "row", "column", "metric", "value", "std"), TYPED)
def test_values_are_the_papers(study, row, column, metric, value, std):
    (line,) = [p for p in published(STUDIES[study].published) if (p.row, p.column, p.metric) == (row, column, metric)]
    assert line.value == value
    assert line.std == std or (std is None and math.isnan(line.std))
    assert line.quoted == ((row, column) not in {(c.row, c.column) for c in STUDIES[study].cells()})


def test_every_published_row_is_of_a_study_or_quoted():
    tables = {f"{line.paper}/{line.table}" for line in _everything()}
    beside = {study.published: study for study in STUDIES.values() if study.published}
    assert tables == set(beside)
    for table, study in beside.items():
        cells = {(cell.row, cell.column) for cell in study.cells()}
        for line in published(table):
            assert line.quoted != ((line.row, line.column) in cells), line


def test_the_data_are_those_of_the_table():
    names = {"folder:ffhq": {"ffhq256"}, "folder:imagenet": {"imagenet32", "imagenet64"}}
    for study in STUDIES.values():
        lines = {(line.row, line.column): line for line in published(study.published)}
        for cell in study.cells():
            if line := lines.get((cell.row, cell.column)):
                dataset = cell.config.dataset.removeprefix("pair:")
                assert line.dataset in names.get(dataset, {dataset})
                assert line.conditional == cell.config.conditional
                assert cell.config.feature_net == "inception"
                assert cell.config.eval_samples == 50_000 or line.table == "table4"  # where test images are few


def test_an_unknown_table_and_none_say_nothing():
    assert published(None) == published("coopinit/table99") == []
    assert published_cells("coopinit/table12")["T (eta=1.0)", "10"] == {"fid": 6.07}


@pytest.mark.parametrize("name", [*PAPERS, "coop-x-aw"])
def test_studies_say_what_they_cost_and_can_be_made_small(name):
    study = STUDIES[name]
    assert "Paper: " in study.note or name == "coop-x-aw"
    assert " hours a run" in study.note or "inutes of " in study.note
    assert len(study.varied(budget=0.01).cells()) == len(study.cells())
    tiny = study.varied(tiny=True)
    assert {cell.config.dataset for cell in tiny.cells()} <= {"digits", "digits_outlines", "ring8"}
    assert all(cell.config.n_images == 2_048 for cell in tiny.cells())
    assert tiny.metrics[0] == study.metrics[0]


@pytest.mark.parametrize(
    "cells",
    [
        # the base and CoopInit of section 5.4, by their lr and gamma
        [
            ("coopinit-table5", "StyleGAN2", "NS"),
            ("coopinit-table7", "StyleGAN2 (gamma=0.00)", "lr=0.0025"),
            ("coopinit-table9", "StyleGAN2", "D scale 1/4"),
            ("coopinit-fig6", "StyleGAN2-NS", "gamma=0.00"),
            ("coopinit-fig7", "StyleGAN2 s=1/4 (gamma=0)"),
            ("coopinit-fig8", "StyleGAN2"),
            ("coopinit-joint", "StyleGAN2"),
        ],
        [
            ("coopinit-table7", "StyleGAN2 + CoopInit (gamma=0.00)", "lr=0.0025"),
            ("coopinit-table8", "StyleGAN2 + CoopInit (gamma=0.00)", "Orig"),
            ("coopinit-table9", "StyleGAN2 + CoopInit", "D scale 1/4"),
            ("coopinit-table12", "eta (T=10)", "1.0"),
            ("coopinit-table12", "T (eta=1.0)", "10"),
            ("coopinit-fig6", "StyleGAN2-NS + CoopInit", "gamma=0.00"),
            ("coopinit-fig7", "StyleGAN2 + CoopInit s=1/4 (gamma=0)"),
            ("coopinit-fig8", "N_coop=0.75M"),
            ("coopinit-joint", "StyleGAN2 + CoopInit"),
            ("stylegan2", "+ CoopInit"),
        ],
        [
            ("coopinit-table5", "StyleGAN2", "NS (R1 gamma=0.01)"),
            ("coopinit-table7", "StyleGAN2 (gamma=0.01)", "lr=0.0030"),
            ("coopinit-table10", "StyleGAN2 (gamma=0.01)", "50K"),
        ],
        [
            ("coopinit-table5", "StyleGAN2 + CoopInit", "NS"),
            ("coopinit-table7", "StyleGAN2 + CoopInit (gamma=0.00)", "lr=0.0030"),
            ("coopinit-table10", "StyleGAN2 + CoopInit (gamma=0.00)", "50K"),
        ],
        [
            ("coopinit-table7", "StyleGAN2 (gamma=0.01)", "lr=0.0025"),
            ("coopinit-table8", "StyleGAN2 (gamma=0.01)", "Orig"),
            ("coopinit-fig6", "StyleGAN2-NS", "gamma=0.01"),
            ("stylegan2", "GAN"),
        ],
        [("coopinit-table5", "StyleGAN2", "Hinge"), ("coopinit-fig6", "StyleGAN2-Hinge", "lr=0.0030")],
        [("coopinit-table5", "StyleGAN2 + CoopInit", "WAS-GP"), ("coopinit-was", "WAS-GP")],
        # all channels
        [
            ("coopinit-table1", "StyleGAN2 w/o ADA (gamma=0.01)", "unconditional"),
            ("coopinit-table6", "R1"),
            ("coopinit-fig7", "StyleGAN2 s=1/1 (gamma=0.01, lazy R1)"),
        ],
        [
            ("coopinit-table1", "StyleGAN2 w/o ADA + CoopInit (gamma=0.00)", "unconditional"),
            ("coopinit-table6", "CoopInit"),
        ],
        [("coopinit-table1", "BigGAN", "conditional"), ("biggan", "GAN"), ("coop-x-aw", "GAN", "BigGAN")],
        # aw-loss
        [("aw-table1", "aw-AutoGAN"), ("aw-fig3", "aw-AutoGAN", "cifar10")],
        [("aw-table2", "AutoGAN"), ("aw-fig3", "AutoGAN", "stl10")],
        [
            ("aw-table1", "aw-SN-GAN"),
            ("aw-alphas", "alpha1=0.5", "alpha2=0.75"),
            ("aw-normalisation", "aw, normalised", "SN-GAN"),
            ("sngan", "+ aw-loss"),
        ],
        [("aw-fig4", "original"), ("aw-fig5", "DCGAN original loss")],
        [("aw-fig6", "GAN"), ("coopinit-fig1", "GAN"), ("ring", "GAN")],
        [("aw-fig6", "aw-GAN"), ("ring", "+ aw-loss")],
    ],
)
def test_cells_that_tables_share_run_once(cells):
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


def test_small_stand_ins_hold_the_default():
    """The middle value of each is the recipe's own run."""
    middle = {"eta": "eta=0.1", "T": "T=10", "ncoop": "N_coop=12800", "alphas": "alpha1=0.5, alpha2=0.75"}
    for name, row in middle.items():
        recipe = "digits_aw" if name == "alphas" else "digits_coop"
        assert key(f"digits-{name}", row) == RECIPES[recipe].cell_key
        assert STUDIES[f"digits-{name}"].seeds == 10


def test_both_methods_crossed_are_the_recipes():
    kinds = {"GAN": "", "+ CoopInit": "_coop", "+ aw-loss": "_aw", "+ both": "_coop_aw"}
    backbones = {"DCGAN": "dcgan", "SN-GAN": "sngan", "AutoGAN": "autogan", "BigGAN": "biggan"}
    for cell in STUDIES["coop-x-aw"].cells():
        name = f"{backbones.get(cell.column, 'stylegan2')}_cifar10{kinds[cell.row]}"
        assert cell.config.cell_key == RECIPES[name].cell_key


def test_section_5_4_is_as_told():
    """25 million images, 100 million with ADA; ADA off in the cooperative stage; R1 at every update; gamma 0 beside
    CoopInit unless there is ADA; N_coop 0.75 million, eta 1, T 10."""
    for name in ("table7", "table8", "table9", "table10", "table11", "table12"):
        for cell in STUDIES[f"coopinit-{name}"].cells():
            config = cell.config
            assert config.n_images == (100_000_000 if config.ada != "off" else 25_000_000)
            assert not config.ada_coop
            assert config.r1_interval == 1
            assert config.loss == "nonsaturating"
            assert config.backbone_options["g_scale"] == 0.25
            assert config.n_coop == (750_000 if "CoopInit" in cell.row or name == "table12" else 0)
            if "gamma" in cell.row:
                assert f"gamma={config.r1_gamma:.2f}" in cell.row
            if name != "table12":
                assert (config.eta, config.langevin_steps) == (1.0, 10)
