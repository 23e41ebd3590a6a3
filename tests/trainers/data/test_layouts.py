"""Folders of images as people have them: what labels them, what among them is no image, what is refused."""

import io
import json
import logging
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.config import Config
from trainers.data.decode import open_images
from trainers.data.image_files import from_folder, from_zip
from trainers.data.load import load_dataset
from trainers.data.sources import known_digest
from trainers.loop import dry_run, train
from trainers.names import ImageForm


class Layout:
    """Writes images into a folder or a zip; `write` says which of the two a test meets."""

    def __init__(self, path, packed):
        self.path, self.packed, self.files = path, packed, {}

    def __call__(self, name, content=None, seed=0):
        if content is None:
            held = io.BytesIO()
            rng = np.random.default_rng(seed)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(held, "png")
            content = held.getvalue()
        self.files[name] = content if isinstance(content, bytes) else json.dumps(content).encode()

    @property
    def name(self):
        return f"zip:{self.path}.zip" if self.packed else f"folder:{self.path}"

    def decode(self):
        load_dataset.__globals__["_load"].cache_clear()
        if self.packed:
            with zipfile.ZipFile(f"{self.path}.zip", "w") as archive:
                for name, content in self.files.items():
                    archive.writestr(name, content)
            return open_images(from_zip(self.name), ImageForm())
        for name, content in self.files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(content)
        return open_images(from_folder(self.name), ImageForm())

    def refused(self):
        with pytest.raises(ValueError) as caught:
            self.decode()
        assert "\n" not in str(caught.value)
        assert str(self.path) in str(caught.value)
        return str(caught.value)


@pytest.fixture(params=[False, True], ids=["folder", "zip"])
def write(request, tmp_path):
    return Layout(tmp_path / "set", request.param)


def stylegan(write, labels, n=6):
    """As StyleGAN's dataset tool writes them: a thousand a folder, here two."""
    for index in range(n):
        write(f"{index // 2:05d}/img{index:08d}.png", seed=index)
    write("dataset.json", {"labels": labels})


def pairs(labels, slash="/"):
    return [[f"{index // 2:05d}{slash}img{index:08d}.png", label] for index, label in enumerate(labels)]


@pytest.mark.parametrize("slash", ["/", "\\"])
def test_dataset_json_labels_the_images(write, slash):
    stylegan(write, pairs([2, 0, 1, 2, 4, 0], slash)[::-1])
    decoded = write.decode()
    assert decoded.labels.tolist() == [2, 0, 1, 2, 4, 0]
    assert len(decoded.classes) == 5
    data = load_dataset(Config(dataset=write.name, backbone="sngan", features="raw", conditional=True))
    assert (data.n_classes, data.labels.tolist(), data.digest) == (5, [2, 0, 1, 2, 4, 0], decoded.digest)


def test_dataset_json_within_the_folder_around_a_zip(tmp_path):
    write = Layout(tmp_path / "set", packed=True)
    stylegan(write, pairs([1, 0]), n=2)
    flat = write.decode()
    write.files = {f"ffhq/{name}": content for name, content in write.files.items()}
    assert write.decode().digest == flat.digest
    assert flat.labels.tolist() == [1, 0]


