"""Images of folders, zips and torchvision: what is decoded, that it is decoded once, and what is refused."""

import json
import logging
import os
import shutil
import zipfile

import numpy as np
import pytest
import torch
from forked import two_at_once
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import trainers.data.pixels as pixels_module
from trainers.config import Config
from trainers.data.dataset import Dataset
from trainers.data.decode import open_images
from trainers.data.image_files import from_folder, from_zip
from trainers.data.load import load_dataset
from trainers.names import ImageForm

ORIENTATION = 0x0112  # the EXIF tag


def decode(path, resolution=None, center_crop=True, background="white"):
    source = from_zip(f"zip:{path}") if path.suffix == ".zip" else from_folder(f"folder:{path}")
    return open_images(source, ImageForm(resolution, center_crop, background))


def refused(path, resolution=None):
    """The sentence that refuses a folder or a zip."""
    with pytest.raises(ValueError) as caught:
        decode(path, resolution)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


def zip_of(folder, path, root="", compress=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compress) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, root + file.relative_to(folder).as_posix())
    return path


def pixels_of(image):
    """[C, H, W] as Pillow gives them."""
    return torch.from_numpy(np.atleast_3d(np.array(image)).transpose(2, 0, 1))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "images"
    path.mkdir()
    return path


def test_pixels_are_pillows_own(photos):
    decoded = decode(photos)
    files = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    expected = torch.stack([pixels_of(Image.open(photos / name)) for name in files])
    assert torch.equal(decoded.examples, expected)
    assert decoded.examples.shape == (12, 3, 16, 16)


def test_folders_at_the_top_are_classes(photos, picture):
    decoded = decode(photos)
    assert decoded.classes == ["bird", "cat", "dog"]
    assert decoded.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    (photos / "cat" / "more").mkdir()
    picture(99).save(photos / "cat" / "more" / "x.png")
    assert decode(photos).labels.tolist() == [0] * 4 + [1] * 5 + [2] * 4


def test_without_class_folders_all_are_of_one_class(photos):
    data = load_dataset(Config(dataset=f"folder:{photos / 'cat'}", features="raw"))
    assert (data.n_classes, data.labels.tolist()) == (1, [0] * 4)


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "webp", "gif", "bmp", "tif", "ppm"])
def test_formats(folder, suffix, picture):
    picture(1).save(folder / f"a.{suffix}")
    assert torch.equal(decode(folder).examples[0], pixels_of(Image.open(folder / f"a.{suffix}").convert("RGB")))


def test_grey_images_have_one_channel_and_a_colour_among_them_makes_three(folder, picture):
    for index, mode in enumerate(["L", "1", "LA"]):
        picture(index, mode=mode).save(folder / f"{index}.png")
    grey = decode(folder).examples
    assert torch.equal(
        grey, torch.stack([pixels_of(picture(n, mode=m).convert("L")) for n, m in enumerate(["L", "1", "LA"])])
    )
    picture(3).save(folder / "3.png")
    colour = decode(folder).examples
    assert torch.equal(colour[:3], grey.expand(-1, 3, -1, -1))
    assert torch.equal(colour[3], pixels_of(picture(3)))


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bits_are_scaled_not_clipped(folder, suffix):
    values = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
    if suffix == "pgm":
        (folder / "a.pgm").write_bytes(b"P5 16 16 65535\n" + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(folder / f"a.{suffix}")
    got = decode(folder).examples[0, 0].numpy()
    assert np.array_equal(got, np.round(values / 257).astype(np.uint8))
    assert (got.min(), got.max()) == (0, 255)


def test_exif_orientation_is_applied(folder, picture):
    upright = picture(0, (16, 24))
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # lies on its side: shown by a quarter turn clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(folder / "a.png", exif=exif)
    assert torch.equal(decode(folder).examples[0], pixels_of(upright))


def test_an_animation_gives_its_first_frame(folder, picture):
    frames = [picture(n).quantize(64) for n in range(3)]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:])
    assert torch.equal(decode(folder).examples[0], pixels_of(frames[0].convert("RGB")))


def test_non_square_images_of_equal_size_stay(folder, picture):
    picture(0, (24, 16)).save(folder / "a.png")
    assert decode(folder).examples.shape == (1, 3, 16, 24)


