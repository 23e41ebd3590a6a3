"""Words for users: names to choose from, the first mistake of an input, text safe to print, names of files."""

import difflib
import hashlib
import io
import os
import re
import reprlib
import sys
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

SHORTLY = reprlib.Repr()  # how a value is written in a sentence: cut where it is long or deep
SHORTLY.maxstring = SHORTLY.maxother = 200
MOST_BYTES = 140  # of a file's name that a title gives: systems allow 255, encrypted ones 143


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """A clause that tells which names are allowed, the nearest to `name` first."""
    names = sorted(allowed)
    nearest = difflib.get_close_matches(name, names, n=1)
    return (f"did you mean {nearest[0]!r}? " if nearest else "") + "allowed: " + (", ".join(names) or "none")


def spare_letters() -> None:
    """Have letters of a title or a table that a terminal lacks shown as others, where print would raise."""
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def first_error(error: ValidationError, allowed: Iterable[str] = ()) -> str:
    """The first mistake of a pydantic error as one sentence: field, value, what is allowed."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown field {field!r}; {did_you_mean(field, allowed)}"
    if first["type"] == "missing":
        return f"{field} is missing"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{field} = {SHORTLY.repr(first['input'])}: {message}" if field else message


def printable(value: object) -> str:
    """A text in one line: each white space a space, other characters that print nothing, or drive a terminal, as Python
    would write them."""
    return "".join(" " if c.isspace() else c if c.isprintable() else ascii(c)[1:-1] for c in str(value))


def as_seen(path: Path) -> Path:
    """A path as seen from the working directory, if it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def counted(count: int, one: str, many: str = "") -> str:
    """So many things in words: `1 run`, `2 runs`, or with another word for many."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def clock(seconds: float) -> str:
    """A duration as h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def file_name(title: str) -> str:
    """A title as the name of a file or folder: itself where it can be one, else what can, with a digest that no other
    title has."""
    name = "".join(c if c.isprintable() and c != "/" else "_" for c in title)
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # of letters that this machine's names cannot have
        name = re.sub(r"[^ -~]", "_", name)
    name = re.sub(r"^\.+", "_", name).strip()
    is_short = 0 < len(name.encode()) <= MOST_BYTES
    return name if name == title and is_short else _with_digest(name, title)


def plain_name(title: str) -> str:
    """The same of ASCII letters, digits, `_`, `.` and `-` alone, with `-` for spaces."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", title)
    return name if name == title.replace(" ", "-") and len(name) <= MOST_BYTES else _with_digest(name, title)


def _with_digest(name: str, title: str) -> str:
    short = name.encode()[: MOST_BYTES - 9].decode(errors="ignore").rstrip(" -")
    return f"{short}-{hashlib.sha256(title.encode(errors='surrogatepass')).hexdigest()[:8]}"
