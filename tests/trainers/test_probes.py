"""What is looked at beside training: angles with known answers, a step against the step itself, a known D's logits."""

import math

import pytest
import torch
from torch import nn

import trainers.adversarial as adversarial
from trainers.adversarial import adversarial_step, discriminator_update
from trainers.awloss import aw_weights
from trainers.config import Config
from trainers.loop import train
from trainers.names import METRICS
from trainers.probes import angles, class_logits
from trainers.state import Averages, State

CPU = torch.device("cpu")


def of_angle(degrees, length=1.0):
    """A gradient of two parameters at this angle to the first axis."""
    turn = math.radians(degrees)
    return [torch.tensor([[length * math.cos(turn)]]), torch.tensor([length * math.sin(turn)])]


def told(step, real, fake):
    """Which pairs are obtuse, and each angle as the histogram has it."""
    found = angles(step, real, fake)
    pairs = ("real_fake", "step_real", "step_fake")
    places = {
        pair: [key.rpartition("_")[2] for key, value in found.items() if f"angle_{pair}_" in key and value == 1]
        for pair in pairs
    }
    return {pair for pair in pairs if found[f"{pair}_obtuse"] == 1}, places


def test_angles_of_known_gradients():
    obtuse, places = told(of_angle(62, 5), of_angle(0), of_angle(122, 0.1))
    assert obtuse == {"real_fake"}
    assert places == {"real_fake": ["120"], "step_real": ["060"], "step_fake": ["060"]}
    obtuse, places = told(of_angle(160), of_angle(0), of_angle(177, 1e-6))
    assert obtuse == {"real_fake", "step_real"}
    assert places == {"real_fake": ["180"], "step_real": ["160"], "step_fake": ["020"]}


def test_a_gradient_that_vanished_is_told_and_is_orthogonal_to_all():
    found = angles(of_angle(0), of_angle(0), of_angle(90, 0.0))
    assert (found["real_vanished"], found["fake_vanished"]) == (0, 1)
    obtuse, places = told(of_angle(0), of_angle(0), of_angle(90, 0.0))
    assert obtuse == set()
    assert places == {"real_fake": ["090"], "step_real": ["000"], "step_fake": ["090"]}
    assert angles(of_angle(62, 5), of_angle(0), of_angle(122, 1e-20))["fake_vanished"] == 0


def test_a_right_angle_is_not_obtuse_whatever_the_rounding():
    """As those of Theorem 2's cases 1 and 3 without epsilon, in many dimensions; half of them would be by rounding."""
    rng = torch.Generator().manual_seed(0)
    count = 0
    for _ in range(20):
        real = [torch.randn(5_000, generator=rng)]
        fake = [0.2 * torch.randn(5_000, generator=rng) - real[0]]
        scores = torch.tensor(0.3), torch.tensor(0.6)
        weights = aw_weights(real, fake, *scores, alpha1=0.5, alpha2=0.75, delta=0.05, epsilon=0.0, normalized=True)
        assert weights.case == 1
        obtuse, places = told([weights.w_real * real[0] + weights.w_fake * fake[0]], real, fake)
        assert obtuse == {"real_fake"}
        assert places["step_fake"] == ["090"]
        count += 1
    assert count == 20


@pytest.mark.parametrize("aw", ["off", "normalized", "unnormalized"])
def test_the_probed_step_is_the_one_that_is_taken_where_their_weights_are_equal(tiny_images, monkeypatch, aw):
    """Fourth step, so that Adam has moments, with spectral norm and ADA; then D is asked itself."""
    state = State(tiny_images.replace(aw=aw, probe=aw, spectral_norm="d", ada="bgc", ada_p=0.5, loss="hinge"), CPU)
    for _ in range(3):
        adversarial_step(state)
    seen = []
    after = adversarial.logits_after
    monkeypatch.setattr(adversarial, "logits_after", lambda *a: seen.append((after(*a), a)) or seen[-1][0])
    real, labels = state.real_batch()
    state.probed = Averages()
    discriminator_update(state, real, labels, None)
    ((got, (_, _, same, fake, _)),) = seen
    assert same is real
    critic = state.critic("augmentation", labels)
    with torch.no_grad():
        logit_real, logit_fake = float(critic(real).mean()), float(critic(fake).mean())
    assert float(got["logit_real_after"]) == logit_real
    assert float(got["gap_after"]) == pytest.approx(logit_real - logit_fake, abs=1e-6)
    assert state.probed.means()["logit_real_after"] == logit_real


def test_the_probed_step_may_have_other_weights_than_training(tiny_points):
    """From the state of the original loss it comes to where aw's own first step does."""
    probing, training = (State(tiny_points.replace(**f), CPU) for f in ({"probe": "normalized"}, {"aw": "normalized"}))
    for state in (probing, training):
        real, labels = state.real_batch()
        discriminator_update(state, real, labels, None)
    with torch.no_grad():
        stepped, plain = (float(state.discriminator(real, labels).mean()) for state in (training, probing))
    got = probing.probed.means()
    assert got["logit_real_after"] == pytest.approx(stepped, abs=1e-6)
    assert got["logit_real_after"] != pytest.approx(plain, abs=1e-6)
    assert sum(got[f"aw_case_{case}"] for case in range(1, 6)) == 1


