"""Which values of a Config's fields go together."""

import re
from collections.abc import Iterable
from typing import Any

from trainers.messages import did_you_mean
from trainers.names import BACKBONES, COLOURS, DATASETS, FEATURES, LOSSES, PATHS, ImageForm, all_sources, names_where

LONGEST_NAME = 80  # letters of a regularizer of the user's own, by which its values in MLflow are called
OWN = rf"(?=.{{1,{LONGEST_NAME}}}$)[A-Za-z]\w*(\.\w+)*:\w+"


def check_name(field: str, name: str) -> None:
    """Raise ValueError unless a field that names a data set, backbone, loss or feature net can have this value."""
    tables: dict[str, Iterable[str]] = {"dataset": DATASETS, "backbone": BACKBONES, "loss": LOSSES}
    names = tables.get(field, ("auto", *FEATURES))
    if name not in names and ":" not in name:
        raise ValueError(did_you_mean(name, names))
    if name in PATHS:
        raise ValueError(f"should name a path, as {name}photos")


def check_fit(config: Any) -> None:
    """Raise ValueError, with one sentence, if the fields of a Config do not fit each other."""
    _translation(config)
    _methods(config)
    _own_regularizers(config)
    _data(config)
    _features(config)


def _translation(config: Any) -> None:
    net, data = BACKBONES.get(config.backbone), config.data_source
    translators = names_where(BACKBONES, lambda row: row.translates)
    if net and config.is_paired and not net.translates:
        raise ValueError(
            f"backbone = {config.backbone!r} starts from noise, and {config.dataset} is a pair of domains to translate "
            f"between; use {translators}"
        )
    if net and net.translates and data.kind in ("points", "images"):
        raise ValueError(
            f"backbone = {config.backbone!r} translates images, and dataset = {config.dataset!r} has no domain A; use "
            f"{names_where(all_sources(), lambda row: row.kind == 'pair', ' or ')}"
        )
    layers = list(config.nce_layers)
    if not layers or layers != sorted(set(layers)):
        raise ValueError(f"nce_layers = {layers}: should be one or more layers in ascending order, as [0,4,8]")
    for name, regularizer in config.active_regularizers.items():
        if regularizer.translates and net and not net.translates:
            raise ValueError(
                f"{name} = {getattr(config, name)} compares an image with its translation, which backbone = "
                f"{config.backbone!r} does not make; use {translators}"
            )


def _methods(config: Any) -> None:
    for field, bound in (("n_coop", "n_images"), ("aw_alpha1", "aw_alpha2")):
        value, most = getattr(config, field), getattr(config, bound)
        if value > most:
            raise ValueError(f"{field} = {value} is more than {bound} = {most}; it must be at most that")
    if config.coop == "joint" and config.n_coop == 0:
        raise ValueError("coop = 'joint' does nothing while n_coop is 0; set n_coop to 1 or more")
    for name, regularizer in config.active_regularizers.items():
        if regularizer.second_order and config.compile:
            raise ValueError(f"compile = True has no second derivatives, which {name} needs; leave one of them off")
    net = BACKBONES.get(config.backbone)
    unordered = {f"ada = {config.ada!r}": "bilinear sampling"} if config.ada != "off" else {}
    unordered |= {f"backbone = {config.backbone!r}": net.unordered} if net and net.unordered else {}
    for field, layer in unordered.items():
        if config.deterministic:
            raise ValueError(
                f"deterministic = True: {field} has {layer}, whose gradient has no deterministic algorithm on CUDA; "
                f"leave one of them off"
            )


def _own_regularizers(config: Any) -> None:
    for field in ("penalty_d", "penalty_g"):
        for name, weight in getattr(config, field).items():
            if not re.fullmatch(OWN, name, re.ASCII):
                raise ValueError(f"{field}: {name!r} should be module:object, at most {LONGEST_NAME} letters")
            if weight == 0:
                raise ValueError(
                    f"{field}: the weight of {name!r} should be greater than 0; leave it out to switch it off"
                )


def _data(config: Any) -> None:
    net = BACKBONES.get(config.backbone)
    _image_files(config)
    if config.has_points and net and not net.points:
        raise ValueError(
            f"backbone = {config.backbone!r} needs images, and {config.dataset} holds 2-D points; use "
            f"{names_where(BACKBONES, lambda row: row.points)}"
        )
    if config.has_points and (config.ada != "off" or config.mirror):
        field = "mirror" if config.mirror else "ada"
        raise ValueError(f"{field} = {getattr(config, field)!r} needs images, and {config.dataset} holds 2-D points")
    if config.conditional and net and not net.conditional:
        others = names_where(BACKBONES, lambda row: row.conditional)
        raise ValueError(f"conditional = True: backbone {config.backbone!r} takes no classes; {others} do")


def _image_files(config: Any) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in config.dataset):  # no store keeps such a text
        raise ValueError(
            f"dataset = {config.dataset!r}: the name of its folder is not UTF-8; rename it, or say folder:. within it"
        )
    for field, does in (("resolution", "resizes"), ("background", "is laid under")):
        value = getattr(config, field)
        if value != getattr(ImageForm(), field) and not config.data_source.is_image_files:
            raise ValueError(
                f"{field} = {value!r} does nothing for dataset = {config.dataset!r}; it {does} "
                f"{names_where(all_sources(), lambda row: row.is_image_files)}"
            )
    if config.dataset_options and config.data_source.is_image_files:
        raise ValueError(
            f"dataset_options = {config.dataset_options} do nothing for dataset = {config.dataset!r}, which has none; "
            f"2-D points have some, and functions module:object of your own"
        )
    if config.background not in COLOURS and not re.fullmatch("#[0-9a-fA-F]{6}", config.background):
        raise ValueError(
            f"background = {config.background!r} should be a colour as #ff8000, or one of {', '.join(COLOURS)}"
        )
    if not config.center_crop and config.resolution is None:
        raise ValueError("center_crop = False does nothing without a resolution; set resolution too")


def _features(config: Any) -> None:
    if config.features == "auto" and not config.data_source.features:
        natural = next(name for name, row in FEATURES.items() if row.suits == "natural images")
        raise ValueError(
            f"features = 'auto' is for {names_where(DATASETS, lambda row: row.features)}; name a feature net for "
            f"dataset = {config.dataset!r}: features={natural} for natural images"
        )
    if config.has_points and (config.feature_net not in FEATURES or FEATURES[config.feature_net].suits != "any data"):
        raise ValueError(
            f"features = {config.features!r} needs images, and {config.dataset} holds 2-D points; use "
            f"{names_where(FEATURES, lambda row: row.suits == 'any data')}"
        )
    for score in config.scores.values():
        if config.eval_samples < score.min_samples:
            raise ValueError(
                f"eval_samples = {config.eval_samples} is too few for the {score.label} of features = "
                f"{config.features!r}; it must be at least {score.min_samples}"
            )
