"""A run folder: config, provenance, rows, sample grids, checkpoint, and the generators of the best and the last row.

It is self-contained: training goes on from it, and a store can be filled from it. What is written is whole or not
there: files are written aside, flushed to the disk and renamed. Two checkpoints are kept, so that a damaged one costs
no more than an evaluation's training.
"""

from __future__ import annotations

import errno
import fcntl
import io
import json
import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainers.config import Config, sentence

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

PROVENANCE = ("data_digest", "features_digest", "own_code_digest", "torch", "device", "code_version")
LONGEST = 5_000  # characters of a text there: MLflow cuts longer tags
CHECKPOINTS = ("checkpoint.pt", "checkpoint_before.pt")  # the latest, and the one before it
STOP = "stop"  # a file of this name asks the process that trains in the folder for a checkpoint, and to end
END = "end.json"  # how the run ended, where its rows do not say so: stopped by a scheduler, or failed
ENDS = ("done", "diverged", "stopped", "failed")
FULL = (errno.ENOSPC, errno.EDQUOT)  # errors of a disk that is full
DIGEST = sha256().digest_size
LOCK_WAIT = 30  # seconds that a run waits for a process that still trains in its folder, one being killed, say


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


def save_tensors(path: Path, content: Any) -> None:
    """torch.save, atomically; loaded with weights_only=True."""
    held = _saved(content)
    write_atomically(path, lambda file: file.write(held))


def _saved(content: Any) -> memoryview:
    """The bytes of torch.save, which tells nothing of a full disk when it writes a file itself."""
    import torch

    held = io.BytesIO()
    torch.save(content, held)
    return held.getbuffer()


def save_checkpoint(run_dir: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint, the SHA-256 of torch.save's bytes before them; the latest one becomes the one before once the
    new one is whole."""
    held = _saved(content)
    latest, before = (run_dir / name for name in CHECKPOINTS)
    aside = latest.with_name("checkpoint_next.pt")
    write_atomically(aside, lambda file: file.writelines([sha256(held).digest(), held]))
    if latest.exists():
        latest.replace(before)
    aside.replace(latest)


def load_checkpoint(run_dir: Path, device: torch.device) -> dict[str, Any]:
    """The latest checkpoint that is whole; {} if there is none. Raises anything if someone else made it."""
    import torch

    for name in CHECKPOINTS:
        path = run_dir / name
        if not path.exists():
            continue
        digest, content = (held := path.read_bytes())[:DIGEST], held[DIGEST:]
        if sha256(content).digest() == digest:
            saved: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            for number, row in enumerate(saved["rows"], 1):
                _check_row(row, f"{path}, row {number}")
            return saved
        logger.warning("%s is damaged; going on from what was before it", path)
    return {}


def drop_checkpoints(run_dir: Path) -> None:
    """Remove what an ended run does not go on from."""
    for name in (*CHECKPOINTS, "checkpoint_next.pt"):
        (run_dir / name).unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, atomically."""
    write_atomically(path, lambda file: file.write(json.dumps(content, indent=2).encode() + b"\n"))


class Row(BaseModel):
    """What each row has beside the metrics, which are numbers, NaN in a diverged run; `logged_at` as milliseconds fits
    64 bits."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, float] = Field(init=False)
    images: int = Field(ge=0, lt=2**63)
    state: Literal["running", "done", "diverged"]
    seconds: float = Field(ge=0, allow_inf_nan=False)
    eval_seconds: float = Field(ge=0, allow_inf_nan=False)
    logged_at: float = Field(ge=0, lt=2**40)


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds. Raises ValueError, naming the file, if it holds none."""
    try:
        held = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} holds no JSON: {error}") from None
    if not isinstance(held, dict):
        raise ValueError(f"{path} should hold an object, not {type(held).__name__}")
    return held


def read_rows(run_dir: Path) -> list[dict[str, Any]]:
    """The rows on disk. Raises ValueError for a line that is no row."""
    path = run_dir / "rows.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [_read_row(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]


def _read_row(line: bytes, place: str) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: {error}") from None
    _check_row(row, place)
    return row


def _check_row(row: dict[str, Any], place: str) -> None:
    """Raise ValueError for what is no row."""
    try:
        Row.model_validate(row)
    except ValidationError as error:
        raise ValueError(f"{place}: {sentence(error)}") from None
    names = [name for name in row if not re.fullmatch(r"\w{1,100}", name, re.ASCII)]
    if names:
        raise ValueError(f"{place}: {names[0]!r} is no name of a metric")


def read_run(run_dir: Path) -> tuple[Config, list[dict[str, Any]]]:
    """Config and rows of a run folder. Raises ValueError if one of its files cannot be read, or they do not fit."""
    try:
        config, rows = Config(**read_json(run_dir / "config.json")), read_rows(run_dir)
        if not all(config.metric in row for row in rows):
            raise ValueError(f"rows.jsonl has a row that lacks its {config.metric}")
        read_provenance(run_dir)
    except ValueError as error:
        raise ValueError(f"{run_dir} is no run folder that can be read: {error}") from None
    return config, rows


