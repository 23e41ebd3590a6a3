"""Regularizers of D and of G: one table, whose keys are the Config fields that weigh them.

Each gives an unweighed 0-d penalty. Those of D are added after aw-loss, so that aw-loss weighs the two adversarial
terms alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Critic = Callable[[Tensor], Tensor]


class Batch(NamedTuple):
    """What a regularizer may look at in one update."""

    real: Tensor  # [N, *shape]
    fake: Tensor  # [M, *shape], G(z); with a graph in G's update
    near: Callable[[], Tensor]  # G(z + noise), same labels
    critic: Callable[[], Critic]  # gives x -> logits; each starts the same augmentations anew
    rng: torch.Generator


class Regularizer(NamedTuple):
    """A penalty and, for one that may be lazy, the Config field with its interval in D updates."""

    penalty: Callable[[Batch], Tensor]
    of: Literal["discriminator", "generator"] = "discriminator"
    interval: str | None = None


def r1(batch: Batch) -> Tensor:
    """Half the mean squared norm of D's gradient on real data (Mescheder, Geiger, Nowozin 2018, equation 9)."""
    return 0.5 * _slopes(batch.critic(), batch.real).square().sum(1).mean()


def gradient_penalty(batch: Batch) -> Tensor:
    """Mean squared distance from 1 of D's gradient norm between real and fake data (Gulrajani et al. 2017)."""
    real, fake = batch.real, batch.fake
    share = torch.rand(len(real), *[1] * (real.ndim - 1), generator=batch.rng, device=real.device)
    return (_slopes(batch.critic(), real + share * (fake - real)).norm(dim=1) - 1).square().mean()


def zcr_discriminator(batch: Batch) -> Tensor:
    """Mean squared difference of D's logits of G(z) and G(z + noise) (Zhao et al. 2020, Improved consistency
    regularization, algorithm 2)."""
    return (batch.critic()(batch.fake) - batch.critic()(batch.near())).square().mean()


def zcr_generator(batch: Batch) -> Tensor:
    """Minus the mean squared difference of G(z) and G(z + noise), over all elements as in StyleGAN2-ADA's comparison
    (NVlabs/stylegan2-ada, training/loss.py)."""
    return -(batch.fake - batch.near()).square().mean()


def _slopes(critic: Critic, x: Tensor) -> Tensor:
    """Gradient of the summed logits at x, as [N, elements], differentiable itself."""
    x = x.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return slope.flatten(1)


REGULARIZERS = {
    "r1_gamma": Regularizer(r1, interval="r1_interval"),
    "gp_weight": Regularizer(gradient_penalty),
    "zcr_d": Regularizer(zcr_discriminator),
    "zcr_g": Regularizer(zcr_generator, of="generator"),
}
