"""ADA: each transformation against its definition, the pipe's probabilities, its derivatives, and the controller."""

import math

import numpy as np
import pytest
import torch

from trainers.augment import (
    PIPES,
    TRANSFORMATIONS,
    augment,
    blit,
    colour_matrix,
    draw,
    inverse_matrix,
    next_p,
    recolour,
    transform,
    warp,
)

F64 = torch.float64
TOLERANCE = 0.035  # of a warped smooth image of height 1: turned filters, not quite symmetric, are 0.1 pixels off


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def images(*shape, dtype=F64):
    return torch.rand(shape, generator=stream(1), dtype=dtype) * 2 - 1


def parameters(n=1, **values):
    """Of n images: zeros, but for the given ones."""
    drawn = {name: torch.zeros(n, law.size, dtype=F64) for name, law in TRANSFORMATIONS.items()}
    for name, value in values.items():
        drawn[name] += torch.as_tensor(value, dtype=F64)
    return {name: value.squeeze(1) for name, value in drawn.items()}


def blob(right, down, width=(4.0, 3.0), at=(2.0, -1.5)):
    """A smooth image as a function of the position from its centre, dark far outside."""
    return torch.exp(-(((right - at[0]) / width[0]) ** 2) - ((down - at[1]) / width[1]) ** 2)


def grid(height, width):
    """Positions right and down from the centre, [H, W] each."""
    return torch.meshgrid(
        torch.arange(width, dtype=F64) - (width - 1) / 2,
        torch.arange(height, dtype=F64) - (height - 1) / 2,
        indexing="xy",
    )


# The pipe


@pytest.mark.parametrize("pipe", PIPES)
@pytest.mark.parametrize("shape", [(4, 3, 16, 16), (3, 1, 9, 12)])
def test_nothing_happens_at_p_0_bit_for_bit(pipe, shape):
    x = images(*shape, dtype=torch.float32).requires_grad_()
    changed = augment(x, torch.tensor(0.0), stream(), pipe)
    assert torch.equal(changed, x)
    (slope,) = torch.autograd.grad(changed.square().sum(), x)
    assert torch.equal(slope, 2 * x)


@pytest.mark.parametrize("shape", [(6, 3, 16, 16), (5, 1, 9, 12)])
def test_every_image_changes_at_p_1_in_its_own_way(shape):
    x = images(*shape, dtype=torch.float32)[:1].repeat(shape[0], 1, 1, 1)
    changed = augment(x, torch.tensor(1.0), stream())
    assert changed.shape == x.shape
    assert changed.dtype == x.dtype
    assert changed.isfinite().all()
    among = torch.cat([x[:1], changed]).flatten(1)
    assert torch.pdist(among).min() > 1


def test_only_the_given_stream_is_drawn_from():
    x, p = images(4, 3, 8, 8), torch.tensor(0.6)
    before = torch.get_rng_state()
    assert torch.equal(augment(x, p, stream(3)), augment(x, p, stream(3)))
    assert not torch.equal(augment(x, p, stream(3)), augment(x, p, stream(4)))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_acts_at_a_small_p_acts_alike_at_a_large_one():
    """The same numbers are drawn whatever p is: a larger p adds transformations and changes none."""
    small, large = (draw(PIPES["bgc"], 500, torch.tensor(p), stream(), F64) for p in (0.2, 0.7))
    for name, value in small.items():
        acts = value != 0
        assert torch.equal(large[name][acts], value[acts])
        assert (large[name] != 0).sum() > acts.sum()


def test_the_colours_of_a_pipe_leave_its_geometry_alone():
    without, with_colours = (draw(PIPES[name], 50, torch.tensor(0.5), stream(), F64) for name in ("bg", "bgc"))
    for name in PIPES["bg"]:
        assert torch.equal(without[name], with_colours[name])
    for name in set(PIPES["bgc"]) - set(PIPES["bg"]):
        assert not without[name].any()


def within_chance(share, p, n):
    return abs(float(share) - p) < 4 * math.sqrt(p * (1 - p) / n)


@pytest.mark.parametrize("name", ["scale", "stretch", "drift", "brightness", "contrast", "hue", "saturation"])
def test_one_transformation_changes_a_share_p_of_the_images(name, monkeypatch):
    monkeypatch.setitem(PIPES, "one", (name,))
    n, p = 1000, 0.3
    x = images(1, 3, 4, 4).expand(n, -1, -1, -1)
    changed = (augment(x, torch.tensor(p), stream(5), "one") != x).flatten(1).any(1)
    assert within_chance(changed.double().mean(), p, n)


def test_parameters_act_with_probability_p_and_follow_their_laws():
    n, p = 20_000, 0.3
    drawn = draw(PIPES["bgc"], n, torch.tensor(p), stream(), F64)
    for name, (kind, spread, size) in TRANSFORMATIONS.items():
        value = drawn[name].view(n, size)
        share = {"integer": p * (1 - 1 / spread)}.get(kind, p)  # an integer may come out as 0
        share = 1 - math.sqrt(1 - p) if name in ("turn", "second_turn") else share
        assert within_chance((value != 0).any(1).double().mean(), share, n)
        acting = value[(value != 0).any(1)]
        if kind == "integer":
            assert sorted(set(acting.flatten().tolist())) == list(range(1, spread))
        else:
            deviation = spread / math.sqrt(3) if kind == "uniform" else spread
            assert acting.std(0) == pytest.approx([deviation] * size, rel=0.05)
            assert acting.mean(0) == pytest.approx([0] * size, abs=0.06 * spread)
    assert within_chance(((drawn["turn"] != 0) | (drawn["second_turn"] != 0)).double().mean(), p, n)


