"""The cache folder: what is slow to make is made once, however many processes ask for it at once."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """The environment variable GANABLATE_CACHE, else `runs/cache` below the working directory."""
    return Path(os.environ.get("GANABLATE_CACHE") or Path("runs", "cache")).absolute()


def key_of(*parts: Any) -> str:
    """16 hex digits of SHA-256 over plain values: the name of what depends on these alone."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def made_once(path: Path, make: Callable[[Path], None]) -> Path:
    """The path, a file or folder of the cache, made by make(aside) and renamed, unless it is there.

    Of processes that ask at once, on one machine or file system, one makes it and the others wait. Nothing is left
    behind if `make` raises. Raises ValueError if the cache folder cannot be written.
    """
    if path.exists():
        return path
    aside = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_name(path.name + ".lock")):
            if not path.exists():
                _remove(aside)  # of a process that was killed
                try:
                    make(aside)
                    aside.rename(path)
                finally:
                    _remove(aside)
    except OSError as error:
        raise ValueError(
            f"cannot write to the cache folder {path.parent}: {error}; the environment variable GANABLATE_CACHE "
            f"names another"
        ) from error
    return path


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Within it whatever a damaged file or folder of the cache raises becomes a ValueError that says what to do."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"{path} in the cache folder is damaged ({type(error).__name__}: {error}); remove it, and it is made anew"
        ) from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file, which the kernel frees when a process dies, and which goes away with the lock."""
    while True:
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is(path, file.fileno()):
                continue  # who held it before took the file away meanwhile
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
