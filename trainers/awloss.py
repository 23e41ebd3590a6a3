"""aw-loss: adaptive weights of the real and the fake part of D's loss.

Algorithm 1 of Zadorozhnyy, Cheng, Ye, "Adaptive Weighted Discriminator for Training Generative Adversarial Networks",
CVPR 2021, arXiv 2012.03149, in both variants.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


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
    gradient of zero counts as orthogonal, so that 1 and 3 have those steps too.
    """
    real, fake = (torch.cat([g.reshape(-1) for g in gradients]) for gradients in (real_grads, fake_grads))
    tiny = torch.finfo(real.dtype).tiny ** 0.5  # guards a division by zero and nothing else
    real_norm, fake_norm = (torch.linalg.vector_norm(gradient).clamp_min(tiny) for gradient in (real, fake))
    cosine = torch.dot(real / real_norm, fake / fake_norm)
    obtuse = cosine <= 0

    real_score, fake_score = torch.as_tensor(real_score), torch.as_tensor(fake_score)
    favour_real = (real_score < fake_score - delta) | (real_score < alpha1)
    favour_fake = ~favour_real & (real_score > fake_score - delta) & (real_score > alpha2)
    case = torch.where(favour_real, torch.where(obtuse, 1, 2), torch.where(favour_fake, torch.where(obtuse, 3, 4), 5))

    # Before scaling, in units of the favoured gradient: 1 for it, and for the other -cosine, 0 or 1.
    other = torch.where(obtuse, -cosine, 0)
    u_real = torch.where(favour_fake, other, 1)
    u_fake = torch.where(favour_real, other, 1)
    if normalized:
        w_real, w_fake = u_real / real_norm, u_fake / fake_norm
    else:  # -<r, f> / |f|^2 = -cosine |r| / |f|
        w_real = torch.where(favour_fake, u_real * (fake_norm / real_norm), u_real)
        w_fake = torch.where(favour_real, u_fake * (real_norm / fake_norm), u_fake)
    return AwWeights(w_real + epsilon, w_fake + epsilon, case, cosine)
