"""Which figures a study gets, and what they show of a large one."""

import pytest
from stubs import StubResults, stub_runs

from reports.figures import legible
from reports.report import write_report
from reports.results import Results
from reports.sweeps import sweeps
from spaces import STUDIES, Study

pytestmark = pytest.mark.filterwarnings("ignore:Glyph")


@pytest.mark.parametrize("name", ["coopinit-table7", "coopinit-fig7", "coopinit-fig8", "aw-fig4", "translation"])
def test_the_report_of_nothing_has_published_values_alone(store, tmp_path, name):
    study = STUDIES[name]
    _, paths = write_report(Results(study, store), tmp_path)
    drawn = {path.name for path in paths if path.suffix == ".png"}
    assert drawn == ({"sweep.png"} if study.published and sweeps(study) else set())


def test_what_is_told_at_the_end_alone_has_no_curve(store, make_runs, tiny_images, tmp_path):
    once = tiny_images.replace(eval_every=tiny_images.n_images, probe="off")
    study = Study("once", once, rows={"GAN": {}}, seeds=1, metrics=("fid_final", "gap_after_final"))
    make_runs(study)
    _, paths = write_report(Results(study, store), tmp_path)
    assert "curves" in {path.stem for path in paths}  # before training and after it
    assert "curves-gap_after" not in {path.stem for path in paths}


def test_figures_of_many_cells_show_the_first_and_the_best(tiny_points):
    rows = {str(i): {"lr": 1e-4 * (1 + i)} for i in range(50)}
    study = Study("s", tiny_points, rows, {"a": {}, "b": {"r1_gamma": 0.1}}, metrics=("energy_distance_final",))
    values = {(row, column): [sign * float(row)] for column, sign in (("a", -1), ("b", 1)) for row in rows}
    results = StubResults(study, stub_runs(values, ["energy_distance_final"]))
    part = legible(results)
    assert list(part.study.rows) == ["0", *map(str, range(37, 50))]
    assert part.study.columns == study.columns
    assert set(part.runs["row"]) == set(part.study.rows)
    small = Study("s", tiny_points, {"0": {}, "1": {"lr": 1e-3}}, metrics=("energy_distance_final",))
    assert legible(StubResults(small, results.runs)).study == small
