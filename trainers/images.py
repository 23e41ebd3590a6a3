"""Images of a folder, a zip or torchvision: decoded once, into a memory-mapped array in the cache folder.

What is kept of an image: the first frame, turned as its EXIF orientation says, 16-bit grey scaled to 8 bits, without
its alpha channel (colours of transparent pixels stay as they are stored), resized by Lanczos if so asked. One channel
if every image of the set is grey, RGB otherwise.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import math
import os
import stat
import warnings
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import BaseModel, Field
from torch import Tensor

from trainers.cache import cache_folder, key_of, made_once, reading

FORMAT = 1  # of the cache; another number makes all caches anew
BLOCK = 2**18  # bytes of pixels that a thread decodes at a time: with one small image it would mostly wait its turn
UNREADABLE = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # formats that Pillow cannot decode by itself
MAX_BYTES = 2**28  # of an image file in a zip: a few bytes there can claim to be gigabytes

log = logging.getLogger(__name__)
# Pillow's bound on pixels, Image.MAX_IMAGE_PIXELS = 89 million, is a warning up to twice that
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


class Images(NamedTuple):
    """Images that can be opened, in their order."""

    names: list[str]
    labels: list[int]
    classes: list[str]  # none: the images are not labelled
    open: Callable[[int], Image.Image]


class Source(NamedTuple):
    """Where images come from."""

    name: str  # as in Config.dataset
    key: list[Any]  # plain values that change when the images do; cheap to have
    read: Callable[[], Images]  # asked only when the images are to be decoded


class Decoded(NamedTuple):
    """Images in the cache."""

    examples: Tensor  # [N, C, H, W] uint8, memory-mapped
    labels: Tensor  # [N] int64
    classes: list[str]
    digest: str  # 16 hex digits of SHA-256 over examples and labels


class Meta(BaseModel):
    """What stands beside the arrays of a cache."""

    source: str
    count: int
    classes: list[str]
    digest: str = Field(pattern="^[0-9a-f]{16}$")


def open_images(source: Source, resolution: int | None, center_crop: bool) -> Decoded:
    """The images of a source at a resolution (None: as they are), decoded if they are not in the cache.

    `center_crop`: the shorter side is resized and the centre cropped; else the image is stretched to a square. Raises
    ValueError, naming the image, if one cannot be read, and if sizes differ without a resolution.
    """
    key = key_of(FORMAT, source.key, resolution, center_crop)
    folder = cache_folder() / "images" / key
    made_once(folder, lambda aside: _decode(source, resolution, center_crop, aside, folder))
    with reading(folder):
        return _read(folder)


def _read(folder: Path) -> Decoded:
    """What _decode wrote; raises anything if it is damaged."""
    meta = Meta.model_validate_json((folder / "meta.json").read_bytes())
    # torch warns of arrays that cannot be written
    examples = torch.from_numpy(np.load(folder / "images.npy", mmap_mode="c", allow_pickle=False))
    labels = torch.from_numpy(np.load(folder / "labels.npy", allow_pickle=False))
    if not len(examples) == len(labels) == meta.count or examples.dim() != 4 or examples.dtype != torch.uint8:
        raise ValueError(f"it holds {list(examples.shape)} images of {examples.dtype} and {len(labels)} labels")
    return Decoded(examples, labels, meta.classes, meta.digest)


def from_folder(name: str) -> Source:
    """`folder:PATH`: the images below PATH; folders at its top are classes. Raises ValueError if there are none.

    So ImageNet is given by the folder of its training split, whose folders are its classes. FFHQ's folders of a
    thousand images (00000/, 01000/, ...) count as classes too, harmless where networks are not conditional.
    """
    root = _path(name)
    try:
        found = sorted(_below(root))
        key = [str(root), *((image, *_stamp(f"{root}/{image}")) for image in found)]
    except (OSError, ValueError) as error:
        raise ValueError(f"dataset = {name!r}: cannot read the folder: {error}") from None
    _require_some(name, found)
    return Source(name, key, lambda: _labelled(name, found, lambda index: _open(f"{root}/{found[index]}")))


def from_zip(name: str) -> Source:
    """`zip:PATH`: the images in an archive; folders at its top are classes, but for a single one around everything, as
    `zip -r photos.zip photos` makes it, which counts as the top. Raises ValueError if there are none."""
    path = _path(name)
    try:
        _stamp(str(path))
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a damaged one raises anything
        raise ValueError(f"dataset = {name!r}: cannot read the zip: {error}") from None
    entries = {entry.filename: entry for entry in archive.infolist() if _is_image(entry.filename)}
    _require_some(name, entries)
    found = sorted(entries)
    key = [(image, entries[image].file_size, entries[image].CRC) for image in found]
    around = _folder_around(found)

    def opened(index: int) -> Image.Image:
        entry = entries[found[index]]
        if entry.file_size > MAX_BYTES:  # more than that is never unpacked
            raise ValueError(f"it has {entry.file_size:,} bytes; at most {MAX_BYTES:,} are read")
        return _open(io.BytesIO(archive.read(entry)))

    return Source(name, key, lambda: _labelled(name, [image.removeprefix(around) for image in found], opened))


def _path(name: str) -> Path:
    """PATH of `folder:PATH` or `zip:PATH`. Raises ValueError for the home of a user that does not exist."""
    try:
        return Path(name.partition(":")[2]).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"dataset = {name!r}: {error}") from None


def _open(file: str | io.BytesIO) -> Image.Image:
    """An image, whatever its name says, of a format that Pillow decodes by itself: it runs Ghostscript for others."""
    return Image.open(file, formats=_formats())


def mnist() -> Source:
    """60,000 grey digits of 28x28 (LeCun et al. 1998), torchvision's training split."""
    return _from_torchvision("mnist", "MNIST", train=True)


