"""By what a store is known: an id that it keeps, its address, and of an SQLite store the file itself.

Run folders carry id and address (origin.json), so that a store which was lost, or put back from an older backup, finds
what it does not know any more, and no other store on the same storage takes it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping

from search.store.address import sqlite_file
from search.store.connection import Store
from trainers.files import storage_mark

ID_TAG = "ganablate.store"  # tag of MLflow's own experiment, which every store has
DEFAULT_EXPERIMENT = "0"


def origin(store: Store) -> dict[str, str]:
    """What run folders keep of the store that they belong to: its id and its address."""
    return {"store": _id(store), "address": _address(store)}


def _id(store: Store) -> str:
    """The id that a store keeps, made when it is first needed; "" where this user may not write it, or the experiment
    was removed: the address tells alone then."""
    with store.exclusive(), contextlib.suppress(ValueError):
        client = store.client
        if ID_TAG not in client.get_experiment(DEFAULT_EXPERIMENT).tags:
            client.set_experiment_tag(DEFAULT_EXPERIMENT, ID_TAG, uuid.uuid4().hex)
        return str(client.get_experiment(DEFAULT_EXPERIMENT).tags[ID_TAG])
    return ""


def _address(store: Store) -> str:
    """The address of a store without its password. A file in the storage is named by its place there, which stays when
    the storage is moved; beside an object store, where each user has one, also by the mark of that folder."""
    file = sqlite_file(store.uri)
    if file is None:
        return store.server or store.address
    if not file.absolute().is_relative_to(store.storage):
        return f"sqlite:///{file.absolute()}"
    place = file.absolute().relative_to(store.storage).as_posix()
    return place if store.shared else f"{storage_mark(store.storage)}/{place}"


def belongs(folder: Mapping[str, str], here: Mapping[str, str], store: Store) -> bool:
    """Whether a run folder of this origin belongs to the store: by its address, or by its id, if the file that bore it
    then is not there any more (else it is a copy of the database, and both are in use)."""
    if folder.get("address") == here["address"]:
        return True
    is_same = bool(here["store"]) and folder.get("store") == here["store"]
    place = folder.get("address", "")
    former = sqlite_file(place) or (None if "://" in place else store.storage / place)
    return is_same and not (former and former.exists())


def database_lost(store: Store) -> str | None:
    """A sentence if the SQLite file is not the one any more that this process opened: MLflow keeps that one open, and
    would go on writing where nobody will look."""
    now, file = store.file_stamp(), sqlite_file(store.uri)
    if file is None or (now and now == store.opened):
        return None
    return f"the database {file} is " + ("another one than when the sweep began" if now else "gone")
