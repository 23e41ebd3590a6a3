"""Shared by all tests: small Configs, one thread, no network."""

import gc
import os
import shutil
import sqlite3
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name

gc.disable()  # while all is imported, and what was imported is never looked through

os.environ["MLFLOW_TRACKING_URI"] = ""  # tests never write to a user's store
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ |= {"RAY_worker_niceness": "0"}  # else trials get what other tests leave them of two cores
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import hypothesis
import pytest  # and nothing that takes long: the process that hands out the tests imports this too

hypothesis.settings.register_profile("quick", max_examples=20, deadline=None, derandomize=True)
hypothesis.settings.register_profile("thorough", max_examples=300, deadline=None, derandomize=True)
hypothesis.settings.load_profile("quick")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config, items):
    """Tests on the cluster run in one worker, those that start processes in another, and both before all others."""
    for item in items:
        if "cluster" in item.fixturenames:
            item.add_marker("ray")
        for name in ("ray", "process"):
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.xdist_group(name))
        if "inception_weights" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("inception"))
            item.add_marker("long")
    items.sort(key=lambda item: not item.get_closest_marker("xdist_group"))
    yield
    if getattr(config.option, "loadgroup", False):  # pytest 9.2 no longer reads the id that xdist 3.8 sets (its #1386)
        for item in items:
            group = item.get_closest_marker("xdist_group")
            if group and "@" not in item.nodeid.rpartition("::")[2]:
                item._id = type(item._id).parse(f"{item.nodeid}@{group.args[0]}")


def pytest_collection_finish():
    gc.freeze()
    gc.enable()
    gc.set_threshold(100_000)  # objects; by looking more often a twentieth of the suite would go
    if "matplotlib" in sys.modules:  # to embed fonts takes longer than all else of a figure
        sys.modules["matplotlib"].rcParams |= {"pdf.use14corefonts": True, "savefig.dpi": 60}
    if "reports.style" in sys.modules:
        sys.modules["reports.style"].LOOKS["savefig.dpi"] = 60


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk():
    """No test of this process pulls the plug."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def tables_are_made_once(tmp_path_factory):
    """MLflow takes two seconds to make an empty database: stores begin as copies of the first. Gives what makes it.
    Nor does MLflow look through its migrations at every store that is opened."""
    from search.store import Store

    make, first = Store._empty_database, tmp_path_factory.mktemp("tables") / "mlflow.db"

    def copied(store):
        waiting = store.storage / "cache" / f"mlflow-{version('mlflow')}.db"
        if first.exists() and not waiting.exists():
            waiting.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(first, waiting)
        path = make(store)
        if not first.exists():
            shutil.copy(path, first)
            patch.setattr(latest := "mlflow.store.db.utils._get_latest_schema_revision", cache(resolve_name(latest)))
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "_empty_database", copied)
        yield make


@pytest.fixture(autouse=True)
def no_files_of_a_user():
    """What another test's study file may have patched gives no check a process of its own."""
    from trainers import user_code

    user_code._FILES.clear()


@pytest.fixture(scope="session")
def cluster():
    """Ray on this machine, for all tests that use it: they follow one another."""
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)


@pytest.fixture(autouse=True)
def no_cluster(request):
    """Other tests find no Ray in their process."""
    if "ray" in sys.modules and "cluster" not in request.fixturenames:
        sys.modules["ray"].shutdown()


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are files without content: to lay them out takes longer than all else of a report."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda _, path, **__: Path(path).touch())


@pytest.fixture
def umask_of_a_team():
    """What is made lets the group write."""
    before = os.umask(0o002)
    yield
    os.umask(before)


@pytest.fixture
def tiny_points():
    """16 steps on ring8, rows at 0, 256, 512."""
    from trainers.config import Config

    return Config(
        dataset="ring8",
        backbone="mlp",
        backbone_options={"width": 16, "latent": 4},
        batch_size=32,
        n_images=512,
        eval_every=256,
        eval_samples=400,
    )


@pytest.fixture
def tiny_images():
    """6 steps on digits, rows at 0, 48, 96."""
    from trainers.config import Config

    return Config(
        backbone_options={"width": 4, "latent": 8}, batch_size=16, n_images=96, eval_every=48, eval_samples=200
    )


@pytest.fixture
def tiny_study(tiny_points):
    """Two rows of two seeds, a second each."""
    from spaces import Study

    return Study(
        "tiny",
        tiny_points,
        rows={"GAN": {}, "+ aw": {"aw": "normalized"}},
        seeds=2,
        metrics=("energy_distance_final", "fid_best"),
    )


@pytest.fixture
def none_lost(monkeypatch):
    """Runs of seconds end no better than untrained: here only those that diverged are lost."""
    monkeypatch.setattr("search.store.summaries.is_lost", lambda _, state, *__, **___: state == "diverged")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """An SQLite store without runs: MLflow takes two seconds to make one. From here on, nothing waits for the disk."""
    from sqlalchemy import Engine, event

    from search.store import Store

    @event.listens_for(Engine, "connect")
    def no_sync(connection, _):
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    store = Store(storage=tmp_path_factory.mktemp("empty"))
    assert store.client
    return store.storage / "mlflow.db"


@pytest.fixture
def store(tmp_path, empty_database):
    from search.store import Store

    (tmp_path / "runs").mkdir()
    shutil.copy(empty_database, tmp_path / "runs")
    return Store(storage=tmp_path / "runs")


def trained_in(home):
    """A function (config) -> run folder below a folder, trained once."""
    from trainers.loop import train

    def folder(config):
        path = home / f"{config.cell_key}-{config.seed}"
        if not path.exists():
            assert list(train(config, path))
        return path

    folder.stores = {}  # folders of stores that hold what was made of them, by study
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Run folders that tests share, trained once a session."""
    return trained_in(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def make_runs(store, trained, tmp_path_factory, request):
    """Make all runs of a study without Ray, as the driver and its workers would, and of a new store once a session."""
    from search.store.delivery import Delivery
    from search.store.parents import Parents
    from trainers.run_folder import end_of

    delivery = Delivery(store)

    def make(study, seeds=None):
        asked, cells = repr((study, seeds, "none_lost" in request.fixturenames)), study.cells()
        is_new = "client" not in vars(store) and not store.folders.root.exists()
        if is_new and asked in trained.stores:  # whose place the client will find changed
            shutil.copytree(trained.stores[asked], store.storage, dirs_exist_ok=True)
            return
        for cell in cells:
            for seed in range(seeds or study.seeds):
                config = cell.config.replace(seed=seed)
                run_id = delivery.create(study, cell, seed)
                delivery.begin(run_id, config)
                shutil.copytree(trained(config), store.folder(run_id), dirs_exist_ok=True)
                delivery.finish(run_id, end_of(store.folder(run_id))[0])
        Parents(store).update(study, cells)
        if is_new and not any(cell.config.is_at_path for cell in cells):
            trained.stores[asked] = tmp_path_factory.mktemp("made") / "runs"
            shutil.copytree(store.storage, trained.stores[asked])

    return make
