"""Runs of version 0.1 get today's keys once, whatever interrupts that."""

import logging
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from search.locks import RunLocks
from search.store import Store, queries
from search.store.former import FORMER_KEY, config_of, spelled_key
from search.store.queries import find_runs, former_runs, runs_with_params, unmarked_experiments
from search.store.rekeying import rekey
from spaces.search import search_key
from trainers.config import Config
from trainers.data import load_dataset

FIXTURE = Path(__file__).parents[2] / "fixtures" / "storage-0.1.0.tar.xz"


PHOTOS = {"resolution": 16, "features": "digits"}


@pytest.fixture
def undecoded(tmp_path, monkeypatch):
    """The store that 0.1.0 left; one of its studies is on images in class folders."""
    monkeypatch.setenv("GANABLATE_CACHE", str(tmp_path / "cache"))
    shutil.unpack_archive(FIXTURE, tmp_path, filter="data")
    store = Store(storage=tmp_path / "runs")
    assert store.client  # from here on it knows where it lies
    return store


@pytest.fixture
def former(undecoded, tmp_path):
    """The same, where its images are known."""
    load_dataset(Config(dataset=f"folder:{tmp_path / 'photos'}", **PHOTOS))
    return undecoded


def everything(store):
    """Tags of all runs that the store has, by id."""
    return {run.run_id: run.tags for run in find_runs(store, "cell_key", None)}


class Killed(BaseException):
    """What ends a process at any point."""


def test_readers_see_todays_keys_and_write_nothing(former):
    before = (former.storage / "mlflow.db").read_bytes()
    seen = everything(former)
    assert (former.storage / "mlflow.db").read_bytes() == before
    assert rekey(former) == sum(bool(tags.keys() & {FORMER_KEY, "data", "search"}) for tags in seen.values()) > 0
    assert former_runs(former) == {}
    assert everything(former) == seen
    assert rekey(former) == 0


def test_images_in_class_folders_wait_until_they_are_known(undecoded, tmp_path):
    """Their digest of then holds the labels, which no network saw: what it is without them, only the images tell."""
    rekey(undecoded)
    (left,) = unmarked_experiments(undecoded)
    known = load_dataset(Config(dataset=f"folder:{tmp_path / 'photos'}", **PHOTOS)).digest
    runs = [run for run in find_runs(undecoded, "data", ["photos"]) if "seed" in run.tags]
    assert {(run.experiment_id, run.tags["data_digest"]) for run in runs} == {(left, known)}
    rekey(undecoded)
    assert unmarked_experiments(undecoded) == []
    assert {run.tags["data_digest"] for run in find_runs(undecoded, "data", ["photos"])} == {known}


def test_each_run_has_the_key_of_its_config(former):
    configs = {run_id: config_of(run) for run_id, run in former_runs(former).items()}
    rekey(former)
    kinds = set()
    for run in find_runs(former, "cell_key", None):
        config = configs[run.run_id]
        if config.is_at_path:
            assert (run.tags["data"], run.tags["data_spelling"]) == ("photos", "folder:photos at 16")
        assert run.cell_key == config.with_data(run.tags.get("data_digest")).cell_key
        kinds.add((config.is_at_path, spelled_key(config) == run.cell_key))
    assert kinds == {(True, False), (False, True), (False, False)}
    (base,) = {run.cell_key for run in find_runs(former, "row", ["search"])}
    trials = find_runs(former, "search", [search_key("ring", "all", "tpe", "asha", base)])
    assert sorted(int(run.tags["trial"]) for run in trials) == list(range(10))


