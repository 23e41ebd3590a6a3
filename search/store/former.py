"""Runs that version 0.1 or 0.2 made: the keys that they have today.

There a key held all fields as they were spelled, and the path of a folder of images. What a run is follows from its
params and the digest of its data, never from the folder of today.
"""

import ast
import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from search.store.database import StoredRun
from spaces import SPACES
from spaces.search import search_key
from trainers.config import Config
from trainers.data.sources import without_labels
from trainers.run_state import RunState

IDENTITY = "ganablate.identity"  # tag of the experiments whose runs have today's keys
IDENTITY_TAG = {IDENTITY: "2"}
FORMER_KEY = "former_key"  # tag of a run: the key that it had
SAMPLERS, SCHEDULERS = {"random", "gp", "cmaes"}, {"hyperband", "median", "none"}  # but for the defaults


def spelled_key(config: Config) -> str:
    """What `cell_key` was before 0.3.0: of all fields as they are spelled."""
    fields = json.dumps(config.non_defaults(), sort_keys=True, allow_nan=False)
    return hashlib.sha256(fields.encode()).hexdigest()[:16]


def translated(runs: list[StoredRun]) -> Iterator[tuple[StoredRun, dict[str, str]]]:
    """The runs of one experiment, each with the tags that change. A run whose config or digest is not told changes
    nothing, and is given by `untold`."""
    configs = {run.run_id: config_of(run) for run in runs}
    digests = _digests(runs)
    keys: dict[str, str] = {}  # of parents, which their trials' searches hang on
    for run in sorted(runs, key=lambda run: "seed" in run.tags):
        config, former = configs[run.run_id], _former_key(run)
        changes: dict[str, str] = {}
        if config is not None:
            digest = run.tags.get("data_digest") or digests.get(former) or digests.get(run.run_id, "")
            if config.is_at_path and not config.conditional:
                digest = without_labels(digest) or digest
            known = config.with_data(digest)
            keys[run.run_id] = known.cell_key
            if known.is_at_path and digest:
                changes |= {"data": known.data_name, "data_spelling": known.data_spelling, "data_digest": digest}
            if not known.is_at_path or digest:
                changes["cell_key"] = known.cell_key
        if "search" in run.tags and (base := keys.get(run.tags.get("mlflow.parentRunId", ""))):
            changes["search"] = _search_of(run.tags["study"], base)
        changes = {name: value for name, value in changes.items() if run.tags.get(name) != value}
        if "cell_key" in changes and FORMER_KEY not in run.tags:
            changes[FORMER_KEY] = run.cell_key
        yield run, changes


def is_told(run: StoredRun) -> bool:
    """Whether all that a run's key hangs on is known here: of images in class folders, the cache tells what the digest
    is without labels."""
    config = config_of(run)
    digest = run.tags.get("data_digest")
    return not (
        config
        and digest
        and config.is_at_path
        and not config.conditional
        and "data_spelling" not in run.tags
        and without_labels(digest) is None
    )


def untold(run: StoredRun) -> bool:
    """Whether a seed's run began, and yet neither its params nor its tags tell what it is."""
    if "seed" not in run.tags or run.state == RunState.MISSING or "data_spelling" in run.tags:
        return False
    config = config_of(run)
    return config is None or (config.is_at_path and not run.tags.get("data_digest"))


def config_of(run: StoredRun) -> Config | None:
    """The Config of a stored run, seed left out, by its params or, of a trial, its tag; None if they do not tell."""
    asked: list[dict[str, Any]] = [{name: _value(name, text) for name, text in run.params.items()}]
    with contextlib.suppress(ValueError, RecursionError):
        asked.insert(0, json.loads(run.tags.get("config", "")))
    for fields in asked:
        with contextlib.suppress(ValueError, TypeError):
            config = Config(**fields)
            if _former_key(run) == spelled_key(config):
                return config
    return None


def _former_key(run: StoredRun) -> str:
    return run.tags.get(FORMER_KEY, run.cell_key)


def _value(name: str, text: str) -> Any:
    """A param as the field's value."""
    field = Config.model_fields.get(name)
    if field is None or field.annotation is str:
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _digests(runs: Iterable[StoredRun]) -> dict[str, str]:
    """The digest of the data by former key: that of the oldest run which says one."""
    digests: dict[str, str] = {}
    for run in runs:
        if "seed" in run.tags and run.tags.get("data_digest"):
            digests.setdefault(_former_key(run), run.tags["data_digest"])
            digests.setdefault(run.tags.get("mlflow.parentRunId", ""), run.tags["data_digest"])
    return digests


def _search_of(title: str, base_key: str) -> str:
    """Today's key of a search whose title tells recipe, space, sampler and scheduler, but for the defaults."""
    match = re.fullmatch(r"search (.+?)(?: \((.*)\))?", title)
    recipe, label = (match[1], match[2] or "") if match else (title, "")
    space, sampler, scheduler = "all", "tpe", "asha"
    parts = [part for part in label.split(", ") if part]
    if parts and (parts[0] in SPACES or re.fullmatch(r".+\.py:\w+", parts[0])):
        space = parts.pop(0)
    if parts and parts[0] in SAMPLERS:
        sampler = parts.pop(0)
    if parts and parts[0] in SCHEDULERS:
        scheduler = parts.pop(0)
    return search_key(recipe, space, sampler, scheduler, base_key)