def read_provenance(run_dir: Path) -> dict[str, str]:
    """What the run was made with, by name in PROVENANCE; nothing if it has not begun. Raises ValueError."""
    path = run_dir / "provenance.json"
    held = read_json(path) if path.exists() else {}
    for name, value in held.items():
        if name not in PROVENANCE or not isinstance(value, str) or len(value) > LONGEST:
            raise ValueError(f"{path} should hold texts by the names {', '.join(PROVENANCE)}, not {name!r}")
    return held


def write_rows(run_dir: Path, rows: list[dict[str, Any]]) -> None:
    """All rows, atomically: a few hundred short lines at the most."""
    content = "".join(json.dumps(row) + "\n" for row in rows)
    write_atomically(run_dir / "rows.jsonl", lambda file: file.write(content.encode()))


def mark_end(run_dir: Path, state: str, error: str = "") -> None:
    """Write how a run ended, unless its rows say so."""
    if state not in ("done", "diverged"):
        run_dir.mkdir(parents=True, exist_ok=True)
        write_json(run_dir / END, {"state": state, "error": error})


def end_of(run_dir: Path) -> tuple[str, str]:
    """State and error of a run: "running" unless it ended, "missing" while it has no row. Raises ValueError."""
    path = run_dir / END
    if path.exists():
        end = read_json(path)
        if end.get("state") not in ENDS or not isinstance(end.get("error"), str):
            raise ValueError(f"{path} should hold an error and a state of {', '.join(ENDS)}")
        return end["state"], end["error"][:LONGEST]
    rows = read_rows(run_dir)
    return (rows[-1]["state"] if rows else "missing"), ""


def disk_full(path: Path) -> str:
    """A sentence that names the disk of a path that need not exist yet, and how full it is."""
    place = next(folder for folder in (path, *path.parents) if folder.exists())
    while not place.is_mount():
        place = place.parent
    usage = shutil.disk_usage(place)
    size, free = f"{usage.total / 1e9:.3g} GB", f"{usage.free / 1e6:.3g} MB"
    return f"the disk at {place}, of {size}, is full ({free} free): {path} cannot be written"


def open_run(config: Config, run_dir: Path) -> None:
    """Make the folder a run of this config. Raises ValueError if it holds a run of another."""
    (run_dir / "samples").mkdir(parents=True, exist_ok=True)
    path = run_dir / "config.json"
    if path.exists():
        held, _ = read_run(run_dir)
        if held != config:
            raise ValueError(
                f"{run_dir} holds a run of another config (cell {held.cell_key}, seed {held.seed}), not of this one "
                f"(cell {config.cell_key}, seed {config.seed}); choose another folder"
            )
    write_json(path, config.model_dump(mode="json"))
    (run_dir / END).unlink(missing_ok=True)  # it goes on


def claim_provenance(run_dir: Path, digests: dict[str, str], made_with: dict[str, str]) -> None:
    """Write what the run is made with; code versions and machines that go on with it are added.

    Raises ValueError if the digest of data or feature weights changed since the run began.
    """
    held = read_provenance(run_dir)
    for name, digest in digests.items():
        if held.setdefault(name, digest) != digest:
            raise ValueError(
                f"{name} is {digest}, but {run_dir} began with {held[name]}: data, feature weights or own code "
                f"changed; restore them, or start the run anew in another folder"
            )
    for name, value in {**made_with, "code_version": code_version()}.items():
        before = held.get(name, value).split(", ")
        held[name] = ", ".join([*before, *({value} - set(before))])
    write_json(run_dir / "provenance.json", held)


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel frees when a process dies. Raises ValueError if another keeps it."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / "lock").open("wb") as file:
        _wait_for(file, run_dir)
        yield


def _wait_for(file: BinaryIO, run_dir: Path) -> None:
    deadline = time.monotonic() + LOCK_WAIT
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ValueError(f"another process is training in {run_dir}; wait for it or end it") from None
            time.sleep(0.2)


@cache
def code_version() -> str:
    """Version of the package, and the commit where it runs from a git checkout; `+` marks uncommitted changes.

    The environment variable GANABLATE_CODE_VERSION says it where the code was sent to another machine.
    """
    if told := os.environ.get("GANABLATE_CODE_VERSION"):
        return told
    home = Path(__file__).parent.parent
    try:
        number = version("ganablate")
    except PackageNotFoundError:
        number = "0"
    if not (home / ".git").exists() or shutil.which("git") is None:
        return number
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=home, capture_output=True, text=True, check=False
    )
    return f"{number}-{described.stdout.strip()}" if described.returncode == 0 else number
