"""Where the run folders of a sweep lie: on a disk that all its nodes share, or in an object store beside a copy here.

A worker trains in a folder of a file system. With an object store that is a scratch folder of its node, downloaded
before training and uploaded after each row; the driver downloads rows and grids. An object is there whole or not at
all, and rows.jsonl comes last, so that what a dying node leaves is a run folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import tempfile
import time
from pathlib import Path

from search.store.passwords import holds_password
from trainers.checkpoint import CHECKPOINTS, drop_checkpoints
from trainers.files import write_atomically
from trainers.run_folder import ORIGIN, STOP

LOOK_EVERY = 5.0  # seconds between two looks at whether a run in an object store is asked to stop
HEARTBEAT = "heartbeat"  # file in a run folder by which the process that trains there shows that it lives
TRIES, PAUSE = 6, 10.0  # at uploading the end of a run, and seconds between
LARGE = ("checkpoint", "generator")  # how the names begin of what only training goes on from, or only users want
RUN_ID = re.compile("[0-9a-f]{32}")  # of MLflow's runs, by which their folders are named
LOCAL = ("lock", STOP, HEARTBEAT, "checkpoint_before.pt", "checkpoint_next.pt")  # what stays on a node


class RunFolders:
    """Run folders below one folder that driver and workers share."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __getitem__(self, run_id: str) -> Path:
        return self.root / run_id

    def location(self, run_id: str) -> str:
        """Where a user finds a run folder."""
        return str(self[run_id])

    def ask_to_stop(self, run_id: str) -> None:
        """Ask the process that trains in a folder for a checkpoint, and to end."""
        self[run_id].mkdir(parents=True, exist_ok=True)
        (self[run_id] / STOP).touch()

    def clear_stop(self, run_id: str) -> None:
        """Withdraw an earlier driver's request to stop."""
        (self[run_id] / STOP).unlink(missing_ok=True)

    def is_asked_to_stop(self, run_id: str) -> bool:
        """Whether the process that trains in a folder is to end; asked at every step."""
        return (self[run_id] / STOP).exists()

    def show_sign_of_life(self, run_id: str) -> None:
        """Say that the process that trains in a folder lives, and which it is."""
        with contextlib.suppress(OSError):  # whatever trains there will meet that error, and say so
            self[run_id].mkdir(exist_ok=True)  # not what is around it: that may be lost
            (self[run_id] / HEARTBEAT).write_text(_sign())

    def sign_of_life(self, run_id: str) -> str:
        """The latest of these, as `HOST, process PID at TIME`; "" if there is none."""
        try:
            return (self[run_id] / HEARTBEAT).read_text()
        except (OSError, ValueError):
            return ""

    def drop_checkpoints(self, run_id: str) -> None:
        """Remove what an ended run does not go on from."""
        drop_checkpoints(self[run_id])

    def download(self, run_id: str, *, all_of_it: bool = False) -> None:
        """Download the run folder: evaluations and grids, or all of it."""

    def upload(self, run_id: str, *, retry: bool = False) -> None:
        """Upload the run folder; with `retry`, for a minute, then ConnectionError."""

    def discard_local(self, run_id: str) -> None:
        """Remove the local folder, where it is a worker's scratch."""

    def ids(self) -> set[str]:
        """The runs that have a folder."""
        if not self.root.is_dir():
            return set()
        with os.scandir(self.root) as entries:
            return {e.name for e in entries if RUN_ID.fullmatch(e.name) and e.is_dir(follow_symlinks=False)}

    def fetch(self, run_id: str, name: str) -> bool:
        """Download one file of the run folder; whether it is there."""
        return self.holds(run_id, name)

    def holds(self, run_id: str, name: str) -> bool:
        """Whether the run folder has a file."""
        return (self[run_id] / name).exists()

    def send(self, run_id: str, name: str) -> None:
        """Upload one file of the run folder."""

    def rename(self, run_id: str, new: str) -> None:
        """Make the folder of a run that of another one, which has not begun (its folder has no config.json)."""
        shutil.rmtree(self[new], ignore_errors=True)
        self[run_id].rename(self[new])


