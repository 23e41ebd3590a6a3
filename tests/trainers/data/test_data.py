import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import morphological_gradient

from trainers.config import Config
from trainers.data.dataset import Dataset, Pair
from trainers.data.digits import digits, digits_outlines
from trainers.data.load import load_dataset
from trainers.data.points import grid25, ring8
from trainers.data.sampler import Sampler
from trainers.names import DATASETS

CPU = torch.device("cpu")


def counting(n):
    """A data set whose examples are their own indices."""
    return Dataset(torch.arange(float(n))[:, None], torch.arange(n), n)


@given(st.integers(1, 50), st.integers(0, 300), st.integers(1, 80), st.integers(0, 5))
def test_where_a_batch_starts_tells_what_is_in_it(size, start, n, seed):
    """One long batch equals two short ones, whatever the sampler did before."""
    whole = Sampler(counting(size), None, seed, CPU).batch(start, n + 5)[1]
    other = Sampler(counting(size), None, seed, CPU)
    other.batch(3 * size + 1, 2)
    parts = torch.cat([other.batch(start, n)[1], other.batch(start + n, 5)[1]])
    assert torch.equal(whole, parts)


def test_every_epoch_shows_everything_once_in_another_order():
    sampler = Sampler(counting(20), None, 0, CPU)
    epochs = [sampler.batch(20 * epoch, 20)[1] for epoch in range(3)]
    assert all(torch.equal(epoch.sort().values, torch.arange(20)) for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])


def test_subsets_are_nested_and_seeded():
    def subset(n, seed):
        return set(Sampler(counting(100), n, seed, CPU).indices.tolist())

    assert subset(10, 0) < subset(30, 0) < subset(100, 0)
    assert subset(10, 0) != subset(10, 1)
    with pytest.raises(ValueError, match="n_train = 101 is more than the 100"):
        Sampler(counting(100), 101, 0, CPU)


def test_limited_cifar_is_one_subset_within_another():
    """Of 50,000 examples the 10,000 lie within the 20,000, whatever the examples and their classes are; they stay."""

    def subset(n, data):
        return Sampler(data, n, 3, CPU).indices

    images = Dataset(torch.zeros(50_000, 1, 1, 1, dtype=torch.uint8), torch.zeros(50_000, dtype=torch.int64), 1)
    small, medium, whole = (subset(n, counting(50_000)) for n in (10_000, 20_000, 50_000))
    assert torch.equal(small, medium[:10_000])
    assert torch.equal(medium, whole[:20_000])
    assert torch.equal(whole.sort().values, torch.arange(50_000))
    assert torch.equal(small, subset(10_000, images))
    assert small[:5].tolist() == [16091, 46654, 9993, 724, 26284]


@pytest.mark.parametrize("name", [name for name, row in DATASETS.items() if row.origin == "embedded"])
def test_data_sets_are_well_formed(name):
    config = Config(dataset=name, backbone="cut" if DATASETS[name].kind == "pair" else "mlp")
    data = load_dataset(config)
    for part in (data, *(data.pair or ())):
        assert len(part.examples) == len(part.labels)
        assert int(part.labels.max()) == part.n_classes - 1
        x = part.scaled(torch.arange(100))
        assert x.dtype == torch.float32
        if part.bounds:
            assert float(x.min()) == -1
            assert 0.8 < float(x.max()) <= 1
    assert (data.pair is not None) == config.is_paired


def test_digests_stay():
    """Runs are tagged with them: another digest would refuse to go on."""
    assert ring8().digest == "b9a445a3692f2ad8"
    assert grid25().digest == "1d29146f707df0f9"
    assert digits().digest == "54a6ec0531e4a61a"
    assert digits_outlines().digest == "00705017bd741b9b"


def ring_of(**options):
    return load_dataset(Config(dataset="ring8", backbone="mlp", dataset_options=options))


