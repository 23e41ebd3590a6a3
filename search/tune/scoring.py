"""Scoring as Ray tasks: as many at a time as there is room for, and the store kept in step with the run folders."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from search.store import Store
from search.store.delivery import Delivery
from search.store.outbox import Outbox
from search.tune.cluster import Cluster, is_alive
from search.tune.driver import LAST_WORDS, LOOK_EVERY
from search.tune.progress import say
from search.tune.worker import HALTED, score_run, surroundings
from trainers.config import Config
from trainers.files import storage_mark
from trainers.messages import counted, printable
from trainers.names import score_of
from trainers.run_state import RunState
from trainers.score_request import ScoreRequest, own_modules
from trainers.signals import noted_signals
from trainers.user_code import user_modules

WAIT = 0.5  # seconds between two looks at whether a signal came


class ScoreJob(NamedTuple):
    """A done run, what to call it, and what of it is to be scored."""

    label: str
    run_id: str
    config: Config
    requests: tuple[ScoreRequest, ...]


def score_runs(jobs: Iterable[ScoreJob], store: Store, cluster: Cluster, console: Console) -> dict[str, str]:
    """Score them; returns the state of each that was, by label.

    Raises KeyboardInterrupt after a signal, at whose second what runs is not waited for; ValueError if nothing can be
    scored any more; ConnectionError if Ray died or the store has not taken all, which then lies in the run folders.
    """
    jobs, outbox, delivery, states = list(jobs), Outbox(store), Delivery(store), dict[str, str]()
    signals: list[int] = []
    try:
        with noted_signals() as signals, _progress(console) as progress:
            shown = progress.add_task("scoring", total=len(jobs))
            for job, outcome in _outcomes(jobs, store, cluster, signals):
                outbox.submit(f"scores of {job.run_id}", partial(delivery.deliver_scores, job.run_id))
                states[job.label] = f"{outcome['state']}: {outcome['error']}" if "error" in outcome else RunState.DONE
                progress.update(shown, advance=1)
                say(progress.console, printable(f"{job.label}: {_line(outcome) or states[job.label]}"))
    finally:
        left = outbox.close(LAST_WORDS if signals or sys.exc_info()[0] else math.inf)
    if signals:
        raise KeyboardInterrupt(
            f"{counted(len(jobs) - len(states), 'run is', 'runs are')} left, and the same command goes on", signals[0]
        )
    if left:
        raise ConnectionError(
            f"the MLflow store {store.address} has not taken all: scores of {counted(len(left), 'run')} wait in "
            f"{store.folders.root}; the same command brings them there"
        )
    return states


def _outcomes(
    jobs: Iterable[ScoreJob], store: Store, cluster: Cluster, signals: list[int]
) -> Iterator[tuple[ScoreJob, dict[str, Any]]]:
    """Hand the jobs to Ray and yield what comes of each, in the order in which they end: none is begun after a signal,
    or once one found that nothing can be scored, which raises ValueError when those that run have ended."""
    waiting, running, halted, look = deque(jobs), dict[Any, ScoreJob](), "", 0.0
    around = surroundings(store.folders, storage_mark(store.storage), cluster.share)
    while running or (waiting and not signals and not halted):
        while waiting and len(running) < cluster.room and not signals and not halted:
            job = waiting.popleft()
            running[_submit(job, around, cluster)] = job
        for task in ray.wait(list(running), timeout=WAIT)[0]:
            job, outcome = running.pop(task), _outcome(task)
            if outcome.get("state") == HALTED:
                halted = f"{outcome['error']}, and the same command goes on"
            else:
                yield job, outcome
        if len(signals) > 1:
            return
        if time.monotonic() > look + LOOK_EVERY:
            look = time.monotonic()
            if not is_alive():
                raise ConnectionError("Ray died on this machine (out of memory?); the same command goes on")
    if halted:
        raise ValueError(halted)


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description} {task.completed}/{task.total}"), BarColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _submit(job: ScoreJob, around: dict[str, Any], cluster: Cluster) -> Any:
    """Hand a job to Ray. A process that ran a user's own code scores nothing else."""
    config = job.config
    own_code = any(user_modules(each) for each in (config, *(asked.config(config) for asked in job.requests)))
    own_code |= bool(own_modules(job.requests))
    task = {
        **around,
        "run_id": job.run_id,
        "config": config.model_dump(mode="json"),
        "data": config.data_digest if config.is_at_path else None,
        "requests": [asked._asdict() for asked in job.requests],
    }
    resources = {"num_cpus": cluster.cpus_per_trial, "num_gpus": cluster.share, "max_calls": 1 if own_code else 0}
    return ray.remote(**resources)(cluster.sent(score_run)).remote(task)


def _outcome(task: Any) -> dict[str, Any]:
    """What a task returned, or what became of it."""
    try:
        outcome: dict[str, Any] = ray.get(task)
    except RayError:
        return {"state": RunState.FAILED, "error": "its worker died (out of memory?)"}
    return outcome


def _line(outcome: dict[str, Any]) -> str:
    """The new scores of a run in a line; "" for an error."""
    if "error" in outcome:
        return ""
    parts: dict[str, list[str]] = {}
    for each in outcome["scores"]:
        score, generator = score_of(each["metric"]), "" if each["which"] == "final" else " of the best generator"
        shown = parts.setdefault(f" on {each['features']}{generator}", [])
        shown.append(f"{score.label} {each['value']:.{score.decimals}f}")
    return "; ".join(f"{', '.join(numbers)}{where}" for where, numbers in parts.items()) or "scored meanwhile"
