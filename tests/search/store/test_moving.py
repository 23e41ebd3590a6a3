"""A storage folder that was moved goes on in its new place."""

import shutil
import sqlite3

import pytest

from search.importing import import_runs
from search.locks import RunLocks
from search.store import Store, load_runs
from search.store.queries import pictures, stored_grids
from trainers.loop import train


@pytest.fixture
def made(store, make_runs, tiny_study):
    make_runs(tiny_study, seeds=1)
    return store


def files_below(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "how", ["old place taken", *(pytest.param(n, marks=pytest.mark.slow) for n in ("renamed", "copied"))]
)
def test_runs_and_pictures_go_on_in_the_new_place(made, tiny_study, tmp_path, how):
    old, new = made.storage, tmp_path / "elsewhere" / "moved here"
    new.parent.mkdir()
    (shutil.copytree if how == "copied" else shutil.move)(old, new)
    if how == "old place taken":
        old.write_text("")
    before = files_below(old) if how == "copied" else set()
    for _ in train(tiny_study.cells()[0].config.replace(seed=1), tmp_path / "one"):
        pass
    store = Store(storage=new)
    (line,) = import_runs([tmp_path / "one"], store)
    assert "taken in" in line
    runs = load_runs(tiny_study, store=store)
    assert len(runs) == 3
    for run_id in runs["run_id"]:
        grids = stored_grids(store, run_id)
        assert sorted(grids) == [0, 256, 512]
        shutil.rmtree(store.folder(run_id))  # only MLflow has them now
        assert pictures(store, run_id, tmp_path / "pictures" / run_id)[512].stat().st_size > 0
    assert (files_below(old) if how == "copied" else set()) == before
    assert old.exists() == (how != "renamed")
    with sqlite3.connect(new / "mlflow.db") as connection:
        places = {uri for (uri,) in connection.execute("SELECT artifact_uri FROM runs")}
    assert all(uri.startswith((new / "artifacts").as_uri()) for uri in places)


def test_other_places_stay(made, tmp_path):
    made.client.create_experiment("mine", artifact_location="file:///data/artifacts")
    shutil.move(made.storage, tmp_path / "moved")
    store = Store(storage=tmp_path / "moved")
    assert store.client.get_experiment_by_name("mine").artifact_location == "file:///data/artifacts"


def test_a_moved_database_that_is_locked_is_a_sentence(made, tmp_path, monkeypatch):
    shutil.move(made.storage, tmp_path / "moved")
    with sqlite3.connect(tmp_path / "moved" / "mlflow.db", isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connect = sqlite3.connect
        monkeypatch.setattr(
            "search.store.moving.sqlite3.connect", lambda path, **options: connect(path, timeout=0.1, **options)
        )
        with pytest.raises(ValueError, match="is locked by another process"):
            _ = Store(storage=tmp_path / "moved").client
        connection.execute("ROLLBACK")


def test_not_while_another_process_makes_runs_in_it(made, tmp_path):
    """One storage under two mount points."""
    (tmp_path / "mount").symlink_to(made.storage)
    with RunLocks(made.storage) as locks:
        assert locks.acquire("0" * 16, 0)
        with pytest.raises(ValueError, match="a process makes runs in"):
            _ = Store(storage=tmp_path / "mount").client
    assert Store(storage=tmp_path / "mount").client
