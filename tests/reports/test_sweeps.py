"""A metric against a swept number: what is swept, and the points drawn."""

import math

import pytest
from stubs import StubResults, stub_runs

from reports.style import save
from reports.sweeps import draw_sweeps, sweep_data, sweep_metric, sweeps
from spaces import STUDIES

pytestmark = pytest.mark.filterwarnings("ignore:Glyph")


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
    runs = stub_runs({("eta (T=10)", "0.5"): [4.0, 6.0, None]}, ["fid_best"])
    results = StubResults(STUDIES["coopinit-table12"], runs)
    assert sweep_metric(results) == "fid_best"  # what the paper has
    data = sweep_data(results, "fid_best").set_index(["field", "x"])
    point = data.loc["eta", 0.5]
    assert (point["mean"], point["n"], point["lost"]) == (5, 2, 1)
    assert point["std"] == pytest.approx(math.sqrt(2))
    assert point["published"] == 6.61  # by hand, from table 12
    assert math.isnan(data.loc[("langevin_steps", 5.0), "mean"])  # not run
    figure = draw_sweeps(data.reset_index(), "fid_best")
    assert [axis.get_xlabel() for axis in figure.axes] == ["eta", "langevin_steps"]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["eta (T=10) (n = 0 to 2, 1 lost)", "published, hollow", "T (eta=1.0) (published alone)"]
    assert all(path.stat().st_size > 1_000 for path in save(figure, tmp_path / "sweep"))


def test_a_sweep_of_nothing_has_no_points():
    assert sweep_data(StubResults(STUDIES["aw-alphas"], stub_runs({})), "fid_final").empty
