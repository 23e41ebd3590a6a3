"""A field whose switch is off changes neither the key nor a bit of what is trained; every other changes the key."""

from typing import get_args

import pytest
import torch

from spaces import RECIPES
from trainers.config import Config
from trainers.loop import _train_until
from trainers.metrics.evaluate import evaluate
from trainers.state import State

STEPS = 10
STAGES = {  # beside those of the recipes
    "coopnets": {"n_coop": 320, "r1_gamma": 1.0, "zcr_d": 1.0, "aw": "normalized", "n_critic": 2, "ada": "bg"},
    "coopnets with lazy r1": {"n_coop": 320, "r1_gamma": 1.0, "r1_interval": 4},
    "coopnets, but for a step": {"n_coop": 288, "coop_optimizer": "fresh", "batch_size_g": 16},
    "coopnets in the last step": {"n_coop": 289, "lr_g": 1e-3, "batch_size_g": 16, "probe": "off"},
    "coopnets with ada": {"n_coop": 320, "ada": "bg", "ada_p": 0.5, "ada_coop": True},
    "joint": {"n_coop": 64, "coop": "joint", "ada": "bgc", "ada_langevin": True, "ada_interval": 1, "ada_images": 500},
    "short chain": {"n_coop": 64, "langevin_steps": 1, "zcr_g": 0.1, "ema_halflife": 50.0},
    "silent chain": {"n_coop": 64, "langevin_noise": 0.0, "probe": "normalized"},
    "ada of one strength": {"ada": "bg", "ada_p": 0.5, "r1_gamma": 1.0, "r1_interval": 3},
}


def cut(config):
    """A recipe made tiny, then cut to ten steps of 8, all budgets in proportion."""
    tiny = config.tiny()
    tiny = tiny.replace(batch_size=8, batch_size_g=tiny.batch_size_g and tiny.batch_size_g // 4)
    share = STEPS * tiny.batch_size / tiny.n_images
    fields = {"ema_halflife": tiny.ema_halflife * share, "ada_images": max(1, round(tiny.ada_images * share / 1000))}
    return tiny.scaled(share).replace(**fields, langevin_steps=min(tiny.langevin_steps, 3), eval_samples=50)


def small(**fields):
    options = {"width": 4, "latent": 4}
    base = Config(backbone_options=options, batch_size=32, n_images=320, eval_every=320, eval_samples=50, eta=0.1)
    return base.replace(langevin_steps=2).replace(**fields)


CONFIGS = {name: cut(config) for name, config in RECIPES.items()} | {k: small(**v) for k, v in STAGES.items()}
FAST = [*STAGES, "ring8_gan", "digits_coop_aw", "stylegan2_ada_cifar10_coop_aw", "cut_digits_coop_aw"]
NAMES = [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in CONFIGS]


def other(config, name):
    """Another value of a field."""
    value, field = getattr(config, name), Config.model_fields[name]
    equals = {"lr_g": config.lr, "batch_size_g": config.batch_size, "features": config.feature_net}
    if name in equals:
        return equals[name] if value != equals[name] else field.default
    if isinstance(value, bool):
        return not value
    if choices := [choice for choice in get_args(field.annotation) if isinstance(choice, str)]:
        return choices[(choices.index(value) + 1) % len(choices)]
    named = {
        "dataset": "digits" if value != "digits" else "ring8",
        "backbone": "dcgan" if value != "dcgan" else "mlp",
        "background": "black",
        "loss": "hinge" if value != "hinge" else "minimax",
        "backbone_options": {"width": 7},
        "dataset_options": {"std": 0.03},
        "penalty_d": {"trainers.regularizers:r1": 0.5},
        "penalty_g": {"trainers.regularizers:zcr_generator": 0.5},
        "nce_layers": (0, 1),
        "aw_alpha2": 0.9,
    }
    if name in named:
        return named[name]
    if value is None:
        return 0.25 if name == "ada_p" else 8
    return value / 2 + 0.011 if isinstance(value, float) else value + 1


def changed(config, name):
    """The Config with another value of a field; None where that does not fit the rest."""
    value = other(config, name)
    try:
        return config.replace(**{name: value})
    except ValueError:
        return None


def inert(config):
    """What is off, be it because its switch is off itself."""
    return [name for name, switch in Config.field_switches().items() if not switch.acts(config.acting())]


def flat(value, name=""):
    """All leaves of a state, by path."""
    if isinstance(value, dict):
        return {key: leaf for part, inner in value.items() for key, leaf in flat(inner, f"{name}.{part}").items()}
    if isinstance(value, (list, tuple)):
        return flat(dict(enumerate(value)), name)
    return {name: value}


def outcome(config):
    """All networks, moments and statistics that ten steps of a Config leave, as it is, with no field put to rest, and
    its evaluation."""
    torch.set_num_threads(1)
    state = State(config, torch.device("cpu"))
    assert _train_until(state, config.n_images, lambda: False)
    scores = evaluate(config, state.data, state.evaluated_generator, state.device)
    parts = {name: part for name, part in state.state_dict().items() if name != "ada_p"}  # no image sees it while off
    return flat({**parts, "scores": scores})


@pytest.mark.parametrize("name", NAMES)
def test_only_what_acts_is_in_the_key(name):
    config = CONFIGS[name]
    off = inert(config)
    assert config.acting().acting() == config.acting()
    assert config.acting().cell_key == config.cell_key
    for field in Config.model_fields:
        if field not in ("seed", "deterministic") and (different := changed(config, field)):
            assert different != config, field
            rests = field in off and field in inert(different)  # R1's interval may bring R1 itself to act
            assert (different.cell_key == config.cell_key) == rests, field


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_what_is_off_changes_no_bit(name):
    """All inert fields at once, in what is trained and evaluated, with the values as they are."""
    config = CONFIGS[name]
    different = config
    for field in inert(config):
        step = changed(different, field)
        if step and step.cell_key == config.cell_key:  # two may act together, as ada and ada_coop in CoopNets
            different = step
    assert different != config.acting() or not inert(config)
    one, two = outcome(different), outcome(config.acting())
    assert one.keys() == two.keys()
    for key, value in one.items():
        equal = torch.equal(value, two[key]) if isinstance(value, torch.Tensor) else value == two[key]
        assert equal or str(value) == str(two[key]) == "nan", key
