"""Data sets, and the endless sampler that batches come from.

A data set is a function without arguments that gives a Dataset; `DATASETS` in config.py names them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from trainers.config import DATASETS, made_by
from trainers.streams import stream

POINTS = 100_000  # points of a 2-D data set


@dataclass(frozen=True)
class Dataset:
    """Examples and what the metrics need to know of them."""

    examples: Tensor  # [N, *shape]: uint8 images 0..255 or float32 points
    labels: Tensor  # [N] int64
    n_classes: int
    modes: Tensor | None = None  # [n_modes, 2] centres of 2-D modes
    mode_std: float = 0.0
    fresh: Callable[[int, torch.Generator], Tensor] | None = None  # draws new real points from the distribution

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.examples.shape[1:])

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Range of the data as the networks see them; None: unbounded points."""
        return (-1.0, 1.0) if self.examples.dtype == torch.uint8 else None

    @property
    def digest(self) -> str:
        """16 hex digits of SHA-256 over examples and labels."""
        content = hashlib.sha256(self.examples.numpy().tobytes())
        content.update(self.labels.numpy().tobytes())
        return content.hexdigest()[:16]

    def scaled(self, indices: Tensor) -> Tensor:
        """Examples at the indices as float32 [n, *shape], images in [-1, 1]."""
        examples = self.examples[indices]
        return examples.float() / 127.5 - 1 if examples.dtype == torch.uint8 else examples


class Sampler:
    """Endless batches without replacement, epoch after epoch; where a batch starts tells what is in it.

    `n_train` takes the first so many of a permutation by the seed: subsets of one seed are nested. Raises ValueError if
    the data set holds fewer.
    """

    def __init__(self, data: Dataset, n_train: int | None, seed: int, device: torch.device) -> None:
        size = len(data.examples)
        if n_train is not None and n_train > size:
            raise ValueError(f"n_train = {n_train} is more than the {size} training examples of the data set")
        self.data = data
        self.seed = seed
        self.device = device
        chosen = torch.randperm(size, generator=stream(seed, "subset"))[:n_train]
        self.indices = torch.arange(size) if n_train is None else chosen
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def batch(self, start: int, n: int) -> tuple[Tensor, Tensor]:
        """Examples start, start + 1, ... of the endless sequence: data [n, *shape] float32 and labels [n]."""
        parts = []
        while n > 0:
            epoch, position = divmod(start, len(self.indices))
            part = self._shuffled(epoch)[position : position + n]
            parts.append(part)
            start, n = start + len(part), n - len(part)
        indices = torch.cat(parts)
        return self.data.scaled(indices).to(self.device), self.data.labels[indices].to(self.device)

    def _shuffled(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            order = torch.randperm(len(self.indices), generator=stream(self.seed, "data", epoch))
            self._epoch, self._order = epoch, self.indices[order]
        return self._order


@cache
def load_dataset(name: str) -> Dataset:
    """The data set of that name or `module:object`. Raises ValueError if there is none."""
    data: Dataset = made_by(DATASETS, name, Dataset)
    return data


def ring8() -> Dataset:
    """8 Gaussians of std 0.01, equally spaced on the unit circle (Unrolled GAN's notebook, poolio/unrolled_gan)."""
    angles = torch.arange(8) * (2 * math.pi / 8)
    return _mixture(torch.stack([angles.cos(), angles.sin()], dim=1), 0.01)


def grid25() -> Dataset:
    """25 Gaussians of std 0.05 on the grid {-4, -2, 0, 2, 4} squared (as in PacGAN, Lin et al. 2018)."""
    line = torch.arange(-4.0, 5.0, 2.0)
    return _mixture(torch.cartesian_prod(line, line), 0.05)


def digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8x8 in 17 grey levels, resized bilinearly: [1797, 1, 16, 16]."""
    with np.load(str(files("trainers.assets") / "digits.npz"), allow_pickle=False) as stored:
        small = torch.from_numpy(stored["images"]).float()[:, None] / 16  # [1797, 1, 8, 8]
        labels = torch.from_numpy(stored["labels"]).long()
    large = interpolate(small, size=(16, 16), mode="bilinear", align_corners=False)
    return Dataset((large * 255).round().to(torch.uint8), labels, n_classes=10)


def _mixture(modes: Tensor, std: float) -> Dataset:
    """A balanced mixture of isotropic Gaussians: POINTS fixed examples, and fresh ones on demand; label = mode."""

    def draw(n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        labels = torch.randint(len(modes), (n,), generator=rng)
        return modes[labels] + std * torch.randn(n, 2, generator=rng), labels

    points, labels = draw(POINTS, stream(0, "examples"))
    return Dataset(points, labels, len(modes), modes, std, fresh=lambda n, rng: draw(n, rng)[0])
