"""StyleGAN2 against its definition, computed the slow way, and the sizes of the public networks."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d, correlate2d
from torch.nn.functional import conv2d
from torch.nn.utils.parametrizations import spectral_norm

from trainers.config import Config
from trainers.networks.stylegan2 import (
    DiscriminatorBlock,
    Mapping,
    MinibatchStd,
    activate,
    build,
    equalized,
    modulated_conv2d,
)
from trainers.resample import binomial

SMALL = {"latent": 8, "max_channels": 6}
KERNEL = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64  # of the filter in both directions


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small(n_classes=0, shape=(3, 16, 16), **options):
    return build(Config(), shape, n_classes, **{**SMALL, **options})


def with_noise(generator, strength=0.5):
    for block in generator.blocks:
        for conv in block.convs:
            torch.nn.init.constant_(conv.noise_strength, strength)
    return generator


# ---- the two networks as a pair


@pytest.mark.parametrize("side", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("colours", [1, 3])
def test_every_power_of_two(side, colours):
    g, d = small(shape=(colours, side, side), d_architecture="skip", latent=4, max_channels=2)
    x = g(g.sample_source(2, rng()))
    assert x.shape == (2, colours, side, side)
    assert d(x).shape == (2,)


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 24, 24), (1, 16, 32), (2,)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="power-of-two side from 8"):
        build(Config(), shape, 10)


def test_a_refusal_hints_at_the_resolution():
    with pytest.raises(ValueError, match="set resolution, to 32 say"):
        build(Config(dataset="mnist", features="raw"), (1, 28, 28), 10)


def test_a_scale_without_channels_is_refused():
    with pytest.raises(ValueError, match=r"d_scale = 0\.0001 .* at least 0\.00195"):
        build(Config(), (1, 32, 32), 10, d_scale=1e-4)


# NVlabs/stylegan2-ada-pytorch, `training/networks.py`: parameters of Generator and Discriminator with channel_base =
# 16384 s, z_dim = w_dim = 512, mbstd_num_channels = 1. `train.py` has base 32768 and 2 mapping layers in `cifar` (512
# channels everywhere, so s = 1 is the same), base 16384 and 8 of them in `paper256`, 2 of them in `auto` at 256x256.
PUBLIC = [
    # side, colours, classes, s, mapping layers, D, parameters of G, of D
    (32, 3, 0, 1, 2, "orig", 19_947_539, 20_720_641),  # cifar
    (32, 3, 10, 1, 2, "orig", 20_215_315, 23_089_664),  # cifar, conditional
    (32, 3, 0, 1, 2, "skip", 19_947_539, 20_726_785),
    (32, 3, 0, 1, 2, "resnet", 19_947_539, 21_507_073),
    (32, 3, 0, 1 / 2, 2, "orig", 16_734_483, 17_770_241),
    (32, 3, 0, 1 / 4, 2, "orig", 11_931_027, 13_492_865),  # the base model of CoopInit's section 5.4
    (32, 3, 10, 1 / 4, 2, "orig", 12_198_803, 15_861_888),  # its "+ Cond"
    (32, 3, 0, 1 / 4, 2, "skip", 11_931_027, 13_497_985),
    (32, 3, 0, 1 / 4, 2, "resnet", 11_931_027, 13_918_849),
    (32, 3, 0, 1 / 8, 2, "orig", 6_664_147, 8_883_777),
    (32, 3, 0, 1 / 16, 2, "orig", 2_424_307, 2_222_881),
    (32, 3, 10, 1 / 16, 2, "orig", 2_692_083, 2_817_568),
    (256, 3, 0, 1, 8, "resnet", 24_767_458, 24_001_089),  # paper256
    (256, 3, 0, 1, 2, "resnet", 23_191_522, 24_001_089),  # auto
    (256, 3, 0, 2, 8, "resnet", 30_034_338, 28_864_129),  # stylegan2
]


@pytest.mark.parametrize(("side", "colours", "classes", "s", "layers", "architecture", "of_g", "of_d"), PUBLIC)
def test_sizes_are_the_public_ones(side, colours, classes, s, layers, architecture, of_g, of_d):
    options = {"g_scale": s, "d_scale": s, "mapping_layers": layers, "d_architecture": architecture}
    with torch.device("meta"):
        networks = build(Config(), (colours, side, side), classes, **options)
    assert [sum(p.numel() for p in network.parameters()) for network in networks] == [of_g, of_d]


def test_defaults_are_the_cifar_setting():
    with torch.device("meta"):
        g, d = build(Config(), (3, 32, 32), 0)
    assert [sum(p.numel() for p in network.parameters()) for network in (g, d)] == list(PUBLIC[0][-2:])
    assert d.std.group == 32


def test_a_group_of_0_drops_the_minibatch_channel():
    d, without = small()[1], small(mbstd_group=0)[1]
    assert d.conv.weight.shape[1] == without.conv.weight.shape[1] + 1
    x = torch.randn(4, 3, 16, 16, generator=rng())
    torch.testing.assert_close(without(x)[:1], without(x[:1]))
    assert not torch.allclose(d(x)[:1], d(x[:1]))


@pytest.mark.parametrize("classes", [0, 10])
@pytest.mark.parametrize("architecture", ["orig", "skip", "resnet"])
def test_copies_and_saved_weights_compute_the_same(classes, architecture):
    pair = small(classes, d_architecture=architecture)
    other = build(Config(seed=1), (3, 16, 16), classes, **SMALL, d_architecture=architecture)
    inputs = (pair[0].sample_source(4, rng()), torch.randn(4, 3, 16, 16, generator=rng()))
    labels = torch.arange(4)
    for network, second, x in zip(pair, other, inputs, strict=True):
        before = network(x, labels)
        assert not torch.equal(second(x, labels), before)
        second.load_state_dict(network.state_dict())
        assert torch.equal(second(x, labels), before)
        twin = copy.deepcopy(network)
        assert torch.equal(twin(x, labels), before)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(1.1)
        assert torch.equal(twin(x, labels), before)


# ---- layers


@pytest.mark.parametrize("demodulate", [False, True])
@pytest.mark.parametrize("up", [False, True])
def test_modulated_convolution_is_its_definition(demodulate, up):
    """Sample by sample: weights scaled by the style, then to norm 1; up: a convolution among zeros, then the filter."""
    x, weight = torch.randn(3, 2, 5, 5, generator=rng()).double(), torch.randn(4, 2, 3, 3, generator=rng(1)).double()
    style = torch.randn(3, 2, generator=rng(2)).double()
    taps = binomial(4).double()
    found = modulated_conv2d(x, weight, style, demodulate=demodulate, up=taps if up else None)
    assert found.shape == (3, 4, *[10 if up else 5] * 2)
    for n in range(3):
        w = weight * style[n, None, :, None, None]
        if demodulate:
            w = w / w.square().sum((1, 2, 3), keepdim=True).sqrt()
        for o in range(4):
            if up:
                spread = np.zeros((2, 10, 10))
                spread[:, ::2, ::2] = x[n]
                whole = sum(convolve2d(spread[i], w[o, i].numpy()) for i in range(2))
                expected = convolve2d(whole, 4 * KERNEL)[2:12, 2:12]
            else:
                expected = sum(correlate2d(x[n, i].numpy(), w[o, i].numpy(), mode="same") for i in range(2))
            np.testing.assert_allclose(found[n, o], expected, rtol=1e-6, atol=1e-6)


def test_demodulated_outputs_have_unit_variance():
    """CVPR 2020, section 2.2: of independent inputs of unit variance, whatever the weights and the styles are."""
    x = torch.randn(4, 8, 66, 66, generator=rng())
    weight, style = torch.randn(5, 8, 3, 3, generator=rng(1)), torch.rand(4, 8, generator=rng(2)) * 3
    inside = modulated_conv2d(x, weight, style)[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(inside.var((2, 3)), torch.ones(4, 5), atol=0.15, rtol=0)
    assert float(inside.var((2, 3)).mean()) == pytest.approx(1, abs=0.03)


def test_style_is_1_at_first_but_for_w():
    g, _ = small()
    for block in g.blocks:
        for layer in (*block.convs, block.to_image):
            assert torch.equal(layer.style(torch.zeros(2, 8)), torch.ones(2, layer.conv.in_channels))


@pytest.mark.parametrize("lr", [1.0, 0.01])
def test_equalized_layers_train_unit_numbers(lr):
    torch.manual_seed(0)
    for layer, fan_in in ((torch.nn.Linear(300, 200), 300), (torch.nn.Conv2d(40, 50, 3), 360)):
        equalized(layer, lr)
        trained = layer.parametrizations.weight.original
        torch.testing.assert_close(layer.weight, trained * lr / fan_in**0.5)
        assert float(trained.detach().std()) == pytest.approx(1 / lr, rel=0.02)
        assert not layer.bias.any()


@pytest.mark.parametrize("lr", [1.0, 0.01])
def test_a_step_of_adam_moves_weights_by_their_scale(lr):
    """The point of it: a step of size s moves each weight by s lr/sqrt(fan_in), each bias by s lr."""
    torch.manual_seed(0)
    layer = equalized(torch.nn.Linear(64, 4), lr)
    before = layer.weight.detach().clone()
    adam = torch.optim.Adam(layer.parameters(), lr=0.1)
    layer(torch.randn(16, 64)).square().sum().backward()
    adam.step()
    moved = (layer.weight - before).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.1 * lr / 8), rtol=1e-2, atol=0)
    torch.testing.assert_close(layer.bias.abs(), torch.full((4,), 0.1 * lr), rtol=1e-2, atol=0)


def test_mapping_networks_learn_at_a_hundredth_of_the_rate():
    for network, depth in zip(small(3, mapping_layers=2), (2, 8), strict=True):
        assert len(network.mapping.layers) == depth
        for layer in network.mapping.layers:
            assert layer.parametrizations.weight[0].gain == pytest.approx(0.01 / layer.in_features**0.5)
            assert layer.parametrizations.bias[0].gain == 0.01


def test_a_layer_keeps_the_mean_square():
    torch.manual_seed(0)
    x = equalized(torch.nn.Linear(400, 400))(torch.randn(200, 400)).detach()
    assert float(x.std()) == pytest.approx(1, rel=0.02)
    assert float(activate(x).square().mean()) == pytest.approx(1 + 0.2**2, rel=0.02)  # half of it 2 x^2, half 0.08 x^2


@pytest.mark.parametrize(("n", "group", "size"), [(8, 4, 4), (6, 4, 3), (7, 4, 1), (7, 32, 7), (12, 8, 6)])
def test_minibatch_deviation_by_hand(n, group, size):
    x = torch.randn(n, 3, 2, 4, generator=rng())
    found = MinibatchStd(group)(x)
    assert torch.equal(found[:, :3], x)
    for i in range(n):
        mates = x[i % (n // size) :: n // size]
        assert len(mates) == size
        variances = [float(np.var(mates[:, c, h, w].numpy())) for c, h, w in np.ndindex(3, 2, 4)]
        deviations = [math.sqrt(variance + 1e-8) for variance in variances]
        torch.testing.assert_close(found[i, 3], torch.full((2, 4), float(np.mean(deviations))))


@pytest.mark.parametrize("classes", [0, 10])
def test_mapping_and_deviation_stay_in_32_bits(classes):
    """Whatever autocast is on around them; the deviation here vanishes in bfloat16."""
    z, labels = torch.randn(4, 8, generator=rng()), torch.arange(4)
    mapping = Mapping(8, classes, 8, depth=2)
    x = 1 + 1e-4 * torch.randn(4, 2, 4, 4, generator=rng())
    exact = mapping(z, labels), MinibatchStd(4)(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert mapping.layers[1](z).dtype == torch.bfloat16
        assert torch.equal(mapping(z, labels), exact[0])
        assert torch.equal(mapping(z.bfloat16().float(), labels), mapping(z.bfloat16(), labels))
        assert torch.equal(MinibatchStd(4)(x), exact[1])
        assert MinibatchStd(4)(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("residual", [False, True])
def test_a_block_of_d_is_its_definition(residual):
    """Convolution; filter, convolution and every second pixel; beside it filter, every second pixel, 1x1."""
    torch.manual_seed(0)
    block = DiscriminatorBlock(2, 3, residual=residual).double()
    x = torch.randn(1, 2, 6, 6, generator=rng()).double()
    y = activate(conv2d(x, block.conv0.weight, padding=1)).detach().numpy()
    for o in range(3):
        weight = block.conv1.weight[o].detach().numpy()
        whole = sum(correlate2d(convolve2d(y[0, i], KERNEL), weight[i], mode="full") for i in range(2))
        expected = activate(torch.from_numpy(whole[3:9:2, 3:9:2]))  # 5 rows hang over, 3 before and 2 after
        if residual:
            weight = block.shortcut.weight[o, :, 0, 0].detach().numpy()
            smooth = sum(weight[i] * convolve2d(x[0, i].numpy(), KERNEL) for i in range(2))
            expected = (expected + torch.from_numpy(smooth[2:8:2, 2:8:2])) / 2**0.5
        torch.testing.assert_close(block(x)[0, o].detach(), expected)


# ---- the generator


def test_one_source_makes_one_image_wherever_it_is_used():
    g = with_noise(small(4)[0])
    source, labels = g.sample_source(5, rng()), torch.tensor([0, 1, 2, 3, 0])
    x = g(source, labels)
    assert torch.equal(g(source, labels), x)
    torch.testing.assert_close(g(source[[3, 1]], labels[[3, 1]]), x[[3, 1]])
    torch.testing.assert_close(g(source[2:3], labels[2:3]), x[2:3])
    torch.manual_seed(5)
    assert torch.equal(g(g.sample_source(5, rng()), labels), x)
    assert not torch.allclose(g(g.sample_source(5, rng(1)), labels), x)


def test_z_leads_the_source_and_is_the_same_without_noise():
    g, quiet = small()[0], small(noise=False)[0]
    source = g.sample_source(3, rng())
    assert source.shape == (3, 8 + 16 + 2 * 64 + 2 * 256)
    assert torch.equal(source[:, : g.latent], quiet.sample_source(3, rng()))
    for sources in (source, quiet.sample_source(3, rng())):
        assert sources.dtype == torch.float32


def test_noise_acts_once_its_strength_is_not_0():
    g = small()[0]
    source = g.sample_source(2, rng())
    other = torch.cat([source[:, : g.latent], g.sample_source(2, rng(1))[:, g.latent :]], dim=1)
    quiet = small(noise=False)[0]
    assert torch.equal(g(source), g(other))
    assert torch.equal(g(source), quiet(source[:, : g.latent]))
    with_noise(g)
    assert not torch.allclose(g(source), g(other))


def test_every_layer_has_its_own_noise():
    """A change in the noise of one layer, at strength 0 but there, shows if and only if it is that layer's."""
    g = small()[0]
    source = g.sample_source(1, rng())
    starts = np.cumsum([g.latent, 16, 64, 64, 256, 256])
    layers = [conv for block in g.blocks for conv in block.convs]
    for changed, (start, end) in enumerate(itertools.pairwise(starts)):
        other = source.clone()
        other[:, start:end] += 1
        for layer, conv in enumerate(layers):
            torch.nn.init.ones_(conv.noise_strength)
            assert torch.equal(g(source), g(other)) == (layer != changed)
            torch.nn.init.zeros_(conv.noise_strength)


