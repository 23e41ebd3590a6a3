"""What can go of a storage folder, and what must not."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter

import pytest

from search.clean import KINDS, UNUSED, describe, find_leftovers, remove
from search.locks import RunLocks
from search.store.delivery import Delivery
from search.store.parents import Parents
from trainers.checkpoint import CHECKPOINTS
from trainers.loop import train


def kinds(store):
    return Counter(item.kind for item in find_leftovers(store).items)


def clean(store):
    return list(remove(find_leftovers(store).items, store))


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def begun(store, tiny_study):
    """A run with rows and a checkpoint that nobody makes now."""
    cell = tiny_study.cells()[0]
    run_id = Delivery(store).create(tiny_study, cell, 0)
    run = train(cell.config, store.folder(run_id))
    for _ in range(2):
        next(run)
        Delivery(store).deliver(run_id)
    run.close()
    return run_id


KEPT = {
    "config.json",
    "data.json",
    "provenance.json",
    "rows.jsonl",
    "samples",
    "generator_best.pt",
    "generator_final.pt",
    "lock",
}


def test_a_done_run_keeps_what_was_promised_and_nothing_of_it_can_go(store, make_runs, tiny_study):
    make_runs(tiny_study, seeds=1)
    for folder in (store.storage / "trials").iterdir():
        assert names(folder) == KEPT
    assert find_leftovers(store) == ([], [])
    assert describe([], []) == ["Nothing can go."]


def test_what_an_unfinished_run_needs_stays(store, begun):
    before = names(store.folder(begun))
    assert "checkpoint.pt" in before
    assert clean(store) == []
    Delivery(store).finish(begun, "failed")  # --retry-failed goes on from it
    assert clean(store) == []
    assert names(store.folder(begun)) == before | {"end.json"}


def test_rows_that_wait_for_the_store_stay(store, begun):
    """The store says stopped, of an earlier time; the folder has gone on since."""
    Delivery(store).finish(begun, "stopped")
    (store.folder(begun) / "end.json").unlink(missing_ok=True)
    assert clean(store) == []


def test_of_a_stopped_run_nothing_that_is_large_stays(store, begun):
    Delivery(store).finish(begun, "stopped")
    (store.folder(begun) / "generator_best.pt.tmp").write_bytes(b"half")
    assert kinds(store) == {"checkpoints": 3, "generators": 1}
    gone = clean(store)
    assert sum(item.size for item in gone) > 10_000
    assert names(store.folder(begun)) & {*CHECKPOINTS, "generator_best.pt", "generator_best.pt.tmp"} == set()
    assert "rows.jsonl" in names(store.folder(begun))


def test_the_folder_of_a_deleted_run_goes_unless_somebody_holds_it(store, begun, tiny_study):
    store.client.delete_run(begun)
    key = tiny_study.cells()[0].config.cell_key
    locks = RunLocks(store.storage)
    locks.acquire(key, 0)
    assert kinds(store) == {}
    found = find_leftovers(store, locks).items
    assert list(remove(found, store)) == []  # a driver has begun it since it was listed
    locks.release()
    assert [item.path for item in clean(store)] == [store.folder(begun)]
    assert not store.folder(begun).exists()


def test_a_deleted_experiment_takes_its_runs_along(store, begun, tiny_study):
    store.client.delete_experiment(Parents(store).experiment(tiny_study))
    assert kinds(store) == {"deleted": 1}


def test_a_folder_of_which_the_store_knows_nothing_stays(store, begun):
    unknown = store.folder("f" * 32)
    shutil.copytree(store.folder(begun), unknown)
    assert find_leftovers(store) == ([], [unknown])
    assert "Left alone" in describe(*find_leftovers(store))[-1]


HOLDER = """
import sys
from pathlib import Path
from search.locks import RunLocks
locks = RunLocks(Path(sys.argv[1]))
print(locks.acquire("0123456789abcdef", 0), flush=True)
sys.stdin.read()
"""


def test_scratch_and_locks_go_once_their_process_is_dead(store):
    (store.storage / "tune-1" / "x").mkdir(parents=True)
    (store.storage / "trials" / "import-1").mkdir(parents=True)
    command = [sys.executable, "-c", HOLDER, str(store.storage)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "True\n"
        assert clean(store) == []
        holder.kill()
    assert kinds(store) == {"scratch": 2, "locks": 1}
    assert len(clean(store)) == 3
    assert names(store.storage / "locks") == set()
    assert kinds(store) == {}


def test_a_lock_that_is_released_leaves_no_file(store):
    locks, others = RunLocks(store.storage), RunLocks(store.storage)
    assert locks.acquire("a", 0)
    assert not others.acquire("a", 0)
    locks.release()
    assert names(store.storage / "locks") == set()
    assert others.acquire("a", 0)


def test_a_lock_counts_only_while_its_file_is_there(store, monkeypatch):
    """Between the opening of a file and its locking, who held it may take it away, and another make a new one."""
    flock, calls = fcntl.flock, []

    def late(file, flags):
        if not calls:
            (store.storage / "locks" / "a-0").unlink()
        calls.append(flags)
        flock(file, flags)

    monkeypatch.setattr(fcntl, "flock", late)
    locks = RunLocks(store.storage)
    assert locks.acquire("a", 0)
    assert len(calls) == 2
    assert not RunLocks(store.storage).acquire("a", 0)


def cache(store, name, digest, age=0.0, source="folder:photos"):
    folder = store.storage / "cache" / "images" / name
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"digest": digest, "source": source}))
    (folder / "images.npy").write_bytes(bytes(5000))
    os.utime(folder / "images.npy", (time.time() - age,) * 2)
    return folder


def test_caches_that_no_run_used_or_nobody_read_can_go(store, begun):
    store.client.set_tag(begun, "data_digest", "used")
    cache(store, "used", "used")
    gone = {cache(store, "changed", "another"), cache(store, "old", "used", UNUSED + 60)}
    (store.storage / "cache" / "inception").mkdir()
    fetched = store.storage / "cache" / "inception" / "weights.pth"
    fetched.write_bytes(b"")
    os.utime(fetched, (0, 0))  # what was downloaded may not be had again
    (store.storage / "cache" / "images" / "half.tmp").mkdir()
    assert {item.path for item in find_leftovers(store).items if item.kind == "caches"} == gone
    assert kinds(store) == {"caches": 2, "scratch": 1}
    clean(store)
    assert names(store.storage / "cache" / "images") == {"used"}
    assert fetched.exists()


@pytest.mark.parametrize("typed", ["my photos", "my photos/", "./my photos"])
def test_the_images_of_a_pair_are_known_by_its_path(store, begun, typed):
    """A run has one digest of its four parts."""
    store.client.set_tag(begun, "data_digest", "of all four")
    store.client.set_tag(begun, "data_spelling", f"pair:{typed} at 64")
    cache(store, "used", "a part", source="pair:my photos/trainA")
    gone = cache(store, "another", "a part", source="pair:my/trainA")
    assert [item.path for item in find_leftovers(store).items if item.kind == "caches"] == [gone]


def test_links_are_not_followed(store, begun, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "checkpoint.pt").write_text("mine")
    (store.storage / "tune-1").symlink_to(outside)
    (store.storage / "trials" / ("e" * 32)).symlink_to(outside)
    (store.storage / "locks").rename(tmp_path / "locks")
    (store.storage / "locks").symlink_to(tmp_path / "locks")
    store.client.delete_run(begun)
    (store.folder(begun) / "link").symlink_to(outside)
    assert kinds(store) == {"deleted": 1}
    clean(store)
    assert (outside / "checkpoint.pt").read_text() == "mine"


def test_every_kind_is_told(store, begun):
    store.client.delete_run(begun)
    lines = describe(*find_leftovers(store))
    assert lines[0].startswith("deleted: ")
    assert KINDS["deleted"] in lines[0]
    assert str(store.folder(begun)) in lines[1]
