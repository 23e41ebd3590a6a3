"""How long `ganablate plan` and `ganablate report` take as the store grows, as a user waits for them.

python benchmarks/store_scale.py

Fills an SQLite store of MLflow's with 100, 1,000 and 10,000 runs of studies of at most 1,000 runs each, and asks one of
these studies by real processes, whose processor time says more than the wall's on a busy machine. Runs are written
into MLflow's tables directly, with as many params, tags and metrics as real ones have. Exits with 1 if plan or report
takes more than LIMIT seconds, or grows faster than the runs.
"""

from __future__ import annotations

import os
import random
import resource
import runpy
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy import MetaData, create_engine

from search.store import Store
from search.store.parents import Parents
from spaces import Study

LIMIT = 10.0  # seconds
STUDY = 1_000  # runs of a study, at most
STEPS = 4  # evaluations of a run
ROW_METRICS = ("fid", "precision", "recall", "images", "seconds", "eval_seconds", *(f"loss_{i}" for i in range(8)))
FINALS = ("fid_final", "fid_best", "precision_final", "recall_final", "evaluations", "odd")
CASES = [(100, 10), (1_000, 10), (10_000, 10), (10_000, 1)]  # runs of the store, seeds of a cell

FILE = """from spaces import Study


def grid(number):
    rows = {{f"row {{i}}": {{"lr": (1 + i + 1000 * number) * 1e-6}} for i in range({rows})}}
    columns = {{f"column {{i}}": {{"r1_gamma": 0.1 * i}} for i in range({columns})}}
    return Study(f"study {{number}}", "digits_gan", rows, columns, seeds={seeds}, metrics=("fid_final", "fid_best"))


studies = [grid(number) for number in range({studies})]
asked = studies[0]
"""


def write_studies(folder: Path, runs: int, seeds: int) -> list[Study]:
    """Write the file of the store's studies; returns them, the one that is asked first."""
    studies = max(1, runs // STUDY)
    cells = runs // studies // seeds
    columns = 5 if seeds > 1 else 1
    text = FILE.format(rows=cells // columns, columns=columns, seeds=seeds, studies=studies)
    (folder / "grids.py").write_text(text)
    made: list[Study] = runpy.run_path(str(folder / "grids.py"))["studies"]
    return made


def rows_of(study: Study, experiment: str, artifacts: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """What MLflow's tables hold of a study, as (table, row): a closed parent a cell, and its seeds' runs."""
    draw, now = random.Random(study.name), time.time_ns() // 1_000_000
    for cell in study.cells():
        tags = {"cell_key": cell.config.cell_key, "study": study.title, "row": cell.row, "column": cell.column}
        tags["protocol"] = cell.config.protocol
        parent = uuid.UUID(int=draw.getrandbits(128)).hex
        yield from _run(parent, experiment, artifacts, now, {**tags, "run_ids": "x" * 330})
        for seed in range(study.seeds):
            run_id = uuid.UUID(int=draw.getrandbits(128)).hex
            state = draw.choices(["done", "diverged", "running"], [95, 2, 3])[0]
            held = {**tags, "seed": str(seed), "state": state, "mlflow.parentRunId": parent, "torch": "2.14.1"}
            held |= {"code_version": "0.1.0", "data_digest": "0" * 16, "features_digest": "0" * 16, "device": "x86_64"}
            yield from _run(run_id, experiment, artifacts, now, held)
            for number in range(10):
                yield "params", {"run_uuid": run_id, "key": f"field_{number}", "value": "0.0002"}
            for step in range(STEPS):
                for name in ROW_METRICS:
                    value = 64.0 * step if name == "images" else draw.uniform(1, 100)
                    row = {"run_uuid": run_id, "key": name, "value": value, "step": 64 * step, "is_nan": False}
                    yield "metrics", {**row, "timestamp": now + step}
                    if step == STEPS - 1:
                        yield "latest_metrics", {**row, "timestamp": now + step}
            for name in FINALS if state == "done" else ():
                row = {"run_uuid": run_id, "key": name, "value": draw.uniform(1, 100), "timestamp": now, "step": 64}
                yield "metrics", {**row, "is_nan": False}
                yield "latest_metrics", {**row, "is_nan": False}


def _run(
    run_id: str, experiment: str, artifacts: Path, now: int, tags: dict[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    running = tags.get("state") == "running"
    yield (
        "runs",
        {
            "run_uuid": run_id,
            "name": f"{tags['row']}, seed {tags.get('seed')}",
            "source_type": "UNKNOWN",
            "user_id": "unknown",
            "status": "RUNNING" if running else "FINISHED",
            "start_time": now,
            "end_time": None if running else now + 1,
            "lifecycle_stage": "active",
            "artifact_uri": f"{artifacts.as_uri()}/{run_id}/artifacts",
            "experiment_id": int(experiment),
        },
    )
    for key, value in tags.items():
        yield "tags", {"run_uuid": run_id, "key": key, "value": value}


def fill(store: Store, studies: list[Study]) -> None:
    """Write all runs of the studies into the store; those of the first have a grid of samples and a lock file."""
    artifacts = store.storage / "artifacts"
    experiments = [Parents(store).experiment(study) for study in studies]
    tables = MetaData()
    engine = create_engine(store.uri)
    tables.reflect(engine)
    picture = Path(store.storage, "grid.png")
    Image.effect_noise((274, 274), 100).save(picture)
    (store.storage / "locks").mkdir(exist_ok=True)
    for study, experiment in zip(studies, experiments, strict=True):
        batches: dict[str, list[dict[str, Any]]] = {"runs": []}
        for table, row in rows_of(study, experiment, artifacts):
            batches.setdefault(table, []).append(row)
        with engine.begin() as connection:
            for table, batch in batches.items():
                connection.execute(tables.tables[table].insert(), batch)
        if study is studies[0]:
            seeds = [tag["run_uuid"] for tag in batches["tags"] if tag["key"] == "seed"]
            for run_id in seeds:
                folder = store.folder(run_id) / "samples"
                folder.mkdir(parents=True)
                (folder / "000000000192.png").hardlink_to(picture)
            for cell in study.cells():
                for seed in range(study.seeds):
                    (store.storage / "locks" / f"{cell.config.cell_key}-{seed}").touch()
    engine.dispose()


def seconds(folder: Path, *arguments: str) -> tuple[float, float]:
    """Wall time of a command, and what it took of the processor."""
    command = [sys.executable, "-m", "ganablate", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: {done.stderr}")
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the seconds of each command at each size."""
    on = f"python {sys.version.split()[0]}, {os.cpu_count()} cores"
    print(f"{on}; the better of 2, the load is {os.getloadavg()[0]:.1f}")
    failed, before = False, dict[str, tuple[float, float]]()
    for runs, seeds in CASES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            studies = write_studies(folder, runs, seeds)
            fill(Store(f"sqlite:///{folder}/runs/mlflow.db", folder / "runs"), studies)
            cells = len(studies[0].cells())
            took = {
                command: min(seconds(folder, command, "grids.py:asked") for _ in range(2))
                for command in ("plan", "report")
            }
        shown = ", ".join(f"{command} {wall:.2f} s (processor {cpu:.2f})" for command, (wall, cpu) in took.items())
        print(f"{runs:6,} runs, a study of {cells:5,} cells x {seeds:2} seeds: {shown}", flush=True)
        grown = any(took[command][0] > 10 * value[0] for command, value in before.items())
        failed |= grown or max(took.values())[0] > LIMIT
        before = took
    sys.exit(failed)


if __name__ == "__main__":
    main()
