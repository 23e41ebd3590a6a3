"""What comes from outside is data: it is read by formats that cannot hold code, and within bounds."""

import ast
import io
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sources import nodes_of

from trainers.data.decode import open_images
from trainers.data.image_files import MAX_BYTES, from_folder, from_zip
from trainers.features import load_features
from trainers.names import ImageForm

HOME = Path(__file__).parent.parent
PARTS = ("trainers", "spaces", "search", "reports")
SOURCES = [*HOME.glob("*.py"), *(path for part in PARTS for path in HOME.glob(f"{part}/**/*.py"))]
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib", "yaml", "tarfile"}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "compile",
    "os.system",
    "os.popen",
    "torch.jit.load",
    "torch.hub.load",
    "pandas.read_pickle",
}
UNPACKERS = {"extract", "extractall", "unpack_archive"}
SAFELY = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}


def calls(path):
    """Name and keywords of each call in a file: ("torch.load", {"weights_only": True})."""
    for node in nodes_of(path):
        if isinstance(node, ast.Call):
            constants = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
            yield ast.unparse(node.func), constants


def modules(path):
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_no_format_that_can_hold_code():
    loaded = []
    for path in SOURCES:
        imported = {module.split(".")[0] for module in modules(path)}
        assert UNSAFE_MODULES.isdisjoint(imported), path
        for name, keywords in calls(path):
            assert name not in UNSAFE_CALLS, (path, name)
            assert "zipfile" not in imported or name.rpartition(".")[2] not in UNPACKERS, (path, name)
            assert not keywords.get("shell"), (path, name)
            if name in SAFELY:
                option, value = SAFELY[name]
                assert keywords.get(option) is value, (path, name)
                loaded.append(name)
    assert len(loaded) >= 7  # else the names changed, and this looks for nothing


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["inception", "dinov2", "clip"])
def test_weights_of_the_users_run_no_code(name, tmp_path, monkeypatch):
    package = "torch_fidelity" if name == "inception" else "timm"
    pytest.importorskip(package, reason=f"{package} is not installed")
    weights, hit = tmp_path / "weights.pth", tmp_path / "hit"
    torch.save({"fc.weight": Bomb(hit)}, weights)
    monkeypatch.setenv(f"GANABLATE_{name.upper()}", str(weights))
    with pytest.raises(ValueError, match="cannot read weights"):
        load_features.__wrapped__(name)
    assert not hit.exists()
    pickle.loads(pickle.dumps(Bomb(hit)))
    assert hit.exists()  # it would have


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reads the images of a folder or a zip at 8x8."""
    monkeypatch.setenv("GANABLATE_CACHE", str(tmp_path / "cache"))

    def open_at_8(path):
        source = from_zip(f"zip:{path}") if path.suffix == ".zip" else from_folder(f"folder:{path}")
        return open_images(source, ImageForm(8))

    return open_at_8


def test_a_cache_with_objects_is_refused(tmp_path, read):
    (tmp_path / "photos").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "photos" / "a.png")
    read(tmp_path / "photos")
    (labels,) = tmp_path.glob("cache/images/*/labels.npy")
    np.save(labels, np.array([Bomb(tmp_path / "hit")]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"in the cache folder is damaged.*remove it, and it is made anew"):
        read(tmp_path / "photos")
    assert not (tmp_path / "hit").exists()


def forged(width, height):
    """A PNG of one pixel whose head claims another size."""
    held = io.BytesIO()
    Image.new("L", (1, 1)).save(held, "png")
    content = held.getvalue()
    head = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    return content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]


@pytest.mark.parametrize("size", [(100_000, 100_000), (10_000, 10_000), (2**31 - 1, 1)])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_head_that_claims_too_many_pixels_is_one_sentence(tmp_path, read, size, packed):
    """89 million are allowed, as Pillow has it; nothing near that is allocated."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(forged(*size))
    place = tmp_path / "photos"
    if packed:
        place = tmp_path / "photos.zip"
        with zipfile.ZipFile(place, "w") as archive:
            archive.writestr("a.png", forged(*size))
    with pytest.raises(ValueError) as refused:
        read(place)
    assert "cannot read image a.png: it has more than the 89,478,485 pixels that are allowed" in str(refused.value)
    assert not list(tmp_path.glob("cache/images/*"))


def test_a_zip_that_claims_gigabytes_is_not_unpacked(tmp_path, read):
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.bmp", "w", force_zip64=True) as file,
    ):
        for _ in range(MAX_BYTES // 2**20 + 1):
            file.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match=f"a.bmp: it has .* bytes; at most {MAX_BYTES:,} are read"):
        read(path)


def test_names_in_a_zip_are_never_paths(tmp_path, read):
    """Nothing is unpacked to the disk, so that none can lead out of a folder."""
    path = tmp_path / "in" / "evil.zip"
    path.parent.mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "in" / "a.png")
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("x/../../out.png", "/tmp/out.png", "C:\\out.png", "x/./b\n.png"):
            archive.write(tmp_path / "in" / "a.png", name)
    before = {p for p in tmp_path.rglob("*") if "cache" not in p.parts}
    assert read(path).classes == ["C:", "tmp", "x"]
    assert {p for p in tmp_path.rglob("*") if "cache" not in p.parts} == before


def test_the_name_of_an_image_chooses_no_program(tmp_path, read, monkeypatch):
    """PostScript goes through Ghostscript in Pillow; a .png of it is of no known format."""
    monkeypatch.setattr("subprocess.Popen", None)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    assert Image.open(tmp_path / "photos" / "a.png").format == "EPS"
    with pytest.raises(ValueError, match=r"a\.png: its format is unknown"):
        read(tmp_path / "photos")


def test_pipes_and_devices_have_no_end(tmp_path, read):
    (tmp_path / "photos").mkdir()
    os.mkfifo(tmp_path / "photos" / "a.png")
    os.mkfifo(tmp_path / "a.zip")
    (tmp_path / "zero.zip").symlink_to("/dev/zero")
    for name in ("photos", "a.zip", "zero.zip"):
        with pytest.raises(ValueError, match="this is no regular file"):
            read(tmp_path / name)
