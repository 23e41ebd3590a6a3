"""Who is silent: by what this machine saw, whatever the clocks of workers say."""

import time

import pytest

from search.store.folders import ObjectStore, RunFolders
from search.tune.watch import Watch

FOLDERS = {"shared": lambda path: RunFolders(path), "object store": lambda path: ObjectStore(path.as_uri(), path / "x")}


@pytest.mark.parametrize("kind", FOLDERS)
@pytest.mark.usefixtures("cluster")
def test_silence_counts_from_the_latest_sign(tmp_path, monkeypatch, kind):
    folders, now = FOLDERS[kind](tmp_path), [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watch = Watch(folders)
    watch.begin("a")
    now[0] += 30
    assert watch.silences() == {"a": (30.0, "a worker that has not begun")}
    folders.show_sign_of_life("a")
    ((seconds, worker),) = watch.silences().values()
    assert seconds == 0
    assert "process" in worker
    now[0] += 700
    assert watch.silences() == {"a": (700.0, worker)}
    monkeypatch.setattr(time, "time", lambda: 5.0)  # a worker whose clock is behind
    folders.show_sign_of_life("a")
    assert watch.silences() == {"a": (0.0, worker)}
    watch.end("a")
    assert watch.silences() == {}


def test_a_storage_that_is_lost_is_not_made_again(tmp_path):
    RunFolders(tmp_path / "runs" / "trials").show_sign_of_life("a")
    assert list(tmp_path.iterdir()) == []
