"""What scores are computed from."""

from typing import NamedTuple

import torch
from torch import Tensor

from trainers.data.dataset import Dataset
from trainers.features import FeatureNet
from trainers.metrics.frechet import Moments
from trainers.metrics.reference import Reference


class Sampled(NamedTuple):
    """Generated samples as far as they are kept, and the real side."""

    data: Dataset
    net: FeatureNet
    real: Reference
    moments: Moments  # of the features of all samples
    features: Tensor  # [n, d] on the device of the feature net; [0] unless a score takes features
    samples: Tensor  # [n, *shape] on the CPU; [0] unless a score takes samples


class Rows:
    """n rows that come in parts, on the device of the first. They are held once: a list of parts and what is joined of
    them would be 820 MB of Inception features of 50,000 samples."""

    def __init__(self, n: int) -> None:
        self.rows = torch.empty(0)
        self._n, self._filled = n, 0

    def add(self, part: Tensor) -> None:
        """The next ones, [m, ...]."""
        if self._filled == 0:
            self.rows = part.new_empty(self._n, *part.shape[1:])
        self.rows[self._filled : self._filled + len(part)] = part
        self._filled += len(part)
