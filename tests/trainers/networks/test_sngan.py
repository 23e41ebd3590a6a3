"""SN-GAN's pair against the public definitions' sizes and weights."""

import pytest
import torch
from torch import nn

from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.networks.layers import ConditionalBatchNorm2d, DownBlock, UpBlock
from trainers.networks.sngan import build
from trainers.state import build_networks

COUNTS = [  # side, classes, parameters of G and D: of the public definitions, run
    (32, 0, 4_276_739, 1_053_824),  # pfnet-research/sngan_projection, configs/sn_cifar10_unconditional.yml
    (32, 10, 4_304_387, 1_055_104),  # its configs/sn_cifar10_conditional.yml
    (32, 100, 4_580_867, 1_066_624),  # the same with n_classes 100
    (48, 0, 4_878_083, 10_141_440),  # GongXinyuu/sngan.pytorch, models/sngan_stl10.py, bottom_width 6
]


@pytest.mark.parametrize(("side", "n_classes", "g_count", "d_count"), COUNTS)
def test_counts_are_the_published_ones(side, n_classes, g_count, d_count):
    with torch.device("meta"):  # no numbers are needed
        networks = build(Config(backbone="sngan"), (3, side, side), n_classes)
    assert tuple(sum(p.numel() for p in network.parameters()) for network in networks) == (g_count, d_count)


def test_the_sides_of_the_feature_maps():
    """STL-10 in the paper's table: G from 6x6x512, D to 3x3x1024."""
    g, d = build(Config(backbone="sngan"), (3, 48, 48), 0, g_width=8, d_width=4)
    seen = []
    for block in (*g.blocks, *d.blocks):
        block.register_forward_hook(lambda _module, _inputs, h: seen.append(tuple(h.shape[1:])))
    d(g(torch.randn(1, 128)))
    assert g.linear.out_features == 16 * 6 * 6
    assert seen == [
        *[(8, 12, 12), (4, 24, 24), (2, 48, 48)],
        *[(2, 24, 24), (4, 12, 12), (8, 6, 6), (16, 3, 3), (32, 3, 3)],
    ]


def test_weights_are_chainers_glorot():
    """Uniform, of variance gain^2 2 / (fan_in + fan_out): gain sqrt 2 in the blocks' 3x3 convolutions, else 1."""
    networks = build(Config(backbone="sngan"), (3, 32, 32), 300, g_width=64, d_width=64)
    main = {
        conv
        for network in networks
        for block in network.modules()
        if isinstance(block, UpBlock | DownBlock)
        for conv in (block.conv1, block.conv2)
    }
    norms = [m for m in networks[0].modules() if isinstance(m, ConditionalBatchNorm2d)]
    tables = {m for norm in norms for m in (norm.gain, norm.bias)}
    assert all(not m.weight.any() for m in tables)
    checked = 0
    for module in (m for network in networks for m in network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding) and module not in tables:
            fans = module.weight[0].numel() + module.weight[:, 0].numel()
            bound = ((2 if module in main else 1) * 6 / fans) ** 0.5
            weight = module.weight.detach()
            assert float(weight.abs().max()) == pytest.approx(bound, rel=0.15)
            assert float(weight.abs().max()) <= bound * (1 + 1e-6)
            if len(weight.flatten()) > 1000:
                assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.05)
            assert not getattr(module, "bias", None) is not None or not module.bias.any()
            checked += 1
    assert checked == 11 + 10 + 2


def test_d_has_no_offset_of_its_own():
    """Black features give logit 0: the public linear layer has no bias."""
    _, d = build(Config(backbone="sngan"), (3, 32, 32), 10, d_width=4)
    assert d.linear.bias is None
    nn.init.zeros_(d.blocks[-1].conv2.weight)
    assert not d(torch.zeros(2, 3, 32, 32), torch.tensor([1, 2])).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"g_width": 6}, ["g_width", "6", "multiple of 4"]),
        ({"d_width": 3}, ["d_width", "3", "multiple of 2"]),
        ({"width": 8}, ["width", "g_width"]),
    ],
)
def test_options_are_refused_in_one_sentence(options, words):
    with pytest.raises(ValueError) as caught:
        build_networks(Config(backbone="sngan", backbone_options=options), *load_dataset(Config()).form)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)