class ObjectStore(RunFolders):
    """Run folders in an object store, by pyarrow: s3://, gs://, abfs://, hdfs:// and the like; `root` holds copies.

    Credentials are those that the store's own library finds on a node. Raises ValueError for a URI that is none, or
    holds some; OSError where the store does not answer.
    """

    def __init__(self, uri: str, root: Path) -> None:
        from pyarrow import fs

        super().__init__(root)
        if holds_password(uri):
            raise ValueError("--storage should hold no password: nodes find it in their environment or their settings")
        shown, parts = uri.partition("?")[0], uri.split("/")
        if parts[0].lower() in ("s3:", "gs:") and not parts[2]:
            raise ValueError(f"--storage {shown} names no bucket")
        try:
            self.files, self.top = fs.FileSystem.from_uri(uri)
        except (ValueError, OSError) as error:
            text = str(error).replace(uri, shown).partition("\n")[0]
            raise ValueError(f"--storage {shown} cannot be opened: {text}") from None
        self.uri = uri
        self._uploaded: dict[str, tuple[int, int]] = {}  # size and time of each file at its last upload
        self._asked, self._next_look = False, 0.0

    @classmethod
    def of_worker(cls, uri: str) -> ObjectStore:
        """The store as a worker has it, with scratch folders on its node."""
        return cls(uri, scratch() / hashlib.sha256(uri.encode()).hexdigest()[:16])

    def location(self, run_id: str) -> str:
        address, question, options = self.uri.partition("?")
        return f"{address.rstrip('/')}/trials/{run_id}{question}{options}"

    def _path(self, run_id: str, name: str) -> str:
        return f"{self.top.rstrip('/')}/trials/{run_id}/{name}"

    def _there(self, run_id: str) -> list[str]:
        from pyarrow import fs

        folder = self._path(run_id, "")
        selector = fs.FileSelector(folder.rstrip("/"), allow_not_found=True, recursive=True)
        infos = self.files.get_file_info(selector)
        return [info.path.removeprefix(folder) for info in infos if info.type == fs.FileType.File]

    def ask_to_stop(self, run_id: str) -> None:
        self._put(self._path(run_id, STOP), b"")

    def clear_stop(self, run_id: str) -> None:
        self._delete(run_id, {STOP})

    def is_asked_to_stop(self, run_id: str) -> bool:
        if not self._asked and time.monotonic() >= self._next_look:
            from pyarrow import fs

            self._next_look = time.monotonic() + LOOK_EVERY
            try:
                self._asked = self.files.get_file_info(self._path(run_id, STOP)).type == fs.FileType.File
            except OSError:  # the next look may tell
                return False
        return self._asked

    def show_sign_of_life(self, run_id: str) -> None:  # through Ray, since each request to the object store costs
        from ray.experimental.internal_kv import _internal_kv_put

        _internal_kv_put(f"{HEARTBEAT} {run_id}", _sign())

    def sign_of_life(self, run_id: str) -> str:
        from ray.experimental.internal_kv import _internal_kv_get

        return (_internal_kv_get(f"{HEARTBEAT} {run_id}") or b"").decode()

    def drop_checkpoints(self, run_id: str) -> None:
        super().drop_checkpoints(run_id)
        self._delete(run_id, set(CHECKPOINTS))

    def download(self, run_id: str, *, all_of_it: bool = False) -> None:
        if all_of_it:  # what a process before this one left on the node may be older, or newer
            shutil.rmtree(self[run_id], ignore_errors=True)
        for name in self._there(run_id):
            path = self[run_id] / name
            is_known = name.startswith("samples/") and path.exists()
            if name in LOCAL or is_known or (name.startswith(LARGE) and not all_of_it) or ".." in Path(name).parts:
                continue
            self._take(run_id, name)

    def upload(self, run_id: str, *, retry: bool = False) -> None:
        for tries_left in reversed(range(TRIES if retry else 1)):
            try:
                self._upload(run_id)
                return
            except OSError as error:
                if retry and not tries_left:
                    raise ConnectionError(f"{self.location(run_id)} cannot be written: {error}") from None
                time.sleep(PAUSE if retry else 0)  # else the next row tries again

    def _upload(self, run_id: str) -> None:
        folder = self[run_id]
        here = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        here = {name: path for name, path in here.items() if name not in LOCAL and path.suffix != ".tmp"}
        for name in sorted(here, key=lambda name: (name == "rows.jsonl", name)):
            stat = here[name].stat()
            stamp = stat.st_size, stat.st_mtime_ns
            if self._uploaded.get(f"{run_id}/{name}") != stamp:
                self._put(self._path(run_id, name), here[name].read_bytes())
                self._uploaded[f"{run_id}/{name}"] = stamp
        self._delete(run_id, set(self._there(run_id)) - here.keys() - {STOP})

    def discard_local(self, run_id: str) -> None:
        shutil.rmtree(self[run_id], ignore_errors=True)

    def ids(self) -> set[str]:
        from pyarrow import fs

        infos = self.files.get_file_info(fs.FileSelector(self._path("", "").rstrip("/"), allow_not_found=True))
        names = {info.base_name for info in infos if info.type == fs.FileType.Directory}
        return {name for name in names if RUN_ID.fullmatch(name)}

    def fetch(self, run_id: str, name: str) -> bool:
        if is_there := self.holds(run_id, name):
            self._take(run_id, name)
        return is_there

    def holds(self, run_id: str, name: str) -> bool:
        return name in self._there(run_id)

    def send(self, run_id: str, name: str) -> None:
        self._put(self._path(run_id, name), (self[run_id] / name).read_bytes())

    def rename(self, run_id: str, new: str) -> None:
        names = sorted(self._there(run_id), key=lambda name: name == "config.json")  # with it the new folder is whole
        for name in names:
            self._put(self._path(new, name), self._get(run_id, name))
        self._delete(run_id, set(names) - {ORIGIN})
        # with ORIGIN, and the empty objects that stand for folders
        self.files.delete_dir(self._path(run_id, "").rstrip("/"))
        if self[run_id].is_dir():
            super().rename(run_id, new)

    def _take(self, run_id: str, name: str) -> None:
        """Download a file."""
        content, path = self._get(run_id, name), self[run_id] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: file.write(content))

    def _get(self, run_id: str, name: str) -> bytes:
        with self.files.open_input_stream(self._path(run_id, name)) as stream:
            content: bytes = stream.read()
        return content

    def _put(self, path: str, content: bytes) -> None:
        with self.files.open_output_stream(path) as stream:
            stream.write(content)

    def _delete(self, run_id: str, names: set[str]) -> None:
        for name in names.intersection(self._there(run_id)):
            self.files.delete_file(self._path(run_id, name))


def _sign() -> str:
    return f"{socket.gethostname()}, process {os.getpid()} at {time.time():.0f}"


def scratch() -> Path:
    """Where a worker writes that shares no folder with the driver."""
    return Path(tempfile.gettempdir(), f"ganablate-{os.getuid()}")
