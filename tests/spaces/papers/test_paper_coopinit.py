"""CoopInit's studies: their labels and numbers are the paper's, and cells that its tables share are one."""

import math

import pytest

from spaces import CLAIMS, PAPERS, RECIPES, STUDIES, published
from spaces.papers import published_cells

# Typed from the paper's text: study, row, column, metric, value, std.
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
]


def test_all_of_the_paper_is_there():
    names = [f"table{n}" for n in range(1, 13)] + ["fig1", "fig6", "fig7", "fig8", "joint", "was"]
    assert {study.name for study in PAPERS["coopinit"].studies} == {f"coopinit-{name}" for name in names}
    assert [claim.id for claim in CLAIMS.values() if claim.paper == "coopinit"] == [f"C{n}" for n in range(1, 27)]
    assert len(PAPERS["coopinit"].published) == 137


@pytest.mark.parametrize(("study", "row", "column", "metric", "value", "std"), TYPED)
def test_values_are_the_papers(find_value, study, row, column, metric, value, std):
    line = find_value(study, row, column, metric)
    assert line.value == value
    assert line.std == std or (std is None and math.isnan(line.std))
    assert line.quoted == ((row, column) not in {(c.row, c.column) for c in STUDIES[study].cells()})


def test_scores_and_data_are_the_papers():
    paper = PAPERS["coopinit"]
    assert (paper.features, paper.samples) == ("inception", 50_000)
    tables = {"table2": {"ffhq256"}, "table3": {"imagenet32", "imagenet64"}, "table4": {"cat2dog", "horse2zebra"}}
    for table, names in tables.items():
        cells = STUDIES[f"coopinit-{table}"].cells()
        assert {paper.dataset_name(cell.config) for cell in cells} == names
        assert all(cell.config.is_paired == (table == "table4") for cell in cells)
    assert paper.dataset_name(RECIPES["images_gan"].replace(dataset="folder:/my/own")) == "own"


def test_an_unknown_table_and_none_say_nothing():
    assert published(None) == published("coopinit/table99") == []
    assert published_cells("coopinit/table12")["T (eta=1.0)", "10"] == {"fid": 6.07}


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
    ],
)
def test_cells_that_tables_share_run_once(key, cells):
    assert len({key(*cell) for cell in cells}) == 1


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