def test_z_counts_by_its_direction():
    g = small(noise=False)[0]
    z = g.sample_source(3, rng())
    torch.testing.assert_close(g(2 * z), g(z))
    assert not torch.allclose(g(-z), g(z))


def test_labels_act_only_on_the_conditional_pair():
    source, x = small()[0].sample_source(3, rng()), torch.randn(3, 3, 16, 16, generator=rng())
    one, two = torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0])
    for network, data in zip(small(), (source, x), strict=True):
        assert torch.equal(network(data, one), network(data, two))
        assert torch.equal(network(data, one), network(data))
    for network, data in zip(small(3), (source, x), strict=True):
        change = (network(data, one) - network(data, two)).reshape(3, -1)
        assert change.abs().amax(1).gt(1e-6).all()


# ---- the discriminator


def test_conditional_logit_is_the_product_with_the_mapped_label():
    d = small(5, d_architecture="orig")[1]
    x, labels = torch.randn(4, 3, 16, 16, generator=rng()), torch.tensor([0, 4, 2, 2])
    mapped = d.mapping(None, labels)
    torch.testing.assert_close(mapped[2], mapped[3])
    features = d.features(x)
    expected = torch.stack([features[i] @ mapped[i] / math.sqrt(6) for i in range(4)])
    torch.testing.assert_close(d(x, labels), expected)


