"""A connection to one MLflow store, and the storage folder that belongs to it.

MLflow is imported when it is first needed, since that takes two seconds.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

from search.store.address import (
    describe_error,
    ping_server,
    redacted,
    sqlite_file,
    sqlite_uri,
    strip_login,
    with_timeout,
)
from search.store.client import SpokenClient
from search.store.database import connect, is_database, is_half_made
from search.store.folders import ObjectStore, RunFolders
from search.store.moving import follow
from trainers.files import waiting_lock
from trainers.messages import file_name

STORAGE = Path("runs")
ANSWER_WITHIN = 5  # seconds that a server or a database has for its first answer
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_MLFLOW = {  # what MLflow and libpq do, unless the user says otherwise
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    RETRIES: "2",  # their defaults take minutes to give up
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "PGCONNECT_TIMEOUT": "10",
}


class Store:
    """One MLflow store, by default the SQLite file under the storage folder, which is made when it is first written to.

    Storage is a folder, or the URI of an object store; the folder STORAGE then holds copies of what is delivered.
    """

    def __init__(self, tracking_uri: str | None = None, storage: Path | str = STORAGE) -> None:
        is_uri = "://" in str(storage)
        self.storage = (STORAGE if is_uri else Path(storage)).absolute()
        trials = self.storage / "trials"
        self.folders = ObjectStore(str(storage), trials) if is_uri else RunFolders(trials)
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(self.storage / "mlflow.db")
        self.uri = strip_login(uri)
        self.address = redacted(self.uri)  # to be shown
        self.server = self.uri.rstrip("/") if self.uri.startswith("http") else None  # the address of a tracking server
        self.shared = None if is_uri else self.storage  # what all nodes of a cluster should see
        self._held = threading.local()  # what this thread has: another waits as another process does
        self.opened: tuple[int, int] | None = None  # by which file MLflow's client knows an SQLite database
        self.is_marked = False  # whether no experiment in it has runs with an earlier version's keys

    @cached_property
    def client(self) -> SpokenClient:
        """MLflow's client of this store, which has answered once. Raises ValueError if it does not answer, as all of
        its methods do then, or where it refuses what is asked."""
        mlflow = _import_mlflow()
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        self._make_database()
        if (database := sqlite_file(self.uri)) == self.storage / "mlflow.db":
            try:
                with self.exclusive():
                    follow(database, self.storage)
            except sqlite3.Error as error:  # locked, or not to be written
                raise self.unusable(error) from None
        self.probe()
        retries = os.environ[RETRIES]
        try:
            client = mlflow.MlflowClient(self.uri)
            if is_database(self.uri):
                client.search_experiments(max_results=1)  # makes the tables, which takes its time
            else:
                os.environ[RETRIES] = "0"
                with_timeout(lambda: client.search_experiments(max_results=1), ANSWER_WITHIN)
        except (MlflowException, SQLAlchemyError, TimeoutError) as error:
            raise self.unusable(error) from None
        except Exception as error:  # what its migrations raise of tables that they do not know
            raise ValueError(f"the MLflow store {self.address} cannot be opened: {error}") from error
        finally:
            os.environ[RETRIES] = retries
        self.opened = self.file_stamp()
        return SpokenClient(client, self.unusable)

    def prepare(self) -> None:
        """Import MLflow and open the store; one that would have to be made is not, since a command may be refused yet,
        but what it begins as waits in the cache. Raises ValueError if the store does not answer."""
        if self._lacks_database():
            self._empty_database()
        else:
            _ = self.client

    def _lacks_database(self) -> bool:
        """Whether the SQLite file is not there, or only half of it and no run."""
        path = sqlite_file(self.uri)
        return path is not None and (not path.exists() or is_half_made(path))

    def _empty_database(self) -> Path:
        """A file with the tables of this MLflow, in the storage's cache."""
        mlflow = _import_mlflow()
        path = self.storage / "cache" / f"mlflow-{mlflow.__version__}.db"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent, prefix="tune-") as aside:
                made = Path(aside, path.name)
                mlflow.MlflowClient(sqlite_uri(made)).search_experiments(max_results=1)
                made.replace(path)
        return path

    def _make_database(self) -> None:
        """Make the SQLite file where it lacks: aside, so that a process that is killed meanwhile leaves nothing."""
        if not self._lacks_database():
            return
        path = sqlite_file(self.uri)
        assert path is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.exclusive(), tempfile.TemporaryDirectory(dir=path.parent, prefix="tune-") as aside:
            if self._lacks_database():
                empty, made = self._empty_database(), Path(aside, path.name)
                made.touch()  # as the umask says: SQLite's own making lets nobody else write
                made.write_bytes(empty.read_bytes())
                made.replace(path)
                empty.unlink(missing_ok=True)

    def file_stamp(self) -> tuple[int, int] | None:
        """Device and inode of the SQLite file; None if it is not there, or the store is none."""
        file = sqlite_file(self.uri)
        try:
            stat = file.stat() if file else None
        except OSError:
            return None
        return (stat.st_dev, stat.st_ino) if stat else None

    def probe(self) -> None:
        """Get a first answer of a server or a database, for which MLflow would try for minutes, or raise ValueError."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self.server:
                with_timeout(partial(ping_server, self.server), ANSWER_WITHIN)
            elif is_database(self.uri) and sqlite_file(self.uri) is None:
                with_timeout(lambda: connect(self.uri).close(), ANSWER_WITHIN)
        except (SQLAlchemyError, ImportError, OSError, ValueError, HTTPException) as error:
            raise self.unusable(error) from None

    def unusable(self, error: Exception) -> ValueError:
        """The ValueError that says why the store cannot be used."""
        return ValueError(f"the MLflow store {self.address} {describe_error(error, self.uri)}")

    def require(self) -> None:
        """Raise ValueError where there is no store to read: its file was never made."""
        file = sqlite_file(self.uri)
        if file is not None and not file.exists():
            raise ValueError(
                f"there is no store at {self.address}: no run was made here; --storage or --tracking-uri name another"
            )

    def report_folder(self, title: str) -> Path:
        """Where the report on a study lies by default."""
        return self.storage / "reports" / file_name(title)

    def folder(self, run_id: str) -> Path:
        """The run folder of a run, named by its MLflow id. Raises ValueError for an id that would lead elsewhere."""
        if not re.fullmatch(r"\w+", run_id, re.ASCII):
            raise ValueError(f"the MLflow store has a run whose id, {run_id!r}, is none")
        return self.folders[run_id]

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the store's own lock, which this thread may have already; whoever else asks for it waits."""
        before = getattr(self._held, "lock", False)
        with nullcontext() if before else waiting_lock(self.storage / "locks" / "store"):
            self._held.lock = True
            try:
                yield
            finally:
                self._held.lock = before


def _import_mlflow() -> Any:
    """The module, which is told first what it should do, and says no more than what goes wrong."""
    for name, value in _MLFLOW.items():
        os.environ.setdefault(name, value)
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)  # what it logs it also raises
    return mlflow
