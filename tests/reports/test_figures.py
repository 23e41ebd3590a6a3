"""Figures by what a study is: data against known answers, and drawings that can be read."""

import math
import shutil

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from reports.angles import PAIRS, angle_data, draw_angles, draw_histograms
from reports.curves import boundaries, draw_curves
from reports.pictures import class_scores, draw_strips, draw_translations, moments, pairs, samples_data
from reports.report import write_report
from reports.style import save
from reports.sweeps import draw_sweeps, sweep_data, sweep_metric, sweeps
from search.store import Store, load_runs
from search.store.queries import pictures
from spaces import STUDIES, Study
from spaces.recipes import RECIPES
from trainers.names import METRICS

pytestmark = pytest.mark.filterwarnings("ignore:Glyph")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def frame(study, values):
    """Done runs of {(row, column): [a value a seed; None: diverged]}, with all metrics alike."""
    lines = []
    for (row, column), seeds in values.items():
        for seed, value in enumerate(seeds):
            held = {"row": row, "column": column, "seed": seed, "state": "diverged" if value is None else "done"}
            held |= {"run_id": f"{row}/{column}/{seed}", "protocol": "p", "data_digest": "d", "features_digest": "f"}
            lines.append({**held, **dict.fromkeys(METRICS, math.nan if value is None else value)})
    columns = ["row", "column", "seed", "state", "run_id", "protocol", "data_digest", "features_digest", *METRICS]
    return pd.DataFrame(lines, columns=columns)


def swept(name):
    return {field: {line.label: list(line.cells) for line in lines} for field, lines in sweeps(STUDIES[name]).items()}


def test_what_a_study_sweeps_is_read_from_its_configs():
    assert swept("coopinit-table7") == {
        "lr": {
            f"{row} (gamma={gamma})": [0.002, 0.0025, 0.003]
            for row in ("StyleGAN2", "StyleGAN2 + CoopInit")
            for gamma in ("0.00", "0.01")
        }
    }
    assert swept("coopinit-table12") == {
        "eta": {"eta (T=10)": [0.5, 1.0, 5.0]},  # the cell of both rows is on both lines
        "langevin_steps": {"T (eta=1.0)": [5, 10, 15]},
    }
    assert swept("coopinit-table10")["n_train"]["StyleGAN2 (gamma=0.01)"] == [10_000, 20_000, 50_000]  # all of them
    assert swept("aw-alphas")["aw_alpha2"]["alpha1=0.75"] == [0.75, 0.95]


def test_two_fields_that_move_as_one_are_one_and_what_fits_no_line_is_a_reference():
    lines = swept("coopinit-fig7")["g_scale = d_scale"]
    assert lines["StyleGAN2 + CoopInit (gamma=0)"] == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]
    assert math.isnan(lines["StyleGAN2 s=1/1 (gamma=0.01, lazy R1)"][0])
    assert len(lines) == 3
    lines = swept("coopinit-fig8")["n_coop"]
    assert lines["n_coop"] == [250_000, 750_000, 1_500_000, 3_000_000]
    assert list(lines) == ["n_coop", "StyleGAN2"]


@pytest.mark.parametrize("name", ["quick", "ring", "aw-fig4", "translation", "coopinit-table1", "coopinit-joint"])
def test_methods_are_no_sweep(name):
    assert not sweeps(STUDIES[name])


def test_a_point_of_a_sweep_is_the_mean_over_seeds_beside_what_is_published(tmp_path):
    study = STUDIES["coopinit-table12"]
    assert sweep_metric(study) == "fid_best"  # what the paper has
    runs = frame(study, {("eta (T=10)", "0.5"): [4.0, 6.0, None]})
    data = sweep_data(runs, study, "fid_best").set_index(["field", "x"])
    point = data.loc["eta", 0.5]
    assert (point["mean"], point["n"], point["diverged"]) == (5, 2, 1)
    assert point["std"] == pytest.approx(math.sqrt(2))
    assert point["published"] == 6.61  # by hand, from table 12
    assert math.isnan(data.loc[("langevin_steps", 5.0), "mean"])  # not run
    figure = draw_sweeps(data.reset_index(), "fid_best")
    assert [axis.get_xlabel() for axis in figure.axes] == ["eta", "langevin_steps"]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["eta (T=10) (n = 0 to 2, 1 diverged)", "published, hollow", "T (eta=1.0) (published alone)"]
    assert all(path.stat().st_size > 1_000 for path in save(figure, tmp_path / "sweep"))


def test_a_sweep_of_nothing_has_no_points():
    assert sweep_data(frame(STUDIES["aw-alphas"], {}), STUDIES["aw-alphas"], "fid_final").empty


