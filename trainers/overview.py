"""What a data set holds, told before it costs anything, and a picture of it as the networks see it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from trainers.config import Config
from trainers.data.dataset import Dataset
from trainers.data.layouts import in_words
from trainers.data.load import load_dataset
from trainers.data.sources import Images, ImageSource
from trainers.loop import CLOUD, GRID_COLUMNS, GRID_ROWS, picture_of_points
from trainers.sampling import grid, write_picture
from trainers.user_code import load_object

SIZES_TOLD = 4  # of the files; more are told by the smallest and the largest
CLASSES_TOLD = 20
LEAST_WIDTH = 500  # pixels of a picture of images


class Part(NamedTuple):
    """A data set, or one of the four of a pair: its name, "" of one alone; its labels [N] and the names of their
    classes, none of one class; and of image files their sizes, as (width, height), and what was skipped, by kind."""

    name: str
    data: Dataset
    labels: Tensor
    classes: list[str]
    sizes: Mapping[tuple[int, int], int] = {}
    skipped: Mapping[str, int] = {}


def overview(config: Config) -> list[Part]:
    """The data set of a Config, whose image files are decoded unless the cache has them, and measured. Raises
    ValueError as load_dataset."""
    data = load_dataset(config)
    sets = {"": data}
    if data.pair:
        sets = {"train A": data.pair.sources, "train B": data}
        sets |= {"test A": data.pair.test_sources, "test B": data.pair.test_targets}
    if not config.is_at_path:
        return [Part(name, each, each.labels, _numbered(each.n_classes)) for name, each in sets.items()]
    found = load_object(config.data_source.build)(config.dataset)
    sources: list[ImageSource] = found if isinstance(found, list) else [found]
    parts = []
    for (name, each), source in zip(sets.items(), sources, strict=True):
        images = source.read()
        parts.append(Part(name, each, torch.tensor(images.labels), images.classes, _sizes(images), source.skipped))
    return parts


def in_lines(config: Config, parts: list[Part]) -> Iterator[str]:
    """What there is, in words: a few lines a part."""
    for part in parts:
        count, shape = len(part.data.examples), part.data.shape
        kind = "images" if len(shape) == 3 else "examples"
        yield f"{part.name or config.data_name}: {count:,} {kind}{_of_classes(part)}"
        if part.sizes:
            yield f"  files: {_in_sizes(part.sizes)}"
        if part.skipped:
            yield f"  skipped: {in_words(part.skipped)}"
        yield f"  as the networks see them: {_form(config, shape)}"


def draw(config: Config, parts: list[Part], out: Path) -> None:
    """Write a picture (.png) of examples as the networks see them: 64 from all over the set, or 8 of each of the first
    10 classes, a class a row; of a pair two rows a part; of 2-D points their density. Small ones are enlarged, pixel
    for pixel. Raises ValueError for data that no picture shows."""
    data, shape = parts[0].data, parts[0].data.shape
    if data.modes is not None:
        picture = picture_of_points(data.examples[:CLOUD], data)
        write_picture(out, Image.fromarray((picture * 255).round().byte().permute(1, 2, 0).numpy()))
        return
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ValueError(f"dataset = {config.dataset!r}: its examples are no images but of shape {list(shape)}")
    rows = GRID_COLUMNS if len(parts) == 1 else 2
    drawn = grid(torch.cat([part.data.scaled(_shown(part, rows)) for part in parts]))
    times = math.ceil(LEAST_WIDTH / drawn.width)
    write_picture(out, drawn.resize((times * drawn.width, times * drawn.height), Image.Resampling.NEAREST))


def _shown(part: Part, rows: int) -> Tensor:
    """Indices [n] of examples from all over a set, or of each of its first classes."""
    groups = [torch.arange(len(part.labels))]
    if part.classes:
        groups = [(part.labels == label).nonzero().flatten() for label in range(len(part.classes))][:GRID_ROWS]
        rows = 1
    wanted = GRID_COLUMNS * rows
    return torch.cat([group[torch.arange(wanted) * len(group) // wanted] for group in groups if len(group)])


def _numbered(n_classes: int) -> list[str]:
    return list(map(str, range(n_classes))) if n_classes > 1 else []


def _sizes(images: Images) -> Counter[tuple[int, int]]:
    """How many image files have each size, by their heads."""

    def size(index: int) -> tuple[int, int]:
        with images.open(index) as image:
            return image.size

    with ThreadPoolExecutor() as pool:
        return Counter(pool.map(size, range(len(images.names))))


def _of_classes(part: Part) -> str:
    if not part.classes:
        return ""
    counts = part.labels.bincount(minlength=len(part.classes)).tolist()
    told = [f"{name} {count:,}" for name, count in zip(part.classes, counts, strict=True)]
    more = ["..."] if len(told) > CLASSES_TOLD else []
    return f" of {len(told):,} classes ({', '.join([*told[:CLASSES_TOLD], *more])})"


def _in_sizes(sizes: Mapping[tuple[int, int], int]) -> str:
    if len(sizes) <= SIZES_TOLD:
        return ", ".join(f"{width}x{height} ({count:,})" for (width, height), count in sizes.items())
    least, most = (function(sizes, key=lambda size: (size[0] * size[1], size)) for function in (min, max))
    return f"{len(sizes):,} sizes, from {least[0]}x{least[1]} to {most[0]}x{most[1]}"


def _form(config: Config, shape: tuple[int, ...]) -> str:
    if len(shape) != 3:
        return f"vectors of {shape[0]}" if len(shape) == 1 else f"arrays of {list(shape)}"
    channels = {1: "grey", 3: "RGB"}.get(shape[0], f"{shape[0]} channels")
    fit = "shorter side resized, centre cropped" if config.center_crop else "stretched"
    return f"{shape[2]}x{shape[1]}, {channels}" + (f", {fit}" if config.resolution else "")
