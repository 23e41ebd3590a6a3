"""The shared blocks against their definitions, and what holds for every residual backbone."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate, one_hot

from trainers.config import Config
from trainers.names import BACKBONES
from trainers.networks.layers import (
    BatchNorm2d,
    ConditionalBatchNorm2d,
    DownBlock,
    ResidualDiscriminator,
    UpBlock,
    image_head,
)
from trainers.user_code import resolve

RESIDUAL = {  # largest image of each backbone; whether it takes classes
    "sngan": (48, True),
    "autogan": (48, False),
    "biggan": (64, True),
}


def make(backbone, side, n_classes, colours=3, **options):
    config = Config(backbone=backbone)
    return resolve(BACKBONES, backbone)(
        config, (colours, side, side), n_classes, **{**BACKBONES[backbone].narrow, **options}
    )


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def table(n_classes):
    return lambda channels: nn.Embedding(n_classes, channels)


def test_conditional_batch_norm_with_equal_rows_is_plain():
    """The condition only scales and shifts: rows that are all gamma - 1 and beta make nn.BatchNorm2d."""
    plain, conditional = nn.BatchNorm2d(4), ConditionalBatchNorm2d(4, table(3))
    nn.init.normal_(plain.weight, generator=torch.Generator().manual_seed(1))
    nn.init.normal_(plain.bias, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        conditional.gain.weight.copy_((plain.weight - 1).expand(3, -1))
        conditional.bias.weight.copy_(plain.bias.expand(3, -1))
    x, labels = 3 * draws(6, 4, 5, 5) + 1, torch.tensor([0, 2, 1, 1, 0, 2])
    for training in (True, False):
        torch.testing.assert_close(conditional.train(training)(x, labels), plain.train(training)(x))


def test_conditional_batch_norm_starts_plain_and_is_the_formula():
    norm = ConditionalBatchNorm2d(2, table(3))
    x, labels = draws(5, 2, 4, 4), torch.tensor([0, 2, 1, 1, 0])
    torch.testing.assert_close(norm(x, labels), nn.BatchNorm2d(2, affine=False)(x))
    with torch.no_grad():
        norm.gain.weight.copy_(draws(3, 2, seed=1))
        norm.bias.weight.copy_(draws(3, 2, seed=2))
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    normalized = (x - mean) / (variance + 1e-5).sqrt()
    for index, label in enumerate(labels):
        gain, bias = 1 + norm.gain.weight[label][:, None, None], norm.bias.weight[label][:, None, None]
        torch.testing.assert_close(norm(x, labels)[index], gain * normalized[index] + bias)


def test_an_embedding_is_a_linear_layer_of_one_hot_labels():
    """BigGAN's shared form with one-hot vectors as embedding is SN-GAN's form."""
    tables, linear = (
        ConditionalBatchNorm2d(2, table(3)),
        ConditionalBatchNorm2d(2, lambda c: nn.Linear(3, c, bias=False)),
    )
    with torch.no_grad():
        for seed, (ours, other) in enumerate([(tables.gain, linear.gain), (tables.bias, linear.bias)]):
            ours.weight.copy_(draws(3, 2, seed=seed))
            other.weight.copy_(ours.weight.T)
    x, labels = draws(5, 2, 4, 4), torch.tensor([0, 2, 1, 1, 0])
    torch.testing.assert_close(tables(x, labels), linear(x, one_hot(labels, 3).float()))


def test_an_up_block_is_the_published_order():
    """Public code: both paths are upsampled before their convolutions."""
    torch.manual_seed(0)
    block, x = UpBlock(3, 5, BatchNorm2d), draws(4, 3, 6, 6)
    h = block.conv1(interpolate(block.norm1(x).relu(), scale_factor=2))
    h = block.conv2(block.norm2(h).relu())
    torch.testing.assert_close(block(x, None), h + block.shortcut(interpolate(x, scale_factor=2)))


@pytest.mark.parametrize(("before", "after"), [(4, 4), (4, 6)])
@pytest.mark.parametrize("down", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_down_block_is_the_published_order(before, after, down, first):
    """Public code: the shortcut's convolution before pooling, but in the first block after it."""
    torch.manual_seed(0)
    block, x = DownBlock(before, after, hidden=3, down=down, first=first), draws(2, before, 6, 6)

    def pool(x):
        return avg_pool2d(x, 2) if down else x

    h = pool(block.conv2(block.conv1(x if first else x.relu()).relu()))
    if before == after and not down:
        expected = h + x
    else:
        expected = h + (block.shortcut(pool(x)) if first else pool(block.shortcut(x)))
    torch.testing.assert_close(block(x), expected)


def test_the_head_gives_images():
    x = image_head(4, 3)(100 * draws(8, 4, 6, 6))
    assert x.shape == (8, 3, 6, 6)
    assert 0.5 < float(x.detach().abs().max()) <= 1


def test_projection_adds_the_dot_product():
    """Two labels' logits differ by <e(a) - e(b), h>; without classes they are linear(h)."""
    d, plain = (ResidualDiscriminator(3, [5], 0, n_classes, narrow=False, bias=True) for n_classes in (4, 0))
    plain.blocks = d.blocks
    x = draws(6, 3, 4, 4)
    h = d.blocks(x).relu().sum((2, 3))
    a, b = torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([1, 1, 0, 2, 3, 2])
    difference = ((d.embedding.weight[a] - d.embedding.weight[b]) * h).sum(1)
    torch.testing.assert_close(d(x, a) - d(x, b), difference)
    assert difference[1] == 0
    assert difference[[0, 2, 3, 4, 5]].abs().min() > 0
    torch.testing.assert_close(plain(x, a), plain.linear(h)[:, 0])


