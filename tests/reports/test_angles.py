"""Shares of angles and cases: data against known answers, and drawings of them."""

import pytest
from stubs import StubResults, stub_runs

from reports.angles import PAIRS, angle_data, draw_angles, draw_histograms
from spaces import STUDIES

pytestmark = pytest.mark.filterwarnings("ignore:Glyph")


def angles(values, held):
    """Results of the angle study with these runs, and {run_id: {key: value at the end}}."""
    runs = stub_runs(values, ["real_fake_obtuse_final"])
    series = {(run, key): [(0, 0.0), (9, value)] for run, keys in held.items() for key, value in keys.items()}
    return StubResults(STUDIES["aw-fig4"], runs, series)


def test_angles_are_shares_over_seeds():
    cases = {f"aw_case_{case}": 0.2 for case in range(1, 6)}
    held = {
        "original//0": {"real_fake_obtuse": 0.9, "step_real_obtuse": 0.5, "step_fake_obtuse": 0.1},
        "original//1": {"real_fake_obtuse": 1.0, "step_real_obtuse": 0.5, "step_fake_obtuse": 0.1},
        "aw-loss//0": {"real_fake_obtuse": 0.8, "step_real_obtuse": 0.0, "step_fake_obtuse": 0.0, **cases},
    }
    data = angle_data(angles({"original": [1.0, 1.0], "aw-loss": [1.0]}, held)).set_index(["cell", "key"])
    assert data.loc[("original", "real_fake_obtuse"), "mean"] == pytest.approx(0.95)
    assert data.loc[("original", "real_fake_obtuse"), "n"] == 2
    assert data.loc[("aw-loss", "aw_case_3"), "mean"] == 0.2
    figure = draw_angles(data.reset_index())
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["original (n = 2)", "aw-loss (n = 1)"]


def test_histograms_of_angles_keep_their_places():
    places = {f"angle_{pair}_{degrees:03d}": 0.0 for pair in PAIRS for degrees in range(0, 181, 10)}
    held = {"original//0": {"real_fake_obtuse": 1.0, **places, "angle_step_real_120": 1.0}}
    figure = draw_histograms(angle_data(angles({"original": [1.0]}, held)))
    peaks = {axis.get_title(): axis.lines[0].get_xydata().tolist() for axis in figure.axes}
    assert [point for point in peaks["step, real"] if point[1]] == [[120, 1]]
    assert not any(share for _, share in peaks["step, fake"])


def test_without_angles_there_is_no_figure_of_them():
    assert angle_data(angles({"original": [1.0]}, {})).empty
