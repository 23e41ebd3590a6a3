import pytest
import torch

from trainers.config import Config
from trainers.regularizers import REGULARIZERS, Batch, gradient_penalty, r1, zcr_discriminator, zcr_generator


def batch_of(critic, real, fake, near=None):
    return Batch(real, fake, lambda: near, lambda: critic, torch.Generator().manual_seed(0))


def test_keys_are_config_fields_that_are_off_by_default():
    for name, regularizer in REGULARIZERS.items():
        assert Config.model_fields[name].default == 0
        assert regularizer.interval is None or regularizer.interval in Config.model_fields


def test_r1_of_a_quadratic():
    """D(x) = |x|^2 / 2 has gradient x: R1 is half the mean of |x|^2, over images as well."""
    x = torch.randn(6, 1, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    value = r1(batch_of(lambda x: x.square().sum((1, 2, 3)) / 2, x, x))
    assert torch.allclose(value, x.flatten(1).square().sum(1).mean() / 2)


def test_gradient_penalty_of_a_plane():
    """A plane of slope s costs (s - 1)^2 wherever it is taken."""
    x = torch.randn(5, 2, dtype=torch.float64)
    normal = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert float(gradient_penalty(batch_of(lambda x: x @ normal, x, -x))) == pytest.approx(16)
    assert float(gradient_penalty(batch_of(lambda x: x @ normal / 5, x, -x))) == pytest.approx(0)


def test_gradient_penalty_is_taken_between_real_and_fake():
    seen = []
    real, fake = torch.zeros(500, 2), torch.ones(500, 2)

    def critic(x):
        seen.append(x.detach())
        return x.sum(1)

    gradient_penalty(batch_of(critic, real, fake))
    assert torch.equal(seen[0][:, 0], seen[0][:, 1])  # one share for all elements of an example
    assert 0 <= float(seen[0].min()) < 0.05
    assert 0.95 < float(seen[0].max()) <= 1


def test_zcr_of_a_plane():
    """Samples that differ by d: D's logits differ by its slope times d, G's term is minus the mean square of d."""
    x = torch.randn(5, 2, dtype=torch.float64)
    shift = torch.tensor([0.3, -0.1], dtype=torch.float64)
    normal = torch.tensor([3.0, 4.0], dtype=torch.float64)
    batch = batch_of(lambda x: x @ normal, x, x, x + shift)
    assert float(zcr_discriminator(batch)) == pytest.approx((0.9 - 0.4) ** 2)
    assert float(zcr_generator(batch)) == pytest.approx(-(0.09 + 0.01) / 2)
    alike = batch_of(lambda x: x @ normal, x, x, x)
    assert float(zcr_discriminator(alike)) == float(zcr_generator(alike)) == 0


@pytest.mark.parametrize("name", REGULARIZERS)
def test_penalties_reach_the_parameters_of_their_network(name):
    of_d = torch.tensor([2.0, 1.0], requires_grad=True)
    of_g = torch.tensor([0.5, 0.2], requires_grad=True)
    z = torch.randn(4, 2)
    batch = batch_of(lambda x: (x @ of_d).tanh(), z, z * of_g, (z + 0.1) * of_g)
    REGULARIZERS[name].penalty(batch).backward()
    its = of_d if REGULARIZERS[name].of == "discriminator" else of_g
    assert its.grad.abs().sum() > 0
