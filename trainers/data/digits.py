"""Handwritten digits, which travel with the package, and their outlines."""

import dataclasses
from importlib.resources import files

import numpy as np
import torch
from scipy.ndimage import morphological_gradient
from torch import Tensor
from torch.nn.functional import interpolate

from trainers.data.dataset import Dataset, Pair
from trainers.streams import stream


def digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8x8 in 17 grey levels, resized bilinearly: [1797, 1, 16, 16]."""
    with np.load(str(files("trainers.assets") / "digits.npz"), allow_pickle=False) as stored:
        small = torch.from_numpy(stored["images"]).float()[:, None] / 16  # [1797, 1, 8, 8]
        labels = torch.from_numpy(stored["labels"]).long()
    large = interpolate(small, size=(16, 16), mode="bilinear", align_corners=False)
    return Dataset((large * 255).round().to(torch.uint8), labels, n_classes=10)


def digits_outlines() -> Dataset:
    """Digits to outlines, unpaired: 499 digits, outlines of 498 others, for testing 400 and 400; no digit is in two. An
    outline is the morphological gradient over 3x3 pixels. [498, 1, 16, 16]"""
    images = digits().examples
    outlines = torch.from_numpy(morphological_gradient(images.numpy(), size=(1, 1, 3, 3)))

    def part(examples: Tensor) -> Dataset:
        return Dataset(examples, torch.zeros(len(examples), dtype=torch.int64), n_classes=1)

    order = torch.randperm(len(images), generator=stream(0, "digits_outlines"))
    train_a, train_b, test_a, test_b = order.split([499, 498, 400, 400])
    pair = Pair(part(images[train_a]), part(images[test_a]), part(outlines[test_b]))
    return dataclasses.replace(part(outlines[train_b]), pair=pair)
