import math

import pytest
import torch
from torch import nn

from trainers.config import Config
from trainers.coopinit import cooperate, cooperative_step, curvature, langevin
from trainers.loop import train
from trainers.state import State, frozen

CPU = torch.device("cpu")


@pytest.mark.long
@pytest.mark.parametrize("steps", [1, 10, 200])
def test_langevin_on_a_gaussian_energy_is_the_discrete_chain(steps):
    """On N(0, s^2) with a = 1 - eta/s^2: mean a^T x0, variance noise^2 (1 - a^2T)/(1 - a^2); the step biases it."""
    s2, eta, start, n = 2.0, 0.5, 3.0, 100_000
    noise = math.sqrt(2 * eta)
    rng = torch.Generator().manual_seed(0)
    x = langevin(
        lambda x: -0.5 * x.square() / s2,
        torch.full((n, 1), start, dtype=torch.float64),
        step_size=eta,
        steps=steps,
        noise=noise,
        generator=rng,
    )
    a = 1 - eta / s2
    variance = noise**2 * (1 - a ** (2 * steps)) / (1 - a**2)
    assert float(x.mean()) == pytest.approx(a**steps * start, abs=5 * math.sqrt(variance / n))
    assert float(x.var()) == pytest.approx(variance, rel=5 * math.sqrt(2 / n))
    if steps == 200:  # stationary: s^2 / (1 - eta / 2 s^2), not s^2
        assert variance == pytest.approx(s2 / (1 - eta / (2 * s2)))


def test_langevin_without_noise_climbs_and_clamps_at_the_end_only():
    x = langevin(lambda x: x.sum(1), torch.zeros(2, 3), step_size=1.0, steps=5, noise=0.0)
    assert torch.equal(x, torch.full((2, 3), 5.0))
    # a step-wise clamp at 1 would end the first climb at 1 and then fall: slope -1 beyond 2
    end = langevin(lambda x: -(x - 2).abs(), torch.zeros(1, 1), step_size=1.5, steps=2, noise=0.0, clamp=(-9, 9))
    assert float(end) == 3.0
    assert float(langevin(lambda x: x, torch.zeros(1, 1), step_size=3.0, steps=2, noise=0, clamp=(-1, 1))) == 1.0


def test_langevin_noise_ramp_falls_to_zero():
    """Variances of a flat energy add up: noise^2 sum (1 - k/T)^2."""
    rng = torch.Generator().manual_seed(1)
    x = langevin(lambda x: 0 * x, torch.zeros(200_000, 1), step_size=1.0, steps=4, noise=0.5, generator=rng, ramp=True)
    expected = 0.25 * sum((1 - k / 4) ** 2 for k in range(4))
    assert float(x.var()) == pytest.approx(expected, rel=0.02)


def test_langevin_leaves_the_start_and_reports_slopes():
    start, grads = torch.zeros(4, 2), []
    end = langevin(lambda x: 3 * x[:, 0], start, step_size=0.1, steps=3, noise=0.0, grads=grads)
    assert torch.equal(start, torch.zeros(4, 2))
    assert not start.requires_grad
    assert not end.requires_grad
    assert torch.equal(torch.stack(grads), torch.tensor([3.0, 0.0]).expand(3, 4, 2))


@pytest.mark.parametrize("step_size", [0.1, 0.5, 1.0, 1.1])
def test_curvature_tells_where_chains_run_away(step_size):
    """On D(x) = -x^2 it is 2 eta; a step multiplies x by 1 - 2 eta, so from eta = 1 on, where it is 2, chains do not
    come nearer."""
    start, grads = torch.tensor([[1.0], [-3.0]]), []
    end = langevin(lambda x: -x.square().sum(1), start, step_size=step_size, steps=20, noise=0.0, grads=grads)
    measured = float(curvature(*grads[:2]))
    assert measured == pytest.approx(2 * step_size)
    assert bool((end.abs() < start.abs()).all()) == (measured < 2)


def test_curvature_of_a_flat_discriminator_is_none():
    assert curvature(torch.zeros(3, 2), torch.zeros(3, 2)) == 0
    slope = torch.ones(3, 2)
    assert curvature(slope, slope) == 0


@pytest.mark.parametrize(("n_coop", "batch"), [(0, 32), (1, 32), (32, 32), (33, 32), (160, 32), (512, 32), (100, 7)])
def test_the_stage_takes_ceil_steps(n_coop, batch):
    config = Config(n_coop=n_coop, batch_size=batch, n_images=1024)
    starts = range(0, 1024, batch)
    stages = [config.stage_at(images) for images in starts]
    steps = [stage == "cooperative" for stage in stages]
    assert sum(steps) == math.ceil(n_coop / batch)
    assert steps == sorted(steps, reverse=True)
    switches = [images for images, stage in zip(starts, stages, strict=True) if stage == "switch"]
    assert len(switches) == (1 if 0 < n_coop <= 1024 - batch else 0)
    assert config.coop_images == n_coop
    assert config.changes_stage == (0 < n_coop < 1024)


def test_the_joint_objective_has_no_stage():
    config = Config(n_coop=64, coop="joint")
    assert config.coop_images == 0
    assert not config.changes_stage
    assert {config.stage_at(images) for images in range(0, 96_000, 64)} == {"adversarial"}


def test_cooperative_steps_are_taken_in_training(tiny_points, tmp_path, monkeypatch):
    import trainers.loop as loop

    taken = []
    for name in ("cooperative_step", "adversarial_step"):
        step = getattr(loop, name)
        monkeypatch.setattr(loop, name, lambda state, step=step, name=name: taken.append(name) or step(state))
    list(train(tiny_points.replace(n_coop=100), tmp_path))
    assert taken == ["cooperative_step"] * 4 + ["adversarial_step"] * 12


