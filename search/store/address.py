"""Where a store is: its address without a password, a first answer in time, and a sentence where there is none."""

import http.client
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from search.store.passwords import passwords, redacted

T = TypeVar("T")


def sqlite_uri(path: Path) -> str:
    """The address of an SQLite file, whatever characters are in its path."""
    from sqlalchemy import URL

    uri = URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)
    if uri == f"sqlite:///{path}":
        return uri
    return uri.replace("sqlite:", "sqlite+pysqlite:", 1)  # of the other MLflow makes the folder, under its quoted name


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite address, whatever options stand behind it; None for another, and for one in memory."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy import make_url

    name = make_url(uri).database or ""
    return None if name in ("", ":memory:") else Path(name)


def strip_login(uri: str) -> str:
    """A server's address without its login, which goes where MLflow looks for one: into the environment.

    No later message, MLflow's included, can show the password then. The address of a database stays as it is. Raises
    ValueError for one that cannot be read.
    """
    if not uri.lower().startswith(("http:", "https:")):
        return uri
    try:
        parts = urlsplit(uri)
        # reading a port that is none raises too; MLflow puts paths behind the address, so that it has no parameters
        if not parts.hostname or parts.port == 0 or parts.query or parts.fragment:
            raise ValueError
    except ValueError as error:
        raise ValueError(f"the MLflow store {redacted(uri)} {describe_error(error, uri)}") from None
    login, at, host = parts.netloc.rpartition("@")
    if at:
        user, _, password = login.partition(":")
        os.environ.update(MLFLOW_TRACKING_USERNAME=unquote(user), MLFLOW_TRACKING_PASSWORD=unquote(password))
    return parts._replace(netloc=host).geturl()


def with_timeout(ask: Callable[[], T], seconds: float) -> T:
    """What ask returns or raises; TimeoutError if it takes longer.

    A limit of our own, since those of drivers and of HTTP count from byte to byte, or are not there.
    """
    return in_thread(ask).result(seconds)


def in_thread(ask: Callable[[], T]) -> Future[T]:
    """What ask returns or raises, as it comes. The thread dies with the process, as those of an executor do not: these
    are waited for, however long a server is silent."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    return answer


def ping_server(server: str) -> None:
    """Get any answer of a server; MLflow, two seconds away, will make sense of it. Raises OSError if there is none."""
    try:
        urllib.request.urlopen(f"{server}/health").close()
    except (urllib.error.HTTPError, http.client.HTTPException):
        pass
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLError):  # MLflow has certificates of its own
            raise


def describe_error(error: Exception, uri: str) -> str:
    """What is wrong with a store, in words that hold nothing of its login."""
    text, cause = str(error), error.__cause__
    if isinstance(error, TimeoutError):
        return "does not answer in time"
    if isinstance(error, ValueError):
        return "is no address that can be read"
    if isinstance(error, ImportError):
        server = "pip install 'ganablate[server]'"
        cures = {"psycopg2": f"; {server}", "psycopg": f"; {server}, and write postgresql+psycopg2://"}
        return f"needs the Python package {error.name}, which is not installed{cures.get(str(error.name), '')}"
    if "error code 401" in text or "UNAUTHENTICATED" in text:
        return "refuses this login; MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD should hold a valid one"
    if "error code 403" in text or "PERMISSION_DENIED" in text:
        return "denies this user the permission that is needed"
    if "out-of-date database schema" in text:
        return _describe_schema(text)
    if "maintenance mode" in text:
        return "is a folder of files, which MLflow no longer serves; `mlflow migrate-filestore` makes a database of it"
    if "database is locked" in text:
        return "is locked by another process, which writes to it; wait until it has ended, or end it"
    if "readonly database" in text or "attempt to write a readonly" in text:
        return "can be read and not written by this user; its file and the folder around it need write permission"
    if lacks := re.search(r"no such table: (\w+)", text):
        return f"lacks MLflow's table {lacks[1]}: another version of MLflow made it, or another program"
    if "valid JSON" in text:
        return "answers, but not as MLflow does"
    status = re.search(r"(?:error code|too many) (\d{3})\b", text)  # MLflow's words at once, or after its retries
    if status:
        return f"answers with HTTP status {status[1]}"
    # what the driver of a database raised, at once or below MLflow's error, may quote the password
    of_driver = getattr(error, "orig", None) or getattr(cause, "orig", None)
    if of_driver:
        line = (str(of_driver).strip() or type(of_driver).__name__).splitlines()[0]
        return f"does not answer: {_without_passwords(line, uri)}"
    if "failed with exception" in text:
        return f"does not answer: {type(error.__context__).__name__}"
    if type(error).__name__ == "MlflowException" and text:  # MLflow's own words for what it does not take
        return f"refuses: {_without_passwords(text.splitlines()[0], uri)[:300]}"
    return f"does not answer: {type(getattr(error, 'reason', error)).__name__}"


def _without_passwords(line: str, uri: str) -> str:
    for password in passwords(uri):
        line = line.replace(password, "***")
    return line


def _describe_schema(text: str) -> str:
    """What to do about a database of another MLflow, whose upgrade helps only if this one is the newer."""
    import mlflow
    from mlflow.store import db_migrations

    match = re.search(r"found version (\w+)", text)
    known = Path(db_migrations.__file__).with_name("versions").glob(f"{match[1]}_*") if match else iter(())
    if next(known, None):
        return "was made by another version of MLflow; back it up, then run `mlflow db upgrade` on it"
    return f"was made by a newer MLflow than the {mlflow.__version__} here; install the one that made it"