def test_a_linear_critic_by_hand(tiny_points, monkeypatch):
    """D(x) = w.x with w = 0 and hinge: the gradients are -mean(real) and mean(fake), and Adam's first step is lr times
    the sign of their sum."""

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(2))

        def forward(self, x, labels):
            return x @ self.w

    state = State(tiny_points.replace(loss="hinge", probe="off", lr=0.1), CPU)
    state.discriminator = Linear()
    state.fresh_optimizers()
    real, labels = state.real_batch()
    fake = state.generate("z", labels).detach()
    discriminator_update(state, real, labels, None)
    r, f = -real.mean(0), fake.mean(0)
    w = -0.1 * torch.sign(r + f)
    got = state.probed.means()
    assert got["logit_real_after"] == pytest.approx(float(w @ real.mean(0)), abs=1e-5)
    assert got["gap_after"] == pytest.approx(float(w @ (real.mean(0) - fake.mean(0))), abs=1e-5)
    assert got["gap_after_fresh"] == got["gap_after"]  # a first step
    assert got["logit_real_after_sgd"] == pytest.approx(float(-(r + f) @ real.mean(0)), abs=1e-5)
    assert got["gap_after_sgd"] == pytest.approx(float(-(r + f) @ (real.mean(0) - fake.mean(0))), abs=1e-5)
    assert got["real_fake_obtuse"] == float(r @ f < 0)
    assert got["step_real_obtuse"] == float((r + f) @ r < 0)
    assert got["step_fake_obtuse"] == float((r + f) @ f < 0)
    assert got["logit_real_before"] == got["gap_before"] == 0

    shown = []
    after = adversarial.logits_after
    monkeypatch.setattr(adversarial, "logits_after", lambda *a: shown.append(a[3]) or after(*a))
    state.probed = Averages()
    discriminator_update(state, 3 * real, labels, None)  # another gradient: along the same one moments change nothing
    again = state.probed.means()
    assert again["gap_after_fresh"] != pytest.approx(again["gap_after"], rel=1e-3)
    assert again["logit_real_before"] == pytest.approx(3 * got["logit_real_after"], abs=1e-6)
    assert again["gap_before"] == pytest.approx(float(w @ (3 * real.mean(0) - shown[0].mean(0))), abs=1e-5)


def test_averages_forget_nothing():
    averages = Averages()
    for value in range(500):
        averages.update({"a": torch.tensor(float(value)), **({"b": torch.tensor(2.0)} if value == 0 else {})})
    assert averages.means() == {"a": 249.5, "b": 2.0}


def test_rows_tell_the_mean_over_all_steps_so_far(tiny_points, tmp_path, monkeypatch):
    steps = []
    after = adversarial.logits_after
    monkeypatch.setattr(adversarial, "logits_after", lambda *a: steps.append(after(*a)) or steps[-1])
    config = tiny_points.replace(probe="normalized", aw="normalized")
    rows = list(train(config, tmp_path))
    assert "logit_real_after" not in rows[0]
    for row, n in zip(rows[1:], (8, 16), strict=True):
        expected = sum(float(step["logit_real_after"]) for step in steps[:n]) / n
        assert row["logit_real_after"] == pytest.approx(expected, abs=1e-6)
        assert sum(row[f"aw_case_{case}"] for case in range(1, 6)) == pytest.approx(1)
        assert sum(row[f"angle_real_fake_{degrees:03d}"] for degrees in range(0, 190, 10)) == pytest.approx(1)
        assert set(config.evaluation_keys) <= row.keys()


def test_class_logits_of_a_known_critic(tiny_points):
    """D(x) = 3 x + 1 of the first coordinate: over the ring 3 cos + 1; D's buffers and gradients are left alone."""

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor(3.0))
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x, labels):
            self.calls += 1
            assert x.shape == (800, 2)
            assert torch.equal(labels.bincount(), torch.full((8,), 100))
            return self.w * x[:, 0] + 1

    state = State(tiny_points, CPU)
    state.discriminator = Linear()
    found = class_logits(state)
    expected = [3 * math.cos(mode * math.pi / 4) + 1 for mode in range(8)]
    assert [found[f"class_logit_{mode:02d}"] for mode in range(8)] == pytest.approx(expected, abs=0.015)  # 3 x std / 10
    assert found["class_logit_min"] == pytest.approx(-2, abs=0.015)
    assert found["class_logit_spread"] == pytest.approx(6, abs=0.03)
    assert state.discriminator.calls == 0
    assert state.discriminator.w.requires_grad
    assert class_logits(state) == found


def test_keys_that_tables_may_ask_for(tiny_points, tiny_images):
    names = {metric.key for metric in METRICS.values()}
    for config in (tiny_points, tiny_images, tiny_points.replace(probe="off"), tiny_images.replace(probe="off")):
        assert config.evaluation_keys[: len(config.metric_keys)] == config.metric_keys
        assert set(config.evaluation_keys) - set(config.metric_keys) <= names
    assert tiny_images.evaluation_keys == tiny_images.metric_keys
    with pytest.raises(ValueError, match="probe = 'sideways'"):
        Config(probe="sideways")
