"""Regularizers of D: one table, whose keys are the Config fields that weigh them.

Each gives an unweighed 0-d penalty from `critic(x) -> logits`, real and fake data [N, *shape] and a random stream.
They are added after aw-loss, so that aw-loss weighs the two adversarial terms alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Critic = Callable[[Tensor], Tensor]


class Regularizer(NamedTuple):
    """A penalty and, for one that may be lazy, the Config field with its interval in D updates."""

    penalty: Callable[[Critic, Tensor, Tensor, torch.Generator], Tensor]
    interval: str | None = None


def r1(critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """Half the mean squared norm of D's gradient on real data (Mescheder, Geiger, Nowozin 2018, equation 9)."""
    return 0.5 * _slopes(critic, real).square().sum(1).mean()


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """Mean squared distance from 1 of D's gradient norm between real and fake data (Gulrajani et al. 2017)."""
    share = torch.rand(len(real), *[1] * (real.ndim - 1), generator=rng, device=real.device)
    return (_slopes(critic, real + share * (fake - real)).norm(dim=1) - 1).square().mean()


def _slopes(critic: Critic, x: Tensor) -> Tensor:
    """Gradient of the summed logits at x, as [N, elements], differentiable itself."""
    x = x.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return slope.flatten(1)


REGULARIZERS = {
    "r1_gamma": Regularizer(r1, interval="r1_interval"),
    "gp_weight": Regularizer(gradient_penalty),
}
