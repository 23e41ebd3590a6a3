"""Images, zips, caches and weights: what a data set or a cache folder may hold."""

import io
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from mutations import counts, mutated, mutated_json
from PIL import Image

from trainers.data.dataset import Dataset
from trainers.data.decode import open_images
from trainers.data.image_files import from_folder, from_zip
from trainers.data.layouts import formats
from trainers.features import load_features
from trainers.files import reading
from trainers.metrics.reference import _read
from trainers.names import ImageForm

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, which are none of a user's business


@pytest.fixture(autouse=True)
def cache(fuzz, monkeypatch):
    monkeypatch.setenv("GANABLATE_CACHE", str(Path.cwd() / "cache"))
    # after pytest's filters, as in a process of its own
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def images_of_allformats():
    """A small image in each format that Pillow writes and we read, by extension."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).resize((16, 16))
    Image.init()
    contents = {}
    for extension, kind in sorted(Image.registered_extensions().items()):
        if kind not in formats() or kind not in Image.SAVE or kind in {k for k, _ in contents.values()}:
            continue
        for mode in ("RGB", "P", "L", "1"):
            held = io.BytesIO()
            try:
                image.convert(mode).save(held, kind)
            except Exception:  # not every format has every mode
                continue
            contents[extension] = (kind, held.getvalue())
            break
    return {extension: content for extension, (_, content) in contents.items()}


def read(path):
    shutil.rmtree("cache", ignore_errors=True)
    source = from_zip(f"zip:{path}") if path.suffix == ".zip" else from_folder(f"folder:{path}")
    decoded = open_images(source, ImageForm(8))
    assert decoded.examples.shape[2:] == (8, 8)
    return decoded


@counts(30, 7_000)
def test_images(fuzz, n):
    contents = images_of_allformats()
    assert len(contents) > 10
    folder = Path("photos")
    folder.mkdir()
    for extension, content in contents.items():  # unharmed, each can be read
        (folder / f"a{extension}").write_bytes(content)
    assert len(read(folder).examples) == len(contents)

    def attempt(drawn):
        extension, content = drawn
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / f"a{extension}").write_bytes(content)
        read(folder)

    originals = list(contents.values())
    names = st.sampled_from(list(contents))
    assert fuzz(n, st.tuples(names, mutated(originals)), attempt)["works"] > 0


def zips():
    """Two images in two folders, stored and deflated, with a comment and an encrypted flag."""
    held = io.BytesIO()
    Image.new("RGB", (4, 4), 77).save(held, "png")
    contents = []
    for compress in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", compress) as archive:
            archive.comment = b"comment"
            for name in ("cats/1.png", "dogs/2.png", "../out.png", "notes.txt")[: 2 if compress else 4]:
                archive.writestr(name, held.getvalue())
        contents.append(packed.getvalue())
    return contents


@counts(50, 5_000)
def test_zips(fuzz, n):
    path = Path("photos.zip")

    def attempt(content):
        path.write_bytes(content)
        read(path)

    fuzz(n, mutated(zips()), attempt)
    assert not list(Path().rglob("out.png"))


@counts(20, 2_500)
def test_image_caches(fuzz, n):
    folder = Path("photos")
    for name in ("a/1.png", "b/2.png"):
        (folder / name).parent.mkdir(parents=True)
        Image.new("L", (8, 8)).save(folder / name)
    source = from_folder(f"folder:{folder}")
    open_images(source, ImageForm(8))
    (place,) = Path("cache", "images").iterdir()
    files = {path.name: path.read_bytes() for path in place.iterdir()}

    def attempt(drawn):
        name, content = drawn
        for other, whole in files.items():
            (place / other).write_bytes(whole)
        (place / name).unlink()  # the old one may be mapped
        (place / name).write_bytes(content)
        decoded = open_images(source, ImageForm(8))
        Dataset(decoded.examples, decoded.labels, max(1, len(decoded.classes)), stored_digest=decoded.digest)

    parts = [st.tuples(st.just(name), mutated([content])) for name, content in files.items()]
    meta = [{"source": "s", "count": 2, "classes": ["a", "b"], "digest": "0" * 16, "plain": "1" * 16}]
    fuzz(n, st.one_of(*parts, st.tuples(st.just("meta.json"), mutated_json(meta))), attempt)


@counts(40, 1_500)
def test_statistics(fuzz, n):
    path, held = Path("statistics.npz"), io.BytesIO()
    np.savez(held, mean=np.zeros(3), covariance=np.eye(3), features=np.ones((4, 3), np.float32))

    def attempt(drawn):
        content, has_kid = drawn
        path.write_bytes(content)
        with reading(path):
            statistics = _read(path, has_kid)
        assert statistics["covariance"].shape == (len(statistics["mean"]),) * 2

    fuzz(n, st.tuples(mutated([held.getvalue()]), st.booleans()), attempt)


@counts(40, 1_500)
def test_weights(fuzz, n, monkeypatch):
    """Of torch-fidelity's network, here a layer that loads them as that does."""

    class Net(torch.nn.Linear):
        def __init__(self, *_, feature_extractor_weights_path):
            super().__init__(3, 2)
            self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=False))

    code = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3", reason="torch-fidelity is not installed")
    monkeypatch.setattr(code, "FeatureExtractorInceptionV3", Net)
    monkeypatch.setenv("GANABLATE_INCEPTION", "weights.pth")
    originals = []
    for modern in (True, False):
        held = io.BytesIO()
        torch.save(torch.nn.Linear(3, 2).state_dict(), held, _use_new_zipfile_serialization=modern)
        originals.append(held.getvalue())

    def attempt(content):
        Path("weights.pth").write_bytes(content)
        load_features.__wrapped__("inception")

    fuzz(n, mutated(originals), attempt)
