"""Words for users: names to choose from, the first mistake of an input, text that is safe to print."""

import difflib
import reprlib
from collections.abc import Iterable

from pydantic import ValidationError

SHORTLY = reprlib.Repr()  # how a value is written in a sentence: cut where it is long or deep
SHORTLY.maxstring = SHORTLY.maxother = 200


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """A clause that tells which names are allowed, the nearest to `name` first."""
    names = sorted(allowed)
    nearest = difflib.get_close_matches(name, names, n=1)
    return (f"did you mean {nearest[0]!r}? " if nearest else "") + "allowed: " + ", ".join(names)


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
