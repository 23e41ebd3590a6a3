"""A run folder: config, provenance, evaluations, sample grids, checkpoint, and the generators of the best and the last
evaluation.

It is self-contained: training goes on from it, and a store can be filled from it.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainers.config import Config
from trainers.data.sources import without_labels
from trainers.files import read_json, waiting_lock, write_atomically, write_json
from trainers.messages import first_error
from trainers.namesakes import HOME
from trainers.run_state import ENDED, IN_TABLE, RunState

PROVENANCE = ("data_digest", "features_digest", "own_code_digest", "torch", "device", "cudnn", "driver", "code_version")
LONGEST = 5_000  # characters of a text there: MLflow cuts longer tags
ORIGIN = "origin.json"  # which store the folder belongs to, and of a trial of a search its proposal
PROPOSAL = ("search", "trial", "params", "ranges", "config", "proposed_at")
ORIGINS = ("store", "address", "cell_key", *PROPOSAL)
FORM = "data.json"  # shape and classes of the data, so that a generator is built without them
STOP = "stop"  # a file of this name asks the process that trains in the folder for a checkpoint, and to end
END = "end.json"  # how the run ended, where its evaluations do not say so: stopped by a scheduler, or failed
LOCK_WAIT = 30  # seconds that a run waits for a process that still trains in its folder, one being killed, say


class Evaluation(BaseModel):
    """What each evaluation has beside the scores, which are numbers, NaN in a diverged run. `logged_at` fits 64 bits as
    milliseconds."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, float] = Field(init=False)
    images: int = Field(ge=0, lt=2**63)
    state: Literal["running", "done", "diverged"]
    seconds: float = Field(ge=0, allow_inf_nan=False)
    eval_seconds: float = Field(ge=0, allow_inf_nan=False)
    logged_at: float = Field(ge=0, lt=2**40)


class Form(BaseModel):
    """What networks are built by: the shape of an example, and the number of classes."""

    model_config = ConfigDict(extra="forbid", strict=True)
    shape: list[Annotated[int, Field(gt=0, lt=2**20)]] = Field(min_length=1, max_length=8)
    n_classes: int = Field(gt=0, lt=2**20)


def read_evaluations(run_dir: Path) -> list[dict[str, Any]]:
    """The evaluations on disk. Raises ValueError for a line that is no evaluation."""
    path = run_dir / "rows.jsonl"
    evaluations = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), 1):
        try:
            evaluations.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        check_evaluation(evaluations[-1], f"{path}, line {number}")
    return evaluations


def check_evaluation(evaluation: dict[str, Any], place: str) -> None:
    """Raise ValueError for what is no evaluation."""
    try:
        Evaluation.model_validate(evaluation)
    except ValidationError as error:
        raise ValueError(f"{place}: {first_error(error)}") from None
    names = [name for name in evaluation if not re.fullmatch(r"\w{1,100}", name, re.ASCII)]
    if names:
        raise ValueError(f"{place}: {names[0]!r} is no name of a metric")


def read_run(run_dir: Path, kind: type[Config] = Config) -> tuple[Config, list[dict[str, Any]]]:
    """Config, which knows the data of a run that has begun, and evaluations of a run folder. Raises ValueError if a
    file cannot be read, or they do not fit."""
    try:
        config, evaluations = kind(**read_json(run_dir / "config.json")), read_evaluations(run_dir)
        if not all(config.metric in evaluation for evaluation in evaluations):
            raise ValueError(f"rows.jsonl has a row that lacks its {config.metric}")
        digest = read_provenance(run_dir).get("data_digest")
        if digest and config.is_at_path and not config.conditional:
            digest = without_labels(digest) or digest
        config = config.with_data(digest)
    except ValueError as error:
        raise ValueError(f"{run_dir} is no run folder that can be read: {error}") from None
    return config, evaluations


def read_provenance(run_dir: Path) -> dict[str, str]:
    """What the run was made with, by name in PROVENANCE; nothing if it has not begun. Raises ValueError."""
    path = run_dir / "provenance.json"
    held = read_json(path) if path.exists() else {}
    for name, value in held.items():
        if name not in PROVENANCE or not isinstance(value, str) or len(value) > LONGEST:
            raise ValueError(f"{path} should hold texts by the names {', '.join(PROVENANCE)}, not {name!r}")
    return held


def write_origin(run_dir: Path, origin: Mapping[str, str]) -> None:
    """Write which store a run folder belongs to, and what of its run the store alone would know. Raises OSError."""
    run_dir.mkdir(parents=True, exist_ok=True)
    write_json(run_dir / ORIGIN, dict(origin))


def read_origin(run_dir: Path) -> dict[str, str]:
    """Which store a run folder belongs to, by the names of ORIGINS; nothing of a folder without the file, which
    `ganablate train` or an earlier version made. Raises ValueError."""
    path = run_dir / ORIGIN
    held = read_json(path) if path.exists() else {}
    for name, value in held.items():
        if name not in ORIGINS or not isinstance(value, str) or len(value) > LONGEST:
            raise ValueError(f"{path} should hold texts by the names {', '.join(ORIGINS)}, not {name!r}")
        if name in ("trial", "proposed_at") and not re.fullmatch("[0-9]{1,18}", value):
            raise ValueError(f"{path}: {name} should be a number, not {value[:40]!r}")
    if "search" in held and not held.keys() >= set(PROPOSAL):
        raise ValueError(f"{path} of a trial should hold {', '.join(PROPOSAL)}")
    return held


