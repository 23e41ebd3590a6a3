"""What a user's own script leaves, who knows nothing of ganablate: runs in an MLflow of his, and a CSV of the same."""

import csv
import math
import random
import shutil

METHODS = {"vanilla": 38.0, "wgan-gp": 36.0, "sn": 30.5, "sn + ours": 25.0}
SEEDS = (11, 22, 33, 44, 55)
EXPERIMENT = "gan bench"
NAMES = ["--row", "method", "--seed", "rng_seed"]


def series_of(method, seed):
    """(step, eval/fid, eval/acc) of a run; runs of one seed go together."""
    shared, own = random.Random(f"{seed}"), random.Random(f"{method}{seed}")
    for step in (0, 500, 1000):
        fid = METHODS[method] * (1 + 4 / (1 + step / 50)) * math.exp(shared.gauss(0, 0.1) + own.gauss(0, 0.04))
        yield step, fid, 1 - fid / 1000


def values(key="eval/fid"):
    """{method: [last value of each seed]}."""
    last = {m: [list(series_of(m, seed))[-1] for seed in SEEDS] for m in METHODS}
    return {m: [each[1 + (key == "eval/acc")] for each in some] for m, some in last.items()}


def log_run(client, experiment, params, series, status="FINISHED", tags=None):
    """A run with its params and [(step, {key: value})], as `mlflow.log_metric` would leave it; its id."""
    from mlflow.entities import Metric, Param

    run = client.create_run(experiment, tags=tags)
    metrics = [Metric(key, value, step, step) for step, held in series for key, value in held.items()]
    client.log_batch(run.info.run_id, metrics, [Param(name, str(value)) for name, value in params.items()])
    client.set_terminated(run.info.run_id, status) if status != "RUNNING" else None
    return run.info.run_id


def run_script(path, empty_database):
    """Make a database with the runs at a path; returns MLflow's client of it, and the experiment's id."""
    from mlflow import MlflowClient

    shutil.copy(empty_database, path)
    client = MlflowClient(f"sqlite:///{path}")
    experiment = client.create_experiment(EXPERIMENT)
    for method in METHODS:
        for seed in SEEDS:
            series = [(step, {"eval/fid": fid, "eval/acc": acc}) for step, fid, acc in series_of(method, seed)]
            log_run(client, experiment, {"method": method, "rng_seed": seed, "lr": 2e-4}, series)
    return client, experiment


def write_twin(path):
    """A CSV with the values of these runs."""
    fids, accs = values(), values("eval/acc")
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["method", "rng_seed", "eval/fid", "eval/acc"])
        for m in METHODS:
            lines.writerows([m, *line] for line in zip(SEEDS, fids[m], accs[m], strict=True))
