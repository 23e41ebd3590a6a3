"""Which driver makes a run: a lock file for each (cell, seed), freed by the kernel when its holder dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class Claims:
    """The runs that this process has claimed under a storage folder; hold it for as long as they are being made."""

    def __init__(self, storage: Path) -> None:
        self.folder = storage / "locks"
        self._held: dict[str, BinaryIO] = {}

    def claim(self, cell_key: str, seed: int) -> bool:
        """Whether the run is ours now; False while another process holds it."""
        name = f"{cell_key}-{seed}"
        if name in self._held:
            return True
        self.folder.mkdir(parents=True, exist_ok=True)
        file = (self.folder / name).open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._held[name] = file
        return True

    def holds(self, cell_key: str, seed: int) -> bool:
        """Whether the run is ours."""
        return f"{cell_key}-{seed}" in self._held

    def release(self) -> None:
        """Free all of them."""
        for file in self._held.values():
            file.close()
        self._held.clear()


def is_claimed(storage: Path, cell_key: str, seed: int) -> bool:
    """Whether a living process holds the run."""
    path = storage / "locks" / f"{cell_key}-{seed}"
    if not path.exists():
        return False
    with path.open("rb") as file:
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
