"""Device discipline without a GPU: steps and whole runs of every backbone and method on a pretended device.

Operands and generators of two devices raise there; a step never waits for the host, and copies no more than its batch.
"""

import math

import pretended_device as device  # before any test: torch counts devices once, in the first backward pass
import pytest
import torch
from test_combinations import make_config, numbers

from trainers import augment, features, loop
from trainers.adversarial import adversarial_step
from trainers.coopinit import cooperative_step
from trainers.data import rows
from trainers.data.sampler import Sampler
from trainers.loop import train
from trainers.metrics import points, reference
from trainers.names import BACKBONES, LOSSES
from trainers.state import State
from trainers.streams import stream

pytestmark = pytest.mark.long
METHODS = [
    {"aw": "normalized", "coop": "init"},
    {"aw": "unnormalized", "coop": "joint"},
    {"aw": "off", "coop": "off"},
]


def config_of(backbone, aw, coop):
    """All at once that the backbone takes beside the method; the losses in turn."""
    row = BACKBONES[backbone]
    images = not row.points
    loss = list(LOSSES)[list(BACKBONES).index(backbone) % len(LOSSES)]
    config = make_config(
        backbone,
        loss,
        aw,
        coop,
        "gp_weight",
        ada="bgc" if images else "off",
        spectral_norm="both",
        conditional="yes" if row.conditional else "no",
    )
    own = {"nce_weight": 1.0} if row.translates else {"zcr_d": 1.0, "zcr_g": 0.1}
    return config.replace(
        n_coop=0 if coop == "off" else 1_000,
        n_images=10_000,
        eval_every=10_000,
        langevin_steps=1,
        mirror=images,
        data_noise=0.01,
        probe="unnormalized",
        ema_halflife=50,
        batch_size_g=6,
        r1_gamma=0.1,
        r1_interval=1,
        ada_interval=1,
        eval_samples=20,
        features="raw",
        **own,
    )


@pytest.fixture
def fresh():
    """What runs keep for those after them is forgotten before, when called, and after."""

    def clear():
        for cached in (reference.reference, points._real_points, features.load_features):
            cached.cache_clear()

    clear()
    yield clear
    clear()


def take(step, state):
    """One step as the loop takes it. Gives its statistics."""
    shown = state.images
    statistics = step(state)
    state.update_average(state.images - shown)
    state.watch(statistics)
    return statistics


def steps_of(config):
    """One of each kind."""
    return [cooperative_step, adversarial_step] if config.n_coop and config.coop == "init" else [adversarial_step]


def check_steps(config):
    """No wait, and copies of the data, the labels and G's labels alone, of a translating G also of what it starts from,
    for D, for itself and for PatchNCE. Gives all statistics."""
    steps = steps_of(config)
    with device.pretended() as log:
        state = State(config, device.DEVICE)
        told = [take(step, state) for step in steps]
        log.waits.clear()
        log.copies.clear()  # of what then stays there
        log.bytes.clear()
        told += [take(step, state) for step in steps]
        assert not log.waits
        assert log.copies.total() <= (6 if BACKBONES[config.backbone].translates else 3) * len(steps), log.copies
        images = config.batch_size * math.prod(state.data.shape) * state.data.examples.element_size()
        if state.sampler.examples.resident:
            assert log.bytes["pinned"] == 0
            assert state.config.has_points or log.bytes["pageable"] < images  # indices alone
        else:
            assert log.bytes["pinned"] >= len(steps) * images
            assert log.bytes["pageable"] == 0
    return told


@pytest.mark.parametrize(
    ("backbone", "method"),
    [
        pytest.param(backbone, method, marks=[] if (i + j) % len(METHODS) == 0 else [pytest.mark.slow])
        for i, backbone in enumerate(BACKBONES)
        for j, method in enumerate(METHODS)
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()),
)
def test_steps_stay_on_their_device(backbone, method):
    """And have the numbers of the CPU, to rounding."""
    check_numbers(config_of(backbone, **method))


@pytest.mark.parametrize("backbone", ["mlp", "dcgan", pytest.param("cut", marks=pytest.mark.slow)])
def test_data_too_large_for_the_device_cross_as_they_are_wanted(backbone, monkeypatch):
    """From pinned memory, images as bytes; of a translation those of both domains."""
    monkeypatch.setattr(rows, "memory", lambda where: 0 if where.type == device.NAME else math.inf)
    check_numbers(config_of(backbone, **METHODS[2]))