def test_mapped_label_is_the_one_hot_vector_through_eight_layers():
    d = small(5)[1]
    assert len(d.mapping.layers) == 8
    y = d.mapping.embed.weight[:, 3] + d.mapping.embed.bias
    y = y / y.square().mean().sqrt()
    for layer in d.mapping.layers:
        y = activate(layer.weight @ y + layer.bias)
    torch.testing.assert_close(d.mapping(None, torch.tensor([3]))[0], y)


@pytest.mark.parametrize("architecture", ["orig", "skip", "resnet"])
def test_the_penalty_on_gradients_has_the_right_gradient(architecture):
    """R1's derivative along a direction of the parameters, by autograd and by a difference quotient."""
    d = small(2, shape=(1, 8, 8), d_architecture=architecture, mbstd_group=2)[1].double()
    x, labels = torch.randn(4, 1, 8, 8, generator=rng()).double(), torch.tensor([0, 1, 1, 0])

    def penalty():
        image = x.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(d(image, labels).sum(), image, create_graph=True)
        return slope.square().sum()

    parameters = list(d.parameters())
    direction = [torch.randn(p.shape, generator=rng(i)).double() * p.detach().std() for i, p in enumerate(parameters)]
    direction = [torch.nan_to_num(v) for v in direction]  # a single number has no deviation
    found = torch.autograd.grad(penalty(), parameters, materialize_grads=True)
    slope = sum(float((f * v).sum()) for f, v in zip(found, direction, strict=True))
    values = []
    for step in (1e-6, -2e-6):
        with torch.no_grad():
            for parameter, v in zip(parameters, direction, strict=True):
                parameter += step * v
        values.append(float(penalty().detach()))
    assert slope == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4)


