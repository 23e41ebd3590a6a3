"""One D update and one step, against plain autograd."""

import copy

import pytest
import torch

from trainers.adversarial import adversarial_step, discriminator_update, penalties
from trainers.config import Config
from trainers.coopinit import cooperative_step
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


def test_lazy_r1_has_the_expected_gradient_of_the_eager_one(tiny_points):
    """Every second update, twice as strong: the sum over four updates of one state is equal."""
    totals = []
    for interval in (1, 2):
        state = State(tiny_points.replace(r1_gamma=1.0, r1_interval=interval), CPU)
        total = torch.zeros(())
        for _ in range(4):
            _, labels = state.real_batch()
            real = torch.ones(32, 2)
            found = penalties(state, "discriminator", "z", real, real, labels, lazy=interval > 1)
            total = total + sum(found.values())
        gradient = torch.autograd.grad(total, list(state.discriminator.parameters()), allow_unused=True)
        totals.append(torch.cat([g.flatten() for g in gradient if g is not None]))
    torch.testing.assert_close(totals[0], totals[1])
    assert float(totals[0].norm()) > 0


def test_lazy_r1_is_an_update_of_its_own(tiny_points):
    """With k = 3 D has 4 updates in 3 steps, the learning rate times 3/4, and the betas to the power of 3/4."""
    state = State(tiny_points.replace(r1_gamma=1.0, r1_interval=3, lr=0.01, beta1=0.5, beta2=0.9), CPU)
    for _ in range(3):
        adversarial_step(state)
    assert int(next(iter(state.opt_d.state.values()))["step"]) == 4
    assert int(next(iter(state.opt_g.state.values()))["step"]) == 3
    assert state.opt_d.param_groups[0]["lr"] == pytest.approx(0.0075)
    assert state.opt_d.param_groups[0]["betas"] == pytest.approx((0.5**0.75, 0.9**0.75))
    assert state.opt_g.param_groups[0]["betas"] == pytest.approx((0.5, 0.9))


def test_lazy_rates_may_stay_where_r1_is_off(tiny_points):
    """As where CoopInit drops R1 of a lazy recipe; G's second decay rate is its own."""
    lazy = {"r1_interval": 3, "r1_lazy_rates": "always", "beta2": 0.9, "beta2_g": 0.8}
    state = State(tiny_points.replace(**lazy, lr=0.01).acting(), CPU)
    assert state.opt_d.param_groups[0]["lr"] == pytest.approx(0.0075)
    assert state.opt_d.param_groups[0]["betas"] == pytest.approx((0.5**0.75, 0.9**0.75))
    assert state.opt_g.param_groups[0]["betas"] == pytest.approx((0.5, 0.8))
    with_r1 = tiny_points.replace(**lazy, r1_gamma=1.0)
    assert with_r1.cell_key == with_r1.replace(r1_lazy_rates="with_r1").cell_key
    assert tiny_points.cell_key == tiny_points.replace(r1_lazy_rates="always", beta2_g=0.999).cell_key


def test_g_may_have_a_batch_of_its_own_size(tiny_points, monkeypatch):
    state = State(tiny_points.replace(batch_size_g=50), CPU)
    sizes, source = [], state.generator.sample_source
    monkeypatch.setattr(state.generator, "sample_source", lambda n, rng: sizes.append(n) or source(n, rng))
    adversarial_step(state)
    assert sizes == [32, 50]
    labels = state.labels_of_g(torch.zeros(32, dtype=torch.int64))
    assert labels.shape == (50,)
    assert len(set(labels.tolist())) > 4  # drawn from the data's eight


def test_zcr_pulls_logits_together_and_pushes_samples_apart(tiny_points):
    """Its gradient is zero without noise, and G's raises the distance that it looks at."""
    state = State(tiny_points.replace(zcr_d=1.0, zcr_g=1.0, zcr_noise=0.0), CPU)
    real, labels = state.real_batch()
    fake = state.generate("z of G", labels)
    for of, name in [("discriminator", "loss_zcr_d"), ("generator", "loss_zcr_g")]:
        assert penalties(state, of, "z of G", real, fake, labels)[name].item() == 0

    state = State(tiny_points.replace(zcr_g=1.0), CPU)
    real, labels = state.real_batch()
    fake = state.generate("z of G", labels)
    loss = penalties(state, "generator", "z of G", real, fake, labels)["loss_zcr_g"]
    with torch.no_grad():
        for parameter, gradient in zip(
            state.generator.parameters(), torch.autograd.grad(loss, list(state.generator.parameters())), strict=True
        ):
            parameter -= 0.1 * gradient
    again = penalties(state, "generator", "z of G", real, state.generate("z of G", labels), labels)["loss_zcr_g"]
    assert again.item() < loss.item() < 0


