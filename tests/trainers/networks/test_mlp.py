"""Each option of the 2-D networks, by its meaning."""

import pytest
import torch
from torch import nn

from trainers.config import Config
from trainers.networks.mlp import build
from trainers.state import build_networks

RING = Config(dataset="ring8", backbone="mlp")


def linears(network):
    return [layer for layer in network.layers if isinstance(layer, nn.Linear)]


def kinds(network):
    return {type(layer) for layer in network.layers if not isinstance(layer, nn.Linear)}


@pytest.mark.parametrize(("options", "gains"), [({}, (1.4, 1.4)), ({"g_gain": 0.8, "d_gain": 0.5}, (0.8, 0.5))])
def test_weights_start_orthogonal_with_the_gain(options, gains):
    """W W^T = gain^2 I, or W^T W of the layers that widen."""
    for network, gain in zip(build(RING, (2,), 0, width=32, **options), gains, strict=True):
        for layer in linears(network):
            w = layer.weight if layer.out_features <= layer.in_features else layer.weight.T
            assert torch.allclose(w @ w.T, gain**2 * torch.eye(len(w)), atol=1e-5)
            assert not layer.bias.any()


@pytest.mark.parametrize(
    ("options", "hidden"),
    [({}, (2, 2)), ({"depth": 3}, (3, 3)), ({"d_depth": 1}, (2, 1)), ({"depth": 1, "g_depth": 4}, (4, 1))],
)
def test_depth_is_the_hidden_layers_of_g_and_d_apart(options, hidden):
    networks = build(RING, (2,), 0, width=8, **options)
    assert tuple(len(linears(network)) - 1 for network in networks) == hidden


def test_activations_are_those_named_and_the_last_layer_is_linear():
    names = {"tanh": nn.Tanh, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}
    for name, kind in names.items():
        for network in build(RING, (2,), 0, width=8, activation=name):
            assert kinds(network) == {kind}
            assert isinstance(network.layers[-1], nn.Linear)


def test_d_sees_its_input_scaled():
    """By that alone: the weights are those of no scale."""
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    (_, plain), (_, scaled) = (build(RING, (2,), 0, width=16, **each) for each in ({}, {"d_input_scale": 0.25}))
    assert torch.equal(scaled(x), plain(x / 4))
    assert not torch.allclose(scaled(x), plain(x))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"activation": "gelu"}, "activation = 'gelu'.*'tanh'"),
        ({"d_depth": 0}, "d_depth = 0"),
        ({"g_gain": -1}, "g_gain"),
    ],
)
def test_options_that_are_none_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        build_networks(RING.replace(backbone_options=options), (2,), 1)
