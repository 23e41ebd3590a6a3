"""The tables of names that a Config chooses from, and the metrics by name."""

from __future__ import annotations

from typing import Literal, NamedTuple

FILES = ("folder:", "zip:", "pair:")  # how the names of a user's own image files begin
DATASETS = {
    "ring8": "trainers.data.points:ring8",
    "grid25": "trainers.data.points:grid25",
    "digits": "trainers.data.digits:digits",
    "digits_outlines": "trainers.data.digits:digits_outlines",
    "mnist": "trainers.data.torchvision_sets:mnist",
    "fashion_mnist": "trainers.data.torchvision_sets:fashion_mnist",
    "cifar10": "trainers.data.torchvision_sets:cifar10",
    "cifar100": "trainers.data.torchvision_sets:cifar100",
    "stl10": "trainers.data.torchvision_sets:stl10",
}
POINT_DATASETS = ("ring8", "grid25")  # 2-D points; every other data set holds images
PAIRS = ("digits_outlines",)  # unpaired translation from domain A to B, as pair:PATH is
EMBEDDED = (*POINT_DATASETS, "digits", *PAIRS)  # travel with the package
TORCHVISION = ("mnist", "fashion_mnist", "cifar10", "cifar100", "stl10")  # fetched by torchvision
REFERENCES = {  # examples that a Frechet distance uses: of a pair test B, else the training examples
    "ring8": 100_000,
    "grid25": 100_000,
    "digits": 1_797,
    "digits_outlines": 400,
    "mnist": 60_000,
    "fashion_mnist": 60_000,
    "cifar10": 50_000,
    "cifar100": 50_000,
    "stl10": 105_000,
}
LOSSES = {
    "nonsaturating": "trainers.losses:nonsaturating",
    "minimax": "trainers.losses:minimax",
    "hinge": "trainers.losses:hinge",
    "wasserstein": "trainers.losses:wasserstein",
    "least_squares": "trainers.losses:least_squares",
}
FEATURES = {
    "raw": "trainers.features:raw",
    "digits": "trainers.features:digits",
    "lite0": "trainers.features:lite0",
    "inception": "trainers.features:inception",
}
INPUT_RESIZES = {  # what a feature net does to its images first
    "lite0": "resized to 64x64",
    "inception": "in 8 bits, resized to 299x299 as TensorFlow 1 does",
}
FEATURE_METRICS = {  # keys of a row by its feature net; any other gives the Frechet distance alone
    "inception": ("fid", "inception_score", "inception_score_std", "kid", "kid_std"),
}
SCORE_SPLITS = 10  # of an inception score
KID_SUBSETS, KID_SUBSET, KID_REAL = 100, 1_000, 10_000  # subsets of one KID, their size, and the real examples kept
ANGLE_STEP = 10  # degrees from one place of the histogram of a probe's angles to the next
POINT_PROBES = ("class_logit_min", "class_logit_spread")  # keys of a row of 2-D data that tell of D
STEP_PROBES = (  # keys of a row by probe
    *("real_fake_obtuse", "step_real_obtuse", "step_fake_obtuse"),
    *("logit_real_before", "gap_before", "logit_real_after", "gap_after"),
)
MODE_RADIUS = 10.0  # standard deviations of a mode within which a 2-D sample counts as its own


class Metric(NamedTuple):
    """How a metric of the tables is named, ordered and printed."""

    row: str  # the key in a row of train()
    when: Literal["final", "best"]  # of the last evaluation, or the best of the scheduled ones
    label: str
    lower_is_better: bool
    decimals: int


METRICS = {
    "fid_final": Metric("fid", "final", "FID", True, 2),
    "fid_best": Metric("fid", "best", "best FID", True, 2),
    "is_final": Metric("inception_score", "final", "IS", False, 2),
    "is_best": Metric("inception_score", "best", "best IS", False, 2),
    "kid_final": Metric("kid", "final", "KID", True, 5),
    "energy_distance_final": Metric("energy_distance", "final", "energy distance", True, 4),
    "energy_distance_best": Metric("energy_distance", "best", "best energy distance", True, 4),
    "modes_final": Metric("modes", "final", "modes covered", False, 2),
    "high_quality_final": Metric("high_quality", "final", "high-quality share", False, 3),
    "class_logit_min_final": Metric("class_logit_min", "final", "lowest class logit", False, 3),
    "class_logit_spread_final": Metric("class_logit_spread", "final", "spread of class logits", True, 3),
    "real_fake_obtuse_final": Metric("real_fake_obtuse", "final", "real-fake obtuse", True, 3),
    "step_real_obtuse_final": Metric("step_real_obtuse", "final", "step-real obtuse", True, 3),
    "step_fake_obtuse_final": Metric("step_fake_obtuse", "final", "step-fake obtuse", True, 3),
    "logit_real_before_final": Metric("logit_real_before", "final", "real logit before a step", False, 3),
    "gap_before_final": Metric("gap_before", "final", "real-fake gap before a step", False, 3),
    "logit_real_after_final": Metric("logit_real_after", "final", "real logit after a step", False, 3),
    "gap_after_final": Metric("gap_after", "final", "real-fake gap after a step", False, 3),
}
