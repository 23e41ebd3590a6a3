"""What runs in a Ray worker: one training run. Knows nothing of MLflow; the driver reads the run folder."""

from __future__ import annotations

import os
import sys
from typing import Any


def train_trial(trial: dict[str, Any]) -> None:
    """Train trial["config"] (the fields of a Config) in trial["run_dir"], reporting each row's numbers to Ray Tune.

    `folder`, `path` and `cache` are the driver's working directory, module path and cache: a user's files and modules
    mean the same here as there. Their modules come last, so that none hides ours.
    """
    from ray import tune

    os.environ["GANABLATE_CACHE"] = trial["cache"]
    os.chdir(trial["folder"])
    sys.path += [entry for entry in trial["path"] if entry not in sys.path]
    from trainers.config import Config
    from trainers.loop import train

    config = Config(**trial["config"])
    for row in train(config, trial["run_dir"]):
        tune.report({"images": row["images"], "state": row["state"], config.metric: row[config.metric]})
