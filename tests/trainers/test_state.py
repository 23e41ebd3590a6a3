"""Switches that act on any pair of networks: spectral norm, classes, precision, memory format, compilation."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import cached

from trainers.adversarial import adversarial_step
from trainers.config import Config
from trainers.coopinit import cooperative_step, langevin
from trainers.loop import train
from trainers.spectral import normalize
from trainers.state import State, frozen, update

CPU = torch.device("cpu")


def top_singular_value(module):
    weight = module.weight.detach()
    turned = weight.transpose(0, 1) if isinstance(module, nn.ConvTranspose2d) else weight
    return float(torch.linalg.matrix_norm(turned.flatten(1), 2))


def normalized_modules(network):
    return [module for module in network.modules() if hasattr(module, "parametrizations")]


@pytest.mark.parametrize("switch", ["d", "both"])
def test_spectral_norm_is_one_after_warm_up(tiny_images, switch):
    """On every convolution of D, and of G for "both", within 1%."""
    state = State(tiny_images.replace(spectral_norm=switch), CPU)
    real, labels = state.real_batch()
    with torch.no_grad():
        for _ in range(30):
            state.discriminator(real, labels)
            state.generate("z", labels)
    for network, on in [(state.discriminator, True), (state.generator, switch == "both")]:
        kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
        layers = [module for module in network.modules() if isinstance(module, kinds)]
        assert normalized_modules(network) == (layers if on else [])
        for layer in layers if on else []:
            assert top_singular_value(layer) == pytest.approx(1, abs=0.01)


def test_spectral_norm_of_every_kind_of_layer():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 5, 3), nn.ConvTranspose2d(3, 5, 4), nn.Linear(4, 6), nn.Embedding(7, 3), nn.BatchNorm2d(3)]
    for embeddings in (True, False):
        network = copy.deepcopy(nn.Sequential(*layers))
        normalize(network, embeddings=embeddings)
        assert normalized_modules(network) == list(network)[: 4 if embeddings else 3]


def test_chains_leave_spectral_norm_alone(tiny_images):
    """No power iteration while sampling: D is one function along the chain, and afterwards what it was."""
    state = State(tiny_images.replace(spectral_norm="d", eta=0.1), CPU)
    real, labels = state.real_batch()
    before = {name: value.clone() for name, value in state.discriminator.state_dict().items()}
    with frozen(state.discriminator), cached():
        first = state.discriminator(real, labels)
        langevin(state.critic("x", labels), real, step_size=0.1, steps=5, noise=0.0)
        assert torch.equal(state.discriminator(real, labels), first)
    after = state.discriminator.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    state.discriminator(real, labels)
    vectors = [name for name in before if "parametrizations" in name and "original" not in name]
    assert vectors
    assert not all(torch.equal(state.discriminator.state_dict()[name], before[name]) for name in vectors)


def test_learning_rates_fall_as_lr_decay_says(tiny_points):
    for decay, shares in {"none": [1, 1, 1, 1], "linear": [1, 0.75, 0.5, 0.25], "second_half": [1, 1, 1, 0.5]}.items():
        state = State(tiny_points.replace(lr=1.0, lr_g=2.0, lr_decay=decay, n_images=400), CPU)
        found = []
        for state.images in range(0, 400, 100):
            state.set_learning_rates()
            found.append((state.opt_d.param_groups[0]["lr"], state.opt_g.param_groups[0]["lr"]))
        assert found == [(share, 2 * share) for share in shares]


def test_fresh_optimizers_take_the_rate_of_the_step_that_begins(tiny_points):
    """As those that go on do, whatever the step has shown when they are first used."""
    state = State(tiny_points.replace(lr_decay="linear", lr=1.0, lr_g=2.0), CPU)
    state.images = 128
    state.set_learning_rates()
    state.fresh_optimizers()
    state.real_batch()
    assert [optimizer.param_groups[0]["lr"] for optimizer in (state.opt_d, state.opt_g)] == [0.75, 1.5]
    assert not state.opt_d.state


def test_classes_are_refused_where_there_are_none(photos):
    with pytest.raises(ValueError, match="conditional = True: backbone 'dcgan' takes no classes; sngan"):
        Config(conditional=True)
    for file in photos.rglob("*.png"):
        file.rename(photos / file.name)
    config = Config(dataset=f"folder:{photos}", features="raw", backbone="sngan", conditional=True)
    with pytest.raises(ValueError, match=r"conditional = True needs classes, and dataset = 'folder:.*' has none"):
        State(config, CPU)


def test_own_networks_learn_of_classes_only_if_conditional(user_module):
    name = user_module(
        "import torch\n"
        "from trainers.networks.mlp import build as mlp\n"
        "def build(config, shape, n_classes):\n"
        "    seen.append(n_classes)\n"
        "    return mlp(config, shape, n_classes)\n"
        "seen = []\n"
    )
    for conditional in (False, True):
        State(Config(backbone=f"{name}:build", conditional=conditional), CPU)
    assert __import__(name).seen == [0, 10]


def test_bfloat16_is_near_and_keeps_its_weights_in_float32(tiny_images):
    states = [State(tiny_images.replace(precision=precision), CPU) for precision in ("fp32", "bf16")]
    labels = torch.zeros(16, dtype=torch.int64)
    exact, near = (state.generate("z", labels) for state in states)
    assert near.dtype == exact.dtype == torch.float32
    error = float((near - exact).detach().norm() / exact.detach().norm())
    assert 1e-5 < error < 0.03
    logits = states[1].critic("x", labels)(near)
    assert logits.dtype == torch.float32
    assert {p.dtype for p in states[1].discriminator.parameters()} == {torch.float32}


@pytest.mark.parametrize("fields", [{"precision": "bf16"}, {"precision": "tf32"}, {"channels_last": True}], ids=str)
def test_devices_fields_train(tiny_images, tmp_path, fields):
    rows = list(train(tiny_images.replace(aw="normalized", n_coop=32, ema_halflife=50, **fields), tmp_path))
    assert rows[-1]["state"] == "done"
    assert all(math.isfinite(value) for value in rows[-1].values() if isinstance(value, float))


def test_channels_last_is_the_same_training(tiny_images):
    """Up to rounding; the weights of both networks are stored so."""
    plain, last = (State(tiny_images.replace(channels_last=on, n_coop=16, eta=0.1), CPU) for on in (False, True))
    for network in (last.generator, last.discriminator):
        weight = next(p for p in network.parameters() if p.dim() == 4 and min(p.shape[:2]) > 1 and p.shape[-1] > 1)
        assert weight.is_contiguous(memory_format=torch.channels_last)
    for step in (cooperative_step, adversarial_step, adversarial_step):
        a, b = step(plain), step(last)
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-5)


def test_an_update_does_not_mind_how_a_gradient_lies_in_memory():
    gradient = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        network = nn.Conv2d(2, 3, 4, bias=False)
        nn.init.zeros_(network.weight)
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
        update(optimizer, network, [gradient.contiguous(memory_format=layout)])
        results.append(network.weight.detach())
    assert torch.equal(*results)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the compiler's own
def test_compiled_networks_train_alike(tiny_images, tmp_path):
    fields = {"n_coop": 32, "eta": 0.1, "aw": "normalized", "spectral_norm": "d"}
    plain, compiled = (
        list(train(tiny_images.replace(compile=on, **fields), tmp_path / str(on)))[-1] for on in (False, True)
    )
    for name in ("loss_real", "loss_fake", "loss_g", "fid"):
        assert compiled[name] == pytest.approx(plain[name], rel=1e-2)


def test_compilation_and_second_derivatives_are_refused():
    with pytest.raises(ValueError, match="compile = True has no second derivatives, which r1_gamma needs"):
        Config(compile=True, r1_gamma=1.0)
