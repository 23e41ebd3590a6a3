"""CoopInit: cooperative learning as initialisation of a GAN.

Zhao, Xie, Li, "CoopInit: Initializing Generative Adversarial Networks via Cooperative Learning", AAAI 2023, arXiv
2303.11649. D is read as an energy-based model with density proportional to exp D(x) (equation 1).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.parametrize import cached

from trainers.regularizers import penalties
from trainers.state import State, frozen, gradients, update


def langevin(
    critic: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    step_size: float,
    steps: int,
    noise: float,
    clamp: tuple[float, float] | None = None,
    generator: torch.Generator | None = None,
    ramp: bool = False,
    grads: list[Tensor] | None = None,
) -> Tensor:
    """Langevin dynamics on the energy -critic (CoopInit equation 4): x <- x + step_size * grad + noise * N(0, I).

    `x` is [N, ...], `critic(x)` gives logits that are summed over all elements, `noise` is a standard deviation in
    units of x (equation 4 read literally: sqrt(2 * step_size)), with `ramp` falling linearly to 0 along the chain.
    `clamp` bounds the end of the chain, not its steps. Returns the end of the chain, detached. `grads`, where given,
    receives each step's gradient [N, ...].
    """
    x = x.detach()
    for step in range(steps):
        x.requires_grad_(True)
        with torch.enable_grad():
            (grad,) = torch.autograd.grad(critic(x).sum(), x)
        sigma = noise * (1 - step / steps) if ramp else noise
        x = x.detach() + step_size * grad
        if sigma:
            x = x + sigma * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        if grads is not None:
            grads.append(grad)
    return x.clamp(*clamp) if clamp else x


def curvature(before: Tensor, after: Tensor) -> Tensor:
    """Step size times curvature of D along a step of a chain, 0-d, from the gradients [N, ...] before and after it: the
    share of its slope that the step uses up. At 1 it ends on the maximum along its way; beyond 2 it ends lower than it
    began, as of gradient ascent on a quadratic (Nesterov, Introductory lectures on convex optimization, 2004, section
    1.2.3), and chains run away."""
    return ((before - after) * before).sum() / before.square().sum().clamp_min(torch.finfo(before.dtype).tiny)


class Cooperation(NamedTuple):
    """G's start, the two losses of one cooperative step and its statistics; all but the start 0-d tensors."""

    start: Tensor  # [N, *shape], G(z) or a translation, with its graph
    energy: Tensor  # D's: mean D(x_tilde) - mean D(x), equation 3
    teaching: Tensor  # G's: batch mean of the squared norm of x_tilde - G(z)
    statistics: dict[str, Tensor]


def cooperate(state: State, real: Tensor, labels: Tensor) -> Cooperation:
    """Algorithm 1 up to the updates: G's start, D's revision of it, and what both learn from it. One forward pass of G
    serves the start of the chain and the teaching loss: same z (or image of domain A), labels, batch statistics."""
    config = state.config
    start = state.generate("z", labels)  # [N, *shape]
    grads: list[Tensor] = []
    with frozen(state.discriminator), cached():  # no weight changes along the chain
        revised = langevin(
            state.critic("augmentation of langevin", labels, augmented=config.ada_langevin),
            start,
            step_size=config.eta,
            steps=config.langevin_steps,
            noise=config.langevin_noise,
            ramp=config.langevin_noise_ramp,
            clamp=state.data.bounds,
            generator=state.rng("langevin"),
            grads=grads,
        )
    critic = state.critic("augmentation of energy", labels, augmented=config.ada_coop)
    real_logits, revised_logits = critic(real), critic(revised)
    energy = revised_logits.mean() - real_logits.mean()
    teaching = (revised - start).flatten(1).square().sum(1).mean()
    statistics = {
        "logit_real": real_logits.detach().mean(),
        "logit_revised": revised_logits.detach().mean(),
        "loss_teaching": teaching.detach(),
        "langevin_slope": torch.stack([grad.flatten(1).norm(dim=1).mean() for grad in grads]).mean(),
        "langevin_distance": (revised - start.detach()).square().mean().sqrt(),
    }
    if len(grads) > 1:
        statistics["langevin_curvature"] = curvature(*grads[:2])
    return Cooperation(start, energy, teaching, statistics)


def cooperative_step(state: State) -> dict[str, Tensor]:
    """One step of Algorithm 1: D by equation 3, G towards D's revision of its samples. No aw-loss, and no regularizer
    but PatchNCE, which ties a translation to its source."""
    real, labels = state.real_batch()
    learned = cooperate(state, real, labels)
    update(state.opt_d, state.discriminator, gradients(learned.energy, state.discriminator))
    found = penalties(state, "generator", "z", real, learned.start, labels, coop=True)
    loss = torch.stack([learned.teaching, *found.values()]).sum()
    update(state.opt_g, state.generator, gradients(loss, state.generator))
    return learned.statistics | {name: penalty.detach() for name, penalty in found.items()}
