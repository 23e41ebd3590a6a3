"""Generators of done runs as models in MLflow: each once, and of use where there is no ganablate."""

import dataclasses
import json
import signal

import pytest
import torch
from forked import Forked

from search.store import Store
from search.store.models import log_models
from search.store.queries import seed_runs
from spaces import Study
from trainers.names import BACKBONES
from trainers.scoring import load_generator

ELSEWHERE = """
import importlib.util, json, pathlib, sys, warnings
import mlflow, torch

sys.path[:] = [path for path in sys.path if not pathlib.Path(path or ".", "trainers").exists()]
assert not {"ganablate", "trainers", "spaces", "search", "reports"} & set(sys.modules)
assert importlib.util.find_spec("trainers") is None
mlflow.set_tracking_uri(sys.argv[1])
for uri, file in zip(sys.argv[2::2], sys.argv[3::2]):
    signature = mlflow.models.get_model_info(uri).signature
    *inputs, expected = torch.load(file)
    names = [(each.name, str(each.type), list(each.shape)) for each in signature.inputs]
    images = mlflow.pytorch.load_model(uri)(*inputs)
    print(json.dumps([names, list(signature.outputs.inputs[0].shape), float((images - expected).abs().max())]))
"""


@pytest.fixture
def made(store, make_runs, tiny_study, tiny_images, none_lost):
    """Two done runs on points, and a conditional one on images, each in a store of its own."""
    sngan = {"backbone": "sngan", "backbone_options": dict(BACKBONES["sngan"].narrow), "spectral_norm": "both"}
    images = Study("labels", tiny_images.replace(conditional=True, **sngan), rows={"cGAN": {}}, seeds=1)
    points = dataclasses.replace(tiny_study, seeds=1)
    make_runs(points)
    make_runs(images)
    return points, images, store


def ids(study, store):
    return [run.run_id for run in seed_runs(store, [cell.config for cell in study.cells()]).values()]


def models(store, *studies):
    held = {run_id for study in studies for run_id in ids(study, store)}
    found = store.client.search_logged_models(["1", "2"])
    assert {model.source_run_id for model in found} <= held
    return {model.source_run_id: model for model in found}, len(found)


@pytest.mark.process
def test_each_run_has_its_model_once_and_it_loads_elsewhere(made, tmp_path, capsys, monkeypatch):
    points, images, store = made
    points = dataclasses.replace(points, rows={"GAN": {}})
    assert log_models(points, store) == log_models(images, store) == {}
    found, count = models(store, points, images)
    assert (count, len(found)) == (2, 2)
    arguments = []
    for number, (run_id, model) in enumerate(found.items()):
        run = store.client.get_run(run_id)
        assert [each.model_id for each in run.outputs.model_outputs] == [model.model_id]
        assert (run.info.status, run.data.tags["state"]) == ("FINISHED", "done")
        generator = load_generator(store.folder(run_id)).eval()
        source, labels = generator.sample_source(5, torch.Generator().manual_seed(0)), torch.arange(5) % 10
        inputs = [source, labels] if run.data.tags["study"] == "labels" else [source]
        with torch.no_grad():
            torch.save([*inputs, generator(source, labels)], tmp_path / f"{number}.pt")
        arguments += [f"models:/{model.model_id}", tmp_path / f"{number}.pt"]
    elsewhere = Forked(ELSEWHERE, store.uri, *arguments, cwd=tmp_path)
    assert elsewhere.wait(120) == 0, elsewhere.stderr
    told = [json.loads(line) for line in elsewhere.stdout.splitlines()]
    assert sorted(len(names) for names, *_ in told) == [1, 2]
    for names, shape, off in told:
        assert names[0][0] == "source"
        assert names[0][2][0] == shape[0] == -1
        assert names[1:] in ([], [["labels", "int64", [-1]]])
        assert shape[1:] in ([2], [1, 16, 16])
        assert off <= 1e-5

    monkeypatch.setattr("search.store.models._program", lambda *_: pytest.fail("made again"))
    capsys.readouterr()
    assert log_models(points, Store(storage=store.storage)) == {}
    assert capsys.readouterr().out == "tiny: no generators to log as models in MLflow.\n"


def test_what_a_killed_process_left_is_made_anew_and_one_that_fails_stops_no_other(made, monkeypatch):
    points, _, store = made
    first, second = ids(points, store)
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.log_model_artifacts", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            log_models(points, store)
    (left,), count = models(store, points)
    assert count == 1
    (store.folder(left) / "generator_final.pt").unlink()
    ((label, told),) = log_models(points, store).items()
    assert label.startswith("model of ")
    assert "failed: " in told
    assert "keeps no generator_final.pt" in told
    found, count = models(store, points)
    assert (count, set(found)) == (1, {first, second} - {left})
    assert {model.status.name for model in found.values()} == {"READY"}


def test_a_signal_is_heard_between_two_models(made, monkeypatch):
    points, _, store = made
    monkeypatch.setattr("search.store.models._log", lambda *_: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt) as raised:
        log_models(points, store)
    assert raised.value.args == ("1 model is left, and the same command goes on", signal.SIGTERM)
