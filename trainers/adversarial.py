"""The adversarial step: n_critic updates of D, weighed by aw-loss and regularized, then one update of G."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.awloss import weigh
from trainers.config import Config
from trainers.coopinit import cooperate
from trainers.probes import angles, logits_after, logits_before
from trainers.regularizers import penalties
from trainers.state import State, gradients, update


def adversarial_step(state: State) -> dict[str, Tensor]:
    """One step; returns its statistics as 0-d tensors. With `coop = joint` the last D update and the G update also
    carry Algorithm 1's two losses, with weight 1."""
    config = state.config
    joint = config.coop == "joint"
    for left in reversed(range(config.n_critic)):
        real, labels = state.real_batch()
        learned = cooperate(state, real, labels) if joint and left == 0 else None
        statistics = discriminator_update(state, real, labels, learned.energy if learned else None)

    labels = state.labels_of_g(labels)
    fake = state.generate("z of G", labels)
    loss = state.loss.generator(state.critic("augmentation of G", labels)(fake))
    statistics["loss_g"] = loss.detach()
    for name, penalty in penalties(state, "generator", "z of G", real, fake, labels).items():
        statistics[name] = penalty.detach()
        loss = loss + penalty
    if learned:
        loss = loss + learned.teaching
        statistics |= learned.statistics
    update(state.opt_g, state.generator, gradients(loss, state.generator))
    return statistics


def discriminator_update(state: State, real: Tensor, labels: Tensor, extra: Tensor | None) -> dict[str, Tensor]:
    """One update of D along w_real r + w_fake f + the gradients of the regularizers and of `extra`; lazy regularizers
    have updates of their own after it. aw weighs the two adversarial gradients alone, as published."""
    config, critic = state.config, state.critic("augmentation", labels)
    with torch.no_grad():
        fake = state.generate("z", labels)
    real_logits, fake_logits = critic(real), critic(fake)
    real_loss, fake_loss = state.loss.real(real_logits), state.loss.fake(fake_logits)
    grads = gradients(real_loss, state.discriminator), gradients(fake_loss, state.discriminator)
    scores = real_logits.detach().sigmoid().mean(), fake_logits.detach().sigmoid().mean()
    statistics = {
        "loss_real": real_loss.detach(),
        "loss_fake": fake_loss.detach(),
        "logit_real": real_logits.detach().mean(),
        "logit_fake": fake_logits.detach().mean(),
        "score_real": scores[0],
        "score_fake": scores[1],
    }
    total, told = _weighed(config, config.aw, grads, scores)
    statistics |= told
    if config.probe != "none":
        step, told = _weighed(config, config.probe, grads, scores)
        told |= angles(step, *grads) | logits_before(real_logits, fake_logits)
        told |= logits_after(state, step, real, fake, labels)
        state.probed.update(told)

    found = penalties(state, "discriminator", "z", real, fake, labels)
    if terms := [*([] if extra is None else [extra]), *found.values()]:
        more = gradients(torch.stack(terms).sum(), state.discriminator)
        total = torch._foreach_add(list(total), list(more))
    update(state.opt_d, state.discriminator, total)

    lazy = penalties(state, "discriminator", "z", real, fake, labels, lazy=True)
    for penalty in lazy.values():
        update(state.opt_d, state.discriminator, gradients(penalty, state.discriminator))
    statistics |= {name: penalty.detach() for name, penalty in (found | lazy).items()}

    state.steer_augmentation(real_logits.detach())
    if config.ada != "off":
        statistics["ada_p"] = state.ada_p
    return statistics


def _weighed(
    config: Config, aw: str, grads: tuple[tuple[Tensor, ...], tuple[Tensor, ...]], scores: tuple[Tensor, Tensor]
) -> tuple[Sequence[Tensor], dict[str, Tensor]]:
    """The real and the fake gradient summed with the weights of `aw`, a parameter each, and the weights' statistics. Of
    the cases of Algorithm 1 the one taken is 1, so that running means are shares."""
    real, fake = grads
    if aw == "off":
        return torch._foreach_add(real, fake), {}
    total, weights = weigh(
        *grads,
        *scores,
        alpha1=config.aw_alpha1,
        alpha2=config.aw_alpha2,
        delta=config.aw_delta,
        epsilon=config.aw_epsilon,
        normalized=aw == "normalized",
    )
    taken = (weights.case == torch.arange(1, 6, device=weights.case.device)).float()
    cases = {f"aw_case_{case}": is_it for case, is_it in enumerate(taken.unbind(), 1)}
    return total, {
        "aw_w_real": weights.w_real,
        "aw_w_fake": weights.w_fake,
        "aw_cosine": weights.cosine,
        **cases,
    }