@pytest.mark.parametrize(
    ("backbone", "side"),
    [(backbone, side) for backbone, (largest, _) in RESIDUAL.items() for side in (16, 32, largest)],
)
@pytest.mark.parametrize("colours", [1, 3])
def test_shapes(backbone, side, colours):
    g, d = make(backbone, side, 0, colours, latent=7)
    x = g(g.sample_source(3, torch.Generator().manual_seed(0)), None)
    assert x.shape == (3, colours, side, side)
    assert 0 < float(x.detach().abs().max()) <= 1
    assert d(x, None).shape == (3,)


@pytest.mark.parametrize("backbone", RESIDUAL)
@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 24, 24), (1, 16, 32), (1, 28, 28), (2,)])
def test_other_shapes_are_refused_in_one_sentence(backbone, shape):
    with pytest.raises(ValueError, match=f"'{backbone}' needs square images of side 16, 32 or") as caught:
        resolve(BACKBONES, backbone)(Config(backbone=backbone), shape, 0)
    assert str(shape) in str(caught.value)
    assert "resolution" not in str(caught.value)  # digits cannot be resized


@pytest.mark.parametrize("backbone", RESIDUAL)
def test_the_hint_tells_of_resolution(backbone):
    config = Config(backbone=backbone, dataset="mnist", features="raw")
    with pytest.raises(ValueError, match=r"not \(1, 28, 28\); set resolution, to 32 say"):
        resolve(BACKBONES, backbone)(config, (1, 28, 28), 0)


@pytest.mark.parametrize("backbone", RESIDUAL)
def test_without_classes_labels_are_ignored(backbone):
    g, d = make(backbone, 16, 0)
    z, x = draws(4, g.latent), draws(4, 3, 16, 16)
    for labels in (torch.tensor([0, 1, 2, 3]), torch.tensor([7, 7, 7, 7])):
        assert torch.equal(g(z, labels), g(z, None))
        assert torch.equal(d(x, labels), d(x, None))


@pytest.mark.parametrize("backbone", [name for name, (_, conditional) in RESIDUAL.items() if conditional])
def test_with_classes_both_networks_react(backbone):
    g, d = make(backbone, 16, 10)
    for norm in g.modules():  # SN-GAN's start out alike
        if isinstance(norm, ConditionalBatchNorm2d):
            nn.init.normal_(norm.gain.weight, generator=torch.Generator().manual_seed(0))
    g.eval()  # batch statistics would tell one example of another's label
    z, x = draws(1, g.latent).expand(3, -1), draws(1, 3, 16, 16).expand(3, -1, -1, -1)
    labels = torch.tensor([4, 9, 4])
    samples, logits = g(z, labels), d(x, labels)
    assert torch.allclose(samples[0], samples[2])
    assert not torch.allclose(samples[0], samples[1])
    assert torch.allclose(logits[0], logits[2])
    assert not torch.allclose(logits[0], logits[1])


@pytest.mark.parametrize("backbone", RESIDUAL)
def test_d_has_second_derivatives(backbone):
    """The slope of R1 over D's weights, against finite differences along it."""
    torch.manual_seed(0)
    _, d = make(backbone, 16, 10 if RESIDUAL[backbone][1] else 0)
    d.double()
    x, labels = draws(2, 3, 16, 16).double().requires_grad_(True), torch.tensor([3, 1])

    def penalty():
        (slope,) = torch.autograd.grad(d(x, labels).sum(), x, create_graph=True)
        return slope.square().sum()

    weights = list(d.parameters())
    grads = torch.autograd.grad(penalty(), weights, materialize_grads=True)
    slope = torch.cat([grad.flatten() for grad in grads]).norm()
    step, values = 1e-7, []  # short, so that no ReLU turns
    for sign in (1, -2):  # forward along the gradient, then back over the start
        with torch.no_grad():
            for weight, grad in zip(weights, grads, strict=True):
                weight += sign * step * grad / slope
        values.append(float(penalty().detach()))
    assert slope > 0
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(float(slope), rel=1e-4)


@pytest.mark.parametrize("backbone", RESIDUAL)
def test_g_and_d_are_seeded_apart(backbone):
    """Options of D leave G's weights as they are, and the reverse; another seed changes both."""
    build = resolve(BACKBONES, backbone)

    def weights(seed=0, **options):
        networks = build(
            Config(backbone=backbone, seed=seed), (3, 16, 16), 0, **{**BACKBONES[backbone].narrow, **options}
        )
        return [torch.cat([p.detach().flatten() for p in network.parameters()]) for network in networks]

    g, d = weights()
    assert torch.equal(g, weights(d_width=12)[0])
    assert torch.equal(d, weights(g_width=12)[1])
    assert not any(torch.equal(a, b) for a, b in zip((g, d), weights(seed=1), strict=True))


def test_every_weight_learns():
    """No parameter of a residual pair is cut off from the loss."""
    for backbone, (_, conditional) in RESIDUAL.items():
        g, d = make(backbone, 16, 4 if conditional else 0)
        labels = torch.tensor([0, 1, 2, 3])
        d(g(draws(4, g.latent), labels), labels).sum().backward()
        names = [name for name, p in itertools.chain(g.named_parameters(), d.named_parameters()) if p.grad is None]
        assert not names, (backbone, names)