@pytest.mark.parametrize("name", ["coopinit-table7", "coopinit-fig7", "coopinit-fig8", "aw-fig4", "translation"])
def test_the_report_of_nothing_has_published_values_alone(store, tmp_path, name):
    study = STUDIES[name]
    _, paths = write_report(study, store, tmp_path)
    drawn = {path.name for path in paths if path.suffix == ".png"}
    assert drawn == ({"sweep.png"} if study.published and sweeps(study) else set())


def curves_of(study):
    """A curve of each cell that falls from 100 to 1."""
    points = [
        (cell.row, cell.column, n, 1 + 99 * math.exp(-n / 500_000), 0.1, 2)
        for cell in study.cells()
        for n in range(0, cell.config.n_images + 1, cell.config.eval_every)
    ]
    return pd.DataFrame(points, columns=["row", "column", "images", "mean", "std", "n"])


def test_curves_show_where_the_stages_change():
    study = STUDIES["coopinit-fig8"]
    ends = boundaries(study)
    assert [end for _, end in sorted(ends.items())] == [250_000, 750_000, 1_500_000, 3_000_000]
    assert ("StyleGAN2", "") not in ends
    axis = draw_curves(curves_of(study), study, "fid").axes[0]
    drawn = [lines.get_segments()[0][0][0] for lines in axis.collections if hasattr(lines, "get_segments")]
    assert sorted(drawn) == sorted(ends.values())
    (small,) = axis.child_axes  # the inset
    assert small.get_xlim()[1] < 2.2 * 3_000_000
    assert not boundaries(STUDIES["aw-fig3"])


def test_an_inset_covers_no_curve():
    study = STUDIES["coopinit-fig8"]
    rising = curves_of(study).assign(mean=lambda data: 102 - data["mean"])
    assert not draw_curves(rising, study, "fid").axes[0].child_axes
    assert draw_curves(rising, study, "inception_score").axes[0].child_axes


def test_a_long_cooperative_stage_needs_no_inset():
    study = STUDIES["quick"]  # an eighth of the run, and two evaluations
    assert not draw_curves(curves_of(study), study, "fid").axes[0].child_axes


def test_moments_of_a_strip_are_evaluations():
    study = STUDIES["coopinit-fig1"]
    every = 512_000
    steps = [step / every for step in moments(study)]
    assert steps == [0, 1, 5, 10, 15, 20, 25]  # 1 is the last one of the cooperative stage


def test_a_strip_shows_each_method_over_its_stages(store, make_runs, tiny_points, tmp_path):
    rows = {"GAN": {}, "+ CoopInit": {"n_coop": 256}}
    study = Study("s", tiny_points, rows, seeds=1, metrics=("energy_distance_final",))
    make_runs(study)
    shutil.rmtree(store.storage / "trials")  # the store is enough
    again = Store(storage=store.storage)
    pictures = samples_data(load_runs(study, store=again), study, again, tmp_path, moments(study))
    assert {cell: list(grids) for cell, grids in pictures.items()} == {(row, ""): [0, 256, 512] for row in rows}
    figure = draw_strips(pictures, study)
    shown = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in shown[:3]] == ["0", "256", "512"]
    thick = [axis.spines["left"].get_linewidth() > 1 for axis in shown]
    assert thick == [False] * 3 + [False, True, False]  # 256 is the end of the cooperative stage
    assert "frame" in figure.texts[0].get_text()
    ends = {cell: {step: grids[step] for step in (0, 512)} for cell, grids in pictures.items()}
    assert "frame" not in draw_strips(ends, study).texts[0].get_text()  # none is drawn


def test_a_strip_of_the_joint_objective_has_no_cooperative_stage(tiny_points, tmp_path):
    rows = {"GAN": {}, "joint": {"n_coop": 300, "coop": "joint"}}
    study = Study("s", tiny_points.replace(n_images=5_120), rows, seeds=1, metrics=("energy_distance_final",))
    assert moments(study) == [0, 1024, 2048, 3072, 4096, 5120]  # and not 256, the last evaluation below n_coop
    matplotlib.image.imsave(tmp_path / "grid.png", np.zeros((4, 4, 3)))
    figure = draw_strips({(row, ""): {0: tmp_path / "grid.png", 256: tmp_path / "grid.png"} for row in rows}, study)
    assert not any(axis.spines["left"].get_linewidth() > 1 for axis in figure.axes)
    assert "frame" not in figure.texts[0].get_text()