def test_radius_and_std_of_the_ring():
    """|m + e| of an isotropic e has the mean radius + std^2 / (2 radius) and the standard deviation std; from its mode
    a point lies Rayleigh-distributed, at std * sqrt(pi / 2) on the mean."""
    for radius, std in ((2.0, 0.02), (1.0, 0.03), (1.0, 0.01)):
        data = ring_of(radius=radius, std=std)
        x, error = data.examples, 5 * std / len(data.examples) ** 0.5
        assert float(x.norm(dim=1).mean()) == pytest.approx(radius + std**2 / (2 * radius), abs=error)
        assert float(x.norm(dim=1).std()) == pytest.approx(std, rel=0.02)
        from_mode = float((x - data.modes[data.labels]).norm(dim=1).mean())
        assert from_mode == pytest.approx(std * (np.pi / 2) ** 0.5, rel=0.02)
        assert (float(data.modes.norm(dim=1).mean()), data.mode_std) == (pytest.approx(radius), std)
        assert data.std == pytest.approx((radius**2 / 2 + std**2) ** 0.5, rel=0.02)  # by which a run diverged
    assert torch.allclose(ring_of(radius=2.0, std=0.02).examples, 2 * ring8().examples, rtol=1e-5)


def test_data_sets_of_other_options_share_nothing():
    plain, large, same = ring_of(), ring_of(radius=2, std=0.02), ring_of(std=0.02, radius=2.0)
    assert large is same  # loaded once
    assert plain is not large
    assert plain.digest == ring8().digest != large.digest
    grid = load_dataset(Config(dataset="grid25", backbone="mlp", dataset_options={"spacing": 1}))
    assert torch.equal(grid.modes, grid25().modes / 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"raduis": 2}, "dataset_options of 'ring8': unknown field 'raduis'; did you mean 'radius'.*radius, std"),
        ({"radius": -1}, "dataset_options of 'ring8': radius = -1: should be greater than 0"),
        ({"std": "wide"}, "dataset_options of 'ring8': std = 'wide'"),
        ({"std": 0.05}, "std = 0.05 should be at most 0.0382, so that the modes lie 20 standard deviations apart"),
    ],
)
def test_options_that_a_data_set_does_not_take(options, words):
    with pytest.raises(ValueError, match=words):
        ring_of(**options)


def test_options_of_other_data_sets(user_module):
    own = "import torch\nfrom trainers.data import Dataset\ndef zeros(*, n: int = 3):\n"
    own += "    return Dataset(torch.zeros(n, 2), torch.zeros(n, dtype=torch.int64), 1)\n"
    config = Config(dataset=f"{user_module(own)}:zeros", backbone="mlp", features="raw", dataset_options={"n": 5.0})
    assert len(load_dataset(config).examples) == 5
    with pytest.raises(ValueError, match=r"unknown field 'radius'; allowed: none"):
        load_dataset(Config(dataset_options={"radius": 2}))
    with pytest.raises(ValueError, match=r"dataset_options = {'radius': 2} do nothing for dataset = 'folder:photos'"):
        Config(dataset="folder:photos", features="raw", dataset_options={"radius": 2})


def test_a_digest_tells_examples_and_labels():
    examples, labels = torch.arange(24, dtype=torch.uint8).reshape(2, 1, 3, 4), torch.tensor([0, 1])
    digest = Dataset(examples, labels, 2).digest
    assert digest == hashlib.sha256(bytes(range(24)) + np.array([0, 1]).tobytes()).hexdigest()[:16]
    assert Dataset(examples.transpose(2, 3), labels, 2).digest != digest  # by content, however it lies in memory
    assert Dataset(examples, labels.flip(0), 2).digest != digest


@pytest.mark.parametrize(
    ("examples", "labels", "words"),
    [
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), ["examples", "0"]),
        (torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, dtype=torch.int64), ["examples", "float64", "uint8"]),
        (torch.zeros(3, 2), torch.zeros(3), ["labels", "int64", "float32"]),
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64), ["labels", "[3]", "[2]"]),
        (torch.zeros(3, 2), torch.tensor([0, 1, 2]), ["labels", "n_classes is 2"]),
        (torch.zeros(3, 2), torch.tensor([0, -1, 1]), ["labels", "n_classes is 2"]),
    ],
)
def test_a_data_set_whose_parts_do_not_fit_is_refused(examples, labels, words):
    with pytest.raises(ValueError) as caught:
        Dataset(examples, labels, 2)
    assert all(word in str(caught.value) for word in words), caught.value


def test_data_are_loaded_once_a_process_and_option(photos, tmp_path, monkeypatch):
    """Relative paths mean the working directory of the moment."""
    monkeypatch.chdir(tmp_path)
    config = Config(dataset="folder:photos", features="raw")
    data = load_dataset(config)
    assert load_dataset(config.replace(lr=1.0)) is data
    assert load_dataset(config.replace(resolution=8)).shape == (3, 8, 8)
    assert load_dataset(config.replace(dataset=f"folder:{photos}")).digest == data.digest
    monkeypatch.chdir(photos)
    with pytest.raises(ValueError, match="No such file"):
        load_dataset(config)
    assert load_dataset(config.replace(dataset="folder:.")).digest == data.digest


