"""What runs in a Ray worker: one training run. Knows nothing of MLflow; the driver reads the run folder."""

from __future__ import annotations

from typing import Any


def train_trial(trial: dict[str, Any]) -> None:
    """Train trial["config"] (the fields of a Config) in trial["run_dir"], reporting each row's numbers to Ray Tune."""
    from ray import tune

    from trainers.config import Config
    from trainers.loop import train

    config = Config(**trial["config"])
    for row in train(config, trial["run_dir"]):
        tune.report({"images": row["images"], "state": row["state"], config.metric: row[config.metric]})
