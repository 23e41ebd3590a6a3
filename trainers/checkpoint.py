"""A run folder: config, provenance, rows, sample grids, checkpoint, and the generators of the best and the last row.

It is self-contained: training goes on from it, and a store can be filled from it. What is written is whole or not
there: files are written aside and renamed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

from trainers.config import Config

LOCK_WAIT = 30  # seconds that a run waits for a process that still trains in its folder, one being killed, say


def write_atomically(path: Path, write: Any) -> None:
    """Call write(file) on a binary file beside path, flush it to disk and rename it to path."""
    aside = path.with_name(path.name + ".tmp")
    with aside.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, atomically."""
    write_atomically(path, lambda file: file.write(json.dumps(content, indent=2).encode() + b"\n"))


def read_rows(run_dir: Path) -> list[dict[str, Any]]:
    """The rows on disk."""
    path = run_dir / "rows.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def write_rows(run_dir: Path, rows: list[dict[str, Any]]) -> None:
    """All rows, atomically: a few hundred short lines at the most."""
    content = "".join(json.dumps(row) + "\n" for row in rows)
    write_atomically(run_dir / "rows.jsonl", lambda file: file.write(content.encode()))


def open_run(config: Config, run_dir: Path) -> None:
    """Make the folder a run of this config. Raises ValueError if it holds a run of another."""
    (run_dir / "samples").mkdir(parents=True, exist_ok=True)
    path = run_dir / "config.json"
    if path.exists():
        held = Config(**json.loads(path.read_text()))
        if held != config:
            raise ValueError(
                f"{run_dir} holds a run of another config (cell {held.cell_key}, seed {held.seed}), not of this one "
                f"(cell {config.cell_key}, seed {config.seed}); choose another folder"
            )
    write_json(path, config.model_dump(mode="json"))


def claim_provenance(run_dir: Path, digests: dict[str, str], made_with: dict[str, str]) -> None:
    """Write what the run is made with; code versions and machines that go on with it are added.

    Raises ValueError if the digest of data or feature weights changed since the run began.
    """
    path = run_dir / "provenance.json"
    held = json.loads(path.read_text()) if path.exists() else digests
    for name, digest in digests.items():
        if held.setdefault(name, digest) != digest:
            raise ValueError(
                f"{name} is {digest}, but {run_dir} began with {held[name]}: data, feature weights or own code "
                f"changed; restore them, or start the run anew in another folder"
            )
    for name, value in {**made_with, "code_version": code_version()}.items():
        before = held.get(name, value).split(", ")
        held[name] = ", ".join([*before, *({value} - set(before))])
    write_json(path, held)


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
    """Version of the package, and the commit where it runs from a git checkout; `+` marks uncommitted changes."""
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
