"""Twenty fresh folders and zips that combine what people have at random: each decodes to what was drawn, or is refused
in one sentence."""

import io
import json
import random
import zipfile
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.names import COLOURS

SIDE = 8
JUNK = ("@eaDir/x.png", ".thumbnails/x.png", "__MACOSX/._x.png", "Thumbs.db", "notes.txt", ".hidden.png", "LICENSE")
NAMES = ("a", "photo 1", "été", "straße", "stra\udcdfe", "x" * 40)


class Drawn(NamedTuple):
    """An image file and what it shows."""

    content: bytes
    suffix: str
    rgb: np.ndarray  # [SIDE, SIDE, 3], 0 to 255
    alpha: np.ndarray  # [SIDE, SIDE], 0 to 1
    grey: bool
    whole: bool = True


def encoded(image, suffix, **options):
    held = io.BytesIO()
    image.save(held, {"tif": "TIFF"}.get(suffix, suffix), **options)
    return held.getvalue()


def shown(image, suffix, rgb, alpha=None, whole=True, **options):
    alpha = np.ones((SIDE, SIDE)) if alpha is None else alpha / 255
    seen = rgb[alpha > 0]
    content = encoded(image, suffix, **options)
    rgb = rgb.astype(float)
    grey = image.mode in ("L", "1", "LA") or image.mode.startswith("I")
    grey |= image.mode == "P" and bool((seen == seen[:, :1]).all())
    return Drawn(content if whole else content[:-40], suffix, rgb, alpha, grey, whole)


def plain(rng, mode, suffix, whole=True):
    values = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    if mode == "RGB":
        return shown(Image.fromarray(values), suffix, values, whole=whole)
    grey = values[..., 0] // 128 * 255 if mode == "1" else values[..., 0]
    image = Image.fromarray(grey.astype(np.uint8)).convert(mode)
    return shown(image, suffix, np.repeat(grey[..., None], 3, 2), whole=whole)


def with_alpha(rng, mode):
    values = rng.integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
    values[..., 3] = rng.choice([0, 128, 255], (SIDE, SIDE))
    if mode == "LA":
        values[..., 1] = values[..., 2] = values[..., 0]
        image = Image.merge("LA", [Image.fromarray(values[..., band].copy()) for band in (0, 3)])
        return shown(image, "png", values[..., :3], values[..., 3])
    return shown(Image.fromarray(values), "png", values[..., :3], values[..., 3])


