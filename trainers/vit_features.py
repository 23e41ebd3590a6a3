"""Feature nets of today: vision transformers of timm, prepared as by Stein et al. 2023, "Exposing flaws of generative
model evaluation metrics" (layer6ai-labs/dgm-eval)."""

import hashlib
import logging
import math
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from trainers.features import FeatureNet, Part, imported, of_eight_bits
from trainers.files import cache_folder, made_once

log = logging.getLogger(__name__)

VIT_PART = Part(10, 200)  # about 0.2 and 3 GB of activations of a ViT-L
SIDE = 224
WEIGHTS = "model.safetensors"  # timm's name of the file, in a repository for each network


def dinov2() -> FeatureNet:
    """The 1,024 features of DINOv2 ViT-L/14 (Oquab et al. 2023): its class token after the last norm.

    The weights are the file that the environment variable GANABLATE_DINOV2 names, timm's or Meta's
    dinov2_vitl14_pretrain.pth, else fetched once into the cache folder. Raises ValueError if timm is not installed or
    there are no weights.
    """
    return vit_features("dinov2", "vit_large_patch14_dinov2.lvd142m", os.environ.get("GANABLATE_DINOV2"))


def clip() -> FeatureNet:
    """The 1,024 features of CLIP's ViT-L/14 (Radford et al. 2021), trained on DataComp-1B (Gadre et al. 2023) as Stein
    et al. have it: its class token after the last norm, before the projection.

    The weights are the file that the environment variable GANABLATE_CLIP names, timm's or OpenCLIP's
    open_clip_pytorch_model.bin, else fetched once into the cache folder. Raises ValueError if timm is not installed or
    there are no weights.
    """
    return vit_features("clip", "vit_large_patch14_clip_224.datacompxl", os.environ.get("GANABLATE_CLIP"))


def vit_features(name: str, architecture: str, weights: str | None) -> FeatureNet:
    """The class token, after the last norm, of a vision transformer of timm's, on images [N, 1 or 3, H, W] in [-1, 1].

    `name` is the feature net's in FEATURES, `weights` a file of safetensors or of torch's format; None fetches timm's.
    Raises ValueError if timm is not installed or the weights cannot be had, read or put into the network.
    """
    timm, hub, safetensors = imported(name, "'ganablate[vit]'", "timm", "huggingface_hub", "safetensors.torch")
    own = f"the environment variable GANABLATE_{name.upper()} can name a local copy of {architecture}'s {WEIGHTS}"
    path = Path(weights).expanduser() if weights else _fetched(name, timm, hub, architecture, own)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        is_safetensors = path.suffix == ".safetensors"
        held = safetensors.load_file(path) if is_safetensors else torch.load(path, "cpu", weights_only=True)
        net = _network(timm, architecture, held)
    except Exception as error:  # a file of another format, or of another network, raises anything
        reason = (" ".join(str(error).split()) or type(error).__name__)[:300]
        raise ValueError(f"features = {name!r}: cannot read weights from {path}: {reason}; {own}") from error
    trained_on = timm.get_pretrained_cfg(architecture)
    mean, std = (torch.tensor(of_colours).reshape(3, 1, 1) for of_colours in (trained_on.mean, trained_on.std))

    def of_levels(levels: Tensor) -> Tensor:
        features: Tensor = net((resized(levels) / 255 - mean.to(levels.device)) / std.to(levels.device))
        return features

    def extract(x: Tensor) -> Tensor:
        net.to(x.device)
        return of_eight_bits(name, of_levels, VIT_PART, x)

    return FeatureNet(extract, digest[:16], slow=True)


def resized(levels: Tensor) -> Tensor:
    """levels [N, 3, H, W] uint8 -> [N, 3, 224, 224], whole numbers in [0, 255], as Pillow's bicubic filter resizes
    images of 8 bits: with antialias where it shrinks, first along rows, then along columns, each rounded to 8 bits."""
    wide = _rounded(interpolate(levels.double(), (levels.shape[2], SIDE), mode="bicubic", antialias=True))
    return _rounded(interpolate(wide, (SIDE, SIDE), mode="bicubic", antialias=True)).float()


def _rounded(x: Tensor) -> Tensor:
    """To 8 bits, halves upwards; doubles, since between 64 and 224 pixels, say, many values are near halves."""
    return (x + 0.5).floor().clamp(0, 255)


def _network(timm: Any, architecture: str, held: dict[str, Tensor]) -> nn.Module:
    """The network for 224x224 with weights by timm's names or those of the first publication. Raises RuntimeError, or
    anything if `held` is something else."""
    with torch.device("meta"):  # nothing is drawn: the weights are put in place of what it begins with
        net = timm.create_model(architecture, img_size=SIDE, num_classes=0)
    if "pos_embed" in held:
        held = held | {"pos_embed": _positions(held["pos_embed"], SIDE // net.patch_embed.patch_size[0])}
    found = timm.models.vision_transformer.checkpoint_filter_fn(held, net)
    # of CLIP without its projection
    inner = {name: tensor.float() for name, tensor in found.items() if not name.startswith("head.")}
    net.load_state_dict(inner, assign=True)
    ready: nn.Module = net.requires_grad_(False).eval()
    return ready


def _positions(embeddings: Tensor, patches: int) -> Tensor:
    """Position embeddings [1, 1 + side * side, d] for an image of patches x patches.

    As Meta's code resamples those of DINOv2, of 37x37 patches, to 16x16: without antialias, and at the scale that a
    tenth of a patch more would have. timm's own way is with antialias, and other features come from it.
    """
    side = math.isqrt(embeddings.shape[1] - 1)
    if side == patches:
        return embeddings
    grid = embeddings[:, 1:].float().unflatten(1, (side, side)).permute(0, 3, 1, 2)
    small = interpolate(grid, scale_factor=(patches + 0.1) / side, mode="bicubic")
    return torch.cat([embeddings[:, :1].float(), small.flatten(2).transpose(1, 2)], dim=1)


def _fetched(name: str, timm: Any, hub: Any, architecture: str, own: str) -> Path:
    """timm's published weights in the cache folder, downloaded unless they are there."""
    source = timm.get_pretrained_cfg(architecture).hf_hub_id

    def fetch(aside: Path) -> None:
        log.info("fetching weights of %s from the hub's %s", architecture, source)
        try:
            hub.hf_hub_download(source, WEIGHTS, local_dir=aside)
        except Exception as error:  # of whatever library it speaks HTTP by
            reason = " ".join(str(error).split())
            raise ValueError(f"features = {name!r}: cannot fetch {WEIGHTS} of {source} ({reason}); {own}") from error

    return made_once(cache_folder() / "vit" / architecture, fetch) / WEIGHTS
