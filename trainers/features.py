"""Feature nets: what the Frechet distance is taken on.

A feature net is a function without arguments that gives a FeatureNet; `FEATURES` in config.py names them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor, nn

from trainers.config import FEATURES, made_by


@dataclass(frozen=True)
class FeatureNet:
    """`extract` turns data as the networks see them, [N, *shape] in [-1, 1], into features [N, d]."""

    extract: Callable[[Tensor], Tensor]
    digest: str  # of the weights; "none" without any


class DigitNet(nn.Module):
    """A small classifier of 16x16 digits: x [N, 1, 16, 16] -> logits [N, 10]; 64 pooled features before the last layer.

    Trained on 1,000 of the 1,797 digits; assets/make_assets.py trains it and tells its accuracy on the other 797.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Linear(64, 10)

    def extract(self, x: Tensor) -> Tensor:
        """[N, 1, 16, 16] -> [N, 64]."""
        pooled: Tensor = self.body(x).mean(dim=(2, 3))
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.extract(x))
        return logits


@cache
def load_features(name: str) -> FeatureNet:
    """The feature net of that name or `module:object`. Raises ValueError if there is none."""
    net: FeatureNet = made_by(FEATURES, name, FeatureNet)
    return net


def raw() -> FeatureNet:
    """The data themselves, flattened."""
    return FeatureNet(lambda x: x.flatten(1), "none")


def digits() -> FeatureNet:
    """The 64 pooled features of DigitNet."""
    content = (files("trainers.assets") / "digit_net.npz").read_bytes()
    with np.load(str(files("trainers.assets") / "digit_net.npz"), allow_pickle=False) as stored:
        weights = {name: torch.from_numpy(stored[name]) for name in stored.files if name != "test_accuracy"}
    net = DigitNet()
    net.load_state_dict(weights)
    net.requires_grad_(False).eval()

    def extract(x: Tensor) -> Tensor:
        return net.to(x.device).extract(x)

    return FeatureNet(extract, hashlib.sha256(content).hexdigest()[:16])