def test_mirroring_is_fair(monkeypatch):
    monkeypatch.setitem(PIPES, "one", ("mirror",))
    n, x = 2000, images(1, 1, 4, 6)
    mean = augment(x.expand(n, -1, -1, -1), torch.tensor(1.0), stream(), "one").mean(0)
    error = (mean - mean.flip(2)).abs() / (x - x.flip(3)).abs()[0]  # |2 share - 1|, twice the error of the share
    assert error.max() < 2 * 4 * math.sqrt(0.25 / n)


def test_mistakes_are_one_sentence():
    with pytest.raises(ValueError, match="pipe = 'bcg' is not one of 'b', 'bg', 'bgc'"):
        augment(images(1, 3, 4, 4), torch.tensor(0.5), stream(), "bcg")
    with pytest.raises(ValueError, match="1 or 3 channels, not of 4"):
        augment(images(1, 4, 4, 4), torch.tensor(0.5), stream())


# Geometry


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirror", [0, 1])
@pytest.mark.parametrize("side", [8, 9])
def test_blits_copy_pixels(turns, mirror, side):
    x = images(2, 3, side, side)
    found = blit(x, torch.full((2,), mirror), torch.full((2,), turns))
    assert torch.equal(found, torch.rot90(x.flip(3) if mirror else x, turns, (2, 3)))


def test_a_quarter_turn_of_a_wide_image_is_cropped_and_mirrored():
    x = images(1, 1, 4, 8)
    found = blit(x, torch.zeros(1), torch.ones(1))
    middle = x[:, :, :, 2:6].rot90(1, (2, 3))
    assert torch.equal(found[:, :, :, 2:6], middle)
    assert torch.equal(found[:, :, :, :2], middle[:, :, :, 1:3].flip(3))  # reflection at the outer pixel


@pytest.mark.parametrize(("right", "down"), [(2, -1), (-3, 0), (40, 70)])
def test_a_shift_by_whole_pixels_continues_by_reflection(right, down):
    x = images(1, 2, 10, 16)
    found = warp(x, inverse_matrix(parameters(shift=[right / 16, down / 10]), 10, 16))
    far = np.pad(x.numpy(), [(0, 0), (0, 0), (80, 80), (80, 80)], mode="reflect")
    np.testing.assert_allclose(found, far[:, :, 80 - down : 90 - down, 80 - right : 96 - right], atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_the_filters_undo_each_other(dtype):
    """A warp that is the identity, but for what rounds to nothing, gives the image back."""
    x, almost = images(2, 3, 8, 11, dtype=dtype), torch.eye(3, dtype=dtype).expand(2, 3, 3).clone()
    almost[:, 0, 2] = torch.finfo(dtype).tiny
    assert not torch.equal(warp(x, almost), x)
    torch.testing.assert_close(warp(x, almost), x, rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-10)


MOVES = [
    {"drift": [0.11, -0.07]},
    {"scale": 0.4},
    {"scale": -0.3},
    {"stretch": 0.3},
    {"turn": 0.7},
    {"second_turn": -2.0},
    {"shift": [2 / 28, 1 / 32], "scale": 0.2, "turn": 0.5, "stretch": -0.3, "second_turn": 1.0, "drift": [0.04, 0.1]},
]


@pytest.mark.parametrize("move", MOVES)
def test_a_smooth_image_moves_as_its_function_does(move):
    """The warped image of f is f at the position that the forward maps, in their order, take to the pixel."""
    height, width = 32, 28
    drawn = {name: value[0].numpy() for name, value in parameters(**move).items()}
    size = np.array([width, height])

    def rotation(angle):  # anticlockwise, down being positive
        return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])

    stretch = np.diag([2 ** drawn["stretch"], 2 ** -drawn["stretch"]])
    linear = rotation(drawn["second_turn"]) @ stretch @ rotation(drawn["turn"]) * 2 ** drawn["scale"]
    offset = linear @ np.round(drawn["shift"] * size) + drawn["drift"] * size

    right, down = grid(height, width)
    target = np.stack([right.numpy() - offset[0], down.numpy() - offset[1]], axis=-1)
    origin = torch.from_numpy(target @ np.linalg.inv(linear).T)
    inside = (origin.abs() <= torch.tensor([width - 1, height - 1]) / 2).all(-1)  # else a reflection
    found = transform(blob(right, down)[None, None], parameters(**move))[0, 0]
    assert (found - blob(*origin.unbind(-1)))[inside].abs().max() < TOLERANCE


