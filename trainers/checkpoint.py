"""A run folder: config, provenance, rows, sample grids, checkpoint, and the generators of the best and the last row.

It is self-contained: training goes on from it, and a store can be filled from it. What is written is whole or not
there: files are written aside and renamed.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

import torch

from trainers.config import Config

LOCK_WAIT = 120  # seconds that a run waits for a process that still trains in its folder, one being killed, say


def write_atomically(path: Path, write: Any) -> None:
    """Call write(file) on a binary file beside path, flush it to disk and rename it to path."""
    aside = path.with_name(path.name + ".tmp")
    with aside.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def save_tensors(path: Path, content: Any) -> None:
    """torch.save, atomically; loaded with weights_only=True."""
    write_atomically(path, lambda file: torch.save(content, file))


def write_json(path: Path, content: Any) -> None:
    """Write JSON, atomically."""
    write_atomically(path, lambda file: file.write(json.dumps(content, indent=2).encode() + b"\n"))


def read_rows(run_dir: Path) -> list[dict[str, Any]]:
    """The rows on disk; a line that a crash left half written is not one."""
    path = run_dir / "rows.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


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


def claim_provenance(run_dir: Path, digests: dict[str, str], device: torch.device) -> None:
    """Write what the run was made with, once. Raises ValueError if data or feature weights changed since."""
    path = run_dir / "provenance.json"
    if path.exists():
        before = json.loads(path.read_text())
        for name, digest in digests.items():
            if before[name] != digest:
                raise ValueError(
                    f"{name} is {digest}, but {run_dir} began with {before[name]}: the data set or the feature weights "
                    f"changed; restore them, or start the run anew in another folder"
                )
        return
    on = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    write_json(path, {**digests, "code_version": code_version(), "torch": torch.__version__, "device": on})


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel frees when a process dies. Raises RuntimeError if another keeps it."""
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
                raise RuntimeError(f"another process has been training in {run_dir} for {LOCK_WAIT} s") from None
            time.sleep(0.2)


@cache
def code_version() -> str:
    """Version of the package, and the commit where it runs from a git checkout; `+` marks uncommitted changes."""
    home = Path(__file__).parent.parent
    try:
        number = version("ganablate")
    except PackageNotFoundError:
        number = "0"
    if not (home / ".git").exists():
        return number
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=home, capture_output=True, text=True, check=False
    )
    return f"{number}-{described.stdout.strip()}" if described.returncode == 0 else number