def test_resize_is_lanczos_of_the_centre_or_of_all(folder, picture):
    wide = picture(0, (48, 32))
    wide.save(folder / "a.png")
    lanczos = Image.Resampling.LANCZOS
    centre, whole = decode(folder, 16).examples[0], decode(folder, 16, center_crop=False).examples[0]
    by_hand = wide.resize((24, 16), lanczos).crop((4, 0, 20, 16))  # shorter side first, then the centre
    assert int((centre.int() - pixels_of(by_hand).int()).abs().max()) <= 1
    assert torch.equal(whole, pixels_of(wide.resize((16, 16), lanczos)))


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 64), st.booleans(), st.sampled_from(["L", "RGB"]))
def test_any_size_becomes_a_square(width, height, resolution, center_crop, mode):
    """And a constant image stays constant, edges included."""
    image = Image.new(mode, (width, height), 77 if mode == "L" else (77, 77, 77))
    pixels = pixels_module.pixels_of(image, mode, ImageForm(resolution, center_crop)).values
    assert pixels.shape == (len(mode), resolution, resolution)
    assert pixels.dtype == np.uint8
    assert (pixels == 77).all()


def test_other_and_hidden_files_are_ignored(photos, picture):
    before = decode(photos)
    picture(0).save(photos / "cat" / ".hidden.png")
    for name in (".thumbnails", "__MACOSX"):
        (photos / name).mkdir()
        picture(1).save(photos / name / "x.png")
    for name in ("notes.txt", "cat/features.h5", "cat/movie.mpg", "sheet.pdf", "README"):
        (photos / name).write_text("not an image")
    assert decode(photos).digest == before.digest


def test_a_zip_is_its_folder(photos, tmp_path):
    """With and without a folder around everything, stored or compressed, and whatever a Mac puts beside it."""
    expected = decode(photos)
    for number, (root, compress) in enumerate([("", zipfile.ZIP_STORED), ("photos/", zipfile.ZIP_DEFLATED)]):
        path = zip_of(photos, tmp_path / f"{number}.zip", root, compress)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("__MACOSX/photos/._00.png", b"resource fork")
            archive.writestr("photos/.DS_Store", b"")
        decoded = decode(path)
        assert (decoded.digest, decoded.classes) == (expected.digest, expected.classes)
        assert torch.equal(decoded.examples, expected.examples)


def test_the_digest_is_that_of_data_in_memory(photos):
    stored = load_dataset(Config(dataset=f"folder:{photos}", features="raw"))
    assert Dataset(stored.examples.clone(), stored.labels.clone(), stored.n_classes).digest == stored.digest


def test_a_second_start_decodes_nothing(photos, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "trainers.data.decode")
    first = decode(photos)
    assert [record.getMessage() for record in caplog.records if "decoding" in record.getMessage()] == [
        f"decoding 12 images of folder:{photos} once, into {os.environ['GANABLATE_CACHE']}/images/"
        f"{next((photos.parent / 'cache' / 'images').iterdir()).name}"
    ]
    monkeypatch.setattr("PIL.Image.open", None)
    second = decode(photos)
    assert torch.equal(first.examples, second.examples)
    assert torch.equal(first.labels, second.labels)
    assert (first.classes, first.digest) == (second.classes, second.digest)


@pytest.mark.parametrize("change", ["touched", "pixels", "name", "more", "less", "resolution", "crop"])
def test_a_change_makes_a_new_cache(photos, change, cache, picture):
    before, options = decode(photos), {}
    path = photos / "cat" / "01.png"
    if change == "touched":
        os.utime(path)
    elif change == "pixels":  # of equal size and time on the disk, as raw formats that were unpacked by tar
        times, content = path.stat(), bytearray(path.read_bytes())
        content[-30] ^= 1  # in the compressed pixels, or their checksum: decoded anew, it is told as damaged
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        with pytest.raises(ValueError, match=r"cannot read image cat/01\.png"):
            decode(photos)
        return
    elif change == "name":
        path.rename(path.with_name("zz.png"))
    elif change == "more":
        picture(77).save(photos / "cat" / "77.png")
    elif change == "less":
        path.unlink()
    else:
        options = {"resolution": 16} if change == "resolution" else {"resolution": 16, "center_crop": False}
    after = decode(photos, **options)
    assert len(list((cache / "images").iterdir())) == (1 if change == "touched" else 2)
    assert (before.digest == after.digest) == (change in ("touched", "resolution", "crop"))


