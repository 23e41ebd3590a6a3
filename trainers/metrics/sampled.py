"""What scores are computed from."""

from typing import NamedTuple

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
    features: Tensor  # [n, d] on the CPU; [0] unless a score takes features
    samples: Tensor  # [n, *shape] on the CPU; [0] unless a score takes samples
