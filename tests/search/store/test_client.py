"""Whatever the store answers to reading or writing becomes one sentence; files of any name are stores."""

import shutil
import sqlite3
import time

import mlflow
import pytest
from mlflow.exceptions import MlflowException, RestException
from sqlalchemy.exc import OperationalError
from tuned import without_ray

from search.importing import import_runs
from search.plan import make_plan
from search.run import run_study
from search.store import Store
from search.store.address import sqlite_file, sqlite_uri
from search.store.client import SpokenClient
from trainers.loop import train


def of_database(text):
    error = MlflowException(f"(sqlite3.OperationalError) {text}\n[SQL: INSERT]")
    error.__cause__ = OperationalError("INSERT", {}, sqlite3.OperationalError(text))
    return error


REFUSALS = {
    "is locked by another process": of_database("database is locked"),
    "can be read and not written by this user": of_database("attempt to write a readonly database"),
    "lacks MLflow's table latest_metrics": of_database("no such table: latest_metrics"),
    "does not answer: disk I/O error": of_database("disk I/O error"),
    "denies this user the permission": RestException({"error_code": "PERMISSION_DENIED", "message": "no"}),
    "answers with HTTP status 429": MlflowException("API request to x failed with error code 429 != 200"),
    "answers with HTTP status 500": MlflowException("API request to x failed with error code 500 != 200"),
    "refuses: 'name' exceeds the maximum length": MlflowException(
        "'name' exceeds the maximum length of 500 characters"
    ),
    "is a folder of files": MlflowException("The filesystem tracking backend is in maintenance mode"),
}


@pytest.mark.parametrize("words", REFUSALS)
def test_a_refusal_is_a_sentence_with_its_cause(store, words):
    """Of any method."""

    class Refuses:
        def create_run(self):
            raise REFUSALS[words]

    with pytest.raises(ValueError, match=words) as told:
        SpokenClient(Refuses(), store.unusable).create_run()
    assert "\n" not in str(told.value)


WRITERS = {
    "import": lambda store, study, folder: list(import_runs([folder], store)),
    "run": lambda store, study, folder: run_study(study, store),
}


@pytest.mark.parametrize("writes", ["create_run", "create_experiment", "log_batch"])
@pytest.mark.parametrize("command", WRITERS)
def test_a_store_that_reads_and_does_not_write_is_told_before_anything_trains(
    store, tiny_study, tmp_path, monkeypatch, command, writes
):
    """As a lock held by another process, 403, 429, 500."""
    for _ in train(tiny_study.cells()[0].config, tmp_path / "made"):
        pass
    without_ray(monkeypatch)
    monkeypatch.setattr("search.tune.driver.tune_runs", lambda *_: pytest.fail("it trains"))

    def refuses(*_, **__):
        raise of_database("database is locked")

    monkeypatch.setattr(store.client._client, writes, refuses)
    with pytest.raises(ValueError, match="is locked by another process"):
        WRITERS[command](store, tiny_study, tmp_path / "made")


@pytest.mark.parametrize(
    "name",
    ["why?", "a#b 100%data ä", *(pytest.param(n, marks=pytest.mark.slow) for n in ("feature%2Frun", "x;y", "a+b@c:d"))],
)
def test_a_storage_of_any_name(tmp_path, make_runs, tiny_study, empty_database, name):
    """Found by plan, with and without options behind the address, and nothing is made outside."""
    folder = tmp_path / name
    (folder / "runs").mkdir(parents=True)
    store = Store(storage=folder / "runs")
    assert sqlite_file(store.uri) == folder / "runs" / "mlflow.db"
    for _ in train(tiny_study.cells()[0].config, tmp_path / "made"):
        pass
    (line,) = import_runs([tmp_path / "made"], store)
    assert "taken in" in line
    for uri in (None, f"{sqlite_uri(folder / 'runs' / 'mlflow.db')}?timeout=60"):
        again = Store(uri, storage=folder / "runs")
        assert [job.state for job in make_plan(tiny_study, again).jobs].count("done") == 1
        (line,) = import_runs([tmp_path / "made"], again)
        assert "the store has this run" in line
        again.require()
    assert {path.name for path in tmp_path.iterdir()} == {"made", name, "runs"}
    (folder / "none").mkdir()
    with pytest.raises(ValueError, match="there is no store at"):
        Store(storage=folder / "none").require()


def half_made(path, *, runs=0):
    """What a process leaves that was killed while MLflow made its tables."""
    with sqlite3.connect(path) as connection:
        for table in ("experiments", "metrics", "params", "runs", "tags"):
            connection.execute(f"CREATE TABLE {table} (run_uuid TEXT)")
        for number in range(runs):
            connection.execute("INSERT INTO runs VALUES (?)", [str(number)])
    connection.close()


@pytest.mark.usefixtures("umask_of_a_team")
def test_who_may_write_to_the_database_is_up_to_the_umask(tmp_path):
    assert Store(storage=tmp_path).client
    assert (tmp_path / "mlflow.db").stat().st_mode & 0o777 == 0o664


def test_a_half_made_database_is_made_anew(tmp_path, tiny_study):
    half_made(tmp_path / "mlflow.db")
    store = Store(storage=tmp_path)
    assert {job.state for job in make_plan(tiny_study, store).jobs} == {"missing"}
    assert [e.name for e in store.client.search_experiments()] == ["Default"]


def test_half_a_database_with_runs_is_left(tmp_path):
    half_made(tmp_path / "mlflow.db", runs=2)
    with pytest.raises(ValueError, match="the MLflow store"):
        _ = Store(storage=tmp_path).client
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (2,)


def test_a_database_of_something_else_is_left(tmp_path):
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    store = Store(storage=tmp_path)
    _ = store.client  # MLflow adds its tables beside
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        assert connection.execute("SELECT count(*) FROM mine").fetchone() == (0,)


def test_who_is_killed_while_the_database_is_made_leaves_none(tmp_path, monkeypatch, tables_are_made_once):
    class Killed(BaseException):
        pass

    def killed(self, **_):
        time.sleep(0)
        raise Killed

    monkeypatch.setattr(Store, "_empty_database", tables_are_made_once)
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "search_experiments", killed)
        with pytest.raises(Killed):
            _ = Store(storage=tmp_path).client
    assert not (tmp_path / "mlflow.db").exists()
    assert Store(storage=tmp_path).client.search_experiments()


@pytest.mark.parametrize(
    ("version", "words"), [("f0f0f0f0f0f0", "newer MLflow than the"), ("451aebb31d03", "db upgrade")]
)
def test_a_schema_of_another_version_says_what_helps(tmp_path, empty_database, version, words):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [version])
    connection.close()
    with pytest.raises(ValueError, match=words):
        _ = Store(storage=tmp_path).client


@pytest.mark.process
def test_what_is_prepared_is_no_store_yet(tmp_path, capfd):
    store = Store(storage=tmp_path / "runs")
    store.prepare()
    assert not (tmp_path / "runs" / "mlflow.db").exists()
    assert capfd.readouterr() == ("", "")
    assert store.client.search_experiments()
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"cache", "locks", "mlflow.db"}
    assert not list((tmp_path / "runs" / "cache").iterdir())
