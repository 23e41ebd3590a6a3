"""Image files of a user's own: a folder, a zip, or a pair of folders for training and two for testing."""

import errno
import io
import os
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from PIL import Image

from trainers.data.sources import Images, ImageSource, content_of, content_of_files

UNREADABLE = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # formats that Pillow cannot decode by itself
MAX_BYTES = 2**28  # of an image file in a zip: a few bytes there can claim to be gigabytes


def from_folder(name: str) -> ImageSource:
    """`folder:PATH`: the images below PATH; folders at its top are classes (those of FFHQ too, harmless where networks
    are not conditional). Raises ValueError if there are none."""
    root = _path(name)
    try:
        found = sorted(_below(root))
        stamps = [_stamp(f"{root}/{image}") for image in found]
    except (OSError, ValueError) as error:
        raise ValueError(f"dataset = {name!r}: cannot read the folder: {error}") from None
    _require_some(name, found)

    def content(read: bool) -> str | None:
        try:
            return content_of_files(name, root, found, stamps, read)
        except OSError as error:
            raise ValueError(f"dataset = {name!r}: cannot read the folder: {error}") from None

    return ImageSource(name, content, lambda: _labelled(name, found, lambda index: _open(f"{root}/{found[index]}")))


def from_zip(name: str) -> ImageSource:
    """`zip:PATH`: the images in an archive; folders at its top are classes, but for a single one around everything, as
    `zip -r photos.zip photos` makes it, which counts as the top. Raises ValueError if there are none."""
    path = _path(name)
    try:
        _stamp(str(path))  # no pipe
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a damaged one raises anything
        raise ValueError(f"dataset = {name!r}: cannot read the zip: {error}") from None
    entries = {entry.filename: entry for entry in archive.infolist() if _is_image(entry.filename)}
    _require_some(name, entries)
    found = sorted(entries)
    top = {image.partition("/")[0] + "/" for image in found}
    around = top.pop() if len(top) == 1 and all("/" in image for image in found) else ""

    def opened(index: int) -> Image.Image:
        entry = entries[found[index]]
        if entry.file_size > MAX_BYTES:  # more than that is never unpacked
            raise ValueError(f"it has {entry.file_size:,} bytes; at most {MAX_BYTES:,} are read")
        return _open(io.BytesIO(archive.read(entry)))

    names = [image.removeprefix(around) for image in found]
    content = content_of(names, *zip(*((entries[image].file_size, entries[image].CRC) for image in found), strict=True))
    return ImageSource(name, lambda _: content, lambda: _labelled(name, names, opened))


def from_pair(name: str) -> list[ImageSource]:
    """`pair:PATH`: the folders trainA, trainB, testA and testB of PATH, as CycleGAN's. Raises ValueError."""
    path = Path(name.partition(":")[2])
    return [from_folder(f"pair:{path / part}") for part in ("trainA", "trainB", "testA", "testB")]


def _path(name: str) -> Path:
    """PATH of `folder:PATH` or `zip:PATH`. Raises ValueError for the home of a user that does not exist."""
    try:
        return Path(name.partition(":")[2]).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"dataset = {name!r}: {error}") from None


def _open(file: str | io.BytesIO) -> Image.Image:
    """An image, whatever its name says, of a format that Pillow decodes by itself: it runs Ghostscript for others."""
    return Image.open(file, formats=_formats())


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


def _stamp(path: str) -> list[int]:
    """Size in bytes of a file, its times of change in ns and its number on the disk, which no other file has at these
    times. Raises OSError for pipes and devices, which have no end."""
    held = os.stat(path)  # noqa: PTH116 - a Path for each of 60,000 files takes as long as all else
    if not stat.S_ISREG(held.st_mode):
        raise OSError(errno.EINVAL, "this is no regular file", path)
    return [held.st_size, held.st_mtime_ns, held.st_ctime_ns, held.st_ino]


def _require_some(name: str, found: Iterable[str]) -> None:
    if not found:
        raise ValueError(
            f"dataset = {name!r}: there is no image in it; .png, .jpg, .webp, .gif, .bmp and other files that Pillow "
            f"reads are images"
        )


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
