"""The database is read as MLflow reads it."""

import sqlite3

import pytest

from search.store import Store
from search.store.database import is_database, runs_from_database
from search.store.parents import Parents
from search.store.queries import _from_server, find_runs, seed_runs


def test_the_database_and_the_client_say_the_same(store, make_runs, tiny_study):
    make_runs(tiny_study)
    gone, kept = (record.run_id for record in find_runs(store, "seed", ["0"]))
    store.client.delete_run(gone)
    store.client.log_metric(kept, "odd", float("nan"), step=1)
    by_database = runs_from_database(store.uri, "seed", ["0", "1"])
    by_client = _from_server(store, "seed", ["0", "1"])
    assert len(by_database) == 3
    assert gone not in {record.run_id for record in by_database}
    for one, other in zip(by_database, by_client, strict=True):
        assert {**one._asdict(), "metrics": str(sorted(one.metrics.items()))} == {
            **other._asdict(),
            "metrics": str(sorted(other.metrics.items())),
        }
    store.client.delete_experiment(Parents(store).experiment(tiny_study))
    assert runs_from_database(store.uri, "seed", ["0", "1"]) == []


def test_an_empty_database_holds_nothing(tmp_path):
    (tmp_path / "new.db").touch()
    assert runs_from_database(f"sqlite:///{tmp_path}/new.db", "seed", ["0"]) == []


def test_reading_makes_no_file(tmp_path):
    assert seed_runs(Store(storage=tmp_path / "runs"), []) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_none_of_mlflows_is_refused(tmp_path):
    sqlite3.connect(tmp_path / "other.db").execute("create table x (y)").connection.close()
    with pytest.raises(ValueError, match="lacks MLflow's table"):
        find_runs(Store(f"sqlite:///{tmp_path}/other.db"), "seed", ["0"])


@pytest.mark.parametrize("uri", ["sqlite:///x.db", "postgresql://h/d", "mysql+pymysql://h/d"])
def test_databases(uri):
    assert is_database(uri)
    assert not is_database("http://h")
