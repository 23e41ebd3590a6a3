"""Gives the runs that an earlier version made today's keys, once a store.

Each run is changed by one write, and what a run should have follows from what it holds, so that it can be killed at any
point and gone on with.
"""

import logging

from search.locks import is_locked
from search.store.address import sqlite_file
from search.store.connection import Store
from search.store.former import IDENTITY_TAG, is_told, translated, untold
from search.store.queries import runs_with_params, unmarked_experiments

logger = logging.getLogger(__name__)
SHOWN = 5  # ids of runs that are named


def rekey(store: Store) -> int:
    """Re-key what has former keys; how many runs were changed. What a process of the former version makes meanwhile is
    left for the next command, and a run that does not tell what it is keeps its key: a warning names it. Raises
    ValueError if the store does not answer."""
    file = sqlite_file(store.uri)
    if file is None or file.exists():
        _ = store.client  # which follows a storage that was moved, before this process locks anything in it
    if not unmarked_experiments(store):
        return 0
    from mlflow.entities import RunTag

    changed, unclear = 0, []
    with store.exclusive():
        for experiment in unmarked_experiments(store):
            runs = list(runs_with_params(store, experiment))
            is_whole = True
            for run, changes in translated(runs):
                guard = (
                    (run.tags["search"], 0) if "search" in run.tags else (run.cell_key, int(run.tags.get("seed", -1)))
                )
                is_whole = is_whole and is_told(run)
                if is_locked(store.storage, *guard):
                    is_whole = False
                    continue
                if changes:
                    store.client.log_batch(run.run_id, tags=[RunTag(name, value) for name, value in changes.items()])
                    changed += 1
            unclear += [run.run_id for run in runs if untold(run)]
            if is_whole:
                for name, value in IDENTITY_TAG.items():
                    store.client.set_experiment_tag(experiment, name, value)
    if unclear:
        more = f" and {len(unclear) - SHOWN} more" if len(unclear) > SHOWN else ""
        logger.warning(
            "of %s%s neither params nor tags tell what was trained: no study finds them; their numbers stay in MLflow",
            ", ".join(f"run {run_id}" for run_id in unclear[:SHOWN]), more,
        )  # fmt: skip
    return changed