def test_strips_show_the_scores_of_each_mode(store, make_runs, tiny_points, tmp_path):
    study = Study("s", tiny_points, {"GAN": {}}, seeds=2, metrics=("energy_distance_final",))
    make_runs(study)
    runs = load_runs(study, store=store)
    scores = class_scores(runs, study, store)
    first = runs[runs["seed"] == 0].iloc[0]
    assert list(scores) == [("GAN", "")]
    assert list(scores["GAN", ""]) == [0, 256, 512]
    assert min(scores["GAN", ""][512]) == first["class_logit_min_final"]
    pictures = samples_data(runs, study, store, tmp_path, moments(study))
    figure = draw_strips(pictures, study, scores)
    heights = [[bar.get_height() for bar in axis.patches] for axis in figure.axes if axis.patches]
    assert heights == [scores["GAN", ""][images] for images in (256, 512)]


def test_the_last_grid_is_the_default(store, make_runs, tiny_study, tmp_path):
    make_runs(tiny_study, seeds=1)
    run_id = load_runs(tiny_study, store=store)["run_id"][0]
    assert list(pictures(store, run_id, tmp_path)) == [512]
    assert list(pictures(store, run_id, tmp_path, [0, 100, 200, 300])) == [0, 256]


def test_sources_stand_beside_their_translations(store, make_runs, tmp_path):
    config = RECIPES["cut_digits"].tiny().replace(n_images=64, eval_every=64, eval_samples=20)
    study = Study("s", config, {"CUT": {}, "CUT + CoopInit": {"n_coop": 32}}, seeds=1)
    make_runs(study)
    pictures = samples_data(load_runs(study, store=store), study, store, tmp_path)
    found = {}
    for (row, _), grids in pictures.items():
        found[row] = pairs(matplotlib.image.imread(max(grids.items())[1])[..., :3])
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
    _, paths = write_report(study, store, tmp_path / "out")
    assert {path.stem for path in paths if path.suffix == ".png"} == {"curves", "translations"}


class Angles:
    """A store of one value a run and key."""

    def __init__(self, held):
        self.held = held

    def histories(self, run_ids, key):
        return {run: [(0, 0, 0.0), (0, 9, self.held[run][key])] if key in self.held[run] else [] for run in run_ids}


def test_angles_are_shares_over_seeds():
    study = STUDIES["aw-fig4"]
    runs = frame(study, {("original", ""): [1.0, 1.0], ("aw-loss", ""): [1.0]})
    cases = {f"aw_case_{case}": 0.2 for case in range(1, 6)}
    held = {
        "original//0": {"real_fake_obtuse": 0.9, "step_real_obtuse": 0.5, "step_fake_obtuse": 0.1},
        "original//1": {"real_fake_obtuse": 1.0, "step_real_obtuse": 0.5, "step_fake_obtuse": 0.1},
        "aw-loss//0": {"real_fake_obtuse": 0.8, "step_real_obtuse": 0.0, "step_fake_obtuse": 0.0, **cases},
    }
    data = angle_data(runs, study, Angles(held)).set_index(["cell", "key"])
    assert data.loc[("original", "real_fake_obtuse"), "mean"] == pytest.approx(0.95)
    assert data.loc[("original", "real_fake_obtuse"), "n"] == 2
    assert data.loc[("aw-loss", "aw_case_3"), "mean"] == 0.2
    figure = draw_angles(data.reset_index())
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["original (n = 2)", "aw-loss (n = 1)"]


def test_histograms_of_angles_keep_their_places():
    study = STUDIES["aw-fig4"]
    places = {f"angle_{pair}_{degrees:03d}": 0.0 for pair in PAIRS for degrees in range(0, 181, 10)}
    held = {"original//0": {"real_fake_obtuse": 1.0, **places, "angle_step_real_120": 1.0}}
    figure = draw_histograms(angle_data(frame(study, {("original", ""): [1.0]}), study, Angles(held)))
    peaks = {axis.get_title(): axis.lines[0].get_xydata().tolist() for axis in figure.axes}
    assert [point for point in peaks["step, real"] if point[1]] == [[120, 1]]
    assert not any(share for _, share in peaks["step, fake"])


def test_without_angles_there_is_no_figure_of_them():
    runs = frame(STUDIES["aw-fig4"], {("original", ""): [1.0]})
    assert angle_data(runs, STUDIES["aw-fig4"], Angles({"original//0": {}})).empty


def test_what_is_told_at_the_end_alone_has_no_curve(store, make_runs, tiny_images, tmp_path):
    once = tiny_images.replace(eval_every=tiny_images.n_images, probe="off")
    study = Study("once", once, rows={"GAN": {}}, seeds=1, metrics=("fid_final", "gap_after_final"))
    make_runs(study)
    _, paths = write_report(study, store, tmp_path)
    assert "curves" in {path.stem for path in paths}  # before training and after it
    assert "curves-gap_after" not in {path.stem for path in paths}
