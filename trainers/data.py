"""Data sets, and the endless sampler that batches come from.

A data set is a function without arguments that gives a Dataset, or a Source of images that are decoded once;
`DATASETS` in config.py names them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import morphological_gradient
from torch import Tensor
from torch.nn.functional import interpolate

from trainers.config import DATASETS, SCORE_SPLITS, TORCHVISION, Config, made_by
from trainers.images import Source, from_folder, from_zip, open_images
from trainers.streams import stream

POINTS = 100_000  # points of a 2-D data set


class Pair(NamedTuple):
    """What an unpaired translation from domain A to B has beside its data set, which is train B."""

    sources: Dataset  # train A
    test_sources: Dataset  # test A, whose translations are scored
    test_targets: Dataset  # test B, what they are scored against


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples and what the metrics need to know of them. Raises ValueError if the parts do not fit."""

    examples: Tensor  # [N, *shape]: uint8 images 0..255 or float32 points
    labels: Tensor  # [N] int64
    n_classes: int
    modes: Tensor | None = None  # [n_modes, 2] centres of 2-D modes
    mode_std: float = 0.0
    fresh: Callable[[int, torch.Generator], Tensor] | None = None  # draws new real points from the distribution
    stored_digest: str | None = None  # that of examples and labels, if at hand
    pair: Pair | None = None

    def __post_init__(self) -> None:
        n = len(self.examples)
        if n == 0 or self.examples.dtype not in (torch.uint8, torch.float32):
            raise ValueError(
                f"a data set's examples should be one or more of uint8 (images) or float32 (points), not {n} of "
                f"{self.examples.dtype}"
            )
        if self.labels.shape != (n,) or self.labels.dtype != torch.int64:
            raise ValueError(
                f"a data set's labels should be int64 of shape [{n}], one an example, not {self.labels.dtype} of shape "
                f"{list(self.labels.shape)}"
            )
        if not 0 <= int(self.labels.min()) <= int(self.labels.max()) < self.n_classes:
            raise ValueError(f"a data set's labels should lie in 0..n_classes - 1, and n_classes is {self.n_classes}")
        self._check_pair()

    def _check_pair(self) -> None:
        for name, part in self.pair._asdict().items() if self.pair else ():
            if part.shape != self.shape or part.examples.dtype != self.examples.dtype:
                raise ValueError(
                    f"a pair's four sets should be of equal shape and kind, but train B has {self.examples.dtype} of "
                    f"{list(self.shape)} and {name} {part.examples.dtype} of {list(part.shape)}; a resolution makes "
                    f"sizes equal, and grey is one channel only where all images of a set are grey"
                )
            if name.startswith("test") and len(part.examples) < SCORE_SPLITS:
                raise ValueError(
                    f"a pair's {name} should be {SCORE_SPLITS} images or more to be scored, not {len(part.examples)}"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.examples.shape[1:])

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Range of the data as the networks see them; None: unbounded points."""
        return (-1.0, 1.0) if self.examples.dtype == torch.uint8 else None

    @cached_property
    def digest(self) -> str:
        """16 hex digits of SHA-256 over examples and labels; of a pair, over the digests of its four sets."""
        if self.pair:
            parts = [dataclasses.replace(self, pair=None), *self.pair]
            return hashlib.sha256("".join(part.digest for part in parts).encode()).hexdigest()[:16]
        if self.stored_digest:
            return self.stored_digest
        content = hashlib.sha256(self.examples.flatten().numpy().data)
        content.update(self.labels.numpy().data)
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


def load_dataset(config: Config) -> Dataset:
    """The data set of a Config, loaded once a process. Raises ValueError if there is none, or it cannot be read."""
    return _load(config.dataset, config.resolution, config.center_crop, Path.cwd())


@cache
def _load(name: str, resolution: int | None, center_crop: bool, folder: Path) -> Dataset:
    """`folder` is what relative paths mean."""
    if name.startswith("pair:"):
        return _pair_of_folders(name, resolution, center_crop)
    if name.startswith("folder:"):
        source = from_folder(name)
    elif name.startswith("zip:"):
        source = from_zip(name)
    elif name in TORCHVISION:
        source = made_by("dataset", DATASETS, name, Source)
    else:
        data: Dataset = made_by("dataset", DATASETS, name, Dataset)
        return data
    return _images(source, resolution, center_crop)


def _images(source: Source, resolution: int | None, center_crop: bool) -> Dataset:
    examples, labels, classes, digest = open_images(source, resolution, center_crop)
    return Dataset(examples, labels, max(1, len(classes)), stored_digest=digest)


def _pair_of_folders(name: str, resolution: int | None, center_crop: bool) -> Dataset:
    """`pair:PATH`: the folders trainA, trainB, testA, testB of PATH, as CycleGAN's. Raises ValueError."""
    path = Path(name.partition(":")[2])
    sources, targets, *tests = (
        _images(from_folder(f"pair:{path / part}"), resolution, center_crop)
        for part in ("trainA", "trainB", "testA", "testB")
    )
    try:
        return dataclasses.replace(targets, pair=Pair(sources, *tests))
    except ValueError as error:
        raise ValueError(f"dataset = {name!r}: {error}") from None


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


def digits_outlines() -> Dataset:
    """Digits to outlines, unpaired: 499 digits, outlines of 498 others, for testing 400 and 400; no digit is in two.

    An outline is the morphological gradient over 3x3 pixels. [498, 1, 16, 16]
    """
    images = digits().examples
    outlines = torch.from_numpy(morphological_gradient(images.numpy(), size=(1, 1, 3, 3)))

    def part(examples: Tensor) -> Dataset:
        return Dataset(examples, torch.zeros(len(examples), dtype=torch.int64), n_classes=1)

    order = torch.randperm(len(images), generator=stream(0, "digits_outlines"))
    train_a, train_b, test_a, test_b = order.split([499, 498, 400, 400])
    pair = Pair(part(images[train_a]), part(images[test_a]), part(outlines[test_b]))
    return dataclasses.replace(part(outlines[train_b]), pair=pair)


def _mixture(modes: Tensor, std: float) -> Dataset:
    """A balanced mixture of isotropic Gaussians: POINTS fixed examples, and fresh ones on demand; label = mode."""

    def draw(n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        labels = torch.randint(len(modes), (n,), generator=rng)
        return modes[labels] + std * torch.randn(n, 2, generator=rng), labels

    points, labels = draw(POINTS, stream(0, "examples"))
    return Dataset(points, labels, len(modes), modes, std, fresh=lambda n, rng: draw(n, rng)[0])
