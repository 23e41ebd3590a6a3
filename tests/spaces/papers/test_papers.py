"""What holds of every paper, and of the studies that cross them."""

import math
from collections import Counter

import pytest

from spaces import CLAIMS, PAPERS, RECIPES, STUDIES, published
from spaces.papers import find_paper
from trainers.names import METRICS

PAPERS_STUDIES = [study.name for paper in PAPERS.values() for study in paper.studies]


def test_papers_stand_newest_first():
    assert [name for name in PAPERS if name in ("aw-loss", "coopinit")] == ["coopinit", "aw-loss"]
    assert [paper.year for paper in PAPERS.values()] == sorted((paper.year for paper in PAPERS.values()), reverse=True)
    assert list(CLAIMS) == [claim.id for paper in PAPERS.values() for claim in paper.claims]


def test_names_are_used_once():
    """A study or claim of one paper would take the place of another's."""
    counts = Counter(PAPERS_STUDIES)
    counts.update(claim.id for paper in PAPERS.values() for claim in paper.claims)
    assert set(counts.values()) == {1}
    for paper in PAPERS.values():
        assert all(STUDIES[study.name] is study for study in paper.studies)
        assert all(CLAIMS[claim.id].paper == paper.name for claim in paper.claims)


@pytest.mark.parametrize("paper", PAPERS.values(), ids=PAPERS)
def test_a_published_value_has_one_place(paper):
    places = Counter((line.table, line.row, line.column, line.metric) for line in paper.published)
    assert set(places.values()) == {1}
    assert all(math.isfinite(line.value) for line in paper.published)
    assert {line.metric for line in paper.published} <= set(paper.metrics)
    assert set(paper.metrics.values()) <= set(METRICS)


@pytest.mark.parametrize("paper", PAPERS.values(), ids=PAPERS)
def test_every_published_row_is_of_a_study_or_quoted(paper):
    beside = {study.published: study for study in STUDIES.values() if find_paper(study.published) is paper}
    assert {f"{paper.name}/{line.table}" for line in paper.published} == set(beside)
    for table, study in beside.items():
        cells = {(cell.row, cell.column) for cell in study.cells()}
        for line in published(table):
            assert line.quoted != ((line.row, line.column) in cells), line


@pytest.mark.parametrize("paper", PAPERS.values(), ids=PAPERS)
def test_the_data_and_scores_are_those_of_the_table(paper):
    for study in paper.studies:
        lines = {(line.row, line.column): line for line in published(study.published)}
        for cell in study.cells():
            if line := lines.get((cell.row, cell.column)):
                assert line.dataset == paper.dataset_name(cell.config)
                assert line.conditional == cell.config.conditional
                assert cell.config.feature_net == paper.features
                assert cell.config.eval_samples == paper.samples or cell.config.is_paired  # where test images are few


@pytest.mark.parametrize("name", [*PAPERS_STUDIES, "coop-x-aw"])
def test_studies_say_what_they_cost_and_can_be_made_small(name):
    study = STUDIES[name]
    assert "Paper: " in study.note or name == "coop-x-aw"
    assert " hours a run" in study.note or "inutes of " in study.note
    assert len(study.variant(budget=0.01).cells()) == len(study.cells())
    tiny = study.variant(tiny=True)
    assert {cell.config.dataset for cell in tiny.cells()} <= {"digits", "digits_outlines", "ring8"}
    assert all(cell.config.n_images == 2_048 for cell in tiny.cells())
    assert tiny.metrics[0] == study.metrics[0]


def test_cells_that_papers_share_run_once(key):
    cells = [("aw-fig6", "GAN"), ("coopinit-fig1", "GAN"), ("ring", "GAN")]
    assert len({key(*cell) for cell in cells}) == 1


def test_small_stand_ins_hold_the_default(key):
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
