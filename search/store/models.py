"""The generators of done runs as models in MLflow, each a program of torch.export, which loads without ganablate."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from search.locks import RunLocks
from search.store.connection import Store
from search.store.database import StoredRun
from search.store.image_sets import resolved
from search.store.queries import pages, seed_runs
from search.tune.progress import say
from spaces import Study
from trainers.messages import counted
from trainers.run_state import RunState
from trainers.signals import noted_signals

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from trainers.exporting import Exported

NAME = "generator"  # of the model of a run
PROGRAM = Path("data", "model.pt2")  # where mlflow.pytorch looks for it


def log_models(study: Study, store: Store) -> dict[str, str]:
    """Log the final generator of each done run of a study that has none in MLflow as a model of that run, with its
    signature; returns those that could not be exported, by label, as "failed: ...".

    What a process that was killed left of a model is made anew. Raises ValueError if the store does not answer;
    KeyboardInterrupt after a signal: the same call goes on.
    """
    study, console, failed = resolved(study, store), Console(), dict[str, str]()
    stored = seed_runs(store, [cell.config for cell in study.cells()])
    runs = {
        run.run_id: (f"{cell.label}, seed {seed}", run)
        for seed in range(study.seeds)
        for cell in study.cells()
        if (run := stored.get((cell.config.cell_key, seed))) and run.state == RunState.DONE
    }
    with RunLocks(store.storage) as locks, noted_signals() as signals:
        mine = {run_id: named for run_id, named in runs.items() if locks.acquire(*named[1].guard)}
        lacking = mine.keys() - _logged(store, [run for _, run in mine.values()])
        left = [(label, run) for run_id, (label, run) in mine.items() if run_id in lacking]
        told = counted(len(left), "generator") if left else "no generators"
        say(console, f"{study.title}: {told} to log as models in MLflow.")
        for number, (label, run) in enumerate(left):
            if signals:
                told = f"{counted(len(left) - number, 'model is', 'models are')} left, and the same command goes on"
                raise KeyboardInterrupt(told, signals[0])
            try:
                content, exported = _program(store, run)
            except ValueError as error:
                failed[f"model of {label}"] = f"{RunState.FAILED}: {error}"
                continue
            model_id = _log(store, run, content, exported)
            say(console, f"{label}: models:/{model_id}")
    return failed


def _logged(store: Store, runs: Iterable[StoredRun]) -> set[str]:
    """The runs, by id, whose model is there. One that was begun and is not whole, with nobody at it, is deleted."""
    from mlflow.entities import LoggedModelStatus

    found, experiments = set[str](), sorted({run.experiment_id for run in runs})
    ids = {run.run_id for run in runs}
    ask = partial(store.client.search_logged_models, experiments, f"name = '{NAME}'")
    for model in pages(ask) if experiments else ():
        if model.source_run_id in ids and model.status == LoggedModelStatus.READY:
            found.add(model.source_run_id)
        elif model.source_run_id in ids:
            store.client.delete_logged_model(model.model_id)
    return found


def _program(store: Store, run: StoredRun) -> tuple[bytes, Exported]:
    """The program of the generator that a run keeps. Raises ValueError if it was removed, or cannot be exported."""
    from trainers.exporting import plain_generator, program_bytes

    store.folders.download(run.run_id, all_of_it=True)
    exported = plain_generator(store.folder(run.run_id))
    return program_bytes(exported), exported


def _signature(exported: Exported) -> ModelSignature:
    """source [n, ...] and, of a conditional run, labels [n] -> images [n, ...] or points, for any n."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    inputs = [TensorSpec(np.dtype("float32"), (-1, *exported.inputs[0].shape[1:]), "source")]
    if exported.config.conditional:
        inputs.append(TensorSpec(np.dtype("int64"), (-1,), "labels"))
    return ModelSignature(Schema(inputs), Schema([TensorSpec(np.dtype("float32"), (-1, *exported.shape))]))


def _log(store: Store, run: StoredRun, content: bytes, exported: Exported) -> str:
    """Log a model of a run, ready once it is whole; returns its id."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model

    from trainers.exporting import TORCH

    tags = {name: run.tags[name] for name in ("study", "row", "column", "seed", "cell_key")}
    made = store.client.create_logged_model(run.experiment_id, NAME, source_run_id=run.run_id, tags=tags)
    signature, model_id = _signature(exported), made.model_id
    told = Model(made.artifact_location, run.run_id, signature=signature, model_uuid=model_id, model_id=model_id)
    told.add_flavor("pytorch", model_data=PROGRAM.parent.name, pytorch_version=TORCH, code=None)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / PROGRAM
        program.parent.mkdir()
        program.write_bytes(content)
        needed = f"mlflow=={version('mlflow')}", f"torch=={TORCH.partition('+')[0]}"
        Path(folder, "requirements.txt").write_text("\n".join(needed) + "\n")
        told.save(str(Path(folder, "MLmodel")))
        store.client.log_model_artifacts(model_id, folder)
    store.client.log_outputs(run.run_id, [LoggedModelOutput(model_id, exported.config.n_images)])
    store.client.finalize_logged_model(model_id, LoggedModelStatus.READY)
    return str(model_id)
