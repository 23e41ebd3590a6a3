"""A data set: examples, and what the metrics need to know of them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from trainers.files import digest_of
from trainers.names import SCORE_SPLITS

SOME = 10_000  # examples that tell their standard deviation


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
    def form(self) -> tuple[tuple[int, ...], int]:
        """Shape of one example, and the number of classes: what networks are built by."""
        return self.shape, self.n_classes

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Range of the data as the networks see them; None: unbounded points."""
        return (-1.0, 1.0) if self.examples.dtype == torch.uint8 else None

    @cached_property
    def std(self) -> float:
        """Standard deviation over all elements of the examples as the networks see them, of the first SOME."""
        return float(scale(self.examples[:SOME]).std())

    @cached_property
    def digest(self) -> str:
        """16 hex digits of SHA-256 over examples and labels; of a pair, over the digests of its four sets."""
        if self.pair:
            parts = [dataclasses.replace(self, pair=None), *self.pair]
            return digest_of([part.digest for part in parts])
        if self.stored_digest:
            return self.stored_digest
        content = hashlib.sha256(self.examples.flatten().numpy().data)
        content.update(self.labels.numpy().data)
        return content.hexdigest()[:16]

    def scaled(self, indices: Tensor) -> Tensor:
        """Examples at the indices as float32 [n, *shape], images in [-1, 1]."""
        return scale(self.examples[indices])


def scale(examples: Tensor) -> Tensor:
    """Examples as the networks see them: float32, images in [-1, 1]."""
    return examples.float() / 127.5 - 1 if examples.dtype == torch.uint8 else examples
