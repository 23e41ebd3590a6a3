"""What of a storage folder can go, what that frees, and its removal.

Nothing goes that a living process has locked, that an unfinished run needs, that waits to be uploaded, or that lies
outside the folder: links are not followed. A run folder goes only if its run was deleted in MLflow: one that the store
does not know may be another store's.
"""

import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from search.locks import RunLocks, is_file_locked, is_locked
from search.store import Store
from search.store.database import StoredRun
from search.store.image_sets import without_form
from search.store.queries import all_runs
from trainers.messages import printable
from trainers.run_folder import end_of
from trainers.run_state import IN_TABLE, RunState

UNUSED = 30 * 86_400  # seconds after which a cache that nobody read counts as not used
SHOWN = 3  # paths of a kind
KINDS = {
    "deleted": "folders of runs that were deleted in MLflow",
    "checkpoints": "checkpoints and half-written files of runs that ended",
    "generators": "generators of runs that were stopped or diverged, for which no number stands",
    "scratch": "scratch of processes that died",
    "locks": "lock files of processes that died",
    "caches": "decoded images and statistics that no run used, or nobody for 30 days; they are made again when needed",
}


class Leftover(NamedTuple):
    """Something removable, the bytes freed, and the run that must not be in progress."""

    kind: str
    path: Path
    size: int
    run: tuple[str, int] | None = None


class Leftovers(NamedTuple):
    """What can go, and the run folders that stay since the store knows nothing of their runs."""

    items: list[Leftover]
    unknown: list[Path]


def find_leftovers(store: Store, locks: RunLocks | None = None) -> Leftovers:
    """What can go under a store's storage folder, runs in `locks` included. Raises ValueError as the store does."""
    locks, keys = locks or RunLocks(store.storage), _lock_keys(store.storage)
    busy = {key for key in keys if is_locked(store.storage, *key) and not locks.holds(*key)}
    folders = [path for path in _inside(store.storage / "trials") if path.is_dir() and not _is_scratch(path)]
    runs = all_runs(store) if folders else {}
    items: list[Leftover] = []
    for folder in folders:
        run = runs.get(folder.name)
        if run and run.guard not in busy and not is_file_locked(folder / "lock"):
            items += _of_run(folder, run)
    lock_files = {key: store.storage / "locks" / f"{key[0]}-{key[1]}" for key in keys if key not in busy}
    items += [Leftover("locks", path, 0, key) for key, path in lock_files.items()]
    if not busy:  # whose they are is not known: a driver, or an import, that lives has locked a run
        caches = _unused_caches(store.storage / "cache", runs.values())
        items += [Leftover("scratch", path, _size(path)) for path in _scratch(store.storage)]
        items += [Leftover("caches", path, _size(path)) for path in caches]
    return Leftovers(items, [folder for folder in folders if folder.name not in runs])


def describe(items: list[Leftover], unknown: list[Path]) -> list[str]:
    """Lines on what can go, by kind with its MB and the first few paths, and on what is left alone."""
    lines = []
    for kind, meaning in KINDS.items():
        some = [item for item in items if item.kind == kind]
        if some:
            lines.append(f"{kind}: {sum(item.size for item in some) / 1e6:,.1f} MB, {len(some):,} {meaning}")
            lines += [f"    {item.path}" for item in some[:SHOWN]]
            lines += [f"    ... and {len(some) - SHOWN:,} more"] if len(some) > SHOWN else []
    if unknown:
        lines.append(
            f"Left alone: {sum(map(_size, unknown)) / 1e6:,.1f} MB, {len(unknown):,} run folders of which this "
            f"store knows nothing (another --tracking-uri may), such as {unknown[0]}."
        )
    return lines if items else ["Nothing can go.", *lines]


