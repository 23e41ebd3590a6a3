"""Shared by all tests: small Configs, one thread, no network."""

import os
import shutil

os.environ["MLFLOW_TRACKING_URI"] = ""  # tests never write to a user's store

import pytest
import torch

from search.store.delivery import Delivery
from search.store.parents import Parents
from trainers.config import Config


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def tiny_points():
    """16 steps on ring8, rows at 0, 256, 512."""
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


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """An SQLite store without runs: MLflow takes two seconds to make one."""
    from search.store import Store

    store = Store(storage=tmp_path_factory.mktemp("empty"))
    assert store.client
    return store.storage / "mlflow.db"


@pytest.fixture
def store(tmp_path, empty_database):
    from search.store import Store

    (tmp_path / "runs").mkdir()
    shutil.copy(empty_database, tmp_path / "runs")
    return Store(storage=tmp_path / "runs")


@pytest.fixture
def make_runs(store):
    """Make all runs of a study in this process, without Ray, as the driver and its workers would."""
    from trainers.loop import train

    def make(study, seeds=None):
        for cell in study.cells():
            for seed in range(seeds or study.seeds):
                config = cell.config.replace(seed=seed)
                run_id = Delivery(store).create(study, cell, seed)
                Delivery(store).begin(run_id, config)
                for _row in train(config, store.folder(run_id)):
                    Delivery(store).deliver(run_id)
                Delivery(store).finish(run_id, _row["state"])
        Parents(store).update(study, study.cells())

    return make
