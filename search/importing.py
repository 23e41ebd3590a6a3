"""Imports run folders that `ganablate train` made elsewhere: on a GPU machine, in a SLURM array."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from search.locks import RunLocks, is_file_locked
from search.store import Store
from search.store.delivery import Delivery
from search.store.folders import HEARTBEAT
from search.store.identity import origin
from search.store.queries import seed_runs
from search.store.rekeying import rekey
from spaces import Cell, Study
from spaces.study import FIRST_SEARCH_SEED
from trainers.config import Config
from trainers.run_folder import END, ORIGIN, STOP, end_of, read_evaluations, read_form, read_run, write_origin
from trainers.run_state import IN_TABLE, RunState
from trainers.score_request import SCORES_FILE, read_scores, write_scores


def import_runs(folders: Iterable[Path], store: Store) -> Iterator[str]:
    """Copy run folders into the store, an MLflow run each; yields a line a folder.

    A run that the store has, by its cell and seed, is left alone, but for scores that it lacks: importing twice changes
    nothing. One that a process trains now is left to it; any other that has not ended is copied with its checkpoint:
    `run` resumes it, or it is imported again when it has ended. Raises ValueError, before anything is copied, for a
    folder that is, and has below it, no run folder.
    """
    rekey(store)
    runs = {path: read_run(path)[0] for folder in folders for path in _run_folders(folder)}
    for path in runs:  # a damaged file is told now
        read_scores(path)
        read_form(path)
    delivery = Delivery(store)
    with RunLocks(store.storage) as locks:
        for path, config in runs.items():
            yield f"{path}: {_import_one(path, config, delivery, locks)}"


def _run_folders(folder: Path) -> list[Path]:
    """The run folders at or below a folder. Raises ValueError if there are none."""
    if not folder.is_dir():
        raise ValueError(f"folder {folder} does not exist")
    configs = (path for path in folder.rglob("config.json") if path.is_file())  # pipes and devices have no end
    paths = sorted(path.parent for path in configs if path.with_name("rows.jsonl").is_file())
    if not paths:
        raise ValueError(f"{folder} holds no run folder, which has a config.json and a rows.jsonl")
    return paths


def _import_one(path: Path, config: Config, delivery: Delivery, locks: RunLocks) -> str:
    """Copy one folder; returns what became of it."""
    if (path / "lock").is_file() and is_file_locked(path / "lock"):  # its files come and go
        return "a process trains in it, left alone"
    store, rows = delivery.store, read_evaluations(path)
    if not rows:
        return "no rows yet, left alone"
    if not locks.acquire(config.cell_key, config.seed):
        return "is being made by another process, left alone"
    stored = seed_runs(store, [config]).get((config.cell_key, config.seed))
    if stored and stored.state in IN_TABLE:
        count = _take_scores(path, stored.run_id, rows, delivery)
        taken = f"{count} scores of its generators were taken in" if count else "left alone"
        return f"the store has this run ({stored.state}), {taken}"
    if stored and path.resolve() == store.folder(stored.run_id).resolve():
        delivery.complete(stored.run_id)
        return f"brought to the store as run {stored.run_id} ({end_of(path)[0]})"
    known = read_evaluations(store.folder(stored.run_id)) if stored else []
    if rows[: len(known)] != known:
        return "the store has begun this run itself, left alone"
    if rows == known and rows[-1]["state"] == RunState.RUNNING:
        return "the store has this run as far, left alone"
    label = f"{config.data_name} {config.backbone} {config.cell_key}"
    study = Study("imported", config, {label: {}}, seeds=FIRST_SEARCH_SEED, metrics=(f"{config.metric}_final",))
    cell = Cell(label, "", config.replace(seed=0))
    run_id = stored.run_id if stored else delivery.create(study, cell, config.seed)
    _copy(path, store.folder(run_id))
    write_origin(store.folder(run_id), {**origin(store), "cell_key": config.cell_key})
    store.folders.upload(run_id, retry=True)
    delivery.complete(run_id)
    state = rows[-1]["state"]
    if state == RunState.RUNNING:
        return f"taken in as run {run_id}, to be gone on with from {rows[-1]['images']:,} images"
    delivery.parents.update(study, [cell])
    return f"taken in as run {run_id} ({state})"


def _take_scores(path: Path, run_id: str, rows: list[dict[str, Any]], delivery: Delivery) -> int:
    """Take in the scores that a copy of a run has and our folder lacks; how many."""
    folders = delivery.store.folders
    folders.download(run_id)
    if read_evaluations(folders[run_id]) != rows:  # it was trained twice, and keeps other generators
        return 0
    held = read_scores(folders[run_id])
    known = {score.identity for score in held}
    new = [score for score in read_scores(path) if score.identity not in known]
    if new:
        write_scores(folders[run_id], [*held, *new])
        folders.send(run_id, SCORES_FILE)
        delivery.deliver_scores(run_id)
    return len(new)


def _copy(path: Path, target: Path) -> None:
    """Copy a run folder, whole or not at all, in place of what is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="import-") as scratch:
        copy = Path(shutil.copytree(path, Path(scratch) / "run", ignore=_left_out, copy_function=shutil.copyfile))
        for folder in (copy, *filter(Path.is_dir, copy.rglob("*"))):
            shutil.copymode(target.parent, folder)  # who may enter is a matter of the storage, not of where it was made
        shutil.rmtree(target, ignore_errors=True)
        copy.rename(target)


def _left_out(folder: str, names: list[str]) -> list[str]:
    """What is not copied: marks of processes, halves of files, links, which lead anywhere, and devices without end."""

    def is_kept(path: Path) -> bool:
        return not path.is_symlink() and (path.is_dir() or path.is_file())

    left = ("lock", STOP, END, HEARTBEAT, ORIGIN)
    return [n for n in names if n in left or n.endswith(".tmp") or not is_kept(Path(folder, n))]
