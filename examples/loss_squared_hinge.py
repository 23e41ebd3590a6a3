"""A loss: three functions of logits.

ganablate train ring8_gan --tiny --set loss=loss_squared_hinge:squared_hinge --out runs/squared_hinge
"""

from torch.nn.functional import relu

from trainers.losses import Loss

squared_hinge = Loss(
    real=lambda logits: relu(1 - logits).square().mean(),
    fake=lambda logits: relu(1 + logits).square().mean(),
    generator=lambda logits: -logits.mean(),
)
