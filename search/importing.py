"""Takes in run folders that `ganablate train` made elsewhere: on a GPU machine, in a SLURM array."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from search.locks import Claims
from search.store import Store
from spaces import Cell, Study
from spaces.study import FIRST_SEARCH_SEED
from trainers.checkpoint import END, STOP, end_of, read_rows, read_run
from trainers.config import Config


def import_runs(folders: Iterable[Path], store: Store) -> Iterator[str]:
    """Copy run folders into the store, an MLflow run each; yields a line a folder.

    A run that the store has, by its cell and seed, is left alone, so that importing twice changes nothing. A run that
    has not ended is taken in with its checkpoint: `run` goes on with it, or it is taken in again when it has ended.
    Raises ValueError, before anything is
    copied, for a folder that is, and holds, no run.
    """
    runs = {path: read_run(path)[0] for folder in folders for path in _run_folders(folder)}
    claims = Claims(store.storage)
    try:
        for path, config in runs.items():
            yield f"{path}: {_take_in(path, config, store, claims)}"
    finally:
        claims.release()


def _run_folders(folder: Path) -> list[Path]:
    """The run folders at or below a folder. Raises ValueError if there are none."""
    if not folder.is_dir():
        raise ValueError(f"folder {folder} does not exist")
    found = sorted(path.parent for path in folder.rglob("config.json") if _are_files(path, path.parent / "rows.jsonl"))
    if not found:
        raise ValueError(f"{folder} holds no run folder, which has a config.json and a rows.jsonl")
    return found


def _are_files(*paths: Path) -> bool:
    return all(path.is_file() for path in paths)  # pipes and devices have no end


def _take_in(path: Path, config: Config, store: Store, claims: Claims) -> str:
    """Copy one folder; returns what became of it."""
    rows = read_rows(path)
    if not rows:
        return "no rows yet, left alone"
    if not claims.claim(config.cell_key, config.seed):
        return "is being made by another process, left alone"
    held = store.records([config]).get((config.cell_key, config.seed))
    if held and held.state in ("done", "diverged"):
        return f"the store has this run ({held.state}), left alone"
    if held and path.resolve() == store.folder(held.run_id).resolve():
        store.complete(held.run_id)
        return f"brought to the store as run {held.run_id} ({end_of(path)[0]})"
    known = read_rows(store.folder(held.run_id)) if held else []
    if rows[: len(known)] != known:
        return "the store has begun this run itself, left alone"
    if rows == known and rows[-1]["state"] == "running":
        return "the store has this run as far, left alone"
    label = f"{config.dataset} {config.backbone} {config.cell_key}"
    study = Study("imported", config, {label: {}}, seeds=FIRST_SEARCH_SEED, metrics=(f"{config.metric}_final",))
    cell = Cell(label, "", config.replace(seed=0))
    run_id = held.run_id if held else store.create(study, cell, config.seed)
    _copy(path, store.folder(run_id))
    store.folders.bring(run_id, surely=True)
    store.complete(run_id)
    state = rows[-1]["state"]
    if state == "running":
        return f"taken in as run {run_id}, to be gone on with from {rows[-1]['images']:,} images"
    store.update_parents(study, [cell])
    return f"taken in as run {run_id} ({state})"


def _copy(path: Path, target: Path) -> None:
    """Copy a run folder, whole or not at all, in place of what is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="import-") as scratch:
        copy = Path(shutil.copytree(path, Path(scratch) / "run", ignore=_left_out))
        shutil.rmtree(target, ignore_errors=True)
        copy.rename(target)


def _left_out(folder: str, names: list[str]) -> list[str]:
    """What is not copied: what a process said to, or of, the run, halves of files, links, which may lead anywhere, and
    devices, which never end."""

    def is_kept(path: Path) -> bool:
        return not path.is_symlink() and (path.is_dir() or path.is_file())

    return [n for n in names if n in ("lock", STOP, END) or n.endswith(".tmp") or not is_kept(Path(folder, n))]
