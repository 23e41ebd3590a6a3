"""Every pair of entries of the tables trains, driven by the tables: a new entry is tested by being there."""

import itertools
import math
import random
import shutil

import pytest

from trainers.config import Config
from trainers.loop import train
from trainers.names import BACKBONES, DATASETS, LOSSES

TIMES = ("seconds", "eval_seconds", "logged_at")
METHODS = {
    "backbone": list(BACKBONES),
    "loss": list(LOSSES),
    "aw": ["off", "normalized", "unnormalized"],
    "coop": ["off", "init", "joint"],
    "regularizer": ["none", *Config.regularizers()],
}
SWITCHES = {"ada": ["off", "bg", "bgc"], "spectral_norm": ["off", "d", "both"], "conditional": ["no", "yes"]}


def fits(combination):
    """Whether Config takes it: points have no augmentation, not every backbone takes classes or translates."""
    backbone, _, _, _, regularizer, ada, _, conditional = combination
    return (
        (ada == "off" or not BACKBONES[backbone].points)
        and (conditional == "no" or BACKBONES[backbone].conditional)
        and (regularizer == "none" or BACKBONES[backbone].translates >= Config.regularizers()[regularizer].translates)
    )


PRODUCT = [c for c in itertools.product(*METHODS.values()) if fits((*c, "off", "off", "no"))]


def pairwise_cover():
    """Combinations of all methods and switches that hold every pair of entries of two axes, where Config takes it."""
    axes, rng, chosen, covered = METHODS | SWITCHES, random.Random(0), [], set()

    def pairs(combination):
        return set(itertools.combinations(zip(axes, combination, strict=True), 2))

    for left, right in itertools.combinations(axes, 2):
        for pair in itertools.product([(left, name) for name in axes[left]], [(right, name) for name in axes[right]]):
            if pair in covered:
                continue
            free = axes | {axis: [name] for axis, name in pair}
            drawn = [tuple(map(rng.choice, free.values())) for _ in range(100)]
            if candidates := list(filter(fits, drawn)):  # else Config refuses the pair
                chosen.append(max(candidates, key=lambda combination: len(pairs(combination) - covered)))
                covered |= pairs(chosen[-1])
    return chosen


def small_options(backbone):
    """Those of --tiny with at most 4 channels where that can be, and a small z where there is one."""
    narrow = ("width", "channels")
    row = BACKBONES[backbone]
    options = {name: min(value, 4) if name.endswith(narrow) else value for name, value in row.narrow.items()}
    return options if row.translates else options | {"latent": 4}


def small_data(backbone):
    if BACKBONES[backbone].translates:
        return "digits_outlines"
    return "ring8" if BACKBONES[backbone].points else "digits"


def make_config(backbone, loss, aw, coop, regularizer, ada="off", spectral_norm="off", conditional="no", **fields):
    """The combination on the smallest data it fits: 4 steps, 2 of them cooperative."""
    return Config(
        dataset=small_data(backbone),
        backbone=backbone,
        backbone_options=small_options(backbone),
        loss=loss,
        aw=aw,
        n_coop=0 if coop == "off" else 16,
        coop="init" if coop == "off" else coop,
        ada=ada,
        ada_images=200,
        spectral_norm=spectral_norm,
        nce_patches=8,
        conditional=conditional == "yes",
        eta=0.1,
        langevin_steps=3,
        lr=1e-3,
        batch_size=8,
        n_images=32,
        eval_every=32,
        eval_samples=50,
        **({regularizer: 1.0} if regularizer != "none" else {}),
        **fields,
    )


def numbers(rows):
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def train_and_look(config, folder):
    rows = list(train(config, folder))
    assert [row["images"] for row in rows] == [0, config.n_images]
    assert rows[-1]["state"] == "done"
    assert rows[-1][config.metric] != rows[0][config.metric]
    numbers = [value for value in rows[-1].values() if not isinstance(value, str)]
    assert all(map(math.isfinite, numbers))


def combination_id(combination):
    return "-".join(combination)


@pytest.mark.long
@pytest.mark.parametrize("combination", pairwise_cover(), ids=combination_id)
def test_every_pair_trains(combination, tmp_path):
    train_and_look(make_config(*combination), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize(
    "method",
    [
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"coop": "init"}, marks=pytest.mark.slow),
        pytest.param({"aw": "normalized"}, marks=pytest.mark.slow),
        {"coop": "init", "aw": "normalized"},  # in which both stages and the loss have their part
    ],
)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_resumes_bit_identically(backbone, method, tmp_path):
    """With each of the papers' methods, from its second row on."""
    regularizer = "nce_weight" if BACKBONES[backbone].translates else "r1_gamma"
    fields = {"loss": "hinge", "aw": "off", "coop": "off", "regularizer": regularizer} | method
    config = make_config(backbone, **fields, ema_halflife=50, batch_size_g=6).replace(n_images=48, eval_every=16)

    whole = []
    for row in train(config, tmp_path / "whole"):
        whole.append(row)
        if len(whole) == 2:
            shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    assert numbers(train(config, tmp_path / "parts")) == numbers(whole)
    assert len(whole) == 4


def meetings():
    """Every backbone with every data set; those of torchvision, but for the first, are met by one backbone alone."""
    fetched = [name for name, row in DATASETS.items() if row.origin == "torchvision"]
    for backbone, dataset in itertools.product(BACKBONES, DATASETS):
        is_slow = dataset in fetched[1:] and backbone != "dcgan"
        yield pytest.param(backbone, dataset, marks=[pytest.mark.slow] if is_slow else [])


@pytest.mark.slow
@pytest.mark.parametrize("combination", PRODUCT, ids=combination_id)
def test_the_full_product_trains(combination, tmp_path):
    train_and_look(make_config(*combination), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize(("backbone", "dataset"), list(meetings()))
@pytest.mark.usefixtures("torchvision_data")
def test_every_backbone_meets_every_data_set(dataset, backbone, tmp_path, monkeypatch):
    """It trains, or Config refuses it in one sentence."""
    monkeypatch.chdir(tmp_path)  # data are loaded once a working directory: these, and not those of another test
    fields = {"dataset": dataset, "backbone": backbone, "backbone_options": small_options(backbone)}
    data, net = DATASETS[dataset], BACKBONES[backbone]
    fields |= {"resolution": 16, "features": "raw"} if data.origin == "torchvision" else {}
    if (data.kind == "points" and not net.points) or (data.kind == "pair") != net.translates:
        with pytest.raises(ValueError, match=backbone):
            Config(**fields)
        return
    train_and_look(Config(**fields, batch_size=8, n_images=16, eval_every=16, eval_samples=50, lr=1e-3), tmp_path)
