"""How files are written: whole or not at all, once for all processes, and what to say of a full disk."""

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, SoftFileLock

FULL = (errno.ENOSPC, errno.EDQUOT)  # errors of a disk that is full
DENIED = (errno.EROFS, errno.EACCES, errno.EPERM)  # of a folder that cannot be written, or no longer
BROKEN = (errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN)  # of a disk, or of the way to it
MARK = "storage-id"  # file of a storage folder by which it is told from another under the same name


def write_atomically(path: Path, write: Any) -> None:
    """Call write(file) on a binary file beside path, flush it to disk and rename it to path."""
    aside = path.with_name(path.name + ".tmp")
    try:
        with aside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        aside.unlink(missing_ok=True)  # a full disk has better uses for it
        raise
    aside.replace(path)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Within it a folder aside, to be filled, that is then renamed to path; nothing is left behind if that raises.
    Raises ValueError if there is something at path."""
    if path.exists() or path.is_symlink():
        raise ValueError(f"{path} is there already; name a folder that is not")
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    aside.mkdir(parents=True)
    try:
        yield aside
        aside.rename(path)
    finally:
        _remove(aside)


def save_tensors(path: Path, content: Any) -> None:
    """torch.save, atomically; loaded with weights_only=True."""
    write_atomically(path, lambda file: file.write(tensor_bytes(content)))


def tensor_bytes(content: Any) -> memoryview:
    """The bytes of torch.save, which tells nothing of a full disk when it writes a file itself."""
    import torch

    held = io.BytesIO()
    torch.save(content, held)
    return held.getbuffer()


def write_json(path: Path, content: Any) -> None:
    """Write JSON, atomically."""
    write_atomically(path, lambda file: file.write(json.dumps(content, indent=2).encode() + b"\n"))


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds. Raises ValueError, naming the file, if it holds none."""
    try:
        held = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} holds no JSON: {error}") from None
    if not isinstance(held, dict):
        raise ValueError(f"{path} should hold an object, not {type(held).__name__}")
    return held


def disk_full(path: Path) -> str:
    """A sentence that names the disk of a path that need not exist yet, and how full it is."""
    place = next(folder for folder in (path, *path.parents) if folder.exists())
    while not place.is_mount():
        place = place.parent
    usage = shutil.disk_usage(place)
    size, free = f"{usage.total / 1e9:.3g} GB", f"{usage.free / 1e6:.3g} MB"
    return f"the disk at {place}, of {size}, is full ({free} free): {path} cannot be written"


def storage_mark(storage: Path) -> str:
    """The mark of a storage folder, made with it. Raises OSError."""
    path = storage / MARK
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    storage.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), path.open("x") as file:  # of two processes one makes it
        file.write(uuid.uuid4().hex)
    return path.read_text()


def storage_lost(storage: Path, mark: str, error: BaseException | None = None) -> str | None:
    """A sentence, with what to do, if a storage folder is not there any more, or an error says that it is full, broken
    or not to be written; None if the error is of something else."""
    try:
        held = (storage / MARK).read_text()
    except OSError as missing:
        return f"{storage} cannot be read ({missing.strerror}); mount it again"
    if held != mark:
        return f"{storage} is another folder than the one in which the sweep began; mount that again"
    causes = [each for each in (error, getattr(error, "__cause__", None)) if isinstance(each, OSError)]
    for cause in causes:
        is_inside = cause.filename is None or Path(os.fsdecode(cause.filename)).absolute().is_relative_to(storage)
        if cause.errno in FULL:
            return f"{disk_full(storage)}; make room"
        if cause.errno in BROKEN and is_inside:
            return f"{storage} cannot be used ({cause.strerror}); mend it"
        if cause.errno in DENIED and cause.filename is not None and is_inside:
            return f"{cause.filename} cannot be written ({cause.strerror}); mend that"
    return None


def cache_folder() -> Path:
    """The environment variable GANABLATE_CACHE, else `runs/cache` below the working directory."""
    return Path(os.environ.get("GANABLATE_CACHE") or Path("runs", "cache")).absolute()


def key_of(*parts: Any) -> str:
    """16 hex digits of SHA-256 over plain values: the name of what depends on these alone."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def digest_of(parts: list[str]) -> str:
    """One digest of the digests of a data set's parts."""
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def made_once(path: Path, make: Callable[[Path], None]) -> Path:
    """The path, a file or folder of the cache, made by make(aside) and renamed, unless it is there. Of processes that
    ask at once one makes it and the others wait. Nothing is left behind if `make` raises. Raises ValueError if the
    cache folder cannot be written."""
    if path.exists():
        return path
    aside = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with waiting_lock(lock := path.with_name(path.name + ".lock")):
            try:
                if not path.exists():
                    _remove(aside)  # of a process that was killed
                    make(aside)
                    aside.rename(path)
            finally:
                _remove(aside)
                lock.unlink()  # who waits for it locks another file then
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
def waiting_lock(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold a lock file, which the kernel frees when a process dies; whoever asks meanwhile waits. Raises TimeoutError
    after `timeout` seconds (-1: never), and ValueError on a file system without locks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the soft lock, which would outlive a kill and is refused below
            lock.acquire(timeout)
    except (NotImplementedError, OSError) as error:
        if isinstance(error, NotImplementedError) or error.errno == errno.ENOSYS:
            raise _no_flock(path) from None
        raise
    try:
        if isinstance(lock, SoftFileLock):
            raise _no_flock(path)
        yield
    finally:
        lock.release()


def _no_flock(path: Path) -> ValueError:
    return ValueError(f"the file system of {path.parent} has no file locks (flock), which keep two processes apart")