def test_a_zip_that_was_copied_keeps_its_cache_and_a_changed_one_does_not(photos, tmp_path, cache, picture):
    path = zip_of(photos, tmp_path / "a.zip")
    decode(path)
    decode(shutil.copy(path, tmp_path / "b.zip"))
    assert len(list((cache / "images").iterdir())) == 1
    picture(5).save(photos / "cat" / "01.png")
    decode(zip_of(photos, tmp_path / "c.zip"))
    assert len(list((cache / "images").iterdir())) == 2


TWO = """
import logging, sys
logging.basicConfig(level=logging.INFO)
from trainers.config import Config
from trainers.data import load_dataset
meet()
print(load_dataset(Config(dataset=sys.argv[1], features="raw", resolution=64)).digest)
"""


@pytest.mark.process
def test_two_processes_at_once_decode_once(photos):
    both = two_at_once(TWO, f"folder:{photos}")
    out, log = zip(*((process.stdout, process.stderr) for process in both), strict=True)
    assert out[0] == out[1] != ""
    assert "".join(log).count("decoding") == 1, log


def test_the_examples_are_a_file_and_not_a_copy(photos, cache):
    """What a run holds is a view of the cache; writing to it would not reach the file."""
    decoded = decode(photos)
    before = decoded.examples.clone()
    decoded.examples[0] = 0
    assert torch.equal(decode(photos).examples, before)
    assert not any(path.suffix == ".tmp" for path in cache.rglob("*"))
    meta = json.loads(next(cache.rglob("meta.json")).read_text())
    assert meta == {
        "source": f"folder:{photos}",
        "count": 12,
        "classes": ["bird", "cat", "dog"],
        "digest": decoded.digest,
        "plain": decoded.plain,
    }


def test_what_a_killed_process_left_is_made_anew(photos, cache):
    digest = decode(photos).digest
    whole = next((cache / "images").iterdir())
    whole.rename(whole.with_name(whole.name + ".tmp"))
    (whole.with_name(whole.name + ".tmp") / "meta.json").unlink()
    assert decode(photos).digest == digest
    assert [path.name for path in (cache / "images").iterdir()] == [whole.name]


@pytest.fixture
def nothing_left(cache):
    yield
    assert not cache.exists() or not list((cache / "images").rglob("*"))


