"""Where images come from, and by what the cache knows them: their content, whatever their path. Imports no torch."""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from trainers.files import cache_folder, digest_of, key_of, write_atomically
from trainers.names import ImageForm, data_source
from trainers.user_code import load_object

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")
FORMAT = 2  # of decoded images in the cache; another number makes all anew
TELL_EVERY = 10.0  # seconds between two lines on how far a long work is
log = logging.getLogger(__name__)


class Images(NamedTuple):
    """Images that can be opened, in their order."""

    names: list[str]
    labels: list[int]
    classes: list[str]  # none: the images are not labelled
    open: Callable[[int], Image]


class ImageSource(NamedTuple):
    """Where images come from."""

    name: str  # as in Config.dataset
    content: Callable[[bool], str | None]  # names what the files hold; with False only if that needs no reading of all
    read: Callable[[], Images]  # asked only when the images are to be decoded
    skipped: Mapping[str, int] = {}  # what lies among them and is no image, by kind


def told(items: Iterable[T], total: int, doing: str) -> Iterator[T]:
    """The items, with a line every ten seconds on how far their consumer is."""
    next_line = time.monotonic() + TELL_EVERY
    for done, item in enumerate(items):
        if time.monotonic() > next_line:
            log.info("%s: %.0f%%", doing, 100 * done / total)
            next_line = time.monotonic() + TELL_EVERY
        yield item


def content_of_files(name: str, root: Path, files: list[str], stamps: list[list[int]], read: bool) -> str | None:
    """The name of what files below a folder hold, as `content_of` gives it, from the cache where that has seen these
    very files. Others are read: always if `read`, else only if the cache knows files of these names and sizes, as after
    a copy. `stamps` has a size first, then what changes whenever a file is written or replaced."""
    sizes = [size for size, *_ in stamps]
    seen, alike = (_listing(kind, files, values) for kind, values in (("files", stamps), ("sizes", sizes)))
    with suppress(OSError):
        return seen.read_text()
    if not read and not alike.exists():
        return None

    def checksum(file: str) -> int:
        value = 0
        with (root / file).open("rb") as stream:
            while block := stream.read(2**20):
                value = zlib.crc32(block, value)
        return value

    with ThreadPoolExecutor() as pool:  # which Python lets go on while it reads and sums
        sums = list(told(pool.map(checksum, files), len(files), f"reading the images of {name}"))
    content = content_of(files, sizes, sums)
    with suppress(OSError):  # it is asked again then
        seen.parent.mkdir(parents=True, exist_ok=True)
        for path in (seen, alike):
            write_atomically(path, lambda file: file.write(content.encode()))
    return content


def _listing(kind: str, files: list[str], values: list[Any]) -> Path:
    return cache_folder() / "listings" / key_of(kind, files, values)


def content_of(files: Iterable[str], sizes: Iterable[int], checksums: Iterable[int]) -> str:
    """The name of what files hold, by their names in the set, sizes in bytes and CRC-32, which a zip knows of its
    members: a folder and a zip of it are alike."""
    return key_of(list(zip(files, sizes, checksums, strict=True)))


def decoded_folder(content: str, form: ImageForm) -> Path:
    """Where the cache keeps these images, decoded."""
    return cache_folder() / "images" / key_of(FORMAT, content, *form)


def unreadable(dataset: str) -> str:
    """Why image files at a path cannot be used, as far as their names tell; "" if they can."""
    try:
        load_object(data_source(dataset).build)(dataset)
    except ValueError as error:
        return str(error)
    return ""


def known_digest(dataset: str, form: ImageForm, labelled: bool) -> str | None:
    """The digest of image files at a path, as Dataset.digest, with their labels or without, if the cache has them
    decoded; None where it does not, or they cannot be read."""
    digests = [str(digest) for (digest,) in _known(dataset, form, "digest" if labelled else "plain")]
    return digest_of(digests) if digests else None


def known_images(dataset: str, form: ImageForm) -> str:
    """How many images there are at a path, and of how many classes, in words; "" where the cache does not tell."""
    counts = [(int(count), len(classes)) for count, classes in _known(dataset, form, "count", "classes")]
    return ", ".join(f"{count:,} images{f' of {classes:,} classes' * (classes > 1)}" for count, classes in counts)


def _known(dataset: str, form: ImageForm, *facts: str) -> list[list[Any]]:
    """What the cache knows of each part of image files at a path, by these names; nothing where some are not decoded or
    cannot be read."""
    metas = []
    try:
        found = load_object(data_source(dataset).build)(dataset)
        for source in found if isinstance(found, list) else [found]:
            if (content := source.content(False)) is None:
                return []
            meta = json.loads((decoded_folder(content, form) / "meta.json").read_bytes())
            metas.append([meta[fact] for fact in facts])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return metas


def without_labels(digest: str) -> str | None:
    """The digest without labels of the images whose digest with labels this is, if the cache has them decoded. Versions
    before 0.3 told images of class folders by their labels too, where no network saw these."""
    for path in (cache_folder() / "images").glob("*/meta.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            meta = json.loads(path.read_bytes())
            if meta["digest"] == digest:
                return str(meta["plain"])
    return None