def write_evaluations(run_dir: Path, evaluations: list[dict[str, Any]]) -> None:
    """All evaluations, atomically: a few hundred short lines at the most."""
    content = "".join(json.dumps(evaluation) + "\n" for evaluation in evaluations)
    write_atomically(run_dir / "rows.jsonl", lambda file: file.write(content.encode()))


def mark_end(run_dir: Path, state: str, error: str = "") -> None:
    """Write how a run ended, unless its evaluations say so."""
    if state not in IN_TABLE:
        run_dir.mkdir(parents=True, exist_ok=True)
        write_json(run_dir / END, {"state": state, "error": error})


def end_of(run_dir: Path) -> tuple[RunState, str]:
    """State and error of a run: running unless it ended, missing while it has no evaluation. Raises ValueError."""
    path = run_dir / END
    if path.exists():
        end = read_json(path)
        if end.get("state") not in ENDED or not isinstance(end.get("error"), str):
            raise ValueError(f"{path} should hold an error and a state of {', '.join(sorted(ENDED))}")
        return RunState(end["state"]), end["error"][:LONGEST]
    evaluations = read_evaluations(run_dir)
    return RunState(evaluations[-1]["state"]) if evaluations else RunState.MISSING, ""


def open_run(config: Config, run_dir: Path) -> None:
    """Make the folder a run of this config, or go on with one of its cell and seed, whatever the fields that do not act
    are and however its data are spelled. Raises ValueError if it holds another run."""
    (run_dir / "samples").mkdir(parents=True, exist_ok=True)
    path = run_dir / "config.json"
    if path.exists():
        held, _ = read_run(run_dir, type(config))
        if held.is_at_path and config.is_at_path:
            alike = held.with_data(config.data_digest)
            if not read_provenance(run_dir):  # it ended before it had loaded its data
                held = alike
            if alike.cell_key == config.cell_key != held.cell_key:
                raise ValueError(
                    f"data_digest is {config.data_digest}, but {run_dir} began with {held.data_digest}: the images "
                    f"changed; restore them, or start the run anew in another folder"
                )
        if (held.cell_key, held.seed) != (config.cell_key, config.seed):
            raise ValueError(
                f"{run_dir} holds a run of another config (cell {held.cell_key}, seed {held.seed}), not of this one "
                f"(cell {config.cell_key}, seed {config.seed}); choose another folder"
            )
    write_json(path, config.model_dump(mode="json"))
    (run_dir / END).unlink(missing_ok=True)  # it goes on


def record_provenance(run_dir: Path, digests: dict[str, str], made_with: dict[str, str]) -> None:
    """Write what the run is made with; code versions and machines that go on with it are added. Raises ValueError if
    the digest of data or feature weights changed since the run began."""
    held = read_provenance(run_dir)
    began = held.get("data_digest", digests["data_digest"])
    if began != digests["data_digest"] == without_labels(began):
        held["data_digest"] = digests["data_digest"]  # of a version that told them by their labels too
    for name, digest in digests.items():
        if held.setdefault(name, digest) != digest:
            raise ValueError(
                f"{name} is {digest}, but {run_dir} began with {held[name]}: data, feature weights or own code "
                f"changed; restore them, or start the run anew in another folder"
            )
    for name, value in {**made_with, "code_version": code_version()}.items():
        before = held.get(name, value).split(", ")
        held[name] = ", ".join([*before, *({value} - set(before))])
    write_json(run_dir / "provenance.json", held)


def record_form(run_dir: Path, shape: tuple[int, ...], n_classes: int) -> None:
    """Write the shape of an example and the number of classes of the data."""
    write_json(run_dir / FORM, {"shape": shape, "n_classes": n_classes})


def read_form(run_dir: Path) -> tuple[tuple[int, ...], int] | None:
    """The shape of an example and the number of classes of the data; None of a run that an earlier version made. Raises
    ValueError."""
    path = run_dir / FORM
    if not path.exists():
        return None
    try:
        held = Form.model_validate(read_json(path))
    except ValidationError as error:
        raise ValueError(f"{path}: {first_error(error)}") from None
    return tuple(held.shape), held.n_classes


def generator_path(run_dir: Path, which: Literal["final", "best"]) -> Path:
    """Where the weights of the generator of the last, or of the best, evaluation lie."""
    return run_dir / f"generator_{which}.pt"


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel frees when a process dies. Raises ValueError if another keeps it."""
    with ExitStack() as stack:
        try:
            stack.enter_context(waiting_lock(run_dir / "lock", LOCK_WAIT))
        except TimeoutError:
            raise ValueError(f"another process is training in {run_dir}; wait for it or end it") from None
        yield


@cache
def code_version() -> str:
    """Version of the package, and the commit of the git checkout that it runs from, or was built of; `+` marks
    uncommitted changes. The environment variable GANABLATE_CODE_VERSION says it where the code was sent to another
    machine."""
    if told := os.environ.get("GANABLATE_CODE_VERSION"):
        return told
    try:
        number = version("ganablate")
    except PackageNotFoundError:
        number = "0"
    commit, built = "", HOME / "trainers" / "assets" / "commit.txt"
    if (HOME / ".git").exists() and shutil.which("git"):
        asked = ["git", "describe", "--always", "--dirty=+"]
        commit = subprocess.run(asked, cwd=HOME, capture_output=True, text=True, check=False).stdout.strip()
    elif built.exists():  # hatch_build.py wrote it
        commit = built.read_text()
    return f"{number}-{commit}" if commit else number
