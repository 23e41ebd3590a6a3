"""A report from the store alone."""

import shutil

import matplotlib.image
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from reports.curves import curves_data, draw_curves
from reports.figures import legible
from reports.report import write_report
from search.store import Store, load_runs
from spaces import Study

pytestmark = pytest.mark.filterwarnings("ignore")


def test_report_writes_table_and_figures(store, make_runs, tiny_study, tmp_path):
    make_runs(tiny_study)
    shutil.rmtree(store.storage / "trials")  # the store is enough
    text, paths = write_report(tiny_study, Store(storage=store.storage), tmp_path / "out")
    names = {path.name for path in paths}
    assert names == {
        "table.csv",
        "runs.csv",
        "table.tex",
        "table.md",
        "curves.png",
        "curves.pdf",
        "curves.csv",
        "curves-fid.png",
        "curves-fid.pdf",
        "curves-fid.csv",
        "samples.png",
        "samples.pdf",
        "strips.png",
        "strips.pdf",
    }
    assert all(path.stat().st_size > 100 for path in paths)
    runs = load_runs(tiny_study, store=store)
    assert list(pd.read_csv(tmp_path / "out" / "runs.csv")["run_id"]) == list(runs["run_id"])
    picture = matplotlib.image.imread(tmp_path / "out" / "samples.png")
    assert picture[..., :3].std() > 0.02  # not an empty canvas
    assert list(text.cells["n"]) == ["2", "2"]


def test_a_row_that_lacks_a_column_has_a_dash_there(store, make_runs, tiny_points, tmp_path):
    columns = {"x": {}, "y": {"lr": 3e-4}}
    metrics = ("energy_distance_final",)
    study = Study("s", tiny_points, {"a": {}, "b": {"lr": 2e-4}}, columns, seeds=1, metrics=metrics, only={"b": ["x"]})
    make_runs(study)
    text, paths = write_report(study, store, tmp_path / "out")
    assert text.cells.loc["b", "y: energy distance ↓"] == "–"
    assert "–" not in set(text.cells["x: energy distance ↓"])
    assert "not done" not in text.caption
    assert {"curves.png", "samples.png"} <= {path.name for path in paths}


def test_curves_are_means_over_seeds(store, make_runs, tiny_study):
    make_runs(tiny_study)
    runs = load_runs(tiny_study, store=store)
    data = curves_data(runs, tiny_study, store, "energy_distance")
    assert list(data[data["row"] == "GAN"]["images"]) == [0, 256, 512]
    last = data[data["images"] == 512].set_index("row")
    for row, group in runs.groupby("row"):
        assert last.loc[row, "mean"] == pytest.approx(group["energy_distance_final"].mean())
        assert last.loc[row, "n"] == 2
    lines = draw_curves(data, tiny_study, "energy_distance").axes[0].lines
    assert [line.get_label() for line in lines] == ["GAN", "+ aw"]


def test_the_title_of_a_varied_study_keeps_to_its_panel(tiny_study):
    study = tiny_study.variant(settings={"backbone_options": {"width": 8}, "eval_samples": 200, "features": "raw"})
    data = pd.DataFrame({"row": ["GAN"], "column": [""], "images": [0], "mean": [1.0], "std": [0.0], "n": [1]})
    figure = draw_curves(data, study, "energy_distance")
    figure.canvas.draw()
    axis = figure.axes[0]
    assert axis.title.get_text().replace("\n", " ") == study.title
    assert axis.title.get_window_extent().width <= 1.1 * axis.get_window_extent().width
    plt.close(figure)


def test_a_report_of_nothing_is_dashes(store, tiny_study, tmp_path):
    text, paths = write_report(tiny_study, store, tmp_path)
    assert set(text.cells["n"]) == {"0/2"}
    assert {path.suffix for path in paths} == {".csv", ".tex", ".md"}


def test_figures_of_many_cells_show_the_first_and_the_best(tiny_points):
    rows = {str(i): {"lr": 1e-4 * (1 + i)} for i in range(50)}
    study = Study("s", tiny_points, rows, {"a": {}, "b": {"r1_gamma": 0.1}}, metrics=("energy_distance_final",))
    lines = [(row, "a", "done", -float(row)) for row in rows] + [(row, "b", "done", float(row)) for row in rows]
    runs = pd.DataFrame(lines, columns=["row", "column", "state", "energy_distance_final"])
    assert list(legible(runs, study).rows) == ["0", *map(str, range(37, 50))]
    assert legible(runs, study.variant(seeds=1)).columns == study.columns
    small = Study("s", tiny_points, {"0": {}, "1": {"lr": 1e-3}}, metrics=("energy_distance_final",))
    assert legible(runs, small) == small
