"""A store that was lost, or put back from an older backup, gets its run folders back, each once."""

import shutil

import pytest

from search.clean import find_leftovers, remove
from search.locks import RunLocks
from search.plan import make_plan
from search.store import Store, database, load_runs, recovery
from search.store.delivery import Delivery
from search.store.folders import RunFolders
from search.store.identity import belongs, database_lost, origin
from search.store.queries import known_ids, seed_runs
from search.store.recovery import recover_study
from spaces import Study
from trainers.loop import train
from trainers.run_folder import ORIGIN, end_of, read_origin, write_origin


def mark(store):
    """As workers do."""
    for run in seed_runs_of(store):
        write_origin(store.folder(run.info.run_id), {**origin(store), "cell_key": run.data.tags["cell_key"]})


def seed_runs_of(store):
    experiments = [e.experiment_id for e in store.client.search_experiments()]
    return [run for run in store.client.search_runs(experiments) if "seed" in run.data.tags]


def put_back(store, database):
    """The store with this file in place of its own; moved too, since this process has the former file open."""
    moved = store.storage.with_name(f"{store.storage.name}-again")
    shutil.move(store.storage, moved)
    shutil.copy(database, moved / "mlflow.db")
    return Store(storage=moved)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("begun")


@pytest.fixture
def begun(home, store, make_runs, tiny_study, tmp_path):
    """The store of two rows of two seeds, made once: three done, one interrupted after two evaluations."""
    if not (home / "runs").exists():
        make_runs(tiny_study.variant(seeds=1))
        first, second = tiny_study.cells()
        delivery = Delivery(store)
        for cell, rows in ((first, 2), (second, 3)):
            run_id = delivery.create(tiny_study, cell, 1)
            run = train(cell.config.replace(seed=1), store.folder(run_id))
            for _ in range(rows):
                next(run)
            run.close()
            delivery.begin(run_id, cell.config.replace(seed=1))
            delivery.interrupt(run_id)
        mark(store)
        shutil.copytree(store.storage, home / "runs")
    return Store(storage=shutil.copytree(home / "runs", tmp_path / "begun"))


def values(study, store):
    """Who died before a run was said to run left it as missing: it goes on from its rows all the same."""
    runs = load_runs(study, store=store).replace("missing", "running")
    return list(runs[["row", "seed", "state", "energy_distance_final", "seconds"]].fillna(-1.0).itertuples(index=False))


def test_a_removed_database_is_filled_from_the_folders(begun, tiny_study, empty_database):
    """Nothing is missing but the rest of what was interrupted, with its checkpoint; a second call finds nothing."""
    before, folders = values(tiny_study, begun), begun.folders.ids()
    store = put_back(begun, empty_database)
    assert [job.state for job in make_plan(tiny_study, store).missing] == ["missing"] * 4
    assert recover_study(tiny_study, Delivery(store)) == 4
    assert values(tiny_study, store) == before
    (left,) = make_plan(tiny_study, store).missing
    assert left.shown == "interrupted at 50%"
    assert (store.folder(left.run_id) / "checkpoint.pt").exists()
    assert store.folders.ids() == {run.info.run_id for run in seed_runs_of(store)}
    assert store.folders.ids().isdisjoint(folders)
    assert {read_origin(store.folder(run_id))["store"] for run_id in store.folders.ids()} == {origin(store)["store"]}
    assert {run.info.status for run in seed_runs_of(store)} == {"FINISHED", "KILLED"}
    assert recover_study(tiny_study, Delivery(store)) == 0


def test_an_older_backup_gets_what_it_lacks(store, make_runs, tiny_study, tmp_path):
    make_runs(tiny_study.variant(seeds=1))
    mark(store)
    known = store.folders.ids()
    shutil.copy(store.storage / "mlflow.db", tmp_path / "backup")
    make_runs(tiny_study)  # the first seed again, whose second runs are duplicates
    mark(store)
    before = values(tiny_study, store)
    again = put_back(store, tmp_path / "backup")
    assert recover_study(tiny_study, Delivery(again)) == 2
    assert values(tiny_study, again) == before
    assert known < again.folders.ids()


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "step", ["Delivery.create", "RunFolders.rename", "write_origin", "Delivery.begin", "Delivery.interrupt"]
)
def test_it_can_be_killed_at_any_step(begun, tiny_study, empty_database, monkeypatch, step, done):
    """Whatever was written last, the next call ends with each run once, and with all of it; other cells wait."""
    study = Study("tiny", tiny_study.recipe, rows={"GAN": {}}, seeds=2, metrics=tiny_study.metrics)
    before, store = values(study, begun), put_back(begun, empty_database)
    owner, _, name = step.rpartition(".")
    home = {"Delivery": Delivery, "RunFolders": RunFolders, "": recovery}[owner]
    act, calls = getattr(home, name), []

    def dies(*arguments, **options):
        calls.append(name)
        if len(calls) < 2 or done:  # at the second run
            result = act(*arguments, **options)
        if len(calls) < 2:
            return result
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(home, name, dies)
        with pytest.raises(KeyboardInterrupt):
            recover_study(study, Delivery(store))
    delivery = Delivery(Store(storage=store.storage))
    recover_study(study, delivery)
    delivery.recover(seed_runs(store, (cell.config for cell in study.cells())).values())  # as `run` does
    assert values(study, store) == before
    assert len(seed_runs_of(store)) == 2
    assert len(store.folders.ids()) == 4
    assert store.folders.ids() > {run.info.run_id for run in seed_runs_of(store)}


