"""Image files of a user's own: a folder, a zip, or a pair of folders for training and two for testing."""

import errno
import io
import os
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from PIL import Image

from trainers.data.layouts import LABELS, by_file, by_folders, formats, kind_skipped, sorted_out, tell_skipped
from trainers.data.sources import Images, ImageSource, content_of, content_of_files

MAX_BYTES = 2**28  # of an image file in a zip: a few bytes there can claim to be gigabytes


def from_folder(name: str) -> ImageSource:
    """`folder:PATH`: the images below PATH, labelled by its dataset.json or else by the folders at its top (those of
    FFHQ too, harmless where networks are not conditional). Raises ValueError if there are none."""
    root = _path(name)
    try:
        found, skipped = sorted_out(_below(root))
        stamps = [_stamp(f"{root}/{image}") for image in found]
    except (OSError, ValueError) as error:
        raise ValueError(f"dataset = {name!r}: cannot read the folder: {error}") from None
    _require_some(name, found)

    def content(read: bool) -> str | None:
        try:
            return content_of_files(name, root, found, stamps, read)
        except OSError as error:
            raise ValueError(f"dataset = {name!r}: cannot read the folder: {error}") from None

    def read() -> Images:
        return _labelled(name, found, lambda image: _open(f"{root}/{image}"), lambda: (root / LABELS).read_bytes())

    return ImageSource(name, content, read, skipped)


def from_zip(name: str) -> ImageSource:
    """`zip:PATH`: the images in an archive, labelled as those of a folder. A single folder around everything, as
    `zip -r photos.zip photos` makes it, counts as the top. Raises ValueError if there are none."""
    path = _path(name)
    try:
        _stamp(str(path))  # no pipe
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a damaged one raises anything
        raise ValueError(f"dataset = {name!r}: cannot read the zip: {error}") from None
    members = {_member(entry.filename): entry for entry in archive.infolist()}
    around = _around(members)
    entries = {file.removeprefix(around): entry for file, entry in members.items() if not file.endswith("/")}
    found, skipped = sorted_out(entries)
    _require_some(name, found)

    def unpacked(file: str) -> bytes:
        if entries[file].file_size > MAX_BYTES:  # more than that is never unpacked
            raise ValueError(f"it has {entries[file].file_size:,} bytes; at most {MAX_BYTES:,} are read")
        return archive.read(entries[file])

    def opened(image: str) -> Image.Image:
        return _open(io.BytesIO(unpacked(image)))

    def read() -> Images:
        return _labelled(name, found, opened, lambda: unpacked(LABELS), around)

    content = content_of(found, *zip(*((entries[file].file_size, entries[file].CRC) for file in found), strict=True))
    return ImageSource(name, lambda _: content, read, skipped)


def _member(name: str) -> str:
    """The path of a zip's member with slashes, whatever tool wrote it: Windows' have backslashes."""
    parts = name.replace("\\", "/").split("/")
    return "/".join([part for part in parts[:-1] if part not in ("", ".")] + parts[-1:])


def _around(members: Iterable[str]) -> str:
    """The only folder at the top of a zip in which images are, with its slash; "" if images or labels lie elsewhere."""
    found, _ = sorted_out(members)
    top = {file.partition("/")[0] + "/" for file in found}
    return top.pop() if len(top) == 1 and all("/" in file for file in found) else ""


def plain_images(folder: Path) -> tuple[list[str], Callable[[str], Image.Image]]:
    """The images below a folder, whatever labels them, in order: their paths in it, and what opens one. Raises
    ValueError if there are none."""
    root = _path(f"folder:{folder}")
    try:
        found, skipped = sorted_out(_below(root))
    except OSError as error:
        raise ValueError(f"cannot read the folder {folder}: {error.strerror}") from None
    images = [file for file in found if file != LABELS]
    if not images:
        raise ValueError(f"there is no image in {folder}")
    tell_skipped(str(folder), skipped)
    return images, lambda image: _open(f"{root}/{image}")


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
    return Image.open(file, formats=formats())


def _below(root: Path) -> Iterator[str]:
    """Paths of the files below a folder, relative to it, with slashes; folders to be skipped are not looked into, and
    come themselves. Raises OSError."""

    def stop(error: OSError) -> None:
        raise error

    seen: set[str] = set()  # a link may lead back up
    for folder, inner, files in os.walk(root, onerror=stop, followlinks=True):
        if os.path.realpath(folder) in seen:
            inner.clear()
            continue
        seen.add(os.path.realpath(folder))
        prefix = "" if folder == str(root) else Path(folder).relative_to(root).as_posix() + "/"
        skipped = [name for name in inner if kind_skipped(name)]
        inner[:] = [name for name in inner if name not in skipped]
        yield from (prefix + name for name in (*files, *skipped))


def _stamp(path: str) -> list[int]:
    """Size in bytes of a file, its times of change in ns and its number on the disk, which no other file has at these
    times. Raises OSError for pipes and devices, which have no end."""
    held = os.stat(path)  # noqa: PTH116 - a Path for each of 60,000 files takes as long as all else
    if not stat.S_ISREG(held.st_mode):
        raise OSError(errno.EINVAL, "this is no regular file", path)
    return [held.st_size, held.st_mtime_ns, held.st_ctime_ns, held.st_ino]


def _require_some(name: str, found: Iterable[str]) -> None:
    if not set(found) - {LABELS}:
        raise ValueError(
            f"dataset = {name!r}: there is no image in it; .png, .jpg, .webp, .gif, .bmp and other files that Pillow "
            f"reads are images"
        )


def _labelled(
    name: str, found: list[str], opened: Callable[[str], Image.Image], labels: Callable[[], bytes], around: str = ""
) -> Images:
    """Images with the labels that dataset.json, or else their folders, give. Raises ValueError."""
    images = [file for file in found if file != LABELS]
    if len(images) == len(found):
        numbers, classes = by_folders(name, images, around)
        return Images(images, numbers, classes, lambda index: opened(images[index]))
    try:
        content = labels()
    except Exception as error:  # a damaged zip raises anything
        raise ValueError(f"dataset = {name!r}: cannot read its {LABELS}: {error}") from None
    return Images(images, *by_file(name, images, content), lambda index: opened(images[index]))
