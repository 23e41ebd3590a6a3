"""A backbone of dense layers.

ganablate train digits_gan --tiny --set backbone=backbone_dense:build --set backbone_options.width=32 --out runs/dense
"""

from torch import Size, nn

from trainers.networks.layers import Generator


class Dense(Generator):
    def __init__(self, shape, width):
        super().__init__(latent=64)
        last = nn.Linear(width, Size(shape).numel())
        self.layers = nn.Sequential(nn.Linear(64, width), nn.ReLU(), last, nn.Tanh(), nn.Unflatten(1, shape))

    def forward(self, source, labels=None):
        return self.layers(source)


class Critic(nn.Sequential):
    def forward(self, x, labels=None):
        return super().forward(x).squeeze(1)


def build(config, shape, n_classes, *, width: int = 256):
    first = nn.Linear(Size(shape).numel(), width)
    return Dense(shape, width), Critic(nn.Flatten(), first, nn.LeakyReLU(0.2), nn.Linear(width, 1))
