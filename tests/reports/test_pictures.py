"""Samples over training, scores of modes, translations."""

import shutil

import matplotlib.image
import numpy as np
import pytest

from reports.pictures import class_scores, draw_strips, draw_translations, split_pairs, strip_steps
from reports.report import write_report
from reports.results import Results
from search.store import Store, load_runs
from search.store.queries import pictures
from spaces import STUDIES, Study
from spaces.recipes import RECIPES

pytestmark = pytest.mark.filterwarnings("ignore:Glyph")


def test_moments_of_a_strip_are_evaluations():
    study = STUDIES["coopinit-fig1"]
    every = 512_000
    steps = [step / every for step in strip_steps(study)]
    assert steps == [0, 1, 5, 10, 15, 20, 25]  # 1 is the last one of the cooperative stage


def test_a_strip_shows_each_method_over_its_stages(store, make_runs, tiny_points, tmp_path):
    rows = {"GAN": {}, "+ CoopInit": {"n_coop": 256}}
    study = Study("s", tiny_points, rows, seeds=1, metrics=("energy_distance_final",))
    make_runs(study)
    shutil.rmtree(store.storage / "trials")  # the store is enough
    pictures = Results(study, Store(storage=store.storage)).pictures(tmp_path, strip_steps(study))
    assert {cell: list(grids) for cell, grids in pictures.items()} == {(row, ""): [0, 256, 512] for row in rows}
    figure = draw_strips(pictures, study)
    shown = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in shown[:3]] == ["0", "256", "512"]
    thick = [axis.spines["left"].get_linewidth() > 1 for axis in shown]
    assert thick == [False] * 3 + [False, True, False]  # 256 is the end of the cooperative stage
    assert "frame" in figure.texts[0].get_text()
    ends = {cell: {step: grids[step] for step in (0, 512)} for cell, grids in pictures.items()}
    assert "frame" not in draw_strips(ends, study).texts[0].get_text()  # none is drawn


def test_strips_show_the_scores_of_each_mode(store, make_runs, tiny_points, tmp_path):
    study = Study("s", tiny_points, {"GAN": {}}, seeds=2, metrics=("energy_distance_final",))
    make_runs(study)
    results = Results(study, store)
    scores = class_scores(results)
    first = results.runs[results.runs["seed"] == 0].iloc[0]
    assert list(scores) == [("GAN", "")]
    assert list(scores["GAN", ""]) == [0, 256, 512]
    assert min(scores["GAN", ""][512]) == first["class_logit_min_final"]
    pictures = results.pictures(tmp_path, strip_steps(study))
    figure = draw_strips(pictures, study, scores)
    heights = [[bar.get_height() for bar in axis.patches] for axis in figure.axes if axis.patches]
    assert heights == [scores["GAN", ""][images] for images in (256, 512)]


def test_the_last_grid_is_the_default(store, make_runs, tiny_study, tmp_path):
    make_runs(tiny_study, seeds=1)
    run_id = load_runs(tiny_study, store=store)["run_id"][0]
    assert list(pictures(store, run_id, tmp_path)) == [512]
    assert list(pictures(store, run_id, tmp_path, [0, 100, 200, 300])) == [0, 256]


@pytest.mark.long
def test_sources_stand_beside_their_translations(store, make_runs, tmp_path):
    config = RECIPES["cut_digits"].tiny().replace(n_images=64, eval_every=64, eval_samples=20)
    study = Study("s", config, {"CUT": {}, "CUT + CoopInit": {"n_coop": 32}}, seeds=1)
    make_runs(study)
    results = Results(study, store)
    pictures = results.pictures(tmp_path)
    found = {}
    for (row, _), grids in pictures.items():
        found[row] = split_pairs(matplotlib.image.imread(max(grids.items())[1])[..., :3])
    sources, translations = found["CUT"]
    assert sources.shape == translations.shape == (32, 16, 16, 3)
    assert np.array_equal(sources, found["CUT + CoopInit"][0])  # the same images for all rows
    assert not np.array_equal(translations, found["CUT + CoopInit"][1])
    from trainers.data.digits import digits_outlines

    data = digits_outlines()
    expected = data.pair.test_sources.scaled([0])[0, 0] / 2 + 0.5
    assert np.allclose(sources[0, ..., 0], expected, atol=1 / 255)
    figure = draw_translations(pictures, study)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["source", "CUT", "CUT + CoopInit"]
    _, paths = write_report(results, tmp_path / "out")
    assert {path.stem for path in paths if path.suffix == ".png"} == {"curves", "translations"}


def test_a_strip_of_the_joint_objective_has_no_cooperative_stage(tiny_points, tmp_path):
    rows = {"GAN": {}, "joint": {"n_coop": 300, "coop": "joint"}}
    study = Study("s", tiny_points.replace(n_images=5_120), rows, seeds=1, metrics=("energy_distance_final",))
    assert strip_steps(study) == [0, 1024, 2048, 3072, 4096, 5120]  # and not 256, the last evaluation below n_coop
    matplotlib.image.imsave(tmp_path / "grid.png", np.zeros((4, 4, 3)))
    figure = draw_strips({(row, ""): {0: tmp_path / "grid.png", 256: tmp_path / "grid.png"} for row in rows}, study)
    assert not any(axis.spines["left"].get_linewidth() > 1 for axis in figure.axes)
    assert "frame" not in figure.texts[0].get_text()
