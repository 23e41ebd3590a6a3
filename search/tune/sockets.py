"""Where Ray puts its files, and whether a socket's name has room there. Imports no Ray."""

import os
from pathlib import Path

SOCKETS = 39  # bytes of Ray's folder: what it puts behind has 64, and the name of a socket at most 103 (macOS)


def temporary_folder() -> Path:
    """The folder below which Ray makes its own."""
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp").absolute()


def has_room(folder: Path) -> bool:
    """Whether the sockets of a Ray below that folder can have names."""
    return len(os.fsencode(folder / "ray")) <= SOCKETS
