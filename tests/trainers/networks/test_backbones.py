import pytest
import torch

from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.networks.dcgan import build
from trainers.state import build_networks


@pytest.mark.parametrize("side", [16, 32, 64, 128])
@pytest.mark.parametrize("colours", [1, 3])
def test_dcgan_has_every_power_of_two(side, colours):
    g, d = build(Config(), (colours, side, side), 10, width=2, latent=7)
    x = g(g.sample_source(3, torch.Generator().manual_seed(0)), None)
    assert x.shape == (3, colours, side, side)
    assert float(x.detach().abs().max()) <= 1
    assert d(x, None).shape == (3,)


def test_dcgan_is_the_papers_at_64():
    """Radford et al.: 3.6M and 2.8M parameters at width 64, latent 100; here one bias a first and a last layer."""
    g, d = build(Config(), (3, 64, 64), 10, width=64, latent=100)
    convolutions = 100 * 512 * 16 + 512 * 256 * 16 + 256 * 128 * 16 + 128 * 64 * 16 + 64 * 3 * 16
    assert sum(p.numel() for p in g.parameters()) == convolutions + 2 * (512 + 256 + 128 + 64) + 3
    convolutions = 3 * 64 * 16 + 64 * 128 * 16 + 128 * 256 * 16 + 256 * 512 * 16 + 512 * 16
    assert sum(p.numel() for p in d.parameters()) == convolutions + 2 * (128 + 256 + 512) + 64 + 1


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 24, 24), (1, 16, 32), (2,)])
def test_dcgan_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="power-of-two"):
        build(Config(), shape, 10)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"widht": 4}, ["widht", "width"]),
        ({"width": 0}, ["width", "0", "greater than 0"]),
        ({"width": 24.0}, ["width", "24.0", "integer"]),  # 24 and 24.0 would be two cells of one training
        ({"d_norm": "layer"}, ["d_norm", "layer", "batch"]),
    ],
)
def test_options_are_checked_against_build(options, words):
    with pytest.raises(ValueError) as caught:
        build_networks(Config(backbone_options=options), *load_dataset(Config()).form)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)
