"""Every pair of entries of the tables trains, driven by the tables: a new entry is tested by being there."""

import itertools
import math

import pytest

from trainers.config import DATASETS, LOSSES, POINT_DATASETS, TORCHVISION, Config
from trainers.loop import train
from trainers.networks import BACKBONES
from trainers.regularizers import REGULARIZERS

AXES = {
    "backbone": list(BACKBONES),
    "loss": list(LOSSES),
    "aw": ["off", "normalized", "unnormalized"],
    "coop": ["off", "init", "joint"],
    "regularizer": ["none", *REGULARIZERS],
}
PRODUCT = list(itertools.product(*AXES.values()))


def pairwise_cover():
    """A greedy subset of the product that holds every pair of entries of two axes."""

    def pairs(combination):
        return set(itertools.combinations(zip(AXES, combination, strict=True), 2))

    left = set().union(*map(pairs, PRODUCT))
    chosen = []
    while left:
        best = max(PRODUCT, key=lambda combination: len(pairs(combination) & left))
        chosen.append(best)
        left -= pairs(best)
    return chosen


def make_config(backbone, loss, aw, coop, regularizer, **fields):
    """The combination on the smallest data it fits: 12 steps, 4 of them cooperative."""
    points = backbone == "mlp"
    small = {"width": 8, "latent": 4} if points else {"width": 2, "latent": 4}
    return Config(
        dataset="ring8" if points else "digits",
        backbone=backbone,
        backbone_options=small,
        loss=loss,
        aw=aw,
        n_coop=0 if coop == "off" else 32,
        coop="init" if coop == "off" else coop,
        eta=0.1,
        lr=1e-3,
        batch_size=8,
        n_images=96,
        eval_every=96,
        eval_samples=50,
        **({regularizer: 1.0} if regularizer != "none" else {}),
        **fields,
    )


def train_and_look(config, folder):
    rows = list(train(config, folder))
    assert [row["images"] for row in rows] == [0, 96]
    assert rows[-1]["state"] == "done"
    assert rows[-1][config.metric] != rows[0][config.metric]
    numbers = [value for value in rows[-1].values() if not isinstance(value, str)]
    assert all(map(math.isfinite, numbers))


def combination_id(combination):
    return "-".join(combination)


@pytest.mark.parametrize("combination", pairwise_cover(), ids=combination_id)
def test_every_pair_trains(combination, tmp_path):
    train_and_look(make_config(*combination), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("combination", PRODUCT, ids=combination_id)
def test_the_full_product_trains(combination, tmp_path):
    train_and_look(make_config(*combination), tmp_path)


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.usefixtures("torchvision_data")
def test_every_backbone_meets_every_data_set(dataset, backbone, tmp_path, monkeypatch):
    """It trains, or Config refuses it in one sentence."""
    monkeypatch.chdir(tmp_path)  # data are loaded once a working directory: these, and not those of another test
    fields = {"dataset": dataset, "backbone": backbone, "backbone_options": {"width": 2, "latent": 4}}
    fields |= {"resolution": 16, "features": "raw"} if dataset in TORCHVISION else {}
    if dataset in POINT_DATASETS and backbone != "mlp":
        with pytest.raises(ValueError, match=backbone):
            Config(**fields)
        return
    config = Config(**fields, batch_size=8, n_images=96, eval_every=96, eval_samples=50, lr=1e-3)
    train_and_look(config, tmp_path)
