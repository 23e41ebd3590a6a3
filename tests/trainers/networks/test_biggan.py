"""BigGAN's pair against the public definition's sizes, and attention against its definition."""

import math

import pytest
import torch
from torch import nn

from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.networks.biggan import build
from trainers.networks.layers import ConditionalBatchNorm2d, SelfAttention
from trainers.state import build_networks

SHARED = {"shared_dim": 128}
COUNTS = [  # side, classes, options, parameters of G and D: ajbrock/BigGAN-PyTorch BigGAN.py, run with these settings
    (32, 10, {}, 4_304_387, 4_207_361),  # scripts/launch_cifar_ema.sh
    (32, 100, {}, 4_580_867, 4_230_401),  # the same with --dataset C100
    (32, 10, SHARED, 4_668_163, 4_207_361),  # --G_shared --shared_dim 128
    (32, 10, {**SHARED, "hierarchical": True}, 4_373_251, 4_207_361),  # and --hier
    (32, 10, {"attention": 16}, 4_386_308, 4_535_045),  # --G_attn 16 --D_attn 16
    (32, 10, {"attention": 32}, 4_386_308, 4_207_361),
    (64, 10, {}, 32_118_531, 19_552_961),  # 64x64 with --G_attn 0 --D_attn 0
    (64, 10, {"attention": 64}, 32_139_012, 19_552_961),  # the parser's default attention
    (64, 10, {"attention": 32}, 32_200_452, 19_558_082),
    # the options of scripts/launch_BigGAN_ch64_bs256x8.sh at 64x64
    (64, 1000, {**SHARED, "hierarchical": True, "latent": 120, "attention": 64}, 31_908_100, 20_566_721),
]


def small(side=32, n_classes=10, **options):
    return build(Config(backbone="biggan"), (3, side, side), n_classes, g_width=2, d_width=2, **options)


@pytest.mark.parametrize(("side", "n_classes", "options", "g_count", "d_count"), COUNTS)
def test_counts_are_the_published_ones(side, n_classes, options, g_count, d_count):
    with torch.device("meta"):
        networks = build(Config(backbone="biggan"), (3, side, side), n_classes, **options)
    assert tuple(sum(p.numel() for p in network.parameters()) for network in networks) == (g_count, d_count)


def test_attention_starts_as_the_identity():
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(SelfAttention(8)(x), x)


@torch.no_grad()
def test_attention_is_its_definition():
    """Each place gets the mean of the pooled values, weighed by exp of its query's products with the pooled keys."""
    torch.manual_seed(0)
    attention, x = SelfAttention(8), torch.randn(2, 8, 4, 4)
    nn.init.constant_(attention.gamma, 0.7)

    def pooled(h):  # maximum of each 2x2 square
        return h.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5)).flatten(2)

    query, key, value = attention.query(x), pooled(attention.key(x)), pooled(attention.value(x))
    found = torch.zeros(2, 4, 4, 4)
    for n in range(2):
        for i in range(4):
            for j in range(4):
                weights = torch.tensor([math.exp(float(query[n, :, i, j] @ key[n, :, place])) for place in range(4)])
                found[n, :, i, j] = value[n] @ (weights / weights.sum())
    torch.testing.assert_close(attention(x), x + 0.7 * attention.out(found))


def test_attention_has_second_derivatives():
    torch.manual_seed(0)
    attention = SelfAttention(4).double()
    nn.init.constant_(attention.gamma, 0.7)
    assert torch.autograd.gradgradcheck(attention, torch.randn(1, 4, 4, 4, dtype=torch.double, requires_grad=True))


@pytest.mark.parametrize(
    ("side", "attention", "in_g", "in_d"),
    [(16, 8, 1, 4), (32, 8, 1, 0), (32, 16, 1, 4), (32, 32, 1, 0), (64, 64, 1, 0), (64, 32, 1, 1), (64, 4, 0, 2)],
)
def test_attention_is_where_the_public_tables_have_it(side, attention, in_g, in_d):
    found = [
        [m for m in network.modules() if isinstance(m, SelfAttention)] for network in small(side, attention=attention)
    ]
    assert list(map(len, found)) == [in_g, in_d]
    g, _ = small(side, attention=attention)
    sides = []
    for layer in g.attentions:
        if isinstance(layer, SelfAttention):
            layer.register_forward_hook(lambda _module, _inputs, h: sides.append(h.shape[-1]))
    g(torch.randn(1, 128), torch.tensor([0]))
    assert sides == [attention] * in_g


def test_hierarchical_z_is_shared_out_among_start_and_blocks():
    """A piece of z reaches the start or the batch norms of its block, and nothing before them."""
    g, _ = small(shared_dim=6, hierarchical=True, latent=12)
    g.eval()
    seen = []
    for block in g.blocks:
        block.register_forward_hook(lambda _module, _inputs, h: seen.append(h))
    z = torch.randn(2, 12)
    g(z, torch.tensor([1, 2]))
    before = seen.copy()
    for piece in range(4):
        moved = z.clone()
        moved[:, 3 * piece : 3 * piece + 3] += 1
        seen.clear()
        g(moved, torch.tensor([1, 2]))
        same = [torch.equal(a, b) for a, b in zip(seen, before, strict=True)]
        assert same == [index < piece - 1 for index in range(3)]


@pytest.mark.parametrize("options", [{}, {"shared_dim": 6}, {"shared_dim": 6, "hierarchical": True}])
def test_g_reacts_to_its_labels(options):
    g, _ = small(latent=12, **options)
    g.eval()
    z = torch.randn(1, 12).expand(2, -1)
    a, b = g(z, torch.tensor([1, 2]))
    assert not torch.equal(a, b)


@pytest.mark.parametrize("init", ["N02", "ortho"])
def test_every_weight_is_initialized(init):
    """Embeddings and the maps of the conditional batch norms too, as in the public code."""
    networks = build(Config(backbone="biggan"), (3, 32, 32), 40, g_width=8, d_width=8, shared_dim=40, init=init)
    assert any(isinstance(m, ConditionalBatchNorm2d) for m in networks[0].modules())
    for module in (m for network in networks for m in network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            weight = module.weight.detach().flatten(1)
            if init == "ortho":
                narrow = weight if len(weight) <= len(weight.T) else weight.T
                torch.testing.assert_close(narrow @ narrow.T, torch.eye(len(narrow)), atol=1e-4, rtol=0)
            elif weight.numel() > 500:
                assert float(weight.std()) == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attention": 24}, ["attention = 24", "0 (off)", "4, 8, 16"]),
        ({"attention": 64}, ["attention = 64", "4, 8, 16"]),
        ({"hierarchical": True}, ["hierarchical", "shared_dim"]),
        ({"shared_dim": 8, "hierarchical": True, "latent": 9}, ["latent = 9", "multiple of 4", "16x16"]),
    ],
)
def test_options_that_do_not_fit_are_refused(options, words):
    with pytest.raises(ValueError) as caught:
        small(16, **options)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


def test_an_unknown_init_is_refused():
    with pytest.raises(ValueError, match="init = 'xavier': should be 'N02' or 'ortho'"):
        build_networks(Config(backbone="biggan", backbone_options={"init": "xavier"}), *load_dataset(Config()).form)


def test_a_shared_embedding_needs_classes():
    with pytest.raises(ValueError, match="shared_dim = 8 embeds classes, and there are none"):
        small(n_classes=0, shared_dim=8)