def test_killed_at_random_nothing_is_lost_or_doubled(former, tmp_path, monkeypatch):
    """Five times, between any two writes."""
    shutil.copytree(former.storage, tmp_path / "other")
    undisturbed = Store(storage=tmp_path / "other")
    seen = everything(undisturbed)
    writes = rekey(undisturbed)
    whole, rng, left = everything(undisturbed), random.Random(0), writes
    assert whole == seen
    for _ in range(5):
        store = Store(storage=former.storage)
        deaths = rng.randint(0, left // 2)
        log, count = store.client.log_batch, iter(range(10**9))

        def dies(*arguments, log=log, count=count, deaths=deaths, **options):
            if next(count) == deaths:
                raise Killed
            log(*arguments, **options)

        monkeypatch.setattr(store.client, "log_batch", dies)
        with pytest.raises(Killed):
            rekey(store)
        left -= deaths
        assert everything(Store(storage=former.storage)) == seen
    assert rekey(Store(storage=former.storage)) == left
    assert everything(Store(storage=former.storage)) == whole


def test_what_is_being_made_is_left_for_the_next_command(former):
    held = next(run for run in former_runs(former).values() if FORMER_KEY in run.tags and "seed" in run.tags)
    with RunLocks(former.storage) as locks:
        assert locks.acquire(held.tags[FORMER_KEY], held.seed)
        rekey(former)
        assert former.client.get_run(held.run_id).data.tags["cell_key"] == held.tags[FORMER_KEY]
        assert unmarked_experiments(former)
        assert everything(former)[held.run_id]["cell_key"] == held.cell_key  # readers know it all the same
    assert rekey(former) == 1
    assert former.client.get_run(held.run_id).data.tags["cell_key"] == held.cell_key


def test_a_run_that_does_not_tell_what_it_is_is_named(former, caplog):
    runs = former_runs(former)
    odd = next(run_id for run_id, run in runs.items() if run.tags.get("study") == "points" and "seed" in run.tags)
    blind = next(run_id for run_id, run in runs.items() if "data" in run.tags and "seed" in run.tags)
    with sqlite3.connect(former.storage / "mlflow.db") as connection:
        connection.execute("UPDATE params SET value = 'no_such' WHERE run_uuid = ? AND key = 'dataset'", [odd])
        connection.execute("DELETE FROM tags WHERE run_uuid = ? AND key = 'data_digest'", [blind])
    with caplog.at_level(logging.WARNING):
        rekey(former)
    (line,) = [record.getMessage() for record in caplog.records]
    assert odd in line
    assert "stay in MLflow" in line
    assert unmarked_experiments(former) == []
    assert everything(former).keys() == runs.keys()


def test_of_two_that_become_one_the_oldest_done_counts_and_the_other_is_found_by_its_id(former):
    """A plain GAN with another step size of the stage that it has not."""
    from search.plan import make_plan
    from search.store.delivery import Delivery
    from spaces import Study

    config = Config(backbone_options={"width": 4}, n_images=640, eval_every=640)
    study = Study("twins", config, rows={"GAN": {}}, seeds=1)
    (cell,) = study.cells()
    first, second = (Delivery(former).create(study, cell, 0) for _ in range(2))
    for run_id, eta in ((first, 0.2), (second, 0.3)):
        spelled = config.replace(eta=eta)
        former.client.set_tag(run_id, "cell_key", spelled_key(spelled))
        for name, value in spelled.non_defaults().items():
            former.client.log_param(run_id, name, str(value))
    former.client.set_tag(second, "state", "done")
    former.client.delete_experiment_tag(former.client.get_run(first).info.experiment_id, "ganablate.identity")
    former.is_marked = False
    rekey(former)
    (job,) = make_plan(study, former).jobs
    assert (job.run_id, job.state) == (second, "done")
    assert former.client.get_run(first).data.tags["cell_key"] == cell.config.cell_key


def test_a_server_is_asked_for_a_page_at_a_time(former, monkeypatch):
    by_database = {e: list(runs_with_params(former, e)) for e in unmarked_experiments(former)}
    monkeypatch.setattr(queries, "is_database", lambda uri: False)
    asked, search_runs = [], former.client.search_runs

    def counted(*arguments, **options):
        asked.append(options.get("max_results", 1_000))
        return search_runs(*arguments, **options)

    monkeypatch.setattr(former.client, "search_runs", counted)
    assert set(unmarked_experiments(former)) == {*by_database, "0"}  # and MLflow's own, which has no run
    for experiment, runs in by_database.items():
        by_server = {run.run_id: (run.tags, dict(run.params)) for run in runs_with_params(former, experiment)}
        assert by_server == {run.run_id: (run.tags, dict(run.params)) for run in runs}
    assert max(asked) <= 1_000
