"""Which driver makes a run: a lock file for each (cell, seed), freed by the kernel when its process dies.

Who releases a lock removes the file: the folder has the files of drivers that live, and of those that died. A file
says whose it is.
"""

import contextlib
import fcntl
import os
import re
import resource
import socket
import time
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

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
        file = path.open("ab")  # which leaves what another holder wrote
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                _sign(file)
                return file
        except FileNotFoundError:
            pass  # who had it removed the file meanwhile
        except BlockingIOError:
            time.sleep(0.02)
        file.close()
    return None


def _sign(file: BinaryIO) -> None:
    """Write who holds it, past Python's buffer: a full disk takes the words, not the lock."""
    with contextlib.suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), f"{socket.gethostname()} {os.getpid()}".encode())


class Holder(NamedTuple):
    """The process that holds a lock, and its machine."""

    host: str
    process: int

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == socket.gethostname()

    def holds(self, path: Path) -> bool:
        """Whether the process that has this number here is the one: not where the number is another container's.
        Raises PermissionError for a process of another user's."""
        with contextlib.suppress(FileNotFoundError):
            for link in list(Path(f"/proc/{self.process}/fd").iterdir()):
                with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                    if link.samefile(path):
                        return True
        return False


def lock_path(storage: Path, cell_key: str, seed: int) -> Path:
    """The lock file of a run."""
    return storage / "locks" / f"{cell_key}-{seed}"


def holder(path: Path) -> Holder | None:
    """Who holds a lock file; None if nobody does, or it does not say who."""
    try:
        said = re.fullmatch(r"(\S+) (\d+)", path.read_text()) if is_file_locked(path) else None
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return Holder(said[1], int(said[2])) if said else None


def is_locked(storage: Path, cell_key: str, seed: int) -> bool:
    """Whether a living process holds the run."""
    return is_file_locked(lock_path(storage, cell_key, seed))


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