def palette(rng, grey, holes):
    colours = rng.integers(0, 256, (256, 3), dtype=np.uint8)
    colours[:100] = colours[:100, :1] if grey else colours[:100]
    indices = rng.integers(0, 100, (SIDE, SIDE), dtype=np.uint8)
    alphas = rng.choice([0, 100, 255], 256).astype(np.uint8) if holes else np.full(256, 255, np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette(colours.tobytes())
    options = {"transparency": alphas.tobytes()} if holes else {}
    return shown(image, "png", colours[indices], alphas[indices], **options)


def deep(rng, most, suffix):
    values = rng.integers(0, most + 1, (SIDE, SIDE)).astype(np.uint16)
    scaled = np.round(values / 257)
    return shown(Image.fromarray(values), suffix, np.repeat(scaled[..., None], 3, 2))


def signed(rng):
    values = rng.integers(-1_000, 3_000, (SIDE, SIDE)).astype(np.int32)
    return shown(Image.fromarray(values), "tif", np.zeros((SIDE, SIDE, 3)))._replace(whole=False)


GREYS = {
    "L": lambda rng: plain(rng, "L", "bmp"),
    "1": lambda rng: plain(rng, "1", "png"),
    "LA": lambda rng: with_alpha(rng, "LA"),
    "grey palette": lambda rng: palette(rng, True, False),
    "grey palette with holes": lambda rng: palette(rng, True, True),
    "16 bits": lambda rng: deep(rng, 65_535, "png"),
    "12 bits": lambda rng: deep(rng, 4_095, "tif"),
}
COLOURED = {
    "RGB": lambda rng: plain(rng, "RGB", "png"),
    "RGBA": lambda rng: with_alpha(rng, "RGBA"),
    "palette": lambda rng: palette(rng, False, False),
    "palette with holes": lambda rng: palette(rng, False, True),
}
DAMAGED = {"half": lambda rng: plain(rng, "RGB", "png", whole=False), "signed": signed}
LAYOUTS = ("flat", "classes", "classes", "labels", "labels", "no labels", "splits", "outside", "labels that lack one")


class Folder(NamedTuple):
    """Files by their names, what they should be decoded to, in the order of names, and whether that is refused."""

    files: dict[str, bytes]
    images: list[Drawn]
    labels: list[int]
    refused: bool


def images_of(rng, choose, layout):
    """Image files by their names."""
    tops = [f"{name}/" for name in choose.sample(NAMES, 2)]
    places = {"flat": [""], "splits": ["train/a/", "train/b/", "val/a/"], "outside": ["a/", ""], "classes": tops}
    places = places.get(layout, ["00000/", "00001/"])
    kinds = choose.choice([GREYS, {**GREYS, **COLOURED}])
    images = {}
    for number in range(choose.randrange(3, 9)):
        image = kinds[choose.choice(list(kinds))](rng)
        images[f"{places[number % len(places)]}{choose.choice(NAMES)}{number}.{image.suffix}"] = image
    for _ in range(choose.choice([0, 0, 0, 1, 2])):
        images[choose.choice(list(images))] = DAMAGED[choose.choice(list(DAMAGED))](rng)
    return {name: images[name] for name in sorted(images)}


def fresh(rng, choose):
    layout = choose.choice(LAYOUTS)
    images = images_of(rng, choose, layout)
    tops = [name.partition("/")[0] for name in images]
    labels = [sorted(set(tops)).index(top) if layout == "classes" else 0 for top in tops]
    files = {name: image.content for name, image in images.items()}
    for name in choose.sample(JUNK, choose.randrange(4)):
        files[choose.choice(["", next(iter(images)).rpartition("/")[0] + "/"]).lstrip("/") + name] = b"junk"
    if "labels" in layout:
        given = [[name, choose.randrange(3)] for name in images]
        labels = [label if layout == "labels" else 0 for _, label in given]
        choose.shuffle(given)
        held = {"no labels": None, "labels that lack one": given[1:]}.get(layout, given)
        files["dataset.json"] = json.dumps({"labels": held}).encode()
    refused = layout in ("splits", "outside", "labels that lack one") or not all(i.whole for i in images.values())
    return Folder(files, list(images.values()), labels, refused)


def written(folder, path, choose):
    """The name of the data set."""
    if choose.random() < 0.5:
        for name, content in folder.files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        return f"folder:{path}"
    around, slash = choose.choice(["", "photos/"]), choose.choice("/\\")
    with zipfile.ZipFile(f"{path}.zip", "w") as archive:
        for name, content in folder.files.items():
            archive.writestr((around + name).replace("/", slash), content)
    return f"zip:{path}.zip"


def expected(images, background):
    """[N, C, SIDE, SIDE], by the formula."""
    ground = np.array(list(bytes.fromhex(COLOURS[background][1:])))
    pixels = np.stack([i.rgb * i.alpha[..., None] + ground * (1 - i.alpha[..., None]) for i in images])
    one = all(i.grey and (len(set(ground)) == 1 or i.alpha.min() == 1) for i in images)
    return pixels.transpose(0, 3, 1, 2)[:, : 1 if one else 3]


@pytest.mark.parametrize("seed", range(20))
def test_a_fresh_folder_is_decoded_right_or_refused(seed, tmp_path, monkeypatch):
    rng, choose = np.random.default_rng(seed), random.Random(seed)
    if choose.random() < 0.5:  # a zip's writer takes no name that is not UTF-8
        monkeypatch.setattr(f"{__name__}.NAMES", tuple(name.replace("\udcdf", "ß") for name in NAMES))
    folder = fresh(rng, choose)
    has_bytes = any("\udcdf" in name for name in folder.files)
    if has_bytes:
        monkeypatch.setattr(choose, "random", lambda: 0)
    background, conditional = choose.choice(list(COLOURS)), choose.random() < 0.5
    name = written(folder, tmp_path / "set", choose)
    fields = {"backbone": "sngan", "conditional": True} if conditional else {}
    config = Config(dataset=name, features="raw", background=background, **fields)
    if folder.refused:
        with pytest.raises(ValueError, match=r"^dataset = '.*set") as caught:
            load_dataset(config)
        assert "\n" not in str(caught.value)
        assert str(caught.value).encode()
        return
    data = load_dataset(config)
    pixels = expected(folder.images, background)
    assert data.examples.shape == pixels.shape
    assert np.abs(data.examples.numpy() - pixels).max() <= 1
    for image, found in zip(folder.images, data.examples.numpy(), strict=True):
        if image.alpha.min() == 1:
            assert np.array_equal(found, image.rgb.transpose(2, 0, 1)[: len(found)])
    assert data.labels.tolist() == (folder.labels if conditional else [0] * len(folder.labels))
    assert config.data_digest == data.digest


def test_the_seeds_meet_both_outcomes():
    refused = 0
    for seed in range(20):
        choose = random.Random(seed)
        choose.random()
        refused += fresh(np.random.default_rng(seed), choose).refused
    assert 4 <= refused <= 16
