"""Studies of each kind from plan to figures, as `run --tiny` and `report --tiny` make them."""

import math
import shutil

import pandas as pd
import pytest
from tuned import without_ray

from reports.report import write_report
from reports.results import Results
from search.plan import make_plan
from search.run import run_study
from search.store import Store
from spaces import STUDIES, Study
from trainers.config import Config

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.xdist_group("tiny")]  # by one worker: what is swept
KINDS = {  # by what they are of, and what is drawn of them
    "aw-fig6": {"curves", "samples", "strips"},  # 2-D points and D's logits of their modes
    "aw-fig4": {"angles", "angle-histograms"},  # a probe of every step
    "aw-table3": {"curves", "samples"},  # two backbones, quoted rows
    "digits-T": {"curves", "samples", "sweep"},  # a field swept
    "translation": {"curves", "translations"},  # unpaired images
}


def tiny(study):
    """One seed a cell."""
    return study.variant(tiny=True, seeds=1)


@pytest.fixture(scope="module")
def few_images():
    """Two steps of 32, in this process: no number is looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainers.config.TINY_IMAGES", 64)
        without_ray(patch)
        yield


@pytest.fixture(scope="module")
def swept(few_images, tmp_path_factory, empty_database):
    """A store in which one study made the cells of all these."""
    cells = [cell for name in KINDS for cell in tiny(STUDIES[name]).cells()]
    base = Config()
    columns = {  # each holds one protocol
        f"{number}": {field: value for field, value in cell.config if value != getattr(base, field)}
        for number, cell in enumerate(cells)
    }
    store = Store(storage=tmp_path_factory.mktemp("runs"))
    shutil.copy(empty_database, store.storage)
    states = run_study(Study("all", base, {"": {}}, columns, seeds=1, metrics=("fid_final",)), store)
    assert list(states.values()) == ["done"] * len({cell.config.cell_key for cell in cells})
    return store


def made(study, store, folder):
    """Run and report a study; the table and what was drawn."""
    states = run_study(study, store)
    assert set(states.values()) <= {"done"}
    assert not make_plan(study, store).missing
    text, paths = write_report(Results(study, store), folder)
    labels = {"row": str, "column": str}
    table = pd.read_csv(folder / "table.csv", dtype=labels, keep_default_na=False, na_values={"run_ids": ""})
    table = table.set_index(["row", "column"])
    for cell in study.cells():
        for metric in study.metrics:
            if metric.endswith("_late"):  # of whose evaluations a tiny run has too few
                continue
            assert table.loc[(cell.row, cell.column), f"{metric}_n"] == 1, (cell.label, metric)
            assert math.isfinite(float(table.loc[(cell.row, cell.column), f"{metric}_mean"])), (cell.label, metric)
    assert len(text.cells) == len(table.index.unique(0))
    return table, {path.stem for path in paths if path.suffix == ".png"}


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_every_study_has_a_tiny_variant_that_runs(store, tmp_path):
    """Cells that studies share are made once."""
    for study in STUDIES.values():
        made(tiny(study), store, tmp_path / study.name)


@pytest.mark.parametrize("name", KINDS)
def test_a_tiny_study_from_plan_to_figures(swept, tmp_path, name):
    study = tiny(STUDIES[name])
    table, drawn = made(study, swept, tmp_path / "out")
    assert KINDS[name] <= drawn
    assert table["run_ids"].notna().sum() == len(study.cells())