@pytest.mark.parametrize("room", [0, -1], ids=["resident", "pinned"])
def test_what_takes_an_eighth_of_the_memory_stays_there(room, monkeypatch):
    """And not what takes more; the rows are the same, also those that are turned left to right."""
    images = torch.arange(5 * 3 * 4 * 4, dtype=torch.uint8).view(5, 3, 4, 4)
    monkeypatch.setattr(rows, "memory", lambda where: 8 * images.nbytes + room)
    indices, turned = torch.tensor([4, 0, 4]), torch.tensor([True, False, False])
    with device.pretended() as log:
        there = rows.Rows(images, device.DEVICE)
        plain, mirrored = there.take(indices), there.take(indices, turned)
        assert there.resident == (room == 0)
        assert (log.bytes["pinned"] > 0) == (room < 0)
    assert torch.equal(plain.held, images[indices])
    assert torch.equal(mirrored.held, torch.stack([images[4].flip(-1), images[0], images[4]]))


def check_numbers(config):
    """As check_steps; the numbers are the CPU's, to rounding."""
    found = check_steps(config)
    here = State(config, torch.device("cpu"))
    expected = [take(step, here) for step in steps_of(config) * 2]
    for a, b in zip(expected, found, strict=True):
        assert {name: float(x) for name, x in a.items()} == pytest.approx(
            {name: float(x.held) for name, x in b.items()}, rel=1e-3, abs=1e-5
        )


@pytest.mark.parametrize(
    "backbone", [name if name == "dcgan" else pytest.param(name, marks=pytest.mark.slow) for name in BACKBONES]
)
def test_a_run_stays_on_its_device(backbone, tmp_path, monkeypatch, fresh):
    """With evaluations, pictures and checkpoints, and going on from one; the rows are the CPU's, to rounding."""
    config = config_of(backbone, **METHODS[0]).replace(n_coop=8, n_images=32, eval_every=16)
    here = numbers(train(config, tmp_path / "here"))
    fresh()
    monkeypatch.setattr("trainers.loop.chosen_device", lambda: device.DEVICE)
    with device.pretended():
        next(train(config, tmp_path / "there"))
        there = numbers(train(config, tmp_path / "there"))
    for a, b in zip(here, there, strict=True):
        assert a.pop("state") == b.pop("state")
        assert a == pytest.approx(b, rel=1e-2, abs=1e-4)


def test_a_deterministic_run_is_so_from_end_to_end(tmp_path, monkeypatch, fresh):
    """In steps and evaluations, and nowhere between them; on a CPU nothing is set."""
    config = config_of("mlp", **METHODS[2]).replace(n_images=16, eval_every=16, deterministic=True)
    seen = []

    def noted(function):
        return lambda *given: seen.append(torch.are_deterministic_algorithms_enabled()) or function(*given)

    for name in ("adversarial_step", "evaluate"):
        monkeypatch.setattr(loop, name, noted(getattr(loop, name)))
    list(train(config, tmp_path / "here"))
    fresh()
    monkeypatch.setattr("trainers.loop.chosen_device", lambda: device.DEVICE)
    with device.pretended():
        for _ in train(config, tmp_path / "there"):
            assert not torch.are_deterministic_algorithms_enabled()
    assert (seen.count(False), seen.count(True)) == (4, 4)  # two steps and two evaluations each


# --- what must be caught ----------------------------------------------------------------------------------------------


def forgets_the_device(monkeypatch):
    monkeypatch.setattr(augment, "_from_centre", lambda side, like: torch.arange(side, dtype=like.dtype))


def takes_a_generator_of_the_cpu(monkeypatch):
    monkeypatch.setattr(State, "rng", lambda self, purpose: stream(self.config.seed, purpose, self.images))


def leaves_labels_on_the_cpu(monkeypatch):
    batch = Sampler.batch
    labels = torch.zeros(8, dtype=torch.int64)
    monkeypatch.setattr(Sampler, "batch", lambda self, start, n: (batch(self, start, n)[0], labels[:n]))


@pytest.mark.parametrize("fault", [forgets_the_device, takes_a_generator_of_the_cpu, leaves_labels_on_the_cpu])
def test_two_devices_are_caught(fault, monkeypatch):
    fault(monkeypatch)
    with pytest.raises(Exception) as caught:  # torch wraps what its backward passes raise
        check_steps(config_of("sngan", **METHODS[0]))
    assert "Mixed" in repr((caught.value, caught.value.__cause__))


def test_a_wait_is_caught(monkeypatch):
    watch = State.watch
    monkeypatch.setattr(State, "watch", lambda self, told: watch(self, told) or float(told["logit_real"]))
    with pytest.raises(AssertionError, match="_local_scalar_dense"):
        check_steps(config_of("dcgan", **METHODS[2]))


def test_a_copy_is_caught(monkeypatch):
    watch = State.watch
    monkeypatch.setattr(
        State, "watch", lambda self, told: [torch.zeros(3).to(self.device) for _ in range(4)] and watch(self, told)
    )
    with pytest.raises(AssertionError, match="to_copy"):
        check_steps(config_of("dcgan", **METHODS[2]))
