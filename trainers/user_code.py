"""All that is known of a user's own code: `module:object` names and files, loaded, called, guarded, digested.

Whatever it raises becomes a ValueError of one sentence that says where.
"""

import hashlib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from pydantic import ValidationError, validate_call

from trainers.messages import as_seen, first_error
from trainers.namesakes import HOME, PACKAGES, namesake

_FILES: set[Path] = set()  # of the user's that this process ran


def user_modules(config: Any) -> list[str]:
    """The `module:object` names of the user's own in a Config."""
    names = {config.backbone, config.loss, config.features, *config.penalty_d, *config.penalty_g}
    names |= set() if config.is_at_path else {config.dataset}
    return sorted(name for name in names if ":" in name)


def load_object(path: str, kind: type = object) -> Any:
    """The object `module:object`. Raises ValueError if there is none, or its module raises anything while it is
    imported."""
    module, _, attribute = path.partition(":")
    try:
        loaded = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # a script run by its import may end in sys.exit
        raise ValueError(f"cannot load {path!r}: {describe(error)}") from None
    if not isinstance(loaded, kind):
        raise ValueError(f"{path!r} should be a {kind.__name__}, not a {type(loaded).__name__}")
    return loaded


def resolve(table: Mapping[str, Any], name: str, kind: type = object) -> Any:
    """The object that a name stands for: `build` of its row in a table of trainers.names, else `module:object`.
    Raises ValueError as load_object."""
    return load_object(_path(table, name), kind)


def built_by(
    field: str, table: Mapping[str, Any], name: str, kind: type, options: Mapping[str, Any] | None = None
) -> Any:
    """What the function that a name stands for, as a Config field's value, returns. Raises ValueError if that is not of
    the kind, the function is a user's own and raises, or it does not take the options."""
    function = guard_user_code(field, name, table)(resolve(table, name, FunctionType))
    made = called(field, table, name, options) if options else function()
    if not isinstance(made, kind):
        raise ValueError(f"{_path(table, name)!r} should return a {kind.__name__}, not a {type(made).__name__}")
    return made


def called(field: str, table: Mapping[str, Any], name: str, options: Mapping[str, Any], *given: Any) -> Any:
    """What the function that a name stands for makes of what it is given and its options, which are checked against its
    signature, types strictly. Raises ValueError for options that it does not take, and if it is a user's and raises."""
    function = resolve(table, name, FunctionType)
    allowed = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    guarded = guard_user_code(field, name, table)(function)
    try:
        return validate_call(config={"arbitrary_types_allowed": True, "strict": True})(guarded)(*given, **options)
    except ValidationError as error:
        raise ValueError(f"{field}_options of {name!r}: {first_error(error, allowed)}") from None


def _path(table: Mapping[str, Any], name: str) -> str:
    return str(table[name].build) if name in table else name


@contextmanager
def guard_user_code(field: str, name: str, table: Iterable[str]) -> Iterator[None]:
    """Within it an exception of a user's own `module:object` becomes a ValueError of one sentence that tells where it
    arose; what the names of the table raise passes as it is."""
    try:
        yield
    except Exception as error:
        if name in table:
            raise
        raise ValueError(f"{field} {name!r} raised {describe(error)}") from error


def describe(error: BaseException) -> str:
    """Type and text of an exception in one line, with the file and line of the user's code it comes from, if any, and a
    module of the user's that ours was found in place of."""
    text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    places = [f" ({as_seen(Path(file))}, line {line})" for file, line in frames if is_users(file)]
    if isinstance(error, ImportError):
        looked_for = error.name or ""
    else:  # of a module that has no such attribute
        looked_for = getattr(getattr(error, "obj", None), "__name__", "")
    return type(error).__name__ + (f": {text}" if text else "") + "".join(places[-1:]) + namesake(str(looked_for))


def is_users(file: str) -> bool:
    """Whether a frame's file is neither Python's, nor an installed package's, nor ours."""
    homes = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    homes += [HOME / part for part in (*PACKAGES, "ganablate")]
    return not file.startswith("<") and not any(Path(file).is_relative_to(home) for home in homes)


def own_code_digest(config: Any) -> str:
    """`code_digest` of the user's own names in a Config, "" if there are none."""
    names = user_modules(config)
    return code_digest(names) if names else ""


def code_digest(names: Iterable[str]) -> str:
    """16 hex digits of SHA-256 over the files of `module:object` names, in their order; what these import is not seen.
    Raises ValueError if there is no such module."""
    content = hashlib.sha256()
    for name in names:
        file = Path(module_spec(name).origin or "")
        content.update(file.read_bytes() if file.is_file() else b"")
    return content.hexdigest()[:16]


def module_file(name: str) -> str:
    """The file, or the folder of the package, that a `module:object` comes from: what another machine needs of it."""
    spec = module_spec(name.partition(":")[0].partition(".")[0])
    places = list(spec.submodule_search_locations or [])
    return str(Path(places[0] if places else str(spec.origin)).resolve())


def module_spec(path: str) -> ModuleSpec:
    """Where the module of `module:object` lies, found without importing it or the packages around it. Raises ValueError
    if there is none."""
    first, *rest = path.partition(":")[0].split(".")
    whole = first
    try:
        spec = importlib.util.find_spec(first)
        for part in rest:
            whole = f"{whole}.{part}"
            spec = PathFinder.find_spec(whole, spec.submodule_search_locations or []) if spec else None
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise ValueError(f"cannot load {path!r}: ModuleNotFoundError: No module named {whole!r}{namesake(whole)}")
    return spec


def has_run_files() -> bool:
    """Whether this process ran a file of the user's, which may have changed anything that our code uses."""
    return bool(_FILES)


def find_beside(path: Path) -> None:
    """Have modules in the folder of a user's file found, after ours."""
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)


def load_file(path: Path) -> ModuleType:
    """Run a user's file. Its folder is where it finds modules of its own, after ours. Raises ValueError, with the line,
    for whatever goes wrong in it."""
    if not path.is_file():
        raise ValueError(f"file {path} does not exist")
    find_beside(path)
    spec = importlib.util.spec_from_file_location(f"ganablate_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses and the like look for it
    _FILES.add(path)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{path}: {describe(error).removeprefix('ValueError: ')}") from None
    return module