def test_turning_what_is_round_changes_nothing():
    right, down = grid(24, 24)
    round_image = blob(right, down, width=(4.0, 4.0), at=(0.0, 0.0))[None, None]
    for angle in (0.3, 1.0, 2.5):
        found = transform(round_image, parameters(turn=angle))
        assert (found - round_image)[0, 0, right.hypot(down) <= 11.5].abs().max() < TOLERANCE


# Colour


def recoloured(x, **values):
    drawn = parameters(len(x), **values)
    return recolour(x, drawn["brightness"], colour_matrix(drawn, x.shape[1]))


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_adds_and_contrast_multiplies(channels):
    x = images(2, channels, 4, 5)
    torch.testing.assert_close(recoloured(x, brightness=0.3), x + 0.3)
    torch.testing.assert_close(recoloured(x, contrast=-0.7), x * 2**-0.7)
    torch.testing.assert_close(recoloured(x, contrast=-0.7, brightness=0.3), (x + 0.3) * 2**-0.7)  # in this order


@pytest.mark.parametrize("channels", [1, 3])
def test_a_luma_flip_negates_the_mean_of_the_channels_and_keeps_their_differences(channels):
    x = images(2, channels, 4, 5)
    found, luma = recoloured(x, luma_flip=1), x.mean(1, keepdim=True)
    torch.testing.assert_close(found, x - 2 * luma)
    torch.testing.assert_close(recoloured(found, luma_flip=1), x)


def test_hue_turns_colours_about_grey():
    x = images(2, 3, 4, 5)
    torch.testing.assert_close(recoloured(x, hue=2 * math.pi / 3), x.roll(1, 1))  # a third of a turn: red becomes green
    for angle in (0.4, -2.0, math.pi):
        found = recoloured(x, hue=angle)
        torch.testing.assert_close(found.mean(1), x.mean(1))
        torch.testing.assert_close(found.norm(dim=1), x.norm(dim=1))
        chroma, turned = (y - y.mean(1, keepdim=True) for y in (x, found))
        cosine = torch.cosine_similarity(chroma, turned, dim=1)
        torch.testing.assert_close(cosine, torch.full_like(cosine, math.cos(angle)))


def test_saturation_scales_the_distance_from_grey():
    x = images(2, 3, 4, 5)
    luma = x.mean(1, keepdim=True)
    torch.testing.assert_close(recoloured(x, saturation=0.8), luma + (x - luma) * 2**0.8)
    torch.testing.assert_close(recoloured(x, saturation=-60), luma.expand_as(x))  # none at all is grey


def test_grey_images_have_neither_hue_nor_saturation():
    x = images(2, 1, 4, 5)
    assert torch.equal(recoloured(x, hue=1.0, saturation=2.0), x)


# Derivatives


@pytest.mark.parametrize("shape", [(2, 1, 3, 4), (1, 3, 3, 3)])
def test_derivatives_of_any_order(shape):
    x = (images(*shape) / 2).requires_grad_()

    def curved(x):
        return augment(x, torch.tensor(0.8, dtype=F64), stream(2)).sin().sum((2, 3))

    assert not torch.equal(augment(x, torch.tensor(0.8), stream(2)), x)
    assert torch.autograd.gradcheck(curved, x)
    assert torch.autograd.gradgradcheck(curved, x)


def test_r1_through_the_augmentation():
    """D(x) = w . augment(x): its gradient is the adjoint of w, and reaches w as in R1."""
    x, w = images(2, 1, 6, 6).requires_grad_(), images(1, 1, 6, 6).requires_grad_()
    changed = augment(x, torch.tensor(1.0), stream(1))
    (slope,) = torch.autograd.grad((w * changed).sum(), x, create_graph=True)
    offset = augment(torch.zeros_like(x), torch.tensor(1.0), stream(1))
    torch.testing.assert_close((slope * x).sum(), (w * (changed - offset)).sum())  # the augmentation is affine
    (penalty_slope,) = torch.autograd.grad(slope.square().sum(), w)
    torch.testing.assert_close((penalty_slope * w).sum(), 2 * slope.square().sum())  # a quadratic form of w


# The controller


def test_p_rises_where_d_is_surer_than_the_target_and_falls_else():
    p, step = torch.tensor(0.5), {"target": 0.6, "images": 256, "full": 512_000}
    assert next_p(p, torch.tensor(0.61), **step) == pytest.approx(0.5 + 1 / 2000)
    assert next_p(p, torch.tensor(-1.0), **step) == pytest.approx(0.5 - 1 / 2000)
    assert next_p(p, torch.tensor(0.6), **step) == 0.5
    assert next_p(p, torch.tensor(0.9), **step).ndim == 0


def test_p_is_a_probability():
    step = {"target": 0.6, "images": 1000, "full": 5000}
    assert next_p(torch.tensor(0.1), torch.tensor(0.0), **step) == 0
    assert next_p(torch.tensor(0.9), torch.tensor(1.0), **step) == 1


def test_p_takes_500k_images_from_0_to_1():
    p, images_shown = torch.tensor(0.0), 0
    while p < 1:
        p = next_p(p, torch.tensor(1.0), target=0.6, images=256, full=500_000)
        images_shown += 256
    assert images_shown == pytest.approx(500_000, rel=2e-3)
