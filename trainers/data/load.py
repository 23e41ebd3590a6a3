"""The data set of a Config."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

from trainers.config import Config
from trainers.data.dataset import Dataset, Pair
from trainers.data.decode import Source, open_images
from trainers.data.image_files import from_folder, from_zip
from trainers.names import DATASETS, TORCHVISION
from trainers.user_code import made_by


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