@pytest.mark.usefixtures("nothing_left")
class TestRefused:
    """In one sentence that names the data set, and with nothing left in the cache."""

    def test_no_folder(self, tmp_path):
        assert "No such file" in refused(tmp_path / "photso")
        (tmp_path / "file").write_text("")
        assert "Not a directory" in refused(tmp_path / "file")

    def test_no_image(self, folder):
        assert "no image" in refused(folder)
        (folder / "notes.txt").write_text("")
        assert ".png" in refused(folder)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_unreadable(self, photos):
        (photos / "cat").chmod(0)
        try:
            assert "Permission" in refused(photos)
        finally:
            (photos / "cat").chmod(0o700)

    def test_images_beside_class_folders(self, photos, picture):
        picture(0).save(photos / "x.png")
        assert "labels missing: 1 image lies outside the class folders, the first is x.png" in refused(photos)
        picture(0).save(photos / "a.png")
        assert "2 images lie outside the class folders, the first is a.png" in refused(photos)

    def test_mixed_sizes(self, photos, picture):
        picture(0, (24, 16)).save(photos / "cat" / "04.png")
        text = refused(photos)
        assert "bird/02.png is 16x16, cat/04.png is 24x16" in text
        assert "resolution" in text

    @pytest.mark.parametrize("damage", ["text", "empty", "half", "tail"])
    def test_a_broken_image(self, photos, damage):
        path = photos / "cat" / "04.png"
        content = path.read_bytes()
        kept = {"text": b"hello", "empty": b"", "half": content[: len(content) // 2], "tail": content[:-60]}[damage]
        path.write_bytes(kept)
        assert "cat/04.png" in refused(photos)
        assert "0x" not in refused(photos, 8)  # no address of a Python object

    def test_a_truncated_jpeg(self, folder, picture):
        picture(0, (64, 64)).save(folder / "a.jpg")
        (folder / "a.jpg").write_bytes((folder / "a.jpg").read_bytes()[:-200])
        assert "a.jpg: image file is truncated" in refused(folder)

    def test_more_than_16_bits(self, folder):
        Image.fromarray(np.full((4, 4), 1e6, np.int32)).save(folder / "a.tif")
        assert "a.tif: its pixels have more than 16 bits" in refused(folder)
        (folder / "a.tif").unlink()
        Image.fromarray(np.zeros((4, 4), np.float32)).save(folder / "b.tif")
        assert "b.tif: its pixels" in refused(folder)

    def test_no_zip(self, tmp_path):
        assert "No such file" in refused(tmp_path / "none.zip")
        (tmp_path / "text.zip").write_text("hello")
        assert "not a zip" in refused(tmp_path / "text.zip")
        zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
        assert "no image" in refused(tmp_path / "empty.zip")

    def test_a_damaged_zip(self, photos, tmp_path):
        path = zip_of(photos, tmp_path / "a.zip", compress=zipfile.ZIP_STORED)
        content = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            start = archive.getinfo("cat/04.png").header_offset
        content[start + 200] ^= 255
        path.write_bytes(content)
        assert "cat/04.png: Bad CRC-32" in refused(path)
        path.write_bytes(content[: len(content) // 2])
        assert "not a zip" in refused(path)


def test_a_cache_folder_that_cannot_be_written(photos, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("GANABLATE_CACHE", str(tmp_path / "taken"))
    with pytest.raises(ValueError, match=r"cannot write to the cache folder .*taken.*GANABLATE_CACHE"):
        decode(photos)


KINDS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}
SIZES = {"mnist": (1, 28, 28), "fashion_mnist": (1, 28, 28), "cifar10": (3, 32, 32), "cifar100": (3, 32, 32)}


@pytest.mark.parametrize("name", KINDS)
def test_torchvisions_data(name, torchvision_data, tmp_path, monkeypatch):
    """Pixels and labels are torchvision's; a second start does not need its files."""
    from torchvision import datasets

    monkeypatch.chdir(tmp_path)
    config = Config(dataset=name, features="raw")
    expected = getattr(datasets, KINDS[name])(torchvision_data, train=True)
    data = load_dataset(config)
    assert data.examples.shape == (20, *SIZES[name])
    assert data.n_classes == (100 if name == "cifar100" else 10)
    for index in (0, 7, 19):
        image, label = expected[index]
        assert torch.equal(data.examples[index], pixels_of(image))
        assert int(data.labels[index]) == label
    shutil.rmtree(torchvision_data)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_dataset(config).digest == data.digest


def test_stl10_is_labelled_and_unlabelled_images_without_classes(torchvision_data, tmp_path, monkeypatch):
    """In torchvision's order, stored column by column; the papers train at 48x48."""
    monkeypatch.chdir(tmp_path)
    stored = [
        np.fromfile(torchvision_data / "stl10_binary" / f"{part}_X.bin", np.uint8) for part in ("train", "unlabeled")
    ]
    columns = np.concatenate(stored).reshape(20, 3, 96, 96)
    config = Config(dataset="stl10", features="raw")
    data = load_dataset(config)
    assert np.array_equal(data.examples.numpy(), columns.transpose(0, 1, 3, 2))
    assert (data.n_classes, data.labels.tolist()) == (1, [0] * 20)
    small = load_dataset(config.replace(resolution=48))
    image = Image.fromarray(columns[7].transpose(2, 1, 0))
    assert small.shape == (3, 48, 48)
    assert torch.equal(small.examples[7], pixels_of(image.resize((48, 48), Image.Resampling.LANCZOS)))


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_layouts_of_imagenet_and_ffhq(tmp_path, picture, packed):
    """ImageNet's folders are its classes; FFHQ's thousands count as such, and its other files as nothing."""
    for name, folders in (("imagenet", ("n01440764", "n01443537")), ("ffhq", ("00000", "01000", "69000"))):
        root = tmp_path / name
        for index, folder in enumerate(folders):
            (root / folder).mkdir(parents=True)
            size = (20 + 4 * index, 24) if name == "imagenet" else (32, 32)
            file = f"{folder}_1.JPEG" if name == "imagenet" else f"{int(folder):05d}.png"
            picture(index, size).save(root / folder / file)
        (root / "LICENSE.txt").write_text("not an image")
        decoded = decode(zip_of(root, tmp_path / f"{name}.zip") if packed else root, 16)
        assert decoded.examples.shape == (len(folders), 3, 16, 16)
        assert (decoded.classes, decoded.labels.tolist()) == (list(folders), list(range(len(folders))))


def test_a_failed_download_names_the_other_ways(tmp_path, monkeypatch, cache):
    def fail(self):
        raise OSError("no route\nto host")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", fail)
    with pytest.raises(ValueError) as caught:
        load_dataset(Config(dataset="cifar10", features="raw"))
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in ("'cifar10'", "no route to host", "folder:PATH", "zip:PATH")), text
    assert not list((cache / "images").iterdir())
