"""What a data set holds, told and drawn, from the command on."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ganablate.command import app
from search.plan import images_of
from spaces import RECIPES


@pytest.fixture
def looked_at(tmp_path, monkeypatch):
    """Two classes of one colour each in files of mixed sizes, among other files; the command, in their folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANABLATE_CACHE", str(tmp_path / "cache"))
    for kind, colour, count in (("Bären", "red", 3), ("dogs", "blue", 5)):
        (tmp_path / "my photos" / kind).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (40 + i, 36), colour).save(tmp_path / "my photos" / kind / f"{i}.png")
    (tmp_path / "my photos" / "notes.txt").touch()

    def command(*arguments):
        done = CliRunner().invoke(app, ["data", *arguments])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output.splitlines()

    return command


def test_a_folder_is_told_and_drawn_as_the_networks_see_it(looked_at, tmp_path):
    lines = looked_at("folder:my photos", "--set", "resolution=16", "--out", "seen.png")
    assert [line for line in lines if "decoding" not in line and not line.startswith("skipped in")] == [
        "my photos: 8 images of 2 classes (Bären 3, dogs 5)",
        "  files: 5 sizes, from 40x36 to 44x36",
        "  skipped: .txt files (1)",
        "  as the networks see them: 16x16, RGB, shorter side resized, centre cropped",
        "seen.png: some of them",
    ]
    pixels = np.asarray(Image.open(tmp_path / "seen.png"))[::4, ::4]  # each four times as wide
    assert pixels.shape == (2 * 18 + 2, 8 * 18 + 2, 3)
    assert pixels[10, 10].tolist() == [255, 0, 0]
    assert pixels[28, 140].tolist() == [0, 0, 255]
    config = RECIPES["images_gan"].replace(dataset="folder:my photos", resolution=16)
    assert images_of([config, config.replace(lr=0.1)]) == ["Data: my photos, 8 images of 2 classes."]
    assert images_of([config.replace(resolution=32), RECIPES["ring8_gan"]]) == []


def test_other_kinds_of_data_are_told_too(looked_at, tmp_path):
    assert looked_at("digits", "--out", "digits.png") == [
        "digits: 1,797 images of 10 classes (0 178, 1 182, 2 177, 3 183, 4 181, 5 182, 6 181, 7 179, 8 174, 9 180)",
        "  as the networks see them: 16x16, grey",
        "digits.png: some of them",
    ]
    assert looked_at("ring8", "--out", "ring.png")[1] == "  as the networks see them: vectors of 2"
    assert Image.open(tmp_path / "ring.png").size == (288, 288)
    assert [line.partition(":")[0] for line in looked_at("digits_outlines", "--out", "pair.png")][::2] == [
        *("train A", "train B", "test A", "test B", "pair.png")
    ]
    for arguments, words in (
        (["photo"], "dataset = 'photo'"),
        (["folder:absent"], "folder:absent"),
        (["digits", "--out", "digits.jpg"], "FILE.png"),
        (["digits", "--set", "resolution=8"], "resolution"),
    ):
        with pytest.raises(ValueError, match=words):
            looked_at(*arguments)
