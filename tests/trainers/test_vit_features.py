import hashlib
import math
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.features import load_features
from trainers.metrics.evaluate import evaluate
from trainers.names import FEATURES
from trainers.networks.layers import Generator
from trainers.vit_features import _network, _positions, resized, vit_features

timm = pytest.importorskip("timm", reason="timm is not installed; the extra vit brings it")

SMALL = "vit_small_patch14_dinov2"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A file of random weights for DINOv2's ViT-S, as Meta publishes them: for 518x518, with a mask token."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = timm.create_model(SMALL).state_dict()
        for name, tensor in state.items():  # so that no part is next to nothing, as it is before training
            if "gamma" in name or "pos_embed" in name or "cls_token" in name:
                tensor.normal_(std=0.3)
    path = tmp_path_factory.mktemp("vit") / "dinov2_vits14_pretrain.pth"
    torch.save({**state, "mask_token": torch.zeros(1, 384)}, path)
    return path


def smooth(seed, n, side):
    small = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(small, size=(side, side), mode="bilinear") * 2 - 1


@pytest.mark.long
def test_the_class_token_of_grey_of_colour_and_of_nan(small):
    """Whatever else is in the batch."""
    net = vit_features("dinov2", SMALL, str(small))
    assert net.digest == hashlib.sha256(small.read_bytes()).hexdigest()[:16]
    x, before = smooth(0, 3, 32), torch.get_rng_state()
    x[0] = x[0, :1]
    x[2, 1, 5, 5] = math.nan
    features = net.extract(x)
    assert features.shape == (3, 384)
    assert features.isfinite().all(dim=1).tolist() == [True, True, False]
    assert features[2].isnan().all()
    assert torch.allclose(features[:1], net.extract(x[:1, :1]), atol=1e-4)
    assert (features[0] - features[1]).norm() > 0.1
    assert not features.requires_grad
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(ValueError, match=r"'dinov2' needs images of 1 or 3 channels, not examples of \[2, 8, 8\]"):
        net.extract(torch.zeros(1, 2, 8, 8))


class Grey(Generator):
    """Images of 16x16, each of one level."""

    def forward(self, source, labels=None):
        return source[:, :1, None, None].tanh().expand(-1, 3, 16, 16)


@pytest.mark.long
def test_an_fid_on_them(small, photos, cache, user_module):
    source = (
        f"from trainers.vit_features import vit_features\nnet = lambda: vit_features('dinov2', '{SMALL}', '{small}')"
    )
    for path in sorted(photos.rglob("*.png"))[3:]:
        path.unlink()
    config = Config(dataset=f"folder:{photos}", features=f"{user_module(source)}:net", eval_samples=3)
    scores = evaluate(config, load_dataset(config), Grey(latent=4), torch.device("cpu"))
    assert list(scores) == ["fid"]
    assert scores["fid"] > 0
    assert len(list((cache / "statistics").iterdir())) == 1