@pytest.mark.parametrize("ada_p", [0.0, 0.9])
def test_zcr_sees_equal_augmentations_on_both_sides(tiny_images, ada_p):
    """So that without noise it is 0 with ADA as well; batch norm aside, which sees equal batches."""
    state = State(tiny_images.replace(zcr_d=1.0, zcr_noise=0.0, ada="bgc", ada_p=ada_p), CPU)
    real, labels = state.real_batch()
    fake = state.generate("z", labels)
    assert penalties(state, "discriminator", "z", real, fake, labels)["loss_zcr_d"].item() == pytest.approx(0, abs=1e-9)


def test_ada_stands_between_every_term_and_d(tiny_images, monkeypatch):
    """Real and fake of D's update, the regularizers, G's update; the cooperative objective only if so asked."""
    import trainers.state

    seen = []
    monkeypatch.setattr(trainers.state, "augment", lambda x, p, rng, pipe: seen.append(len(x)) or x)
    ada = tiny_images.replace(ada="bg", r1_gamma=1.0, zcr_d=1.0)
    adversarial_step(State(ada, CPU))
    assert len(seen) == 2 + 1 + 2 + 1
    for fields, expected in [({}, 0), ({"ada_coop": True}, 2), ({"ada_langevin": True}, 10)]:
        seen.clear()
        cooperative_step(State(ada.replace(n_coop=16, **fields), CPU))
        assert len(seen) == expected


def test_ada_at_probability_zero_changes_no_number(tiny_images):
    """Held there; the other streams are left alone."""
    off, on = (State(tiny_images.replace(**fields), CPU) for fields in ({}, {"ada": "bgc", "ada_p": 0.0}))
    for _ in range(3):
        a, b = adversarial_step(off), adversarial_step(on)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert float(b["ada_p"]) == 0


def test_the_probability_follows_the_signs_of_real_logits(tiny_images):
    """Once in ada_interval updates, by so many batches' share of ada_images, up above the target and down below."""
    state = State(tiny_images.replace(ada="bgc", ada_interval=2, ada_images=1_000), CPU)
    one, step = torch.ones(16), 2 * 16 / 1_000
    heights = []
    for logits in (one, one, one, one, -one, one, -one, -one):
        state.real_batch()
        state.steer_augmentation(logits)
        heights.append(float(state.ada_p))
    assert heights == pytest.approx([0, step, step, 2 * step, 2 * step, step, step, 0])
    fixed = State(tiny_images.replace(ada="bgc", ada_p=0.3), CPU)
    fixed.real_batch()
    fixed.steer_augmentation(one)
    assert float(fixed.ada_p) == pytest.approx(0.3)


def test_mirror_turns_half_of_the_images(tiny_images):
    plain, mirrored = (State(tiny_images.replace(mirror=on, batch_size=400), CPU) for on in (False, True))
    (x, labels), (y, same) = plain.real_batch(), mirrored.real_batch()
    assert torch.equal(labels, same)
    turned = (y == x.flip(-1)).flatten(1).all(1)
    assert ((y == x).flatten(1).all(1) | turned).all()
    assert 160 < int(turned.sum()) < 240


def test_data_noise_is_uniform(tiny_images):
    plain, noisy = (State(tiny_images.replace(data_noise=width, batch_size=100), CPU) for width in (0.0, 0.25))
    noise = noisy.real_batch()[0] - plain.real_batch()[0]
    assert -1e-6 <= float(noise.min()) < 0.001
    assert 0.249 < float(noise.max()) <= 0.25 + 1e-6
    assert float(noise.mean()) == pytest.approx(0.125, abs=0.002)


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


def test_average_starts_late_and_its_half_life_grows(tiny_images):
    """G itself up to ema_start; then the half-life is ema_ramp of the images shown, up to ema_halflife."""
    state = State(tiny_images.replace(ema_halflife=100, ema_ramp=0.5, ema_start=64), CPU)
    weight, mean = next(state.generator.parameters()), next(state.average.parameters())
    for shown, share in [(64, 1.0), (80, 1 - 0.5 ** (16 / 40)), (400, 1 - 0.5 ** (16 / 100))]:
        with torch.no_grad():
            weight.fill_(1)
            mean.fill_(0)
        state.images = shown
        state.update_average(16)
        torch.testing.assert_close(mean, torch.full_like(mean, share))


def test_average_has_its_half_life(tiny_images):
    """After a half-life of images at fixed weights, half of the distance is gone; buffers are copied."""
    state = State(tiny_images.replace(ema_halflife=160), CPU)
    before = copy.deepcopy(state.average)
    state.images = 160
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
    from trainers.coopinit import cooperative_step

    def seen(config):
        state, values = State(config, CPU), []
        source = state.generator.sample_source
        monkeypatch.setattr(
            state.generator, "sample_source", lambda n, rng: values.append(source(n, rng)) or values[-1]
        )
        batch = state.real_batch
        monkeypatch.setattr(state, "real_batch", lambda: values.append((b := batch())[0]) or b)
        for _ in range(5):
            (cooperative_step if config.stage_at(state.images) == "cooperative" else adversarial_step)(state)
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
