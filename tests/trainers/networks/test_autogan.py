"""AutoGAN's pair against the public definition's sizes and order of operations."""

import pytest
import torch
from torch.nn.functional import interpolate

from trainers.config import Config
from trainers.networks.autogan import Cell, build

COUNTS = [  # side, parameters of G and D: VITA-Group/AutoGAN models/autogan_cifar10_a.py, run at the exps' settings
    (32, 4_405_251, 1_053_824),  # exps/autogan_cifar10_a.sh, bottom_width 4
    (48, 5_065_731, 1_053_824),  # exps/autogan_cifar10_a2stl10.sh, bottom_width 6
]


@pytest.mark.parametrize(("side", "g_count", "d_count"), COUNTS)
def test_counts_are_the_published_ones(side, g_count, d_count):
    with torch.device("meta"):
        networks = build(Config(backbone="autogan"), (3, side, side), 0)
    assert tuple(sum(p.numel() for p in network.parameters()) for network in networks) == (g_count, d_count)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("shortcut", [True, False])
def test_a_cell_is_the_published_order(mode, shortcut):
    """Public code: interpolation before each 1x1 convolution; the skip is taken after other skips were added."""
    torch.manual_seed(0)
    cell = Cell(4, mode, 2, shortcut)
    x, skips = torch.randn(2, 4, 8, 8), [torch.randn(2, 4, 4, 4), torch.randn(2, 4, 8, 8)]

    def up(x):
        return interpolate(x, size=(16, 16), mode=mode)

    h = cell.conv1(up(x.relu()))
    for conv, skip in zip(cell.skips, skips, strict=True):
        h = h + conv(up(skip))
    out = cell.conv2(h.relu())
    if shortcut:
        out = out + cell.shortcut(up(x))
    torch.testing.assert_close(cell(x, skips), (h, out))


def test_the_cells_are_those_found():
    g, _ = build(Config(backbone="autogan"), (3, 32, 32), 0, g_width=4)
    found = [(cell.mode, len(cell.skips), cell.shortcut is not None) for cell in g.cells]
    assert found == [("nearest", 0, True), ("bilinear", 1, True), ("nearest", 2, False)]


def test_classes_are_refused():
    with pytest.raises(ValueError, match=r"^backbone = 'autogan' is unconditional: it takes n_classes = 0, not 10$"):
        build(Config(backbone="autogan"), (3, 32, 32), 10)
