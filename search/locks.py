"""Which driver makes a run: a lock file for each (cell, seed), freed by the kernel when its process dies.

Who releases a lock removes the file: the folder has the files of drivers that live, and of those that died.
"""

import fcntl
import os
import resource
import time
from pathlib import Path
from typing import BinaryIO, Self

OPEN_FILES = 2**16  # a locked run is one, and the usual bound of 1,024 is less than a large study has
TRIES = 5  # tries at a lock, since `is_locked` of another process has it for a moment


class RunLocks:
    """The runs that this process has locked under a storage folder; as a context it frees them at its end."""

    def __init__(self, storage: Path) -> None:
        self.folder = storage / "locks"
        self._files: dict[str, BinaryIO] = {}
        few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(few, min(most, OPEN_FILES)), most))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self, cell_key: str, seed: int) -> bool:
        """Whether the run is ours now; False while another process has it."""
        name = f"{cell_key}-{seed}"
        if name not in self._files and (file := _try_lock(self.folder / name)):
            self._files[name] = file
        return name in self._files

    def holds(self, cell_key: str, seed: int) -> bool:
        """Whether the run is ours."""
        return f"{cell_key}-{seed}" in self._files

    def release(self) -> None:
        """Free all of them."""
        for name, file in self._files.items():
            (self.folder / name).unlink(missing_ok=True)
            file.close()
        self._files.clear()


def _try_lock(path: Path) -> BinaryIO | None:
    """The file, made if need be and locked; None while another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(TRIES):
        file = path.open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        except FileNotFoundError:
            pass  # who had it removed the file meanwhile
        except BlockingIOError:
            time.sleep(0.02)
        file.close()
    return None


def is_locked(storage: Path, cell_key: str, seed: int) -> bool:
    """Whether a living process holds the run."""
    return is_file_locked(storage / "locks" / f"{cell_key}-{seed}")


def is_file_locked(path: Path) -> bool:
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
