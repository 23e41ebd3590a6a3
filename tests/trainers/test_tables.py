"""Whatever is added by one row is met by all the rest: the list, Config's checks, training, evaluations, tables."""

import json
import math
from typing import Annotated

import pytest

from ganablate import read
from reports import ablation_table
from search.store import load_runs
from spaces import Study
from trainers.config import Config
from trainers.loop import train
from trainers.names import (
    BACKBONES,
    DATASETS,
    FEATURES,
    LOSSES,
    METRICS,
    SCORES,
    AdversarialLoss,
    Backbone,
    DataSource,
    FeatureExtractor,
    Regularizer,
    Score,
    metrics_of,
)

IMAGES = """
import torch
from trainers.data import Dataset

def spots():
    pixels = torch.randint(0, 256, (40, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Dataset(pixels, torch.arange(40) % 4, 4)

def pair_of_modes():
    modes = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    def fresh(n, rng):
        return modes[torch.randint(2, (n,), generator=rng)] + 0.1 * torch.randn(n, 2, generator=rng)
    points = fresh(500, torch.Generator().manual_seed(0))
    return Dataset(points, (points[:, 0] > 0).long(), 2, modes, 0.1, fresh=fresh)
"""
NETS = """
import torch
from torch import nn
from trainers.features import FeatureNet
from trainers.losses import Loss
from trainers.networks.mlp import build as mlp

def build(config, shape, n_classes, *, width: int = 9):
    return mlp(config, shape, n_classes, width=width, latent=4)

squared = Loss(lambda x: (1 - x).square().mean(), lambda x: (1 + x).square().mean(), lambda x: (1 - x).square().mean())

def quarters():
    return FeatureNet(lambda x: x[..., :8, :8].flatten(1)[:, :5], "d", logits=lambda features: 9 * features)
"""
SCORING = """
def spread(sampled):
    return {"spread": float(sampled.samples.std())}

def weight(state):
    return {"weight": float(sum(p.norm() for p in state.discriminator.parameters()))}

def pull(batch):
    return batch.critic()(batch.fake).square().mean()
"""


@pytest.fixture
def small(tiny_images):
    """12 steps on digits, evaluations at 0 and 48 images."""
    return tiny_images.replace(n_images=48, eval_every=48, eval_samples=20)


def last_of(config, folder):
    *_, last = train(config, folder)
    assert last["state"] == "done"
    return last


def listed(capsys):
    read.list_names(as_json=True)
    return json.loads(capsys.readouterr().out)