def fashion_mnist() -> Source:
    """60,000 grey pictures of clothes, 28x28 (Xiao et al. 2017), torchvision's training split."""
    return _from_torchvision("fashion_mnist", "FashionMNIST", train=True)


def cifar10() -> Source:
    """50,000 colour images of 32x32 in ten classes (Krizhevsky 2009), torchvision's training split."""
    return _from_torchvision("cifar10", "CIFAR10", train=True)


def cifar100() -> Source:
    """50,000 colour images of 32x32 in a hundred classes (Krizhevsky 2009), torchvision's training split."""
    return _from_torchvision("cifar100", "CIFAR100", train=True)


def stl10() -> Source:
    """105,000 colour images of 96x96 (Coates, Ng, Lee 2011): torchvision's training split, then its unlabelled images.

    All are of one class, since 100,000 have no label; so nothing can be trained on it class by class. GAN papers use it
    at a resolution of 48. Decoding takes about 6 GB of memory, once.
    """
    return _from_torchvision("stl10", "STL10", split="train+unlabeled")


def _from_torchvision(name: str, kind: str, **split: Any) -> Source:
    """A split of a torchvision data set, downloaded to the cache folder unless it is there."""

    def read() -> Images:
        from torchvision import datasets

        root = cache_folder() / "torchvision"
        try:
            data = getattr(datasets, kind)(root, download=True, **split)
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"dataset = {name!r}: torchvision could not fetch {kind} into {root} ({' '.join(str(error).split())}); "
                f"a local copy of the images can be given as folder:PATH or zip:PATH"
            ) from error
        names = [f"{index}" for index in range(len(data))]
        labelled = hasattr(data, "targets")  # STL-10 is not
        labels = list(map(int, data.targets)) if labelled else [0] * len(data)
        return Images(names, labels, list(data.classes) if labelled else [], lambda index: data[index][0])

    return Source(name, ["torchvision", kind], read)


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(sorted(set(Image.OPEN) - UNREADABLE))


@cache
def _extensions() -> frozenset[str]:
    kinds = Image.registered_extensions().items()
    return frozenset(extension for extension, kind in kinds if kind in _formats())


def _is_image(name: str) -> bool:
    """Whether a path with slashes names an image, and no part of it is hidden."""
    parts = name.split("/")
    hidden = any((part.startswith(".") and part != ".") or part == "__MACOSX" for part in parts)
    return not hidden and os.path.splitext(name)[1].lower() in _extensions()  # noqa: PTH122 - half the time of a Path


def _below(root: Path) -> Iterator[str]:
    """Paths of the images below a folder, relative to it, with slashes. Raises OSError."""

    def stop(error: OSError) -> None:
        raise error

    seen: set[str] = set()  # a link may lead back up
    for folder, inner, files in os.walk(root, onerror=stop, followlinks=True):
        if os.path.realpath(folder) in seen:
            inner.clear()
            continue
        seen.add(os.path.realpath(folder))
        inner[:] = [name for name in inner if not name.startswith(".")]
        prefix = "" if folder == str(root) else Path(folder).relative_to(root).as_posix() + "/"
        yield from (image for image in (prefix + name for name in files) if _is_image(image))


def _stamp(path: str) -> tuple[int, int]:
    """Size in bytes and time of change in ns of a file. Raises OSError for pipes and devices, which have no end."""
    held = os.stat(path)  # noqa: PTH116 - a Path for each of 60,000 files takes as long as all else
    if not stat.S_ISREG(held.st_mode):
        raise OSError(errno.EINVAL, "this is no regular file", path)
    return held.st_size, held.st_mtime_ns


def _require_some(name: str, found: Iterable[str]) -> None:
    if not found:
        raise ValueError(
            f"dataset = {name!r}: there is no image in it; .png, .jpg, .webp, .gif, .bmp and other files that Pillow "
            f"reads are images"
        )


def _folder_around(names: list[str]) -> str:
    """The one top folder, with its slash, that holds all of the paths; "" if there is none."""
    top = {name.partition("/")[0] + "/" for name in names}
    return top.pop() if len(top) == 1 and all("/" in name for name in names) else ""