@pytest.mark.parametrize("content", [{"labels": None}, {"made": "by me"}])
def test_without_labels_the_folders_of_dataset_json_are_no_classes(write, content, caplog):
    caplog.set_level(logging.INFO, "trainers")
    stylegan(write, None)
    write("dataset.json", content)
    decoded = write.decode()
    assert (decoded.classes, decoded.labels.tolist()) == ([], [0] * 6)
    assert "dataset.json without labels" in caplog.text


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (pairs([0, 1, 0, 1, 0]), "gives no label to '00002/img00000005.png'"),
        ([], "gives no label to '00000/img00000000.png' and 5 more"),
        ([*pairs([0] * 6), ["00009/img00000009.png", 1]], "labels what is no image there: '00009/img00000009.png'"),
        (pairs([0, 1, 0.5, 0, 0, 0]), "the label 0.5; a label is a whole number from 0 to"),
        (pairs([0, 1, True, 0, 0, 0]), "the label True"),
        (pairs([0, 1, [0, 1], 0, 0, 0]), "the label [0, 1]"),
        (pairs([0, 1, -1, 0, 0, 0]), "the label -1"),
        (pairs([0, 1, 10**30, 0, 0, 0]), "the label 1000000000000"),
        (pairs(["cat"] * 6), "the label 'cat'"),
        ([1, 2, 3], "should have labels as [["),
        ("none", "should have labels as [["),
        (7, "should have labels as [["),
    ],
)
def test_labels_that_do_not_fit_are_refused(write, labels, words):
    stylegan(write, labels)
    assert words in write.refused()


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff", b"[" * 100_000, b'"labels"'])
def test_a_dataset_json_of_another_kind_is_refused(write, content):
    stylegan(write, None)
    write("dataset.json", content)
    assert "its dataset.json" in write.refused()


def test_other_labels_are_another_data_set_only_with_conditional(write):
    stylegan(write, pairs([0, 1, 0, 1, 0, 1]))
    plain = Config(dataset=write.name, features="raw")
    conditional = plain.replace(backbone="sngan", conditional=True)
    write.decode()
    first = [load_dataset(config).digest for config in (plain, conditional)]
    stylegan(write, pairs([0, 1, 0, 1, 1, 1]))
    write.decode()
    second = [load_dataset(config).digest for config in (plain, conditional)]
    assert first[0] == second[0]
    assert len({*first, *second}) == 3
    for config, digest in zip((plain, conditional), second, strict=True):
        assert known_digest(config.dataset, config.image_form, config.conditional) == digest
        assert config.replace(seed=1).data_digest == digest
    assert plain.data_spelling != conditional.data_spelling
    assert plain.with_data(second[0]).replace(backbone="sngan", conditional=True).data_digest == second[1]


def test_folders_do_not_count_without_conditional(write):
    """However images are divided, flat ones are the same data set; their digest is that of former versions."""
    for index in range(4):
        write(f"{'ab'[index // 2]}/{index}.png", seed=index)
    divided = write.decode()
    data = load_dataset(Config(dataset=write.name, features="raw"))
    assert (data.n_classes, data.labels.tolist(), data.digest) == (1, [0] * 4, divided.plain)
    flat = Layout(write.path.with_name("flat"), write.packed)
    flat.files = {name[2:]: content for name, content in write.files.items()}
    decoded = flat.decode()
    assert decoded.digest == decoded.plain == divided.plain != divided.digest


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "Testing"), ("validation", "train", "x")])
def test_splits_are_no_classes(write, names):
    for split in names:
        for index, name in enumerate(("cat", "dog")):
            write(f"{split}/{name}/0.png", seed=index)
    train = next(name for name in names if name.lower().startswith("train"))
    text = write.refused()
    assert text.endswith(f"as dataset=folder:{'' if write.packed else f'{write.path}/'}{train}")
    assert ("unpack it" in text) == write.packed


def test_the_splits_of_a_zip_within_a_folder_are_named_by_it(tmp_path):
    write = Layout(tmp_path / "set", packed=True)
    for split in ("test", "train"):
        write(f"photos/{split}/cat/0.png")
    assert write.refused().endswith("use one alone, as dataset=folder:photos/train")


def test_one_split_alone_is_refused_and_a_class_may_be_called_train(tmp_path):
    write = Layout(tmp_path / "set", packed=False)
    write("train/cat/0.png")
    assert "train at its top is a split" in write.refused()
    assert open_images(from_folder(f"{write.name}/train"), ImageForm()).classes == ["cat"]
    write("plane/0.png", seed=1)
    write("train/1.png", seed=2)
    assert write.decode().classes == ["plane", "train"]


JUNK = (
    "@eaDir/SYNOPHOTO_THUMB_0.jpg",
    "a/@eaDir/0.png/SYNOPHOTO_THUMB_XL.jpg",
    "a/SYNOPHOTO_THUMB_M.png",
    ".thumbnails/large/0.png",
    ".git/0.png",
    "a/._0.png",
    "__MACOSX/a/._0.png",
    "#recycle/0.png",
    "@Recycle/0.png",
    "$RECYCLE.BIN/0.png",
    "System Volume Information/0.png",
    "a/Thumbs.db",
    "a/desktop.ini",
    "LICENSE",
    "a/notes.txt",
    "b/notes.TXT",
    "a/dataset.json",
)