def remove(items: Iterable[Leftover], store: Store) -> Iterator[Leftover]:
    """Remove items, as far as they can still go; yields each that went.

    Their runs are locked first, so that no driver begins one of them meanwhile, and what can go is asked once more.
    """
    items = list(items)
    files = [item for item in items if item.kind != "locks"]
    with RunLocks(store.storage) as locks:
        for item in files:
            if item.run:
                locks.acquire(*item.run)
        still = {item.path for item in find_leftovers(store, locks).items}
        for item in files:
            if item.path in still and (item.run is None or locks.holds(*item.run)):
                if item.path.is_dir() and not item.path.is_symlink():
                    shutil.rmtree(item.path)
                else:
                    item.path.unlink(missing_ok=True)
                yield item
    for item in items:
        if item.kind == "locks" and item.run and locks.acquire(*item.run):
            locks.release()  # which removes the file
            yield item


def _of_run(folder: Path, run: StoredRun) -> Iterator[Leftover]:
    """What can go of the folder of a run that no process has locked."""
    if run.is_deleted:
        yield Leftover("deleted", folder, _size(folder), run.guard)
        return
    try:
        state = end_of(folder)[0]
    except ValueError:
        return  # what cannot be read stays
    if state != run.state or state not in {RunState.STOPPED, *IN_TABLE}:
        return  # a failed run may be resumed, and one whose end the store lacks waits to be uploaded
    for path in _inside(folder):
        if path.name.startswith("checkpoint") or path.suffix == ".tmp":
            yield Leftover("checkpoints", path, _size(path), run.guard)
        elif path.name.startswith("generator_") and state != RunState.DONE:
            yield Leftover("generators", path, _size(path), run.guard)


def _lock_keys(storage: Path) -> list[tuple[str, int]]:
    """The runs (of a search, its key and 0) that have a lock file."""
    parts = [path.name.rpartition("-") for path in _inside(storage / "locks")]
    return [(key, int(seed)) for key, _, seed in parts if key and seed.isdigit()]


def _is_scratch(path: Path) -> bool:
    return path.name.startswith(("tune-", "import-"))


def _scratch(storage: Path) -> list[Path]:
    """Where Tune and imports write while they run, and parts of caches that nobody makes."""
    caches = [path for folder in _inside(storage / "cache") for path in _inside(folder) if path.suffix == ".tmp"]
    idle = [path for path in caches if not is_file_locked(path.with_suffix(".lock"))]
    return [path for path in (*_inside(storage), *_inside(storage / "trials")) if _is_scratch(path)] + idle


def _unused_caches(cache: Path, runs: Iterable[StoredRun]) -> Iterator[Path]:
    """Decoded images and statistics that can be made again here; what was downloaded stays."""
    used = [run.tags for run in runs if not run.is_deleted]
    for path in (*_inside(cache / "images"), *_inside(cache / "statistics")):
        if path.suffix in (".tmp", ".lock"):
            continue
        arrays = [path] if path.is_file() else list(path.glob("*.npy"))
        last = max((max(array.stat().st_atime, array.stat().st_mtime) for array in arrays), default=0.0)
        if time.time() - last > UNUSED or _is_of_no_run(path, used):
            yield path


def _is_of_no_run(path: Path, runs: Iterable[Mapping[str, str]]) -> bool:
    """Whether none of the runs, given by their tags, saw these decoded images; False where the cache does not tell."""
    try:
        meta = json.loads((path / "meta.json").read_text())
        digests, pair = {meta["digest"], meta.get("plain")}, str(meta.get("source", "")).rpartition("/")[0]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if pair.startswith("pair:"):  # a run has one digest of the four parts: the path tells whose they are
        return all(_pair(without_form(tags.get("data_spelling", ""))) != pair for tags in runs)
    return digests.isdisjoint(tags.get("data_digest") for tags in runs)


def _pair(spelling: str) -> str:
    """How the cache spells the pair of a Config: without a slash at its end and the like; other data as they are."""
    kind, colon, path = spelling.partition(":")
    return printable(f"pair:{Path(path)}" if kind + colon == "pair:" else spelling)


def _inside(folder: Path) -> list[Path]:
    """What lies in a folder, links left out; nothing if it is a link itself, or not there."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.is_symlink())


def _size(path: Path) -> int:
    """Bytes on the disk, of a folder with all in it; what has another name too is not freed."""
    stats = [each.lstat() for each in (path, *path.rglob("*"))]
    return sum(512 * stat.st_blocks for stat in stats if stat.st_nlink == 1)
