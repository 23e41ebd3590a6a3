"""Follows a storage folder that was renamed, copied to another machine, or mounted elsewhere.

MLflow keeps the absolute places of artifacts. Those of ours lie below the storage folder, wherever that is now.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from search.locks import is_file_locked

PLACES = {"experiments": "artifact_location", "runs": "artifact_uri", "logged_models": "artifact_location"}
OURS = "SELECT experiment_id FROM experiment_tags WHERE key LIKE 'mlflow.sharedViewState.%'"


def follow(database: Path, storage: Path) -> int:
    """Put the present place of a storage folder into its database, for that of before; how many places changed.

    All in one transaction. Places that are not the artifacts of our experiments stay. Raises ValueError while a process
    that knows the folder by its former place makes runs in it.
    """
    here = (storage / "artifacts").as_uri()
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        asked = "SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE 'file:%/artifacts' "
        try:
            found = connection.execute(f"{asked} AND experiment_id IN ({OURS})").fetchall()
        except sqlite3.OperationalError:  # it has no such tables yet, or is locked: MLflow will say
            return 0
        former = [place for (place,) in found if place != here]
        if not former:
            return 0
        locks = storage / "locks"
        if locks.is_dir() and any(is_file_locked(path) for path in locks.iterdir() if path.name != "store"):
            place = former[0].removesuffix("/artifacts")
            raise ValueError(
                f"a process makes runs in {storage}, which it knows as {place}; wait until it ended, or use that place"
            )
        changed = 0
        for place in former:
            for table, column in PLACES.items():
                changed += connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (here, len(place) + 1, place, len(place) + 1, f"{place}/"),
                ).rowcount
        return changed