def test_no_digit_is_in_two_sets_of_the_pair():
    """Neither an image nor, in B, its outline; together they are all of the digits."""
    data, images = digits_outlines(), digits().examples.numpy()
    outlines = np.stack([morphological_gradient(image[0], size=(3, 3))[None] for image in images])
    keys = {image.tobytes(): number for number, image in enumerate(images)}
    of_outlines = {image.tobytes(): number for number, image in enumerate(outlines)}
    found = [keys[image.tobytes()] for part in data.pair[:2] for image in part.examples.numpy()]
    found += [of_outlines[image.tobytes()] for part in (data, data.pair[2]) for image in part.examples.numpy()]
    assert len(found) == 1_797
    assert len(set(found)) >= len(keys) - 1  # equal images may swap numbers
    assert [len(part.examples) for part in (data, *data.pair)] == [498, 499, 400, 400]


@pytest.fixture
def folders(tmp_path, picture):
    """A pair of folders, as CUT has them: 3 and 4 images to train with, 10 and 11 to test with."""
    for seed, (part, n) in enumerate({"trainA": 3, "trainB": 4, "testA": 10, "testB": 11}.items()):
        (tmp_path / "two" / part).mkdir(parents=True)
        for index in range(n):
            picture(100 * seed + index).save(tmp_path / "two" / part / f"{index}.png")
    return tmp_path / "two"


def pair_of(path, **fields):
    load_dataset.__globals__["_load"].cache_clear()
    return load_dataset(Config(dataset=f"pair:{path}", backbone="cut", features="raw", **fields))


def test_a_pair_of_folders(folders):
    data = pair_of(folders)
    assert [len(part.examples) for part in (data, *data.pair)] == [4, 3, 10, 11]
    assert pair_of(folders, resolution=8).pair.test_sources.shape == (3, 8, 8)
    for part in ("trainA", "trainB", "testA", "testB"):
        before = pair_of(folders).digest
        (folders / part / "0.png").write_bytes((folders / part / "1.png").read_bytes())
        assert pair_of(folders).digest != before


def test_a_pair_whose_parts_do_not_fit_is_told(folders, picture):
    (folders / "testA" / "0.png").rename(folders / "0.png")
    with pytest.raises(ValueError, match=r"two': a pair's test_sources should be 10 images or more.* not 9"):
        pair_of(folders)
    (folders / "0.png").rename(folders / "testA" / "0.png")
    for index in range(4):
        picture(index, mode="L").save(folders / "trainB" / f"{index}.png")
    with pytest.raises(ValueError, match="of equal shape and kind"):
        pair_of(folders)
    (folders / "trainB").rename(folders / "train")
    with pytest.raises(ValueError, match="trainB"):
        pair_of(folders)
    points = Dataset(torch.zeros(20, 2), torch.zeros(20, dtype=torch.int64), 1)
    with pytest.raises(ValueError, match="of equal shape and kind"):
        Dataset(*(torch.zeros(3, 1, 4, 4), torch.zeros(3, dtype=torch.int64), 1), pair=Pair(points, points, points))


def test_ring_has_eight_modes_on_the_unit_circle():
    modes = ring8().modes
    assert len(torch.unique(modes.round(decimals=4), dim=0)) == 8
    assert torch.allclose(modes.norm(dim=1), torch.ones(8))


def test_digits_are_scikit_learns():
    bunch = pytest.importorskip("sklearn.datasets").load_digits()
    data = digits()
    assert np.array_equal(data.labels.numpy(), bunch.target)
    assert data.shape == (1, 16, 16)
    coarse = data.examples.float().reshape(-1, 8, 2, 8, 2).mean((2, 4)) / 255 * 16
    # bilinear resizing by 2 spreads a pixel over its neighbours: means stay, and images stay alike
    assert float(coarse.mean()) == pytest.approx(bunch.images.mean(), rel=0.01)
    flat, original = coarse.flatten(1), torch.from_numpy(bunch.images).flatten(1).float()
    assert float(torch.cosine_similarity(flat, original, dim=1).min()) > 0.85
