"""Pictures to train on, and a cache folder of each test's own."""

import pickle
import struct

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("GANABLATE_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def picture():
    """picture(seed): a random image."""
    return make_picture


def make_picture(seed, size=(16, 16), mode="RGB"):
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC).convert(mode)


@pytest.fixture
def photos(tmp_path):
    """A folder of 12 images of 16x16 in the classes bird, cat and dog."""
    for index in range(12):
        path = tmp_path / "photos" / ("dog", "cat", "bird")[index % 3] / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_picture(index).save(path)
    return tmp_path / "photos"


@pytest.fixture
def torchvision_data(cache, monkeypatch):
    """Twenty random images in place of each of torchvision's data sets, where torchvision looks for them."""
    rng = np.random.default_rng(0)
    labels = np.arange(20, dtype=np.uint8) % 10
    root = cache / "torchvision"
    for kind in ("MNIST", "FashionMNIST"):
        raw = root / kind / "raw"
        raw.mkdir(parents=True)
        for split in ("train", "t10k"):
            pixels = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8)
            (raw / f"{split}-images-idx3-ubyte").write_bytes(
                struct.pack(">4I", 0x803, *pixels.shape) + pixels.tobytes()
            )
            (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 20) + labels.tobytes())
    batches = root / "cifar-10-batches-py"
    batches.mkdir()
    rows = rng.integers(0, 256, (4, 3072), dtype=np.uint8)
    for index in range(5):
        content = {"data": rows, "labels": labels[4 * index : 4 * index + 4].tolist()}
        (batches / f"data_batch_{index + 1}").write_bytes(pickle.dumps(content))
    (batches / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {n}" for n in range(10)]}))
    hundred = root / "cifar-100-python"
    hundred.mkdir()
    content = {"data": np.tile(rows, (5, 1)), "fine_labels": (labels * 11).tolist()}
    (hundred / "train").write_bytes(pickle.dumps(content))
    (hundred / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"class {n}" for n in range(100)]}))
    stl = root / "stl10_binary"
    stl.mkdir()
    for name, count in (("train", 5), ("unlabeled", 15)):
        (stl / f"{name}_X.bin").write_bytes(rng.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8).tobytes())
    (stl / "train_y.bin").write_bytes((labels[:5] + 1).tobytes())
    (stl / "class_names.txt").write_text("".join(f"class {n}\n" for n in range(10)))
    for kind in ("CIFAR10", "STL10"):
        monkeypatch.setattr(f"torchvision.datasets.{kind}._check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: True)
    return root


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory):
    """A file of random weights for torch-fidelity's Inception-v3, scaled so that features and logits stay alive."""
    from torch_fidelity import feature_extractor_inceptionv3 as code

    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setattr(code, "load_state_dict_from_url", lambda url, progress: {})
        patch.setattr(code.FeatureExtractorInceptionV3, "load_state_dict", lambda self, weights: None)
        net = code.FeatureExtractorInceptionV3("inception", ["2048"])
        torch.manual_seed(0)
        for name, parameter in net.named_parameters():
            if parameter.dim() == 4:
                torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            elif name == "fc.weight":
                torch.nn.init.normal_(parameter, std=0.3)
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(net.state_dict(), path)
    return path


@pytest.fixture
def inception(inception_weights, monkeypatch):
    """The feature net of these weights."""
    from trainers.features import load_features

    monkeypatch.setenv("GANABLATE_INCEPTION", str(inception_weights))
    return load_features("inception")


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """Writes a module of the user's own, importable by its name, which no other test has."""
    monkeypatch.syspath_prepend(tmp_path)
    count = iter(range(10**6))

    def write(text):
        name = f"mine_{tmp_path.name.replace('-', '_')}_{next(count)}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


@pytest.fixture
def kept_run(tmp_path):
    """kept_run(config): the folder of a run as if it had ended, with networks that are no longer at their start."""
    from trainers.data.load import load_dataset
    from trainers.files import save_tensors, write_json
    from trainers.run_folder import generator_path, record_form
    from trainers.state import build_networks

    def keep(config):
        folder = tmp_path / f"run-{config.cell_key}-{config.seed}"
        folder.mkdir()
        form, rng = load_dataset(config).form, torch.Generator().manual_seed(0)
        generator, _ = build_networks(config, *form)
        with torch.no_grad():
            for parameter in generator.parameters():
                parameter += 0.05 * torch.randn(parameter.shape, generator=rng)
            for _ in range(3):  # batch norms and spectral norms move
                generator(generator.sample_source(16, rng), torch.arange(16) % form[1])
        write_json(folder / "config.json", config.model_dump(mode="json"))
        record_form(folder, *form)
        save_tensors(generator_path(folder, "final"), generator.state_dict())
        return folder

    return keep