def test_cooperate_gives_equation_3_and_the_teaching_loss(tiny_points):
    state = State(tiny_points.replace(n_coop=64, eta=0.3, langevin_noise=0.0, langevin_steps=2), CPU)
    real, labels = state.real_batch()
    got = cooperate(state, real, labels)
    state.images = 0
    state.real_batch()
    start = state.generate("z", labels)
    revised = start.detach()
    for _ in range(2):
        revised.requires_grad_(True)
        (grad,) = torch.autograd.grad(state.discriminator(revised, labels).sum(), revised)
        revised = (revised + 0.3 * grad).detach()
    energy = state.discriminator(revised, labels).mean() - state.discriminator(real, labels).mean()
    assert torch.allclose(got.energy, energy)
    assert torch.allclose(got.teaching, ((revised - start) ** 2).sum() / len(start))


def test_the_critic_is_as_it_was_after_the_chain(tiny_images):
    state = State(tiny_images.replace(n_coop=64), CPU)
    critic = state.discriminator
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    with frozen(critic):
        langevin(lambda x: critic(x, None), torch.zeros(8, 1, 16, 16), step_size=0.1, steps=3, noise=0.1)
        assert not any(p.requires_grad for p in critic.parameters())
    assert all(torch.equal(before[name], value) for name, value in critic.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in critic.parameters())
    assert any(isinstance(m, nn.BatchNorm2d) for m in critic.modules())  # else the test shows nothing


def test_a_cooperative_step_lowers_both_of_its_losses(tiny_points):
    """With small learning rates, D's energy gap and G's distance fall on the batch that they were taken on."""
    config = tiny_points.replace(n_coop=512, lr=1e-4, eta=0.05)
    state, same = State(config, CPU), State(config, CPU)
    cooperative_step(state)
    real, labels = same.real_batch()
    before = cooperate(same, real, labels)
    start = same.generate("z", labels)
    with frozen(same.discriminator):
        revised = langevin(
            same.discriminator,
            start,
            step_size=0.05,
            steps=config.langevin_steps,
            noise=config.langevin_noise,
            generator=same.rng("langevin"),
        )
    energy = state.discriminator(revised).mean() - state.discriminator(real).mean()
    teaching = (state.generate("z", labels) - revised).square().sum(1).mean()
    assert float(energy.detach()) < float(before.energy.detach())
    assert float(teaching.detach()) < float(before.teaching.detach())


def test_joint_adds_both_objectives(tiny_points, monkeypatch):
    """D's and G's gradients are the adversarial ones plus Algorithm 1's, at weight 1."""
    import trainers.adversarial as adversarial

    def step(config):
        caught = []
        monkeypatch.setattr(adversarial, "update", lambda _o, _n, gradients: caught.append(flat(gradients)))
        state = State(config, CPU)
        adversarial.adversarial_step(state)
        return caught

    def flat(gradients):
        return torch.cat([g.flatten() for g in gradients])

    config = tiny_points.replace(n_coop=1, coop="joint", eta=0.3)
    same = State(config, CPU)
    learned = cooperate(same, *same.real_batch())
    extra = [
        flat(torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True))
        for loss, network in ((learned.energy, same.discriminator), (learned.teaching, same.generator))
    ]
    plain, joint = step(tiny_points), step(config)
    for with_both, adversarial_alone, cooperative in zip(joint, plain, extra, strict=True):
        assert float(cooperative.norm()) > 0
        assert torch.allclose(with_both, adversarial_alone + cooperative, rtol=1e-4, atol=1e-6)


def test_joint_acts_at_every_step(tiny_points, tmp_path):
    rows = list(train(tiny_points.replace(n_coop=1, coop="joint"), tmp_path))
    assert {"loss_teaching", "loss_real", "loss_g"} <= rows[-1].keys()


def test_the_chain_has_the_fields_of_the_config(tiny_images, monkeypatch):
    """Images are clamped to [-1, 1] after it; ramp, noise, steps and eta arrive."""
    import trainers.coopinit as coopinit

    config = tiny_images.replace(n_coop=16, eta=1e4, langevin_steps=3, langevin_noise=0.2, langevin_noise_ramp=True)
    given, ends = [], []

    def spy(critic, x, **options):
        given.append(options)
        ends.append(langevin(critic, x, **options))
        return ends[-1]

    monkeypatch.setattr(coopinit, "langevin", spy)
    state = State(config, CPU)
    cooperate(state, *state.real_batch())
    expected = {"step_size": 1e4, "steps": 3, "noise": 0.2, "ramp": True, "clamp": (-1.0, 1.0)}
    assert expected.items() <= given[0].items()
    assert float(ends[0].abs().max()) == 1.0


@pytest.mark.parametrize("kind", ["keep", "fresh"])
def test_optimisers_at_the_switch(tiny_points, tmp_path, monkeypatch, kind):
    """Adam counts 16 steps where its moments run on, 12 where they start anew after 4 cooperative ones."""
    import trainers.loop as loop

    counts = []
    step = loop.adversarial_step

    def spy(state):
        result = step(state)
        counts.append(int(next(iter(state.opt_d.state.values()))["step"]))
        return result

    monkeypatch.setattr(loop, "adversarial_step", spy)
    list(train(tiny_points.replace(n_coop=128, coop_optimizer=kind), tmp_path))
    assert counts[-1] == (16 if kind == "keep" else 12)