def test_what_is_no_image_is_skipped_and_told(write, caplog):
    caplog.set_level(logging.INFO, "trainers")
    for index, name in enumerate(("a/0.png", "b/1.png")):
        write(name, seed=index)
    before = write.decode()
    assert "skipped" not in caplog.text
    for name in JUNK:
        write(name, b"no image")
    write("b/2.png", seed=2)
    after = write.decode()
    assert after.classes == ["a", "b"]
    assert torch.equal(after.examples[:2], before.examples)
    (line,) = [record.getMessage() for record in caplog.records if "skipped" in record.getMessage()]
    assert line == (
        f"skipped in {write.name}: files of the system (7), thumbnails (4), .txt files (2), hidden files (2), "
        ".json files (1), files without an extension (1)"
    )


def test_only_junk_is_no_image(write):
    for name in JUNK:
        write(name, b"no image")
    write("dataset.json", {"labels": []})
    assert "no image" in write.refused()


def test_backslashes_separate_the_folders_of_a_zip(tmp_path):
    one, two = (Layout(tmp_path / name, packed=True) for name in ("a", "b"))
    for index in range(4):
        one(f"photos/{'ab'[index % 2]}/{index}.png", seed=index)
    two.files = {name.replace("/", "\\"): content for name, content in one.files.items()} | {"photos\\a\\": b""}
    two("photos\\Thumbs.db", b"")
    two("photos\\@eaDir\\x.png", b"")
    assert one.decode().classes == two.decode().classes == ["a", "b"]
    assert one.decode().digest == two.decode().digest


def test_names_that_are_not_utf_8(tmp_path, picture, monkeypatch, caplog):
    """Folders and files work, a second time too, and are told; the path of a data set works from within."""
    caplog.set_level(logging.INFO, "trainers")
    home = os.fsencode(tmp_path) + b"/caf\xe9"
    for folder in (b"stra\xdfe", b"haus"):
        Path(os.fsdecode(home + b"/" + folder)).mkdir(parents=True)
    for number, file in enumerate((b"/stra\xdfe/\xe4.png", b"/haus/b.png")):
        picture(number).save(os.fsdecode(home + file))
    monkeypatch.chdir(os.fsdecode(home))
    monkeypatch.setenv("GANABLATE_CACHE", os.fsdecode(home + b"/.cache"))
    config = Config(dataset="folder:.", features="raw")
    for _ in range(2):
        load_dataset.__globals__["_load"].cache_clear()
        data = load_dataset(config.replace(backbone="sngan", conditional=True))
        assert (data.n_classes, data.labels.tolist()) == (2, [0, 1])
        assert load_dataset(config).labels.tolist() == [0, 0]
    for text in (caplog.text, config.data_name, config.with_data("x").protocol):
        assert text.encode()
    Path(os.fsdecode(home + b"/stra\xdfe/\xe4.png")).write_bytes(b"broken")
    load_dataset.__globals__["_load"].cache_clear()
    with pytest.raises(ValueError, match=r"cannot read image stra\\udcdfe/\\udce4.png"):
        load_dataset(config)
    with pytest.raises(ValueError, match=r"caf\\udce9.*is not UTF-8; rename it, or say folder:\."):
        Config(dataset=f"folder:{os.fsdecode(home)}", features="raw")


@pytest.mark.parametrize("backbone", ["dcgan", "sngan"])
def test_one_image_is_refused_before_anything_trains(tmp_path, picture, backbone):
    (tmp_path / "one" / "cat").mkdir(parents=True)
    picture(0, (16, 16)).save(tmp_path / "one" / "cat" / "0.png")
    config = Config(dataset=f"folder:{tmp_path / 'one'}", features="raw", backbone=backbone, resolution=32)
    for start in (dry_run, lambda config: next(train(config, tmp_path / "run"))):
        with pytest.raises(ValueError, match=r"one'.*the Frechet distance to it needs two images or more"):
            start(config)
    picture(1, (16, 16)).save(tmp_path / "one" / "cat" / "1.png")
    load_dataset.__globals__["_load"].cache_clear()
    dry_run(config)
    if backbone == "sngan":
        with pytest.raises(ValueError, match=r"conditional = True needs classes.* has none, or only one"):
            dry_run(config.replace(conditional=True))


def test_two_images_are_trained_on_and_scored(tmp_path, picture):
    for index in range(2):
        (tmp_path / "two").mkdir(exist_ok=True)
        picture(index).save(tmp_path / "two" / f"{index}.png")
    config = Config(
        dataset=f"folder:{tmp_path / 'two'}", features="raw", backbone_options={"width": 4, "latent": 4}, n_images=32,
        batch_size=16, eval_every=16, eval_samples=2,
    )  # fmt: skip
    assert all(np.isfinite(row["fid"]) for row in train(config, tmp_path / "run"))
