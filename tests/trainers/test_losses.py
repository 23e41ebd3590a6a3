import pytest
import torch

from trainers.names import LOSSES
from trainers.user_code import resolve

LOGITS = torch.linspace(-4, 4, 41, dtype=torch.float64)


def parts(name):
    return resolve(LOSSES, name)


@pytest.mark.parametrize("name", LOSSES)
def test_d_wants_real_up_and_fake_down_g_wants_fake_up(name):
    """At a logit of 0.5 every loss pushes the right way."""
    for part, sign in zip(parts(name), (-1, 1, -1), strict=True):
        logit = torch.full((3,), 0.5, requires_grad=True)
        loss = part(logit)
        loss.backward()
        assert loss.ndim == 0
        assert torch.equal(logit.grad.sign(), torch.full((3,), float(sign)))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_average_over_all_elements(name):
    """PatchGAN's logits have more dimensions: the mean is over all of them."""
    for part in parts(name):
        assert torch.allclose(part(LOGITS[:40].reshape(2, 1, 4, 5)), part(LOGITS[:40]))


def test_textbook_values():
    sigmoid = LOGITS.sigmoid()
    assert torch.allclose(parts("nonsaturating").real(LOGITS), -sigmoid.log().mean())
    assert torch.allclose(parts("nonsaturating").fake(LOGITS), -(1 - sigmoid).log().mean())
    assert torch.allclose(parts("nonsaturating").generator(LOGITS), -sigmoid.log().mean())
    assert torch.allclose(parts("minimax").generator(LOGITS), (1 - sigmoid).log().mean())
    assert torch.allclose(parts("hinge").real(LOGITS), (1 - LOGITS).clamp_min(0).mean())
    assert torch.allclose(parts("hinge").fake(LOGITS), (1 + LOGITS).clamp_min(0).mean())
    assert torch.allclose(parts("wasserstein").real(LOGITS), -LOGITS.mean())
    assert torch.allclose(parts("least_squares").real(LOGITS), ((LOGITS - 1) ** 2).mean() / 2)
    assert torch.allclose(parts("least_squares").fake(LOGITS), (LOGITS**2).mean() / 2)


def test_minimax_and_nonsaturating_differ_by_the_logit():
    """log(1 - s(a)) = -log s(a) ... - a: the two generator losses differ by mean a up to sign."""
    ns, mm = parts("nonsaturating").generator(LOGITS), parts("minimax").generator(LOGITS)
    assert torch.allclose(ns + mm, -LOGITS.mean(), atol=1e-12)


def test_large_logits_stay_finite():
    huge = torch.tensor([-1e6, 1e6])
    for name in LOSSES:
        assert all(torch.isfinite(part(huge)) for part in parts(name))
