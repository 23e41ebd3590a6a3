"""Images decoded once, into a memory-mapped array in the cache folder: one channel if every image of the set is grey,
RGB otherwise."""

import hashlib
import logging
import math
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, Field
from torch import Tensor

from trainers.data.layouts import tell_skipped
from trainers.data.pixels import Pixels, is_grey, pixels_of
from trainers.data.sources import Images, ImageSource, decoded_folder, told
from trainers.files import made_once, reading, write_json
from trainers.heartbeat import heartbeat
from trainers.messages import printable
from trainers.names import ImageForm

DAMAGED_TOLD = 20  # images that cannot be read, which one sentence names
DARK = 2**14  # 16-bit values below it are told: they may be of 12 bits, say, and nobody knows
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
    plain: str  # the same with all labels 0


class Meta(BaseModel):
    """What stands beside the arrays of a cache."""

    source: str
    count: int
    classes: list[str]
    digest: str = Field(pattern="^[0-9a-f]{16}$")
    plain: str = Field(pattern="^[0-9a-f]{16}$")


def open_images(source: ImageSource, form: ImageForm) -> Decoded:
    """The images of a source, decoded if they are not in the cache. Raises ValueError, with their names, if some cannot
    be read, and if sizes differ without a resolution."""
    content = source.content(True)
    assert content is not None
    folder = decoded_folder(content, form)
    made_once(folder, lambda aside: _decode(source, form, aside, folder))
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
    return Decoded(examples, labels, meta.classes, meta.digest, meta.plain)


def _decode(source: ImageSource, form: ImageForm, aside: Path, folder: Path) -> None:
    """Fill the folder aside with images.npy, labels.npy and meta.json; `folder` is where it will be."""
    tell_skipped(source.name, source.skipped)
    images = source.read()
    count = len(images.names)
    log.info("decoding %s images of %s once, into %s", f"{count:,}", printable(source.name), printable(folder))
    reader = _Reader(source.name, images, form)
    readable = ((number, pixels) for number in range(count) if (pixels := reader.decoded(number)) is not None)
    first, sample = next(readable, (0, None))
    if sample is None:
        raise reader.damage()
    shape = sample.shape

    def block(indices: range) -> np.ndarray:  # [n, C, H, W]
        pixels = [reader.decoded(index) for index in indices]
        for index, image in zip(indices, pixels, strict=True):
            if image is not None and image.shape != shape:
                sizes = [f"{width}x{height}" for _, height, width in (shape, image.shape)]
                names = [printable(images.names[number]) for number in (first, index)]
                raise ValueError(
                    f"dataset = {source.name!r}: images differ in size ({names[0]} is {sizes[0]}, {names[1]} is "
                    f"{sizes[1]}); set resolution, the side in pixels to resize them to"
                )
        return np.stack([np.zeros(shape, np.uint8) if image is None else image for image in pixels])

    aside.mkdir()
    labels = np.array(images.labels, dtype=np.int64)
    content = _write(aside / "images.npy", block, (count, *shape), source.name)
    if reader.failed:
        raise reader.damage()
    reader.tell_depth()
    plain = content.copy()
    content.update(labels)
    plain.update(np.zeros_like(labels))
    np.save(aside / "labels.npy", labels)
    digests = {"digest": content.hexdigest()[:16], "plain": plain.hexdigest()[:16]}
    classes = [printable(name) for name in images.classes]  # names of files need not be UTF-8
    write_json(aside / "meta.json", {"source": printable(source.name), "count": count, "classes": classes, **digests})


def _write(path: Path, block: Callable[[range], np.ndarray], shape: tuple[int, ...], name: str) -> Any:
    """Write block(indices) after block as one array, never held as a whole; returns SHA-256 over the pixels. The blocks
    are made in threads, since Pillow lets go of the interpreter's lock."""
    content = hashlib.sha256()
    n = max(1, BLOCK // math.prod(shape[1:]))
    blocks = [range(start, min(start + n, shape[0])) for start in range(0, shape[0], n)]
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool, path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for pixels in told(_ahead(pool, block, blocks, 2 * threads), len(blocks), f"decoding {printable(name)}"):
            heartbeat()
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


class _Reader:
    """Decodes the images of a source one by one, in several threads, and remembers which cannot be read."""

    def __init__(self, name: str, images: Images, form: ImageForm) -> None:
        self.name, self.images, self.form = name, images, form
        self.failed: dict[int, str] = {}  # why, by index
        self.largest: dict[int, int] = {}  # values of 16-bit images, by index
        self.mode = "L" if all(self._tried(index, self._is_grey) is not False for index in range(self.count)) else "RGB"

    @property
    def count(self) -> int:
        return len(self.images.names)

    def decoded(self, index: int) -> np.ndarray | None:
        """[C, H, W] uint8; None if it cannot be read."""
        found: Pixels | None = self._tried(index, lambda image: pixels_of(image, self.mode, self.form))
        if found is None:
            return None
        if found.largest is not None:
            self.largest[index] = found.largest
        return found.values

    def _is_grey(self, image: Image.Image) -> bool:
        return is_grey(image, self.form.background)

    def _tried(self, index: int, function: Callable[[Image.Image], Any]) -> Any:
        """function(image), or None if that cannot be read."""
        try:
            with self.images.open(index) as image:
                return function(image)
        except Exception as error:  # Pillow raises anything
            reason = " ".join(str(error).split())
            if isinstance(error, UnidentifiedImageError):
                reason = "its format is unknown or its head is broken"
            if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
                reason = f"it has more than the {Image.MAX_IMAGE_PIXELS:,} pixels that are allowed"
            self.failed[index] = printable(reason or type(error).__name__)
            return None

    def damage(self) -> ValueError:
        """That some images cannot be read: which, and why."""
        told = sorted(self.failed)[:DAMAGED_TOLD]
        names: dict[str, list[str]] = {}
        for index in told:
            names.setdefault(self.failed[index], []).append(printable(self.images.names[index]))
        each = "; ".join(f"{', '.join(alike)}: {reason}" for reason, alike in names.items())
        more = f"; and {len(self.failed) - len(told):,} more" if len(self.failed) > len(told) else ""
        which = "image" if len(self.failed) == 1 else f"{len(self.failed):,} of {self.count:,} images:"
        return ValueError(f"dataset = {self.name!r}: cannot read {which} {each}{more}")

    def tell_depth(self) -> None:
        """One line if 16-bit images may be of fewer bits. They are not scaled by guess: a dark set looks alike."""
        most = max(self.largest.values(), default=DARK)
        if 0 < most < DARK:
            log.warning(
                "%s: the values of its 16-bit images, %s, reach %s of 65,535: if they are of %d bits, as a camera's or "
                "a scanner's may be, they come out dark, and should be multiplied by %d before",
                printable(self.name), f"{len(self.largest):,} of {self.count:,}", f"{most:,}", most.bit_length(),
                2 ** (16 - most.bit_length()),
            )  # fmt: skip
