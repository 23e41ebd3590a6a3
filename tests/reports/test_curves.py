"""Learning curves: means over seeds, and where the stages change."""

import math

import pandas as pd
import pytest

from reports.curves import boundaries, curves_data, draw_curves
from reports.results import Results
from spaces import STUDIES

pytestmark = pytest.mark.filterwarnings("ignore")


def test_curves_are_means_over_seeds(store, make_runs, tiny_study):
    make_runs(tiny_study)
    results = Results(tiny_study, store)
    data = curves_data(results, "energy_distance")
    assert list(data[data["row"] == "GAN"]["images"]) == [0, 256, 512]
    last = data[data["images"] == 512].set_index("row")
    for row, group in results.runs.groupby("row"):
        assert last.loc[row, "mean"] == pytest.approx(group["energy_distance_final"].mean())
        assert last.loc[row, "n"] == 2
    lines = draw_curves(data, tiny_study, "energy_distance").axes[0].lines
    assert [line.get_label() for line in lines] == ["GAN", "+ aw"]


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


def test_the_title_of_a_varied_study_keeps_to_its_panel(tiny_study):
    study = tiny_study.variant(settings={"backbone_options": {"width": 8}, "eval_samples": 200, "features": "raw"})
    data = pd.DataFrame({"row": ["GAN"], "column": [""], "images": [0], "mean": [1.0], "std": [0.0], "n": [1]})
    figure = draw_curves(data, study, "energy_distance")
    figure.canvas.draw()
    axis = figure.axes[0]
    assert axis.title.get_text().replace("\n", " ") == study.title
    assert axis.title.get_window_extent().width <= 1.1 * axis.get_window_extent().width
