"""What runs in a Ray worker: one training run, or the scoring of one. Knows nothing of MLflow; the driver reads the run
folder."""

from __future__ import annotations

import math
import os
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.lazy import imports
from trainers.run_state import RunState

if TYPE_CHECKING:
    from search.store.folders import RunFolders

HALTED = "halted"  # in place of a run's state: no trial can be made here, the sweep ends
UNBEGUN = "unbegun"  # the trial did not begin, since the sweep is ending
GPU_LOST = "gpu lost"  # the run goes on in another process: this one cannot use its GPU any more, and ends


def surroundings(folders: RunFolders, mark: str, share: float) -> dict[str, Any]:
    """What a worker is told of its driver: where run folders lie, and where a user's own files and modules are found.
    `mark` is the storage folder's, `share` what of a GPU is the worker's."""
    from search.store.folders import ObjectStore
    from trainers.files import cache_folder
    from trainers.run_folder import code_version

    return {
        "folders": str(folders.root),
        "object_store": folders.uri if isinstance(folders, ObjectStore) else None,
        "storage_mark": mark,
        "code_version": code_version(),
        "folder": str(Path.cwd()),
        "path": sys.path,
        "cache": str(cache_folder()),
        "gpus": share,
    }


def train_trial(trial: dict[str, Any]) -> None:
    """Train trial["config"] (the fields of a Config) in the run folder of trial["run_id"]; report each row to Ray Tune.

    `folder`, `path` and `cache` are the driver's working directory, module path and cache: a user's files and modules
    mean the same here as there. `digests` are those of data and feature weights there: a node that lacks them, or has
    others, halts the sweep. `gpus` is the trial's share of a GPU, 0 if it has none: this process ends if it cannot use
    that any more. `origin` is what the run folder keeps of the store.
    """
    from search.store.folders import ObjectStore, RunFolders, scratch

    _settle(trial, scratch())
    with imports():
        from trainers.config import Config
        from trainers.gpu import take_share
        from trainers.heartbeat import heartbeats
        from trainers.loop import digests, train
        from trainers.run_folder import write_origin

    config, run_id = Config(**trial["config"]).with_data(trial["data"]), trial["run_id"]
    last: dict[str, Any] = {"images": 0}
    folders, expects = RunFolders(Path(trial["folders"])), "data"
    try:
        take_share(trial["gpus"])
        folders = ObjectStore.of_worker(trial["object_store"]) if trial["object_store"] else folders
        if lost := _lost(trial):
            raise ConnectionError(lost)
        if folders.is_asked_to_stop(run_id):  # it waited for a worker when the driver was told to stop
            _report({**last, "state": UNBEGUN})  # Tune wants to hear something
            return
        with heartbeats(lambda: folders.show_sign_of_life(run_id)):
            _require_equal(digests(config), trial["digests"])
            folders.download(run_id, all_of_it=True)
            expects = ""
            write_origin(folders[run_id], trial["origin"])
            for row in train(config, folders[run_id], stop=lambda: folders.is_asked_to_stop(run_id)):
                last = {"images": row["images"], "state": row["state"], config.metric: row[config.metric]}
                folders.upload(run_id, retry=row["state"] != RunState.RUNNING)
                _report(last)
            folders.upload(run_id, retry=True)
        folders.discard_local(run_id)
    except _Stopped:
        folders.discard_local(run_id)
        sys.exit()  # as Tune expects: after a return it would wait for the answer to a report of its own
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # the last two of a user's code
        # reported as a result: what Tune sees raised is a worker's or a machine's death
        state, text = _outcome(trial, error, expects)
        with suppress(_Stopped):
            _report({"images": last["images"], config.metric: math.nan, "state": state, "error": text})
        if state == GPU_LOST:  # of which the driver has heard; Ray puts another process in the place of a dead one
            os._exit(1)


class _Stopped(BaseException):
    """The trial was stopped, and this process is to have another one."""


