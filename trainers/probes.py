"""What the aw paper's figures 4 to 6 look at: angles of D's gradients, its logits around a step and of real modes.

Section 5 of Zadorozhnyy, Cheng, Ye (CVPR 2021, arXiv 2012.03149). Nothing here changes what is trained.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, one_hot

from trainers.names import ANGLE_STEP
from trainers.state import State, frozen, update
from trainers.streams import stream

OBTUSE = -1e-3  # cosine below which an angle is above 90 degrees (by 0.06), so that right angles are not by rounding
MODE_POINTS = 100  # real points of each mode (section 5.3)


def angles(step: Sequence[Tensor], real: Sequence[Tensor], fake: Sequence[Tensor]) -> dict[str, Tensor]:
    """Angles between three gradients of D: its step, the real loss, the fake loss (5.1). One tensor a parameter.

    Per pair 1.0 if above 90 degrees (`real_fake_obtuse`), and a one-hot histogram in bins of 10 degrees
    (`angle_real_fake_000` to `_180`), as 0-d tensors. A gradient that vanished (`real_vanished`, `fake_vanished`), as
    the hinge loss's does once a batch is beyond the margin, counts as orthogonal to the others, as in aw-loss.
    """
    s, r, f = (torch.cat([g.reshape(-1) for g in gradients]) for gradients in (step, real, fake))
    measured = {"real_vanished": (~r.any()).float(), "fake_vanished": (~f.any()).float()}
    for name, (a, b) in {"real_fake": (r, f), "step_real": (s, r), "step_fake": (s, f)}.items():
        cosine = cosine_similarity(a, b, dim=0, eps=torch.finfo(a.dtype).tiny)
        bin_ = (cosine.clamp(-1, 1).acos().rad2deg() / ANGLE_STEP).round().long()
        shares = one_hot(bin_, 180 // ANGLE_STEP + 1).float()
        measured[f"{name}_obtuse"] = (cosine < OBTUSE).float()
        measured |= {f"angle_{name}_{ANGLE_STEP * i:03d}": share for i, share in enumerate(shares.unbind())}
    return measured


def logits_before(logits_real: Tensor, logits_fake: Tensor) -> dict[str, Tensor]:
    """The mean of a batch's logits of real data, and by how much it exceeds that of the fake ones. 0-d tensors."""
    logit_real, logit_fake = logits_real.detach().mean(), logits_fake.detach().mean()
    return {"logit_real_before": logit_real, "gap_before": logit_real - logit_fake}


def logits_after(state: State, step: Sequence[Tensor], real: Tensor, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """D's mean logit of a batch [N, *shape] of real data, and by how much it exceeds that of the fake one, after a step
    of a copy of D along the gradient `step` (section 5.2). 0-d tensors.

    The paper does not tell the optimiser, so three are tried: a copy of D's Adam as it stands, the same without moments
    (`_fresh`), and gradient descent at a rate of 1 (`_sgd`).
    """
    told: dict[str, Tensor] = {}
    tried, optimizer = copy.deepcopy((state.discriminator, state.opt_d))
    for name in ("", "_fresh", "_sgd"):
        tried.load_state_dict(state.discriminator.state_dict())
        update(torch.optim.SGD(tried.parameters(), lr=1.0) if name == "_sgd" else optimizer, tried, step)
        optimizer.state.clear()
        critic = state.critic("augmentation", labels, network=tried)
        with torch.no_grad():
            logit_real, logit_fake = critic(real).mean(), critic(fake).mean()
        told |= {f"logit_real_after{name}": logit_real, f"gap_after{name}": logit_real - logit_fake}
    return told


def class_logits(state: State) -> dict[str, float]:
    """D's mean logit of 100 real points of each 2-D mode (section 5.3), always the same: the lowest, the highest less
    the lowest, and each, in the order of the modes."""
    modes, rng = state.data.modes, stream(0, "class logits")
    assert modes is not None
    noise = torch.randn(len(modes), MODE_POINTS, 2, generator=rng)
    points = (modes[:, None] + state.data.mode_std * noise).flatten(0, 1)
    labels = torch.arange(len(modes)).repeat_interleave(MODE_POINTS)
    with frozen(state.discriminator), torch.no_grad():
        logits = state.critic("class logits", labels.to(state.device), augmented=False)(points.to(state.device))
    means = logits.reshape(len(modes), -1).mean(1).tolist()
    each = {f"class_logit_{mode:02d}": mean for mode, mean in enumerate(means)}
    return {"class_logit_min": min(means), "class_logit_spread": max(means) - min(means), **each}
