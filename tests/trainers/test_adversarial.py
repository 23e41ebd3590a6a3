"""One D update and one step, against plain autograd."""

import copy

import pytest
import torch

from trainers.adversarial import adversarial_step, discriminator_update
from trainers.config import Config
from trainers.state import State

CPU = torch.device("cpu")


def gradient_of_update(config, monkeypatch):
    """The gradient that discriminator_update hands to Adam, its state, and the batch."""
    import trainers.adversarial as adversarial

    state = State(config, CPU)
    caught = []
    monkeypatch.setattr(adversarial, "update", lambda optimizer, network, gradients: caught.extend(gradients))
    real, labels = state.real_batch()
    statistics = discriminator_update(state, real, labels, None)
    return torch.cat([g.flatten() for g in caught]), state, real, labels, statistics


def summed_gradient(state, real, labels, extra=lambda state, real, fake: 0.0):
    """Of the plain summed loss in one backward pass."""
    fake = state.generate("z", labels).detach()
    loss = state.loss.real(state.discriminator(real, labels)) + state.loss.fake(state.discriminator(fake, labels))
    loss = loss + extra(state, real, fake)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(state.discriminator.parameters()))])


@pytest.mark.parametrize("loss", ["nonsaturating", "hinge"])
def test_aw_off_is_the_plain_summed_loss(tiny_images, monkeypatch, loss):
    got, state, real, labels, _ = gradient_of_update(tiny_images.replace(loss=loss), monkeypatch)
    expected = summed_gradient(state, real, labels)
    assert float((got - expected).norm() / expected.norm()) < 1e-5


def test_aw_weighs_the_adversarial_terms_alone(tiny_points, monkeypatch):
    """R1's gradient is the same whatever aw does."""
    parts = {}
    for aw in ("off", "normalized"):
        for gamma in (0.0, 3.0):
            got, *_, statistics = gradient_of_update(tiny_points.replace(aw=aw, r1_gamma=gamma), monkeypatch)
            parts[aw, gamma] = got
    off, on = (parts[aw, 3.0] - parts[aw, 0.0] for aw in ("off", "normalized"))
    assert torch.allclose(off, on, atol=1e-6)
    assert float(off.norm()) > 0
    assert {"aw_w_real", "aw_w_fake", "aw_cosine", "aw_case_1", "score_real"} <= statistics.keys()
    assert sum(float(statistics[f"aw_case_{case}"]) for case in range(1, 6)) == 1


def test_lazy_r1_has_the_expected_gradient_of_the_eager_one(tiny_points, monkeypatch):
    """Every second update, twice as strong: the sum over two updates of one state is equal."""
    from trainers.adversarial import _penalties

    eager, lazy = (State(tiny_points.replace(r1_gamma=1.0, r1_interval=k), CPU) for k in (1, 2))
    totals = []
    for state in (eager, lazy):
        total = torch.zeros(())
        for _ in range(4):
            _, labels = state.real_batch()
            real = torch.ones(32, 2)
            total = total + sum(_penalties(state, real, real, labels).values())
        totals.append(float(total.detach()))
    assert totals[0] == pytest.approx(totals[1], rel=1e-6)
    assert totals[0] > 0


def test_n_critic_updates_of_d_before_one_of_g(tiny_points, monkeypatch):
    state = State(tiny_points.replace(n_critic=3), CPU)
    adversarial_step(state)
    assert state.images == 3 * 32
    assert int(next(iter(state.opt_d.state.values()))["step"]) == 3
    assert int(next(iter(state.opt_g.state.values()))["step"]) == 1


def test_learning_rates_fall_linearly(tiny_points):
    state = State(tiny_points.replace(lr=0.2, lr_g=0.4, lr_decay="linear"), CPU)
    state.images = 384  # of 512
    state.set_learning_rates()
    assert state.opt_d.param_groups[0]["lr"] == pytest.approx(0.05)
    assert state.opt_g.param_groups[0]["lr"] == pytest.approx(0.1)


def test_average_has_its_half_life(tiny_images):
    """After a half-life of images at fixed weights, half of the distance is gone; buffers are copied."""
    state = State(tiny_images.replace(ema_halflife=160), CPU)
    before = copy.deepcopy(state.average)
    with torch.no_grad():
        for tensor in [*state.generator.parameters(), *state.generator.buffers()]:
            tensor.add_(2)
    for _ in range(10):
        state.update_average(16)
    for old, now in zip(before.parameters(), state.average.parameters(), strict=True):
        assert torch.allclose(now - old, torch.ones_like(old), atol=1e-4)
    for now, new in zip(state.average.buffers(), state.generator.buffers(), strict=True):
        assert torch.equal(now, new)


@pytest.mark.parametrize(
    "method",
    [
        {"n_coop": 96},
        {"n_coop": 1, "coop": "joint"},
        {"aw": "normalized"},
        {"gp_weight": 1.0},
        {"r1_gamma": 1.0},
        {"loss": "hinge"},
    ],
    ids=str,
)
def test_methods_leave_the_other_streams_alone(tiny_points, monkeypatch, method):
    """Equal seeds are fair pairs: data and z of every step are the plain GAN's, whatever is switched on."""
    from trainers.coopinit import cooperative_step, is_cooperative

    def seen(config):
        state, values = State(config, CPU), []
        source = state.generator.sample_source
        monkeypatch.setattr(
            state.generator, "sample_source", lambda n, rng: values.append(source(n, rng)) or values[-1]
        )
        batch = state.real_batch
        monkeypatch.setattr(state, "real_batch", lambda: values.append((b := batch())[0]) or b)
        for _ in range(5):
            (cooperative_step if is_cooperative(config, state.images) else adversarial_step)(state)
        return values

    plain, other = seen(tiny_points), seen(tiny_points.replace(**method))
    if (
        "n_coop" in method
    ):  # one z a cooperative step, and a joint one looks at its z twice: those of equal step are equal
        assert all(any(torch.equal(a, b) for b in plain) for a in other)
    else:
        assert all(torch.equal(a, b) for a, b in zip(plain, other, strict=True))


def test_g_and_d_have_streams_of_their_own():
    """More parameters in one network leave the other's first weights as they were."""

    def weights(network, **options):
        state = State(Config(dataset="ring8", backbone="mlp", backbone_options=options), CPU)
        return list(getattr(state, network).parameters())

    for a, b in zip(weights("discriminator", latent=3), weights("discriminator", latent=300), strict=True):
        assert torch.equal(a, b)
    first = weights("generator"), weights("discriminator")
    assert first[0][2].shape == first[1][2].shape
    assert not torch.equal(first[0][2], first[1][2])  # equal shapes, other streams
