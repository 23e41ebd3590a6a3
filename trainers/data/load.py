"""The data set of a Config."""

import dataclasses
from functools import cache
from pathlib import Path

from trainers.config import Config
from trainers.data.dataset import Dataset, Pair
from trainers.data.decode import ImageSource, open_images
from trainers.names import DATASETS, data_source
from trainers.user_code import built_by, load_object


def load_dataset(config: Config) -> Dataset:
    """The data set of a Config, loaded once a process. Raises ValueError if there is none, or it cannot be read."""
    return _load(config.dataset, config.resolution, config.center_crop, Path.cwd())


@cache
def _load(name: str, resolution: int | None, center_crop: bool, folder: Path) -> Dataset:
    """`folder` is what relative paths mean."""
    row = data_source(name)
    if not row.is_image_files:
        return built_by("dataset", DATASETS, name, Dataset)
    if row.origin == "torchvision":
        return _images(built_by("dataset", DATASETS, name, ImageSource), resolution, center_crop)
    found = load_object(row.build)(name)
    if row.kind != "pair":
        return _images(found, resolution, center_crop)
    sources, targets, *tests = (_images(part, resolution, center_crop) for part in found)
    try:
        return dataclasses.replace(targets, pair=Pair(sources, *tests))
    except ValueError as error:
        raise ValueError(f"dataset = {name!r}: {error}") from None


def _images(source: ImageSource, resolution: int | None, center_crop: bool) -> Dataset:
    examples, labels, classes, digest = open_images(source, resolution, center_crop)
    return Dataset(examples, labels, max(1, len(classes)), stored_digest=digest)
