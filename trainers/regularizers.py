"""Regularizers of D and of G: their penalties, and which act when. The Config field that weighs one says the rest;
`penalty_d` and `penalty_g` weigh those of a user's own.

Each gives an unweighed 0-d penalty. Those of D are added after aw-loss, which weighs the two adversarial terms alone.
"""

import re
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from trainers.config import Config
from trainers.state import State
from trainers.user_code import guard_user_code, load_object

Critic = Callable[[Tensor], Tensor]


class Batch(NamedTuple):
    """What a regularizer may look at in one update."""

    real: Tensor  # [N, *shape]
    fake: Tensor  # [M, *shape], G(z); in D's update M is N, and it has no graph
    perturbed: Callable[[], Tensor]  # G(z + noise), same labels
    critic: Callable[[], Critic]  # gives x -> logits, for the labels of `fake`, in D's update those of `real` too; each
    # starts the same augmentations anew
    rng: torch.Generator
    generator_input: Callable[[], Tensor]  # what G made `fake` of
    generator: Any  # G
    config: Config


def r1(batch: Batch) -> Tensor:
    """Half the mean squared norm of D's gradient on real data (Mescheder, Geiger, Nowozin 2018, equation 9)."""
    return 0.5 * _input_gradient(batch.critic(), batch.real).square().sum(1).mean()


def gradient_penalty(batch: Batch) -> Tensor:
    """Mean squared distance from 1 of D's gradient norm between real and fake data (Gulrajani et al. 2017)."""
    real, fake = batch.real, batch.fake
    share = torch.rand(len(real), *[1] * (real.ndim - 1), generator=batch.rng, device=real.device)
    return (_input_gradient(batch.critic(), real + share * (fake - real)).norm(dim=1) - 1).square().mean()


def zcr_discriminator(batch: Batch) -> Tensor:
    """Mean squared difference of D's logits of G(z) and G(z + noise) (Zhao et al. 2020, Improved consistency
    regularization, algorithm 2)."""
    return (batch.critic()(batch.fake) - batch.critic()(batch.perturbed())).square().mean()


def zcr_generator(batch: Batch) -> Tensor:
    """Minus the mean squared difference of G(z) and G(z + noise), over all elements as in StyleGAN2-ADA's comparison
    (NVlabs/stylegan2-ada, training/loss.py)."""
    return -(batch.fake - batch.perturbed()).square().mean()


def patch_nce(batch: Batch) -> Tensor:
    """CUT's multilayer, patchwise contrast of images of A with their translations (Park et al. 2020, equation 3);
    with `nce_identity` the mean of that and of real images with G's version of them (equation 5)."""
    pairs = [(batch.generator_input(), batch.fake)]
    if batch.config.nce_identity:
        pairs.append((batch.real, batch.generator(batch.real)))
    return torch.stack([_contrast_of_layers(batch, *pair) for pair in pairs]).mean()


def _contrast_of_layers(batch: Batch, before: Tensor, after: Tensor) -> Tensor:
    """Mean contrast over G's layers at random places, the same ones before and after."""
    generator, config, losses = batch.generator, batch.config, []
    with torch.no_grad():
        keys = generator.encode(before)
    for project, key, query in zip(generator.projections, keys, generator.encode(after), strict=True):
        size = key[0, 0].numel()
        places = torch.randperm(size, generator=batch.rng, device=key.device)[: config.nce_patches]
        key, query = (project(x.flatten(2)[:, :, places].transpose(1, 2)) for x in (key, query))  # [N, S, units]
        losses.append(contrast(query, key.detach(), config.nce_temperature))
    return torch.stack(losses).mean()


def contrast(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy of telling each query's own key from the other keys of its image (Park et al. 2020, equation
    2), by cosine similarity over the temperature. Both [N, S, units]."""
    logits = normalize(queries, dim=2) @ normalize(keys, dim=2).transpose(1, 2) / temperature  # [N, S, S]
    own = torch.arange(logits.shape[1], device=logits.device).repeat(len(logits))
    return cross_entropy(logits.flatten(0, 1), own)


def _input_gradient(critic: Critic, x: Tensor) -> Tensor:
    """Gradient of the summed logits at x, as [N, elements], differentiable itself."""
    x = x.detach().requires_grad_(True)
    (grad,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return grad.flatten(1)


def penalties(
    state: State,
    of: Literal["discriminator", "generator"],
    purpose: str,
    real: Tensor,
    fake: Tensor,
    labels: Tensor,
    *,
    lazy: bool = False,
    coop: bool = False,
) -> dict[str, Tensor]:
    """The weighed regularizers of one network that act on this update, by name: those of every update, or the lazy
    ones; of an update of the cooperative stage, or of an adversarial one. `purpose` is that of the source of `fake`."""
    config, weighed = state.config, {}

    def perturbed() -> Tensor:
        with torch.set_grad_enabled(of == "generator"):
            return state.generate(purpose, labels, perturbed=True)

    def batch(name: str) -> Batch:
        critic = partial(state.critic, "augmentation of regularizers", labels)
        generator_input = partial(state.generator_input, purpose, len(labels))
        rng = state.rng(f"regularizer {name}")
        return Batch(real, fake, perturbed, critic, rng, generator_input, state.generator, config)

    for field, row in config.active_regularizers.items():
        interval = getattr(config, row.interval) if row.interval else 1
        due = (state.images // config.batch_size - 1) % interval == 0  # D's updates before this one
        staged = not coop or (row.coop is not None and getattr(config, row.coop))
        if row.of == of and lazy == (interval > 1) and due and staged:
            weighed[f"loss_{field}"] = getattr(config, field) * interval * load_object(row.penalty)(batch(field))
    field = "penalty_d" if of == "discriminator" else "penalty_g"
    for name, weight in () if lazy or coop else sorted(getattr(config, field).items()):
        called = re.sub(r"\W", "_", name)
        weighed[f"loss_{field}_{called}"] = weight * _own(field, name, batch(name))
    return weighed


def _own(field: str, name: str, batch: Batch) -> Tensor:
    """A penalty of the user's own. Raises ValueError for what it raises, and for what cannot be added to a loss."""
    function = load_object(name, FunctionType)
    with guard_user_code(field, name, ()):
        penalty = function(batch)
    if not (isinstance(penalty, Tensor) and penalty.dim() == 0 and penalty.requires_grad):
        held = f"of {list(penalty.shape)}" if isinstance(penalty, Tensor) else type(penalty).__name__
        raise ValueError(f"{field}: {name!r} should return a 0-d tensor that depends on the network, not one {held}")
    return penalty


@torch.enable_grad()
def check_own(state: State, real: Tensor, labels: Tensor) -> None:
    """Raise ValueError for regularizers of the user's own that would fail in a step on such data."""
    if state.config.penalty_d or state.config.penalty_g:
        fake = state.generate("check", labels)
        penalties(state, "discriminator", "check", real, fake.detach(), labels)
        penalties(state, "generator", "check", real, fake, labels)
