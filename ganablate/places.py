"""Where runs are kept if no option says: the environment, else `[tool.ganablate]` of a pyproject.toml, else `runs`."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from trainers.messages import did_you_mean

STORAGE = "GANABLATE_STORAGE"  # environment variable
TRACKING_URI = "MLFLOW_TRACKING_URI"  # MLflow's own
KEYS = ("storage", "tracking-uri")


def places(tracking_uri: str | None, storage: str) -> tuple[str | None, str]:
    """Tracking URI, None for the database under the storage folder, and storage, as options or arguments say ("" and
    None do not), else the environment, else the file, else `runs`. Raises ValueError for a file that cannot be read."""
    storage, tracking_uri = storage or os.environ.get(STORAGE, ""), tracking_uri or os.environ.get(TRACKING_URI)
    told = {} if storage and tracking_uri else from_file(Path.cwd())
    return tracking_uri or told.get("tracking-uri"), storage or told.get("storage") or "runs"


def folder(storage: str) -> Path:
    """The folder on this machine of a storage, which may be an object store's URI."""
    return Path("runs" if "://" in storage else storage).absolute()


def use_cache_below(storage: Path) -> None:
    """Have caches made below a storage folder, unless GANABLATE_CACHE names another."""
    os.environ.setdefault("GANABLATE_CACHE", str(storage / "cache"))


def from_file(start: Path) -> dict[str, str]:
    """What the nearest pyproject.toml that has `[tool.ganablate]` says, in the folder or above; relative paths are as
    seen from that file. Raises ValueError for a key that there is not, and for a file that is no TOML."""
    for path in (above / "pyproject.toml" for above in (start, *start.parents)):
        if not path.is_file():
            continue
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("ganablate")
        except ValueError as error:  # UnicodeDecodeError too
            raise ValueError(f"{path} is no TOML: {error}") from None
        if table is not None:
            return _checked(path, table)
    return {}


def _checked(path: Path, table: object) -> dict[str, str]:
    if not isinstance(table, dict):
        raise ValueError(f"{path}: tool.ganablate should be a table, as [tool.ganablate]")
    for key, value in table.items():
        if key not in KEYS:
            raise ValueError(f"{path}: [tool.ganablate] has an unknown key {key!r}; {did_you_mean(key, KEYS)}")
        if not isinstance(value, str) or not value:
            raise ValueError(f"{path}: {key} = {value!r} of [tool.ganablate] should be a text that is not empty")
    return {key: _from(path.parent, value) for key, value in table.items()}


def _from(home: Path, place: str) -> str:
    """A path, or that of an SQLite address, as seen from a folder; other addresses as they are."""
    scheme, colon, file = place.partition(":///")
    if colon and scheme.startswith("sqlite"):
        return f"{scheme}{colon}{home / file}"
    return place if "://" in place else str(home / Path(place).expanduser())
