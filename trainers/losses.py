"""Adversarial losses: rows of three pure functions of logits (real, fake, generator), each averaged over all elements.

D minimises real(D(x)) + fake(D(G(z))); G minimises generator(D(G(z))). The two parts of D's loss stay apart, because
aw-loss weighs their gradients.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus


class Loss(NamedTuple):
    """Three functions from logits of any shape to a 0-d tensor."""

    real: Callable[[Tensor], Tensor]
    fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


nonsaturating = Loss(
    real=lambda logits: softplus(-logits).mean(),
    fake=lambda logits: softplus(logits).mean(),
    generator=lambda logits: softplus(-logits).mean(),
)
"""Goodfellow et al. 2014, in logits: -log sigmoid(a) = softplus(-a), -log(1 - sigmoid(a)) = softplus(a)."""
minimax = Loss(real=nonsaturating.real, fake=nonsaturating.fake, generator=lambda logits: -softplus(logits).mean())
"""The same game with G minimising log(1 - sigmoid(D(G(z)))) itself."""
hinge = Loss(
    real=lambda logits: relu(1 - logits).mean(),
    fake=lambda logits: relu(1 + logits).mean(),
    generator=lambda logits: -logits.mean(),
)
"""Lim and Ye 2017; Tran et al. 2017."""
wasserstein = Loss(
    real=lambda logits: -logits.mean(), fake=lambda logits: logits.mean(), generator=lambda logits: -logits.mean()
)
"""Arjovsky et al. 2017; needs gp_weight, or another hold on D's slope."""
least_squares = Loss(
    real=lambda logits: 0.5 * (logits - 1).square().mean(),
    fake=lambda logits: 0.5 * logits.square().mean(),
    generator=lambda logits: 0.5 * (logits - 1).square().mean(),
)
"""Mao et al. 2017, targets 1 and 0. aw-loss' scores are sigmoids of these logits: a perfect D scores real data
sigmoid(1) = 0.73, so that the published alpha2 = 0.75 is hardly reached."""
