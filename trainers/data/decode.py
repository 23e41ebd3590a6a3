"""Images decoded once, into a memory-mapped array in the cache folder.

What is kept of an image: the first frame, turned as its EXIF orientation says, 16-bit grey scaled to 8 bits, without
its alpha channel (colours of transparent pixels stay as they are stored), resized by Lanczos if so asked. One channel
if every image of the set is grey, RGB otherwise.
"""

import hashlib
import json
import logging
import math
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import BaseModel, Field
from torch import Tensor

from trainers.data.sources import Images, ImageSource, decoded_folder, told
from trainers.files import made_once, reading

BLOCK = 2**18  # bytes of pixels that a thread decodes at a time: with one small image it would mostly wait its turn
log = logging.getLogger(__name__)
# Pillow's bound on pixels, Image.MAX_IMAGE_PIXELS = 89 million, is a warning up to twice that
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


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


def open_images(source: ImageSource, resolution: int | None, center_crop: bool) -> Decoded:
    """The images of a source, decoded if they are not in the cache; resolution and crop as in Config. Raises
    ValueError, naming the image, if one cannot be read, and if sizes differ without a resolution."""
    content = source.content(True)
    assert content is not None
    folder = decoded_folder(content, resolution, center_crop)
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


def _decode(source: ImageSource, resolution: int | None, center_crop: bool, aside: Path, folder: Path) -> None:
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
            if image.shape != first.shape:
                sizes = [f"{array.shape[2]}x{array.shape[1]}" for array in (first, image)]
                raise ValueError(
                    f"dataset = {source.name!r}: images differ in size ({images.names[0]} is {sizes[0]}, "
                    f"{images.names[index]} is {sizes[1]}); set resolution, the side in pixels to resize them to"
                )
        return np.stack(pixels)

    aside.mkdir()
    labels = np.array(images.labels, dtype=np.int64)
    content = _write(aside / "images.npy", block, (count, *first.shape), source.name)
    content.update(labels)
    np.save(aside / "labels.npy", labels)
    meta = {"source": source.name, "count": count, "classes": images.classes, "digest": content.hexdigest()[:16]}
    (aside / "meta.json").write_text(json.dumps(meta, indent=2) + "\n")


def _write(path: Path, block: Callable[[range], np.ndarray], shape: tuple[int, ...], name: str) -> Any:
    """Write block(indices) after block as one array, never held as a whole; returns SHA-256 over the pixels. The blocks
    are made in threads, since Pillow lets go of the interpreter's lock."""
    content = hashlib.sha256()
    n = max(1, BLOCK // math.prod(shape[1:]))
    blocks = [range(start, min(start + n, shape[0])) for start in range(0, shape[0], n)]
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool, path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for pixels in told(_ahead(pool, block, blocks, 2 * threads), len(blocks), f"decoding {name}"):
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


@contextmanager
def _blamed(source: ImageSource, images: Images, index: int) -> Iterator[None]:
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


def _is_grey(source: ImageSource, images: Images, index: int) -> bool:
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
        resize = ImageOps.fit if center_crop else Image.Image.resize
        image = resize(image, (resolution, resolution), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.atleast_3d(np.asarray(image)).transpose(2, 0, 1))


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey, which Pillow opens with 32 bits in some formats, scaled to 8 bits. Raises ValueError for more."""
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65_535:
        raise ValueError("its pixels have more than 16 bits; convert it to 8 or 16 bits")
    return Image.fromarray(((values.astype(np.int32) + 128) // 257).astype(np.uint8))
