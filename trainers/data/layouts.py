"""How people lay out image files: what among them is no image, and what labels the images. Imports no torch."""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from functools import cache

from PIL import Image

from trainers.messages import SHORTLY, printable

LABELS = "dataset.json"  # of StyleGAN's dataset tool, beside what it labels
MOST_CLASSES = 1_000_000  # a number of a class is less
UNREADABLE = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # formats that Pillow cannot decode by itself
SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing")  # the first ones are for training
THUMBNAILS = {"@eadir", "@__thumb", ".@__thumb", ".thumbnails", ".thumb", ".picasaoriginals"}
THUMBNAIL = ("synophoto_thumb", "synofile_thumb", "synovideo_")  # how names of thumbnails begin
SYSTEM = {"__macosx", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "lost+found"}
SYSTEM |= {"system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini"}
KINDS_TOLD = 10  # of what is skipped
log = logging.getLogger(__name__)


@cache
def formats() -> tuple[str, ...]:
    """What Pillow decodes by itself."""
    Image.init()
    return tuple(sorted(set(Image.OPEN) - UNREADABLE))


@cache
def _extensions() -> frozenset[str]:
    kinds = Image.registered_extensions().items()
    return frozenset(extension for extension, kind in kinds if kind in formats())


def kind_skipped(name: str) -> str:
    """What a file or folder of this name is, if it is no image and holds none of the user's; else ""."""
    lower = name.lower()
    if lower in THUMBNAILS or lower.startswith(THUMBNAIL):
        return "thumbnails"
    if lower in SYSTEM:
        return "files of the system"
    return "hidden files" if name.startswith(".") else ""


def sorted_out(paths: Iterable[str]) -> tuple[list[str], dict[str, int]]:
    """The images among paths with slashes and LABELS at the top, in order, and what else there is, by kind: a folder
    that is skipped counts as one."""
    found, others, skipped = [], dict[str, int](), dict[str, str]()
    for path in paths:
        parts = path.split("/")
        kinds = [kind_skipped(part) for part in parts]
        if any(kinds):
            first = next(index for index, kind in enumerate(kinds) if kind)
            skipped["/".join(parts[: first + 1])] = kinds[first]
            continue
        extension = os.path.splitext(path)[1].lower()  # noqa: PTH122 - half the time of a Path
        if extension in _extensions() or path == LABELS:
            found.append(path)
        else:
            kind = f"{extension} files" if extension else "files without an extension"
            others[kind] = others.get(kind, 0) + 1
    for kind in skipped.values():
        others[kind] = others.get(kind, 0) + 1
    return sorted(found), others


def tell_skipped(name: str, skipped: Mapping[str, int]) -> None:
    """One line on what was skipped."""
    if skipped:
        log.info("skipped in %s: %s", printable(name), printable(in_words(skipped)))


def in_words(counts: Mapping[str, int]) -> str:
    """Kinds of files with their numbers, the most frequent first."""
    kinds = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    more = [f"other files ({sum(count for _, count in kinds[KINDS_TOLD:]):,})"] if kinds[KINDS_TOLD:] else []
    return ", ".join([*(f"{kind} ({count:,})" for kind, count in kinds[:KINDS_TOLD]), *more])


def by_file(name: str, images: list[str], content: bytes) -> tuple[list[int], list[str]]:
    """Labels and classes as LABELS says. Raises ValueError where it does not fit the images."""
    where = f"dataset = {name!r}: its {LABELS}"
    try:
        held = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} holds no JSON: {error}") from None
    if not isinstance(held, dict):
        raise ValueError(f"{where} should hold an object with labels, not {type(held).__name__}")
    pairs = held.get("labels")
    if pairs is None:
        log.info("%s has a %s without labels, so its images are of one class", printable(name), LABELS)
        return [0] * len(images), []
    try:
        given = {path.replace("\\", "/"): label for path, label in pairs}
    except (TypeError, ValueError, AttributeError):
        raise ValueError(
            f'{where} should have labels as [["00000/img00000000.png", 3], ...], not {SHORTLY.repr(pairs)}'
        ) from None
    for path, label in given.items():
        if type(label) is not int or not 0 <= label < MOST_CLASSES:
            raise ValueError(
                f"{where} gives {path!r} the label {SHORTLY.repr(label)}; a label is a whole number from 0 to "
                f"{MOST_CLASSES - 1:,}"
            )
    for lacking, fault in (
        (set(images) - given.keys(), "gives no label to"),
        (given.keys() - set(images), "labels what is no image there:"),
    ):
        if lacking:
            more = f" and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
            raise ValueError(f"{where} {fault} {min(lacking)!r}{more}")
    labels = [given[image] for image in images]
    return labels, [str(number) for number in range(max(labels) + 1)]


def by_folders(name: str, images: list[str], around: str) -> tuple[list[int], list[str]]:
    """Labels and classes as the folders at the top give them; `around` is the folder within a zip that is its top.
    Raises ValueError if only some images have one, and for folders that are splits."""
    outside = [image for image in images if "/" not in image]
    if len(outside) == len(images):
        return [0] * len(images), []
    folders = [image.partition("/")[0] for image in images]
    classes = sorted(set(folders))
    _refuse_splits(name, images, classes, around)
    if outside:
        lie = "1 image lies" if len(outside) == 1 else f"{len(outside):,} images lie"
        raise ValueError(
            f"dataset = {name!r}: labels missing: {lie} outside the class folders, the first is {printable(outside[0])}"
        )
    numbers = {folder: number for number, folder in enumerate(classes)}
    return [numbers[folder] for folder in folders], classes


def _refuse_splits(name: str, images: list[str], folders: list[str], around: str) -> None:
    """Raise ValueError if the folders at the top are parts for training and testing: several such, or a single one with
    folders in it and none beside it. A class may be called train."""
    splits = sorted((folder for folder in folders if folder.lower() in SPLITS), key=lambda f: SPLITS.index(f.lower()))
    alone = set(splits) == set(folders) and any(image.count("/") > 1 for image in images)
    if len(splits) > 1 or (splits and alone):
        kind, _, path = name.partition(":")
        whole = f"{path.rstrip('/')}/" if kind != "zip" else around
        unpacked = "unpack it and " if kind == "zip" else ""
        raise ValueError(
            f"dataset = {name!r}: {', '.join(splits)} at its top {'is a split' if len(splits) == 1 else 'are splits'} "
            f"of a data set and no class; {unpacked}use one alone, as dataset=folder:{whole}{splits[0]}"
        )
