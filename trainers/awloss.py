"""aw-loss: adaptive weights of the real and the fake part of D's loss.

Algorithm 1 of Zadorozhnyy, Cheng, Ye, "Adaptive Weighted Discriminator for Training Generative Adversarial Networks",
CVPR 2021, arXiv 2012.03149, in both variants.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import threshold

ALIGNED = 16  # numbers of 32 bits in the 64 bytes to which torch aligns what it allocates


class AwWeights(NamedTuple):
    """0-d tensors: the weights of the two gradients, the case of Algorithm 1 (1 to 5), the gradients' cosine."""

    w_real: Tensor
    w_fake: Tensor
    case: Tensor
    cosine: Tensor


def aw_weights(
    real_grads: Sequence[Tensor],
    fake_grads: Sequence[Tensor],
    real_score: Tensor,
    fake_score: Tensor,
    *,
    alpha1: float,
    alpha2: float,
    delta: float,
    epsilon: float,
    normalized: bool,
) -> AwWeights:
    """Weights of one step, so that D descends along w_real * real_grads + w_fake * fake_grads.

    `real_grads` and `fake_grads` are the gradients of the two minimised losses over all of D's parameters, any shapes;
    the scores are mean sigmoids of D's logits, in [0, 1]. Everything stays on the gradients' device.

    Cases 1 and 2 favour the real loss (its score is low), 3 and 4 the fake one, 5 neither. Where the angle between
    the gradients is obtuse, 1 and 3 go orthogonally to the other gradient (Theorem 2; exact for epsilon = 0). A
    gradient of zero counts as orthogonal, so that 1 and 3 have those steps too; normalized, its weight is epsilon.
    """
    both, size = _joined(real_grads, fake_grads)
    weights, case, cosine = _weights(both, size, real_score, fake_score, alpha1, alpha2, delta, epsilon, normalized)
    w_real, w_fake = weights
    return AwWeights(w_real, w_fake, case, cosine)


def weigh(
    real_grads: Sequence[Tensor], fake_grads: Sequence[Tensor], real_score: Tensor, fake_score: Tensor, **options: Any
) -> tuple[list[Tensor], AwWeights]:
    """w_real * real_grads + w_fake * fake_grads, a tensor each, and the weights, of the arguments of `aw_weights`. All
    of it is done on one joined copy of the gradients: to make others takes longer than the arithmetic."""
    both, size = _joined(real_grads, fake_grads)
    weights, case, cosine = _weights(both, size, real_score, fake_score, **options)
    w_real, w_fake = weights
    total = torch.add(*both.mul_(weights[:, None]), out=both[0])
    parts = total[:size].split([g.numel() for g in real_grads])
    return [part.view_as(g) for part, g in zip(parts, real_grads, strict=True)], AwWeights(w_real, w_fake, case, cosine)


def _joined(real_grads: Sequence[Tensor], fake_grads: Sequence[Tensor]) -> tuple[Tensor, int]:
    """Both gradients, [2, parameters and more up to a multiple of ALIGNED], and the number of parameters. On a CPU the
    order of a sum depends on where in memory it begins: the two are summed alike."""
    size = sum(g.numel() for g in real_grads)
    more = real_grads[0].reshape(-1)[:1].expand(-size % ALIGNED)  # which nobody reads
    parts = (*real_grads, more, *fake_grads, more)
    return torch.cat([part.reshape(-1) for part in parts]).view(2, -1), size


def _weights(
    both: Tensor,
    size: int,
    real_score: Tensor,
    fake_score: Tensor,
    alpha1: float,
    alpha2: float,
    delta: float,
    epsilon: float,
    normalized: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The two weights [2], the case and the cosine, of the two gradients [2, parameters and more]."""
    # [2], of the real and of the fake gradient, one by one: a norm along a dimension sums in another order
    norms = torch.stack(torch._foreach_norm(list(both[:, :size])))
    norms = threshold(norms, 0, torch.finfo(both.dtype).tiny ** -0.5)  # of zero: huge, so that its weight is epsilon
    cosine = torch.dot(*(both / norms[:, None])[:, :size])
    obtuse = cosine <= 0

    real_score, fake_score = (torch.as_tensor(score, device=both.device) for score in (real_score, fake_score))
    bar = fake_score - delta
    favour_real = (real_score < bar) | (real_score < alpha1)
    favour_fake = (real_score > bar) & (real_score > max(alpha1, alpha2))
    case = 5 - (3 * favour_real + favour_fake + (obtuse & (favour_real | favour_fake)))

    # Before scaling, in units of the favoured gradient: 1 for it, and for the other -cosine, 0 or 1.
    is_other = torch.stack([favour_fake, favour_real])  # [2], as norms
    units = torch.where(is_other, (-cosine).clamp_min(0), 1)
    # unnormalized the other's weight is -<r, f> / |f|^2 = -cosine |r| / |f|, or with r and f exchanged
    weights = units / norms if normalized else torch.where(is_other, units * (norms.flip(0) / norms), units)
    return weights + epsilon, case, cosine