def test_a_data_set_of_images(small, user_module, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(DATASETS, "spots", DataSource(f"{user_module(IMAGES)}:spots", "images", "embedded", 40, "raw"))
    assert "spots" in listed(capsys)["datasets"]
    config = small.replace(dataset="spots")
    assert config.protocol == (
        "FID on raw features, 20 generated samples against all 40 training examples of spots, no resize"
    )
    assert last_of(config, tmp_path)["fid"] > 0
    with pytest.raises(ValueError, match="did you mean 'spots'"):
        Config(dataset="spotz")
    with pytest.raises(ValueError, match="'cut' translates images, and dataset = 'spots' has no domain A"):
        config.replace(backbone="cut")
    with pytest.raises(ValueError, match=r"features = 'auto' is for .*, spots;"):
        Config(dataset="mnist")


def test_a_data_set_of_points(tiny_points, user_module, monkeypatch, tmp_path):
    row = DataSource(f"{user_module(IMAGES)}:pair_of_modes", "points", "embedded", 500, "raw")
    monkeypatch.setitem(DATASETS, "two", row)
    config = tiny_points.replace(dataset="two")
    assert config.metric == "energy_distance"
    assert "fresh ones of two" in config.protocol
    last = last_of(config, tmp_path)
    assert set(config.evaluation_keys) <= last.keys()
    assert 0 <= last["modes"] <= 2
    with pytest.raises(ValueError, match="two holds 2-D points; use mlp"):
        Config(dataset="two")


def test_a_data_set_of_image_files(small, user_module, monkeypatch, tmp_path, picture):
    """Decoded once, resized, and replaced by --tiny."""
    text = "from trainers.data.image_files import from_folder\n"
    text += "def photos():\n    return from_folder('folder:photos')\n"
    for index in range(4):
        (tmp_path / "photos" / "ab"[index % 2]).mkdir(parents=True, exist_ok=True)
        picture(index, (20, 20)).save(tmp_path / "photos" / "ab"[index % 2] / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(DATASETS, "photos", DataSource(f"{user_module(text)}:photos", "images", "torchvision", 4))
    config = small.replace(dataset="photos", features="raw", resolution=16)
    assert last_of(config, tmp_path / "run")["fid"] > 0
    assert config.tiny().dataset == "digits"
    with pytest.raises(ValueError, match=r"it resizes .*, photos$"):
        Config(resolution=8)


def test_a_backbone(tiny_points, user_module, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(BACKBONES, "flat", Backbone(f"{user_module(NETS)}:build", {"width": 3}, points=True))
    assert "flat" in listed(capsys)["backbones"]
    config = tiny_points.replace(backbone="flat")
    last_of(config, tmp_path)
    assert config.tiny().backbone_options == {"width": 3}
    with pytest.raises(ValueError, match="ring8 holds 2-D points; use mlp, flat"):
        Config(dataset="ring8", backbone="dcgan")
    for words, fields in {
        "backbone 'flat' takes no classes": {"conditional": True},
        "backbone = 'flat' starts from noise": {"dataset": "digits_outlines"},
        "backbone = 'flat' does not make": {"nce_weight": 1.0},
    }.items():
        with pytest.raises(ValueError, match=words):
            config.replace(**fields)
    with pytest.raises(ValueError, match=r"backbone_options of 'flat': unknown field 'depth'; .*allowed: width"):
        last_of(config.replace(backbone_options={"depth": 3}), tmp_path / "other")


def test_a_loss(tiny_points, user_module, monkeypatch, tmp_path):
    monkeypatch.setitem(LOSSES, "squared", AdversarialLoss(f"{user_module(NETS)}:squared"))
    assert math.isfinite(last_of(tiny_points.replace(loss="squared"), tmp_path)["loss_g"])
    with pytest.raises(ValueError, match="did you mean 'squared'"):
        Config(loss="square")


def test_a_feature_net(small, user_module, monkeypatch, tmp_path):
    """One with logits gives inception score and KID too."""
    row = FeatureExtractor(f"{user_module(NETS)}:quarters", "natural images", "cut to a quarter", logits=True)
    monkeypatch.setitem(FEATURES, "quarters", row)
    config = small.replace(features="quarters")
    assert config.protocol.startswith("FID on quarters features, ")
    assert "of digits, cut to a quarter; IS is the mean over 10 parts; KID is" in config.protocol
    last = last_of(config, tmp_path)
    assert config.metric_keys == ("fid", "inception_score", "inception_score_std", "kid", "kid_std")
    assert all(math.isfinite(last[key]) for key in config.metric_keys)
    with pytest.raises(ValueError, match=r"eval_samples = 9 is too few .* at least 10"):
        config.replace(eval_samples=9)
    with pytest.raises(ValueError, match="features = 'quarters' needs images"):
        Config(dataset="ring8", backbone="mlp", features="quarters")


def test_a_metric(small, user_module, monkeypatch, make_runs, store):
    """Of samples, and one of D: in the evaluations of any Config, and a column of tables."""
    module = user_module(SCORING)
    rows = {
        "spread": Score("spread of pixels", False, 1, f"{module}:spread", takes="samples", when=("final", "best")),
        "weight": Score("size of D", True, 3, f"{module}:weight", takes="state"),
    }
    for key, row in rows.items():
        monkeypatch.setitem(SCORES, key, row)
    for name, metric in metrics_of(rows).items():
        monkeypatch.setitem(METRICS, name, metric)
    names = ("spread_final", "spread_best", "weight_final")
    assert [METRICS[name].label for name in names] == ["spread of pixels", "best spread of pixels", "size of D"]
    assert small.metric_keys == ("fid", "spread")
    assert small.evaluation_keys == ("fid", "spread", "weight")
    study = Study("s", small, {"GAN": {}}, seeds=2, metrics=names)
    make_runs(study)
    table = ablation_table(load_runs(study, store=store), study)
    assert all(table.loc[("GAN", ""), (name, "mean")] > 0 for name in names)


def test_a_regularizer_is_a_field_of_a_config(small, user_module, tmp_path):
    module = user_module(SCORING)

    class Mine(Config):
        pull: Annotated[float, Regularizer(f"{module}:pull", interval="pull_interval", second_order=True)] = 0.0
        pull_interval: int = 1
        tie: Annotated[float, Regularizer(f"{module}:pull", "generator", translates=True)] = 0.0

    assert {"r1_gamma", "pull", "tie"} <= Mine.regularizers().keys()
    config = Mine(**small.model_dump(), pull=0.5)
    assert type(config.replace(lr=1e-3)) is type(config.scaled(0.5)) is type(config.tiny()) is Mine
    assert Mine(**small.model_dump()).cell_key == small.cell_key != config.cell_key
    plain, pulled = last_of(small, tmp_path / "plain"), last_of(config, tmp_path / "pulled")
    assert pulled["loss_pull"] > 0
    assert pulled["loss_real"] != plain["loss_real"]
    assert last_of(config, tmp_path / "pulled") == pulled  # read again
    lazy = last_of(config.replace(pull_interval=2), tmp_path / "lazy")
    assert lazy["loss_pull"] not in (0, pulled["loss_pull"])
    with pytest.raises(ValueError, match="compile = True has no second derivatives, which pull needs"):
        config.replace(compile=True)
    with pytest.raises(ValueError, match=r"tie = 1.0 compares an image with its translation, which backbone = 'dcgan'"):
        config.replace(tie=1.0)