def _labelled(name: str, names: list[str], opened: Callable[[int], Image.Image]) -> Images:
    """Images with the labels that their folders give. Raises ValueError if only some of them have one."""
    outside = [image for image in names if "/" not in image]
    if len(outside) == len(names):
        return Images(names, [0] * len(names), [], opened)
    if outside:
        lie = "1 image lies" if len(outside) == 1 else f"{len(outside):,} images lie"
        raise ValueError(
            f"dataset = {name!r}: labels missing: {lie} outside the class folders, the first is {outside[0]}"
        )
    folders = [image.partition("/")[0] for image in names]
    classes = sorted(set(folders))
    numbers = {folder: number for number, folder in enumerate(classes)}
    return Images(names, [numbers[folder] for folder in folders], classes, opened)


def _decode(source: Source, resolution: int | None, center_crop: bool, aside: Path, folder: Path) -> None:
    """Fill the folder aside with images.npy, labels.npy and meta.json; `folder` is where it will be."""
    images = source.read()
    count = len(images.names)
    log.info("decoding %s images of %s once, into %s", f"{count:,}", source.name, folder)
    mode = "L" if all(_is_grey(source, images, index) for index in range(count)) else "RGB"

    def decode(index: int) -> np.ndarray:
        with _blamed(source, images, index), images.open(index) as image:
            return _pixels(image, mode, resolution, center_crop)

    first = decode(0)

    def block(indices: range) -> np.ndarray:  # [n, C, H, W]
        pixels = [decode(index) for index in indices]
        for index, image in zip(indices, pixels, strict=True):
            _require_equal_size(source, images, first, index, image)
        return np.stack(pixels)

    aside.mkdir()
    labels = np.array(images.labels, dtype=np.int64)
    content = _write(aside / "images.npy", block, (count, *first.shape))
    content.update(labels)
    np.save(aside / "labels.npy", labels)
    meta = {"source": source.name, "count": count, "classes": images.classes, "digest": content.hexdigest()[:16]}
    (aside / "meta.json").write_text(json.dumps(meta, indent=2) + "\n")


def _write(path: Path, block: Callable[[range], np.ndarray], shape: tuple[int, ...]) -> Any:
    """Write block(indices) after block as one array, never held as a whole; returns SHA-256 over the pixels.

    The blocks are made in threads, since Pillow lets go of the interpreter's lock.
    """
    content = hashlib.sha256()
    n = max(1, BLOCK // math.prod(shape[1:]))
    blocks = [range(start, min(start + n, shape[0])) for start in range(0, shape[0], n)]
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool, path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for pixels in _ahead(pool, block, blocks, 2 * threads):
            file.write(pixels.data)
            content.update(pixels.data)
        file.flush()
        os.fsync(file.fileno())
    return content


def _ahead(pool: ThreadPoolExecutor, function: Callable[[Any], Any], items: Iterable[Any], ahead: int) -> Iterator[Any]:
    """function(item) of all items in order, so many at most computed before they are asked for."""
    waiting: deque[Future[Any]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _require_equal_size(source: Source, images: Images, first: np.ndarray, index: int, image: np.ndarray) -> None:
    if image.shape != first.shape:
        sizes = [f"{pixels.shape[2]}x{pixels.shape[1]}" for pixels in (first, image)]
        raise ValueError(
            f"dataset = {source.name!r}: images differ in size ({images.names[0]} is {sizes[0]}, {images.names[index]} "
            f"is {sizes[1]}); set resolution, the side in pixels to resize them to"
        )


@contextmanager
def _blamed(source: Source, images: Images, index: int) -> Iterator[None]:
    """Within it whatever Pillow raises becomes a ValueError that names the image."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())
        if isinstance(error, UnidentifiedImageError):
            reason = "its format is unknown or its head is broken"
        if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
            reason = f"it has more than the {Image.MAX_IMAGE_PIXELS:,} pixels that are allowed"
        raise ValueError(
            f"dataset = {source.name!r}: cannot read image {images.names[index]}: {reason or type(error).__name__}"
        ) from error


def _is_grey(source: Source, images: Images, index: int) -> bool:
    """By the head of the file alone."""
    with _blamed(source, images, index), images.open(index) as image:
        return image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")


def _pixels(image: Image.Image, mode: str, resolution: int | None, center_crop: bool) -> np.ndarray:
    """[C, H, W] uint8, contiguous."""
    ImageOps.exif_transpose(image, in_place=True)
    image.info.pop("transparency", None)  # Pillow warns when it drops that of a palette
    if image.mode == "F" or image.mode.startswith("I"):
        image = _eight_bits(image)
    image = image.convert(mode)
    if resolution is not None:
        width, height = image.size
        side = min(width, height)
        centre = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
        box = centre if center_crop else None
        image = image.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box)
    return np.ascontiguousarray(np.atleast_3d(np.asarray(image)).transpose(2, 0, 1))


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey, which Pillow opens with 32 bits in some formats, scaled to 8 bits. Raises ValueError for more."""
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65_535:
        raise ValueError("its pixels have more than 16 bits; convert it to 8 or 16 bits")
    return Image.fromarray(((values.astype(np.int32) + 128) // 257).astype(np.uint8))