def test_g_can_be_differentiated_twice():
    """What path length regularization would take: a gradient of a norm of the gradient over w."""
    g = with_noise(small()[0])
    source = g.sample_source(2, rng()).requires_grad_(True)
    (slope,) = torch.autograd.grad(g(source).square().sum(), source, create_graph=True)
    found = torch.autograd.grad(slope.square().sum(), list(g.parameters()))
    assert all(bool(f.isfinite().all()) and bool(f.any()) for f in found)


def test_spectral_norm_on_top_bounds_the_weight_in_use():
    """Registered from outside, it sees what the layer computes with, not what is trained."""
    d = small(3, d_architecture="resnet")[1]
    layers = [m for m in d.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) == 1 + 2 * 3 + 3 + 8 + 1
    for layer in layers:
        spectral_norm(layer, n_power_iterations=20)
    for layer in layers:
        for _ in range(20):
            used = layer.weight.detach()
        assert float(torch.linalg.matrix_norm(used.flatten(1), 2)) == pytest.approx(1, abs=1e-3)
    d.eval()
    x = torch.randn(2, 6, 4, 4, generator=rng())
    first = d.blocks[0].conv0
    torch.testing.assert_close(first(x), conv2d(x, first.weight, first.bias, padding=1))
    twin = copy.deepcopy(d)
    image, labels = torch.randn(2, 3, 16, 16, generator=rng()), torch.tensor([0, 1])
    assert torch.equal(twin(image, labels), d(image, labels))