def test_a_run_that_was_created_and_no_more_gets_the_folder(begun, tiny_study, empty_database):
    store = put_back(begun, empty_database)
    run_id = Delivery(store).create(tiny_study, tiny_study.cells()[0], 0)
    assert recover_study(tiny_study, Delivery(store)) == 4
    assert end_of(store.folder(run_id))[0] == "done"
    assert len(seed_runs_of(store)) == 4


def test_what_another_run_stands_for_is_left_alone(begun, tiny_study, empty_database, trained):
    """It was trained again before this was known."""
    store = put_back(begun, empty_database)
    cell = tiny_study.cells()[0]
    run_id = Delivery(store).create(tiny_study, cell, 0)
    shutil.copytree(trained(cell.config), store.folder(run_id))
    assert recover_study(tiny_study, Delivery(store)) == 3
    assert len(store.folders.ids()) == 5


def test_what_a_living_process_has_locked_is_left_alone(begun, tiny_study, empty_database):
    store = put_back(begun, empty_database)
    with RunLocks(store.storage) as locks:
        locks.acquire(tiny_study.cells()[0].config.cell_key, 1)
        assert recover_study(tiny_study, Delivery(store)) == 3
    assert recover_study(tiny_study, Delivery(store)) == 1


def test_what_was_deleted_stays_deleted(begun, tiny_study):
    run_id = seed_runs_of(begun)[0].info.run_id
    begun.client.delete_run(run_id)
    assert recover_study(tiny_study, Delivery(begun)) == 0
    assert list(remove(find_leftovers(begun).items, begun))
    assert run_id not in begun.folders.ids()


def test_folders_of_other_stores_and_of_before_are_left_alone(begun, tiny_study, empty_database, tmp_path):
    """Another store on the same storage; the copy of a database that is in use as well; no origin; a damaged one."""
    shutil.copy(empty_database, tmp_path / "other.db")
    shutil.copy(begun.storage / "mlflow.db", tmp_path / "copy.db")
    for name in ("other", "copy"):
        there = Store(f"sqlite:///{tmp_path}/{name}.db", begun.storage)
        if name == "copy":  # as an older backup of it
            for run in seed_runs_of(there)[:2]:
                there.client.set_tag(run.info.run_id, "cell_key", "none")
        assert recover_study(tiny_study, Delivery(there)) == 0
    moved = put_back(begun, empty_database)
    first, second, *_ = sorted(moved.folders.ids())
    (moved.folder(first) / ORIGIN).unlink()
    (moved.folder(second) / ORIGIN).write_text("{")
    assert recover_study(tiny_study, Delivery(moved)) == 2


def test_where_a_store_is_and_which(store, empty_database, tmp_path):
    """Its id is made once; its address stays when the storage is moved."""
    here = origin(store)
    assert here == origin(store)
    assert here["address"] == "mlflow.db"
    assert len(here["store"]) == 32
    shutil.copy(empty_database, tmp_path / "other.db")
    other = Store(f"sqlite:///{tmp_path}/other.db", store.storage)
    assert origin(other)["address"] == f"sqlite:///{tmp_path}/other.db"
    assert origin(other)["store"] != here["store"]
    assert not belongs(here, origin(other), other)
    moved = {"store": here["store"], "address": f"sqlite:///{tmp_path}/gone.db"}
    assert belongs(moved, here, store)
    assert not belongs({}, here, store)


def test_a_store_whose_own_experiment_cannot_be_written_has_its_address(store, monkeypatch):
    from mlflow.exceptions import MlflowException

    def denies(*_):
        raise MlflowException("PERMISSION_DENIED")

    monkeypatch.setattr(store.client._client, "get_experiment", denies)
    assert origin(store) == {"store": "", "address": "mlflow.db"}
    assert belongs({"store": "", "address": "mlflow.db"}, origin(store), store)
    assert not belongs({"store": "", "address": "http://there"}, origin(store), store)


def test_a_database_that_is_gone_is_told(store, tmp_path):
    _ = store.client
    assert database_lost(store) is None
    shutil.copy(store.storage / "mlflow.db", tmp_path / "backup")
    (tmp_path / "backup").replace(store.storage / "mlflow.db")
    assert "mlflow.db is another one than when the sweep began" in database_lost(store)
    (store.storage / "mlflow.db").unlink()
    assert database_lost(store).endswith("mlflow.db is gone")
    assert database_lost(Store("http://there", store.storage)) is None


def test_folders_that_the_store_knows_cost_one_question(begun, tiny_study, monkeypatch):
    asked, ask = [], database._ask
    monkeypatch.setattr(database, "_ask", lambda *question, **values: asked.append(1) or ask(*question, **values))
    monkeypatch.setattr("search.store.recovery.read_origin", lambda folder: pytest.fail(f"{folder} was read"))
    assert recover_study(tiny_study, Delivery(begun)) == 0
    assert asked == [1]


def test_a_server_is_asked_run_by_run(begun, monkeypatch):
    known = next(iter(begun.folders.ids()))
    deleted = seed_runs_of(begun)[1].info.run_id
    begun.client.delete_run(deleted)
    monkeypatch.setattr("search.store.queries.is_database", lambda _: False)
    assert known_ids(begun, [known, deleted, "0" * 32]) == {known, deleted}


@pytest.mark.parametrize(
    "content", ["[]", '{"store": 1}', '{"path": "x"}', '{"trial": "-1"}', '{"search": "a", "trial": "1"}', "{" * 9]
)
def test_an_origin_that_is_none(tmp_path, content):
    assert read_origin(tmp_path) == {}
    (tmp_path / ORIGIN).write_text(content)
    with pytest.raises(ValueError, match=ORIGIN):
        read_origin(tmp_path)
