"""`import ganablate as ga` does what the command does, and what docs/api.md says."""

import base64
import dataclasses
import inspect
import io
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import PIL.Image
import pytest
import torch
from typer.testing import CliRunner

import ganablate as ga
from ganablate import api
from ganablate.api import Run, Table
from ganablate.command import app
from reports.results import Results
from reports.table import as_text
from search.store import load_runs
from spaces import STUDIES
from trainers.run_folder import read_evaluations, read_run
from trainers.score_request import ScoreRequest
from trainers.scoring import score

DOCS = (Path(__file__).parent.parent / "docs" / "api.md").read_text()


@pytest.fixture
def made(store, make_runs, tiny_study, none_lost):
    make_runs(tiny_study)
    return tiny_study, {"storage": store.storage}, store


def test_one_name_has_all_of_it_and_imports_nothing_heavy():
    assert set(api.__dict__) >= set(ga.API)
    assert sorted(dir(ga)) == sorted(ga.__all__)
    for name in ga.__all__:
        assert inspect.getdoc(getattr(ga, name)), name
    for name in ("load_run", "load_generator", "load_runs", "load_curves", "table", "score", "run"):
        assert "Raises" in inspect.getdoc(getattr(ga, name)) or "Empty" in inspect.getdoc(getattr(ga, name)), name
    told = inspect.getdoc(ga.load_generator)
    assert all(word in told for word in ("[n, C, H, W] in [-1, 1]", "[n] int64", "Raises ValueError"))


def test_runs_curves_and_table_are_those_of_the_command(made):
    study, where, store = made
    pd.testing.assert_frame_equal(ga.load_runs(study, **where), load_runs(study, store=store))
    curves = ga.load_curves(study, **where)
    first = curves[curves["run_id"] == curves["run_id"][0]]
    rows = read_evaluations(store.folder(first["run_id"].iloc[0]))
    assert list(first["images"]) == [row["images"] for row in rows]
    assert list(first["value"]) == [row["energy_distance"] for row in rows]
    assert list(ga.load_curves(study, "loss_real", **where)["images"].unique()) == [256, 512]  # none before a step
    assert ga.load_curves(study, "no such key", **where).empty
    table = ga.table(study, **where)
    assert isinstance(table, Table)
    text = as_text(Results(study, store))
    assert table.text.cells.equals(text.cells)
    assert "energy distance" in str(table)
    assert list(table.frame["row"]) == ["GAN", "+ aw"]
    assert text.cells.iloc[0, 0] in table._repr_html_()


def test_runs_of_other_code_are_read_alike(tmp_path):
    lines = [f"{row},{seed},{3 * (row == 'plain') + seed}" for row in ("plain", "ours") for seed in (7, 8, 9)]
    (tmp_path / "made.csv").write_text("row,seed,err\n" + "\n".join(lines) + "\n")
    where = {"storage": str(tmp_path / "runs")}
    asked = [
        "import",
        f"csv:{tmp_path / 'made.csv'}",
        "--study",
        "bench",
        "--metric",
        "err:lower:difference",
        "--paired",
    ]
    done = CliRunner().invoke(app, [*asked, "--storage", where["storage"]])
    assert done.exit_code == 0, done.output
    table = ga.table("bench", **where)
    assert list(table.frame["row"]) == ["plain", "ours"]
    assert table.frame["err_mean"].tolist() == [11, 8]
    assert "plain" in str(table)
    assert list(ga.load_runs("bench", **where)["seed"]) == [7, 8, 9] * 2
    with pytest.raises(ValueError, match="made elsewhere"):
        ga.load_runs("bench", seeds=2, **where)


def test_a_label_that_looks_like_html_stays_a_label(store, make_runs, tiny_study, none_lost):
    study = dataclasses.replace(tiny_study, rows={"GAN": {}, "<script>": {"aw": "normalized"}})
    make_runs(study)
    shown = ga.table(study, storage=store.storage)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_a_run_shows_its_grid_and_gives_its_generator(made):
    study, where, _ = made
    run = ga.load_run(study, "+ aw", seed=1, **where)
    assert isinstance(run, Run)
    assert run.config == study.cells()[1].config.replace(seed=1)
    assert list(run.evaluations["images"]) == [0, 256, 512]
    encoded = re.search(r"base64,([^\"]+)", run._repr_html_())[1]
    assert PIL.Image.open(io.BytesIO(base64.b64decode(encoded))).size == (288, 288)
    generator = ga.load_generator(study, "+ aw", seed=1, **where)
    held = torch.load(run.folder / "generator_final.pt", weights_only=True)
    assert all(torch.equal(tensor, held[name]) for name, tensor in generator.state_dict().items())
    assert not generator.training
    shutil.rmtree(run.folder / "samples")
    assert run.grid is None


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda s, w: ga.load_run(s, "GANN", **w), ValueError, "did you mean 'GAN'"),
        (lambda s, w: ga.load_run(s, "GAN", "c", **w), ValueError, "no column"),
        (lambda s, w: ga.load_generator(s, "GAN", seed=2, **w), ValueError, "no run of GAN, seed 2"),
        (lambda s, w: ga.load_runs(s, sed=3, **w), TypeError, "did you mean 'seeds'"),
        (lambda s, w: ga.load_runs("quik", **w), ValueError, "did you mean 'quick'"),
        (lambda s, w: ga.table(s, metrics=("fid_fina",), **w), ValueError, "did you mean 'fid_final'"),
        (lambda s, w: ga.score(s, "lite1", **w), ValueError, "did you mean 'lite0'"),
        (lambda s, w: ga.table(s, storage=str(w["storage"]) + "-none"), ValueError, "no store"),
    ],
)
def test_a_mistake_is_a_sentence(made, call, error, told):
    study, where, _ = made
    with pytest.raises(error, match=told) as raised:
        call(study, where)
    assert "\n" not in str(raised.value)


def test_the_walk_of_the_docs(store, make_runs, monkeypatch, none_lost):
    """The blocks of docs/api.md, one after the other, beside a store in which all is made and scored: what that takes
    has tests of its own."""
    monkeypatch.chdir(tmp_path := store.storage.parent)
    monkeypatch.setattr("trainers.config.TINY_IMAGES", 256)
    make_runs(ga.Study("quick", STUDIES["quick"].recipe, STUDIES["quick"].rows, seeds=1, tiny=True))
    for folder in store.folders.root.iterdir():
        score(read_run(folder)[0], folder, ScoreRequest("digits", ("fid", "precision")))
    monkeypatch.setattr("search.score.get_ready", lambda *_: 2)
    first, second = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    names = {}
    exec(first, names)
    assert names["states"] == {}
    assert len(names["runs"]) == 4
    assert names["images"].shape == (16, 1, 16, 16)
    assert names["scored"]["precision@digits"].notna().all()
    shutil.copytree(names["run"].folder, tmp_path / "runs" / "one")
    exec(second, names)
    assert list(names["rows"]["images"]) == list(names["run"].evaluations["images"])
    for name in re.findall(r"`(\w+\.(?:json|jsonl|pt))`", DOCS):
        assert (names["run"].folder / name).exists() or name == "scores.jsonl", name
    lines = [json.loads(line) for line in (names["run"].folder / "scores.jsonl").read_text().splitlines()]
    assert {"metric", "which", "features", "protocol", "weights", "value"} <= set(lines[0])
