"""Studies of each kind from plan to figures, as `run --tiny` and `report --tiny` make them, on one small cluster."""

import math

import pandas as pd
import pytest

from reports.report import write_report
from reports.results import Results
from search.plan import make_plan
from spaces import STUDIES

pytestmark = pytest.mark.filterwarnings("ignore")
KINDS = {  # by what they are of, and what is drawn of them
    "aw-fig6": {"curves", "samples", "strips"},  # 2-D points and D's logits of their modes
    "aw-fig4": {"angles", "angle-histograms"},  # a probe of every step
    "aw-table3": {"curves", "samples"},  # two backbones, quoted rows
    "digits-T": {"curves", "samples", "sweep"},  # a field swept
    "coopinit-joint": {"curves", "samples"},  # both objectives at once
    "translation": {"curves", "translations"},  # unpaired images
}


@pytest.fixture(scope="module", autouse=True)
def cluster():
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def made(study, store, folder):
    """Run and report a study, one seed a cell; the table and what was drawn."""
    from search.run import run_study

    study = study.variant(tiny=True, seeds=1)
    states = run_study(study, store)
    assert set(states.values()) <= {"done"}
    assert not make_plan(study, store).missing
    text, paths = write_report(Results(study, store), folder)
    labels = {"row": str, "column": str}
    table = pd.read_csv(folder / "table.csv", dtype=labels, keep_default_na=False, na_values={"run_ids": ""})
    table = table.set_index(["row", "column"])
    for cell in study.cells():
        for metric in study.metrics:
            assert table.loc[(cell.row, cell.column), f"{metric}_n"] == 1, (cell.label, metric)
            assert math.isfinite(float(table.loc[(cell.row, cell.column), f"{metric}_mean"])), (cell.label, metric)
    assert len(text.cells) == len(table.index.unique(0))
    return table, {path.stem for path in paths if path.suffix == ".png"}


@pytest.mark.parametrize("name", KINDS)
def test_a_tiny_study_from_plan_to_figures(store, tmp_path, name):
    table, drawn = made(STUDIES[name], store, tmp_path / "out")
    assert KINDS[name] <= drawn
    assert table["run_ids"].notna().sum() == len(STUDIES[name].cells())


@pytest.mark.slow
def test_every_study_has_a_tiny_variant_that_runs(store, tmp_path):
    """Cells that studies share are made once."""
    for study in STUDIES.values():
        made(study, store, tmp_path / study.name)
