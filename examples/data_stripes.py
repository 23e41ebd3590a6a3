"""A data set: 16x16 images of stripes in eight directions, which are its classes.

ganablate train digits_gan --tiny --set dataset=data_stripes:stripes --set features=raw --out runs/stripes
"""

import math

import torch

from trainers.data.dataset import Dataset


def stripes() -> Dataset:
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(8, (2_000,), generator=rng)
    angle, phase = labels * math.pi / 8, 2 * math.pi * torch.rand(2_000, generator=rng)
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    along = torch.stack([angle.cos(), angle.sin()], dim=1) @ torch.stack([x.flatten(), y.flatten()])
    light = (along + phase[:, None]).sin().reshape(-1, 1, 16, 16)
    return Dataset((127.5 * (light + 1)).to(torch.uint8), labels, n_classes=8)
