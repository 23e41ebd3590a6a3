"""Which driver makes a run: a lock file for each (cell, seed), freed by the kernel when its holder dies.

Who releases a lock takes the file away, so that the folder holds those of living drivers, and of those that died.
"""

from __future__ import annotations

import fcntl
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

OPEN_FILES = 2**16  # a claimed run is one, and the usual bound of 1,024 is less than a large study has
TRIES = 5  # tries at a lock, since `is_held` of another process has it for a moment


class Claims:
    """The runs that this process has claimed under a storage folder; hold it for as long as they are being made."""

    def __init__(self, storage: Path) -> None:
        self.folder = storage / "locks"
        self._held: dict[str, BinaryIO] = {}
        few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(few, min(most, OPEN_FILES)), most))

    def claim(self, cell_key: str, seed: int) -> bool:
        """Whether the run is ours now; False while another process holds it."""
        name = f"{cell_key}-{seed}"
        if name in self._held:
            return True
        self.folder.mkdir(parents=True, exist_ok=True)
        file = _lock(self.folder / name)
        if file is None:
            return False
        self._held[name] = file
        return True

    def holds(self, cell_key: str, seed: int) -> bool:
        """Whether the run is ours."""
        return f"{cell_key}-{seed}" in self._held

    def release(self) -> None:
        """Free all of them."""
        for name, file in self._held.items():
            (self.folder / name).unlink(missing_ok=True)
            file.close()
        self._held.clear()


def _lock(path: Path) -> BinaryIO | None:
    """The file, made if need be and locked; None while another process holds it."""
    for _ in range(TRIES):
        file = path.open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        except FileNotFoundError:
            pass  # who held it took the file away meanwhile
        except BlockingIOError:
            time.sleep(0.02)
        file.close()
    return None


def is_claimed(storage: Path, cell_key: str, seed: int) -> bool:
    """Whether a living process holds the run."""
    return is_held(storage / "locks" / f"{cell_key}-{seed}")


def is_held(path: Path) -> bool:
    """Whether a living process holds a lock file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def exclusive(storage: Path) -> Iterator[None]:
    """Hold the store's own lock for a moment, waiting for whoever has it."""
    (storage / "locks").mkdir(parents=True, exist_ok=True)
    with (storage / "locks" / "store").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
