"""The data set of a Config."""

import dataclasses
import json
from functools import cache
from pathlib import Path

import torch

from trainers.config import Config
from trainers.data.dataset import Dataset, Pair
from trainers.data.decode import ImageSource, open_images
from trainers.names import DATASETS, ImageForm, data_source
from trainers.user_code import built_by, load_object


def load_dataset(config: Config) -> Dataset:
    """The data set of a Config, loaded once a process. Raises ValueError if there is none, or it cannot be read."""
    options = json.dumps(config.dataset_options, sort_keys=True)
    return _load(config.dataset, options, config.image_form, config.conditional, Path.cwd())


def content_digest(config: Config) -> str:
    """The digest of the data set of a Config. Raises ValueError as load_dataset."""
    return load_dataset(config).digest


@cache
def _load(name: str, options: str, form: ImageForm, labelled: bool, folder: Path) -> Dataset:
    """`options` are the data set's own, as JSON; `labelled` says whether labels of image files at a path count;
    `folder` is what relative paths mean."""
    row = data_source(name)
    if not row.is_image_files:
        return built_by("dataset", DATASETS, name, Dataset, json.loads(options))
    if row.origin == "torchvision":
        return _images(built_by("dataset", DATASETS, name, ImageSource), form, labelled=True)
    found = load_object(row.build)(name)
    if row.kind != "pair":
        return _images(found, form, labelled)
    sources, targets, *tests = (_images(part, form, labelled) for part in found)
    try:
        return dataclasses.replace(targets, pair=Pair(sources, *tests))
    except ValueError as error:
        raise ValueError(f"dataset = {name!r}: {error}") from None


def _images(source: ImageSource, form: ImageForm, labelled: bool) -> Dataset:
    examples, labels, classes, digest, plain = open_images(source, form)
    if not labelled:  # however folders divide them, they are the same images
        return Dataset(examples, torch.zeros_like(labels), 1, stored_digest=plain)
    return Dataset(examples, labels, max(1, len(classes)), stored_digest=digest)
