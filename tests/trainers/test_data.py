import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.config import DATASETS
from trainers.data import Dataset, Sampler, load_dataset

CPU = torch.device("cpu")


def counting(n):
    """A data set whose examples are their own indices."""
    return Dataset(torch.arange(float(n))[:, None], torch.arange(n), n)


@settings(max_examples=50, deadline=None)
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


@pytest.mark.parametrize("name", DATASETS)
def test_data_sets_are_well_formed(name):
    data = load_dataset(name)
    assert len(data.examples) == len(data.labels)
    assert int(data.labels.max()) == data.n_classes - 1
    x = data.scaled(torch.arange(100))
    assert x.dtype == torch.float32
    if data.bounds:
        assert float(x.min()) == -1
        assert float(x.max()) == 1
    assert len(data.digest) == 16
    assert data.digest == load_dataset.__wrapped__(name).digest


def test_ring_has_eight_modes_on_the_unit_circle():
    modes = load_dataset("ring8").modes
    assert len(torch.unique(modes.round(decimals=4), dim=0)) == 8
    assert torch.allclose(modes.norm(dim=1), torch.ones(8))


def test_digits_are_scikit_learns():
    bunch = pytest.importorskip("sklearn.datasets").load_digits()
    data = load_dataset("digits")
    assert np.array_equal(data.labels.numpy(), bunch.target)
    assert data.shape == (1, 16, 16)
    coarse = data.examples.float().reshape(-1, 8, 2, 8, 2).mean((2, 4)) / 255 * 16
    # bilinear resizing by 2 spreads a pixel over its neighbours: means stay, and images stay alike
    assert float(coarse.mean()) == pytest.approx(bunch.images.mean(), rel=0.01)
    flat, original = coarse.flatten(1), torch.from_numpy(bunch.images).flatten(1).float()
    assert float(torch.cosine_similarity(flat, original, dim=1).min()) > 0.85
