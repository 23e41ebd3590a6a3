"""Shared by all tests: small Configs, one thread, no network."""

import os

os.environ["MLFLOW_TRACKING_URI"] = ""  # tests never write to a user's store

import pytest
import torch

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