@pytest.mark.parametrize("side", [28, 32, 64, 224, 300])
def test_resized_as_pillow_resizes(side):
    """But for rounding of halves; noise reaches beyond black and white between the two passes."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    by_pillow = [np.asarray(Image.fromarray(each).resize((224, 224), Image.Resampling.BICUBIC)) for each in pixels]
    off = resized(torch.from_numpy(pixels).permute(0, 3, 1, 2)) - torch.from_numpy(np.stack(by_pillow)).permute(
        0, 3, 1, 2
    )
    assert off.abs().max() <= 1
    assert (off != 0).double().mean() < 1e-3


def test_positions_are_resampled_as_meta_does():
    """By the cubic kernel of slope -0.75 around each sample, with a tenth of a patch more, and no antialias; the class
    token's is left alone."""
    row = torch.rand(37, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    along = torch.stack([row.expand(37, 37), row.expand(37, 37).T], dim=-1).reshape(1, 37 * 37, 2).float()
    made = _positions(torch.cat([torch.full((1, 1, 2), 9.0), along], dim=1), 16)
    assert made.shape == (1, 257, 2)
    assert made[0, 0].tolist() == [9, 9]
    at = (torch.arange(16, dtype=torch.float64)[:, None] + 0.5) * 37 / 16.1 - 0.5
    taps = at.floor() + torch.arange(-1, 3)
    off = (at - taps).abs()
    near, far = 1.25 * off**3 - 2.25 * off**2 + 1, -0.75 * (off**3 - 5 * off**2 + 8 * off - 4)
    expected = (torch.where(off <= 1, near, far) * row[taps.long().clamp(0, 36)]).sum(1).float()
    grid = made[0, 1:].reshape(16, 16, 2)
    assert torch.allclose(grid[..., 0], expected.expand(16, 16), atol=1e-5)
    assert torch.allclose(grid[..., 1], expected.expand(16, 16).T, atol=1e-5)
    assert _positions(made, 16) is made


def test_weights_by_timms_names(small, tmp_path):
    """The file that timm publishes gives the same network as Meta's."""
    safetensors = pytest.importorskip("safetensors.torch")
    held = torch.load(small, weights_only=True)
    del held["mask_token"]
    safetensors.save_file(held, tmp_path / "model.safetensors")
    ours = _network(timm, SMALL, safetensors.load_file(tmp_path / "model.safetensors")).state_dict()
    other = _network(timm, SMALL, torch.load(small, weights_only=True)).state_dict()
    assert ours.keys() == other.keys()
    assert all(torch.equal(ours[name], other[name]) for name in ours)
    assert not any(tensor.is_meta for tensor in ours.values())


def test_clips_features_come_before_its_projection():
    architecture = "vit_xsmall_patch16_clip_224.tinyclip_yfcc15m"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        whole = timm.create_model(architecture).eval()
    x = smooth(1, 1, 224)
    with torch.no_grad():
        features = _network(timm, architecture, whole.state_dict())(x)
        assert features.shape == (1, 256)
        assert torch.allclose(whole.head(features), whole(x), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "source", "mean"),
    [
        ("dinov2", "vit_large_patch14_dinov2.lvd142m", (0.485, 0.456, 0.406)),
        ("clip", "vit_large_patch14_clip_224.datacompxl", (0.48145466, 0.4578275, 0.40821073)),
    ],
)
def test_weights_are_fetched_once(name, source, mean, cache, monkeypatch):
    """Of the network whose mean colour Stein et al. take away. What is fetched here is no weights, which is told."""
    fetched = []

    def fetch(repository, filename, local_dir):
        fetched.append((repository, filename))
        local_dir.mkdir()
        (local_dir / filename).write_text("hello")

    monkeypatch.delenv(f"GANABLATE_{name.upper()}", raising=False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    for _ in range(2):
        assert "cannot read weights" in refused(name)
    assert fetched == [(f"timm/{source}", "model.safetensors")]
    assert (cache / "vit" / source / "model.safetensors").is_file()
    assert timm.get_pretrained_cfg(source).mean == mean


def refused(name):
    """The sentence that tells how to give the weights."""
    with pytest.raises(ValueError) as caught:
        load_features.__wrapped__(name)
    text = str(caught.value)
    assert "\n" not in text
    words = (f"features = {name!r}", f"GANABLATE_{name.upper()}", "model.safetensors")
    assert all(word in text for word in words), text
    return text


def test_without_weights_is_told(tmp_path, cache, monkeypatch):
    def fail(*_, **__):
        raise OSError("no route\nto host")

    monkeypatch.delenv("GANABLATE_DINOV2", raising=False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    assert "cannot fetch model.safetensors of timm/vit_large_patch14_dinov2.lvd142m (no route to host)" in refused(
        "dinov2"
    )
    assert not list((cache / "vit").iterdir())
    path = tmp_path / "weights.pth"
    monkeypatch.setenv("GANABLATE_DINOV2", str(path))
    assert "No such file" in refused("dinov2")
    path.write_text("hello")
    assert str(path) in refused("dinov2")
    torch.save({"fc.weight": torch.zeros(3)}, path)
    assert "state_dict" in refused("dinov2")
    torch.save([1], path)
    assert str(path) in refused("dinov2")


def test_other_networks_weights_are_refused(small, monkeypatch):
    monkeypatch.setenv("GANABLATE_DINOV2", str(small))
    monkeypatch.setenv("GANABLATE_CLIP", str(small))
    assert "state_dict" in refused("dinov2")
    assert "state_dict" in refused("clip")


def test_without_timm_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"'clip' needs the package timm; pip install 'ganablate\[vit\]'"):
        load_features.__wrapped__("clip")


def test_the_protocol_names_resize_and_token():
    told = Config(dataset="cifar10", features="dinov2").protocol
    assert "resized to 224x224 by Pillow's bicubic filter" in told
    assert "class token of DINOv2 ViT-L/14 after the norm" in told
    assert all(FEATURES[name].unproven for name in ("dinov2", "clip"))
