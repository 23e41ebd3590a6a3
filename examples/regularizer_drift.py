"""A regularizer of D, which keeps its logits of real data near 0 (Karras et al. 2018, appendix A.1), and its weight.

ganablate train ring8_gan --tiny --set 'penalty_d={"regularizer_drift:drift": 0.001}' --out runs/drift
"""

from torch import Tensor

from trainers.regularizers import Batch


def drift(batch: Batch) -> Tensor:
    return batch.critic()(batch.real).square().mean()