def _report(result: dict[str, Any]) -> None:
    """Tell Tune, and wait until it answers. Raises _Stopped in place of the SystemExit by which Tune ends a trial."""
    from ray import tune

    try:
        tune.report(result)
    except SystemExit:  # of a user's code it would be that code's failure
        raise _Stopped from None


def score_run(task: dict[str, Any]) -> dict[str, Any]:
    """Score the kept generators of task["run_id"] by task["requests"] (the fields of ScoreRequests), and write
    scores.jsonl; returns the new `scores` or, in their place, a `state` and an `error`, as a trial reports them."""
    from search.store.folders import ObjectStore, RunFolders, scratch

    _settle(task, scratch())
    with imports():
        from trainers.config import Config
        from trainers.gpu import take_share
        from trainers.score_request import SCORES_FILE, ScoreRequest
        from trainers.scoring import score

    run_id, folders = task["run_id"], RunFolders(Path(task["folders"]))
    try:
        take_share(task["gpus"])
        folders = ObjectStore.of_worker(task["object_store"]) if task["object_store"] else folders
        if lost := _lost(task):
            raise ConnectionError(lost)
        config = Config(**task["config"]).with_data(task["data"])
        folders.download(run_id, all_of_it=True)
        found = [each for asked in task["requests"] for each in score(config, folders[run_id], ScoreRequest(**asked))]
        folders.send(run_id, SCORES_FILE)
        folders.discard_local(run_id)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # the last two of a user's code
        state, text = _outcome(task, error, "")
        if state == GPU_LOST:  # Ray puts another process in the place of this one, and tries again
            os._exit(1)
        return {"state": state, "error": text}
    return {"scores": [each.model_dump() for each in found]}


def _outcome(trial: dict[str, Any], error: BaseException, expects: str) -> tuple[str, str]:
    """What comes of an error, in place of a run's state, and why; `expects` is what the node should have had."""
    from trainers.gpu import gpu_lost

    if lost := _lost(trial, error):
        return HALTED, lost
    if isinstance(error, ConnectionError):
        return HALTED, str(error)
    if lost := gpu_lost(error, trial["gpus"]):
        return GPU_LOST, lost
    if expects:
        return HALTED, f"node {socket.gethostname()}: {error}; mend it, or take the node out"
    traceback.print_exc()
    return RunState.FAILED, f"{type(error).__name__}: {error}"[:500]


def _lost(trial: dict[str, Any], error: BaseException | None = None) -> str | None:
    """What storage_lost says of a storage folder that driver and workers share, or of a node's scratch folder."""
    from search.store.folders import scratch
    from trainers.files import storage_lost, storage_mark

    if trial["object_store"]:
        return None if error is None else storage_lost(scratch(), storage_mark(scratch()), error)
    return storage_lost(Path(trial["folders"]).parent, trial["storage_mark"], error)


def _settle(trial: dict[str, Any], scratch: Path) -> None:
    """Take over the driver's working directory, cache and, after ours, module path, as far as they are here, and see
    the trial's GPU alone, or none: of a trial without one Ray hides nothing."""
    import ray

    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, ray.get_gpu_ids() if trial["gpus"] else []))
    has_cache = Path(trial["cache"]).parent.is_dir()
    os.environ["GANABLATE_CACHE"] = trial["cache"] if has_cache else str(scratch / "cache")
    os.environ["GANABLATE_CODE_VERSION"] = trial["code_version"]
    os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", "60")  # a stopped trial leaves late on a busy machine
    if Path(trial["folder"]).is_dir():
        os.chdir(trial["folder"])
    sys.path += [entry for entry in trial["path"] if entry not in sys.path]


def _require_equal(here: dict[str, str], expected: dict[str, str]) -> None:
    """Raise ValueError for data or feature weights that are not the driver's."""
    for name, digest in expected.items():
        if here.get(name) != digest:
            raise ValueError(f"{name} is {here.get(name)} there, and {digest} where the sweep was started")
