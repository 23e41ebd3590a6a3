"""Samples on request: which latents, which labels, which pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.names import BACKBONES
from trainers.sampling import SampleRequest, between, latents, sample, walks
from trainers.scoring import load_generator
from trainers.streams import stream


def narrow(name, **fields):
    return Config(backbone=name, backbone_options=dict(BACKBONES[name].narrow), **fields)


@pytest.fixture
def plain(kept_run, tiny_images):
    return kept_run(tiny_images)


@pytest.fixture
def classes(kept_run):
    return kept_run(narrow("sngan", dataset="digits", conditional=True))


@pytest.fixture
def pair(kept_run):
    return kept_run(narrow("cut", dataset="digits_outlines"))


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def eager(folder, source, labels=None):
    """Samples as levels 0..255, [n, C, H, W]."""
    generator = load_generator(folder).eval()
    with torch.no_grad():
        made = generator(source, torch.zeros(len(source)).long() if labels is None else labels)
    return ((made + 1) * 127.5).round().clamp(0, 255).int().numpy()


def tiles(path, side=16):
    """The pictures of a grid, by rows and columns: [rows, columns, side, side, 3]."""
    grid = pixels(path)[2:, 2:]
    rows = [grid[top : top + side] for top in range(0, grid.shape[0], side + 2)]
    return np.stack([[row[:, left : left + side] for left in range(0, row.shape[1], side + 2)] for row in rows])


def test_a_sample_is_the_same_whatever_else_is_asked_for(plain):
    generator = load_generator(plain)
    first = latents(generator, 3, range(40))
    assert torch.equal(latents(generator, 3, range(7, 9)), first[7:9])
    assert not torch.equal(latents(generator, 4, range(2)), first[:2])
    assert first.unique(dim=0).shape == first.shape
    evaluated = generator.sample_source(40, stream(3, "evaluation"))
    assert not (first[:, None] == evaluated[None]).all(2).any()


def test_a_grid_holds_the_generators_samples(plain, tmp_path):
    assert sample(plain, tmp_path / "new" / "grid.png", SampleRequest()) == 64
    shown = tiles(tmp_path / "new" / "grid.png")
    assert shown.shape == (8, 8, 16, 16, 3)
    made = eager(plain, latents(load_generator(plain), 0, range(64)))
    off = shown.reshape(64, 16, 16, 3) - made.transpose(0, 2, 3, 1)
    assert abs(off).max() <= 1  # a grid is rounded twice
    sample(plain, tmp_path / "other.png", SampleRequest(seed=1))
    assert (tiles(tmp_path / "other.png") != shown).any()


def test_a_file_each(plain, tmp_path):
    assert sample(plain, tmp_path / "each", SampleRequest(3, each=True)) == 3
    paths = sorted((tmp_path / "each").iterdir())
    assert [path.name for path in paths] == ["000000.png", "000001.png", "000002.png"]
    made = eager(plain, latents(load_generator(plain), 0, range(3)))
    assert (np.stack([pixels(path) for path in paths]) == made[:, 0]).all()


def test_one_class_a_row(classes, tmp_path):
    assert sample(classes, tmp_path / "all.png", SampleRequest()) == 80
    assert sample(classes, tmp_path / "two.png", SampleRequest(24, labels=(3, 7))) == 24
    source = latents(load_generator(classes), 0, range(80))
    for name, labels in (("all", torch.arange(10)), ("two", torch.tensor([3, 7, 3]))):
        labels = labels.repeat_interleave(8)
        made = eager(classes, source[: len(labels)], labels)
        off = tiles(tmp_path / f"{name}.png").reshape(-1, 16, 16, 3) - made.transpose(0, 2, 3, 1)
        assert abs(off).max() <= 1
    assert (eager(classes, source[:8], torch.full((8,), 3)) != eager(classes, source[:8], torch.full((8,), 4))).any()


def test_files_of_classes_are_a_data_set_of_classes(classes, tmp_path):
    sample(classes, tmp_path / "each", SampleRequest(24, labels=(3, 7), each=True))
    data = load_dataset(narrow("sngan", dataset=f"folder:{tmp_path / 'each'}", conditional=True, features="raw"))
    assert (data.n_classes, data.labels.bincount().tolist(), data.shape) == (2, [16, 8], (1, 16, 16))


def test_walks_go_from_latent_to_latent(kept_run):
    """And of StyleGAN2 the noise of the layers stays."""
    folder = kept_run(narrow("stylegan2", dataset="digits"))
    generator = load_generator(folder)
    ends, walked = latents(generator, 5, range(4)), walks(generator, 5, 16).unflatten(0, (2, 8))
    k = generator.latent
    for row in range(2):
        assert torch.allclose(walked[row, 0], ends[2 * row])
        assert torch.allclose(walked[row, -1, :k], ends[2 * row + 1, :k], atol=1e-6)
        assert (walked[row, :, k:] == ends[2 * row, k:]).all()


def test_arcs_keep_the_length_of_latents():
    a, b = torch.randn(2, 50, 128, generator=torch.Generator().manual_seed(0))
    lengths = between(a, b, 9).norm(dim=2)
    assert lengths.min() > 0.9 * torch.minimum(a.norm(dim=1), b.norm(dim=1)).min()
    assert a.lerp(b, 0.5).norm(dim=1).mean() < 0.75 * lengths.mean()  # as a straight line does not
    same = between(a[:1], a[:1], 3)
    assert torch.allclose(same, a[:1, None].expand(-1, 3, -1))


def test_walks_are_drawn(plain, tmp_path):
    assert sample(plain, tmp_path / "walks.png", SampleRequest(16, interpolate=True)) == 16
    made = eager(plain, walks(load_generator(plain), 0, 16))
    off = tiles(tmp_path / "walks.png").reshape(16, 16, 16, 3) - made.transpose(0, 2, 3, 1)
    assert abs(off).max() <= 1


def test_translations_of_test_a(pair, tmp_path):
    assert sample(pair, tmp_path / "grid.png", SampleRequest(8)) == 8
    sources = load_dataset(narrow("cut", dataset="digits_outlines")).pair.test_sources
    shown = tiles(tmp_path / "grid.png").reshape(8, 2, 16, 16, 3)
    assert abs(shown[:, 0, ..., 0] - sources.examples[:8, 0].int().numpy()).max() <= 1
    made = eager(pair, sources.scaled(torch.arange(8)))
    assert abs(shown[:, 1, ..., 0] - made[:, 0]).max() <= 1
    assert sample(pair, tmp_path / "each", SampleRequest(each=True)) == len(sources.examples)


def test_a_folder_of_images_is_translated_under_its_names(pair, photos, tmp_path):
    """Photos in colour, to a generator of grey ones; one is not square."""
    Image.open(photos / "cat" / "01.png").resize((40, 20)).save(photos / "cat" / "01.png")
    assert sample(pair, tmp_path / "out", SampleRequest(source=photos, each=True)) == 12
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png"))
    assert found == sorted(str(path.relative_to(photos)) for path in photos.rglob("*.png"))
    grey = Image.open(photos / "dog" / "00.png").convert("L")
    source = torch.tensor(np.asarray(grey)).float() / 127.5 - 1
    assert (pixels(tmp_path / "out" / "dog" / "00.png") == eager(pair, source[None, None])[0, 0]).all()


def test_points_are_a_picture(kept_run, tiny_points, tmp_path):
    assert sample(kept_run(tiny_points), tmp_path / "points.png", SampleRequest()) == 10_000
    assert pixels(tmp_path / "points.png").shape == (288, 288, 3)


@pytest.mark.parametrize(
    ("run", "out", "asked", "told"),
    [
        ("plain", "x.png", {"n": 0}, "n = 0 should be 1 or more"),
        ("plain", "x.png", {"n": 12, "interpolate": True}, "n = 12 should be a multiple of 8"),
        ("plain", "x.png", {"labels": (1,)}, "labels = 1: the run is not conditional"),
        ("plain", "x.png", {"source": "."}, "translates nothing"),
        ("plain", "x.jpg", {}, "x.jpg should end in .png"),
        ("plain", "photos", {"each": True}, "photos is there already"),
        ("classes", "x.png", {"labels": (3, 10)}, "labels = 10: digits has the classes 0 to 9"),
        ("pair", "x.png", {"interpolate": True}, "interpolate needs a generator that makes images from noise"),
        ("pair", "x.png", {"source": "nowhere"}, "cannot read the folder nowhere: No such file"),
        ("pair", "x.png", {"source": "empty"}, "there is no image in empty"),
        ("pair", "x", {"source": "torn", "each": True}, "cannot read torn/z.png: UnidentifiedImageError"),
        ("pair", "x", {"source": "twins", "each": True}, "2 images would become a.png"),
    ],
)
def test_what_cannot_be_made_is_a_sentence_and_writes_nothing(
    request, photos, tmp_path, monkeypatch, run, out, asked, told
):
    folder = request.getfixturevalue(run)
    monkeypatch.chdir(tmp_path)
    for name, files in {"empty": [], "torn": ["a.png", "z.png"], "twins": ["a.png", "a.bmp"]}.items():
        (tmp_path / name).mkdir()
        for file in files:
            Image.open(photos / "dog" / "00.png").save(tmp_path / name / file)
    (tmp_path / "torn" / "z.png").write_bytes(b"none")
    before = sorted(tmp_path.rglob("*"))
    asked = {name: type(photos)(value) if name == "source" else value for name, value in asked.items()}
    with pytest.raises(ValueError, match=told) as error:
        sample(folder, type(photos)(out), SampleRequest(**asked))
    assert "\n" not in str(error.value)
    assert [path for path in sorted(tmp_path.rglob("*")) if "cache" not in path.parts] == before
