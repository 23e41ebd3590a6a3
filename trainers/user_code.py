"""A user's own code, named `module:object`: found, and guarded so that its exceptions are sentences."""

from __future__ import annotations

import importlib
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any


def resolve(table: dict[str, str], name: str, kind: type = object) -> Any:
    """The object that a name of a table, or `module:object`, stands for.

    Raises ValueError if there is none such, or its module raises anything while it is imported.
    """
    path = table.get(name, name)
    module, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # a script run by its import may end in sys.exit
        raise ValueError(f"cannot load {path!r}: {told(error)}") from None
    if not isinstance(found, kind):
        raise ValueError(f"{path!r} should be a {kind.__name__}, not a {type(found).__name__}")
    return found


def made_by(field: str, table: dict[str, str], name: str, kind: type) -> Any:
    """What the function that a name stands for, as a Config field's value, returns.

    Raises ValueError if that is not of the kind, or the function is a user's own and raises.
    """
    function = resolve(table, name, FunctionType)
    with users_code(field, name, table):
        made = function()
    if not isinstance(made, kind):
        raise ValueError(f"{table.get(name, name)!r} should return a {kind.__name__}, not a {type(made).__name__}")
    return made


@contextmanager
def users_code(field: str, name: str, table: Iterable[str]) -> Iterator[None]:
    """Within it an exception of a user's own `module:object` becomes a ValueError of one sentence that tells where it
    arose; what the names of the table raise passes as it is."""
    try:
        yield
    except Exception as error:
        if name in table:
            raise
        raise ValueError(f"{field} {name!r} raised {told(error)}") from error


def told(error: BaseException) -> str:
    """Type and text of an exception in one line, with the file and line of the user's code it comes from, if any."""
    text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    places = [f" ({_short(file)}, line {line})" for file, line in frames if is_users(file)]
    return type(error).__name__ + (f": {text}" if text else "") + (places[-1] if places else "")


def is_users(file: str) -> bool:
    """Whether a frame's file is neither Python's, nor an installed package's, nor ours."""
    homes = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    ours = Path(__file__).parent.parent
    homes += [ours / part for part in ("trainers", "spaces", "search", "reports", "ganablate.py")]
    return not file.startswith("<") and not any(Path(file).is_relative_to(home) for home in homes)


def _short(file: str) -> str:
    """A path as seen from the working directory, if it lies below it."""
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
