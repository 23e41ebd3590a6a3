"""CUT's pair against the public code's sizes and sampling, and what it starts from."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, pad

from spaces import RECIPES
from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.loop import train
from trainers.networks.cut import Down, PatchDiscriminator, ResidualBlock, ResnetGenerator, Up, build
from trainers.state import State

SMALL = {"width": 4, "d_width": 4, "blocks": 5, "d_layers": 2, "projection": 8}


def make(**fields):
    return Config(dataset="digits_outlines", backbone="cut", backbone_options=SMALL, nce_patches=8, **fields)


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_sizes_are_the_public_codes():
    """What it prints at 256x256: G 11.378 M, D 2.765 M, and F, which G holds here, 0.560 M parameters."""
    layers = (0, 4, 8, 12, 16)
    plain = ResnetGenerator((3, 256, 256), 64, 9, None, (), 256)
    assert count(plain) == 11_378_179
    assert count(PatchDiscriminator((3, 256, 256), 64, 3)) == 2_764_737
    full = ResnetGenerator((3, 256, 256), 64, 9, None, layers, 256)
    assert count(full) - count(plain) == count(full.projections) == 560_384
    kinds = (nn.ReflectionPad2d, nn.Conv2d, nn.Conv2d, ResidualBlock, ResidualBlock)
    assert tuple(type(full.layers[layer]) for layer in layers) == kinds
    assert len(full.layers) == 32


def test_a_patch_gets_a_logit_and_a_layer_its_features():
    d = PatchDiscriminator((3, 256, 256), 1, 3)
    assert d(torch.zeros(1, 3, 256, 256)).shape == (1, 1, 30, 30)  # as the public code's
    g = ResnetGenerator((3, 32, 32), 2, 5, None, (0, 4, 8, 12, 16), 4)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert g(x).shape == x.shape
    sides = [(f.shape[1], f.shape[2]) for f in g.encode(x)]
    assert sides == [(3, 38), (4, 32), (8, 16), (8, 8), (8, 8)]
    assert torch.equal(g.encode(x)[0], pad(x, (3, 3, 3, 3), mode="reflect"))


@pytest.mark.parametrize("side", [7, 8])
def test_sampling_is_the_public_codes(side):
    """Its two formulas: a strided convolution of the reflected image, and a cut transposed one of the replicated."""
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    taps = torch.tensor([1.0, 2.0, 1.0])
    kernel = (taps[:, None] * taps / 16).expand(3, 1, 3, 3)
    torch.testing.assert_close(Down()(x), conv2d(pad(x, (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=3))
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = (taps[:, None] * taps / 64 * 4).expand(3, 1, 4, 4)
    replicated = pad(x, (1, 1, 1, 1), mode="replicate")
    expected = conv_transpose2d(replicated, kernel, stride=2, padding=2, groups=3)[:, :, 1:, 1:][:, :, :-1, :-1]
    torch.testing.assert_close(Up()(x), expected)


@pytest.mark.parametrize("mirror", [False, True])
def test_sources_are_images_of_train_a(mirror):
    config = make(mirror=mirror)
    g, _ = build(config, (1, 16, 16), 0, **SMALL)
    images = load_dataset(config).pair.sources.scaled(torch.arange(499))
    drawn = g.sample_source(50, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, g.sample_source(50, torch.Generator().manual_seed(0)))
    straight = [bool((images == x).all((1, 2, 3)).any()) for x in drawn]
    turned = [bool((images == x.flip(-1)).all((1, 2, 3)).any()) for x in drawn]
    assert all(a or b for a, b in zip(straight, turned, strict=True))
    assert all(straight) == (not mirror)
    assert copy.deepcopy(g).draw is g.draw  # the average shares the images


def test_projections_do_not_move_g():
    """With and without PatchNCE, equal seeds start from the same G: a fair pair."""
    with_nce, without = (build(make(nce_weight=weight), (1, 16, 16), 0, **SMALL)[0] for weight in (1.0, 0.0))
    assert len(with_nce.projections) == 5
    assert not len(without.projections)
    for a, b in zip(with_nce.layers.parameters(), without.layers.parameters(), strict=True):
        assert torch.equal(a, b)


def test_every_weight_learns():
    state = State(make(nce_weight=1.0), torch.device("cpu"))
    x = state.generate("z", torch.zeros(2, dtype=torch.int64))
    loss = state.discriminator(x).square().mean()
    for project, f in zip(state.generator.projections, state.generator.encode(x), strict=True):
        loss = loss + project(f.flatten(2).transpose(1, 2)).square().mean()
    loss.backward()
    networks = (state.generator, state.discriminator)
    assert all(p.grad is not None for network in networks for p in network.parameters())


@pytest.mark.parametrize(
    ("shape", "options", "fields", "words"),
    [
        ((1, 16, 16), {"d_layers": 3}, {}, "side from 32"),
        ((1, 18, 18), {}, {}, "that 4 divides"),
        ((2,), {}, {}, "square images"),
        ((1, 16, 16), {}, {"nce_layers": (0, 99), "nce_weight": 1.0}, "layers 0 to 27"),
    ],
)
def test_what_does_not_fit_is_told(shape, options, fields, words):
    with pytest.raises(ValueError, match=words):
        build(make(**fields), shape, 0, **SMALL | options)


def test_data_without_a_domain_a_are_refused(monkeypatch):
    monkeypatch.setattr("trainers.networks.cut.load_dataset", lambda config: SimpleNamespace(pair=None))
    with pytest.raises(ValueError, match="has no domain A"):
        build(make(), (1, 16, 16), 0, **SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["cut_digits", "cut_digits_coop"])
def test_digits_become_outlines(recipe, tmp_path):
    """A minute of training improves the FID of test A's translations against test B at least threefold."""
    first, *_, last = train(RECIPES[recipe], tmp_path)
    assert last["fid"] < first["fid"] / 3
