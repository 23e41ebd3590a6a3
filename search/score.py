"""Scores the generators that a study's done runs keep, without training: each by what it lacks, once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console

from search.locks import RunLocks
from search.run import check_digests, get_ready, run_study
from search.store import Store
from search.store.database import StoredRun
from search.store.delivery import Delivery
from search.store.image_sets import checked_images
from search.store.models import log_models
from search.store.queries import seed_runs
from search.store.scores import held_scores
from search.tune.cluster import Cluster
from search.tune.progress import say, starting
from search.tune.scoring import ScoreJob, score_runs
from spaces import Study
from trainers.apart import beside
from trainers.messages import clock, counted
from trainers.run_folder import generator_path
from trainers.run_state import RunState
from trainers.score_request import SCORES_FILE, ScoreRequest, own_modules, read_scores, requests_of
from trainers.user_code import user_modules

Digests = Mapping[str, Mapping[str, str]]


def score_study(
    study: Study, store: Store, requests: Sequence[ScoreRequest], cluster: Cluster | None = None
) -> dict[str, str]:
    """Score the kept generators of a study's done runs by what they lack of the requests; returns the state of each run
    that was scored, by label.

    What a run folder holds and the store does not is stored first: nothing is scored twice. Raises ValueError, before
    anything is scored, for a study without done runs, scores that do not fit its cells, data or own code that changed,
    and runs that do not keep the generator; else as `run_study`.
    """
    console, cluster = Console(), cluster or Cluster()
    study, delivery = checked_images(study, store, new_data=False), Delivery(store)
    configs = [cell.config for cell in study.cells()]
    done = {key: run for key, run in seed_runs(store, configs).items() if run.state == RunState.DONE}
    if not done:
        raise ValueError(f"{study.title} has no done run to score; `ganablate run` makes them")
    own = [config for config in configs if user_modules(config.acting())]  # whose code may have changed
    every = [*own, *(asked.config(config) for config in configs for asked in requests)]
    with starting(console), beside("trainers.loop:dry_runs", every) as dry_runs:
        if any(not held_scores(run, asked, key) for run in done.values() for asked in requests for key in asked.scores):
            get_ready(store, cluster, every, own_modules(requests))
        digests: Digests = dry_runs()
    _check_origin(study, requests, digests, done)
    jobs = _jobs(study, done, requests, digests, delivery)
    _require_generators(jobs, store)
    states = _score(study, store, jobs, cluster, console)
    if requests_of(study.metrics):
        delivery.parents.update(study, study.cells())
    return states


def run_and_score(
    study: Study,
    store: Store,
    cluster: Cluster | None = None,
    *,
    retry_failed: bool = False,
    new_data: bool = False,
    models: bool = False,
) -> dict[str, str]:
    """Make a study's missing runs, score those that are done by what the study lists and, if asked, log their
    generators as `models`; returns the state of each run that was made, and of those that could not be scored or
    exported, by label. Raises as `run_study`, `score_study` and `log_models`."""
    states = run_study(study, store, cluster, retry_failed=retry_failed, new_data=new_data)
    failed = any(state.startswith(RunState.FAILED) for state in states.values())
    if not failed and (requests := requests_of(study.metrics, study.score_samples)):
        scored = score_study(study, store, requests, cluster)
        states |= {label: state for label, state in scored.items() if state != RunState.DONE}
    return states | (log_models(study, store) if models else {})


def _score(study: Study, store: Store, jobs: list[ScoreJob], cluster: Cluster, console: Console) -> dict[str, str]:
    """Score what no other process makes or scores meanwhile."""
    with RunLocks(store.storage) as locks:
        mine = [job for job in jobs if locks.acquire(job.config.cell_key, job.config.seed)]
        if elsewhere := len(jobs) - len(mine):
            say(console, f"{counted(elsewhere, 'run is', 'runs are')} in the hands of another process, and left to it.")
        seconds = sum(asked.seconds(job.config) for job in mine for asked in job.requests)
        told = (
            f"{counted(len(mine), 'run')} to score, about {clock(seconds)} of a core." if mine else "nothing to score."
        )
        say(console, f"{study.title}: {told}")
        if not mine:
            return {}
        asked = [asked.config(job.config) for job in mine for asked in job.requests]
        cluster.start(store.shared, asked, own_modules(request for job in mine for request in job.requests))
        return score_runs(mine, store, cluster, console)


def _check_origin(
    study: Study, requests: Sequence[ScoreRequest], digests: Digests, done: Mapping[tuple[str, int], StoredRun]
) -> None:
    """Raise ValueError if runs were trained on other data, or by other code of the user's own, than there are now."""
    for cell in study.cells():
        found = digests.get(cell.config.cell_key) or digests[requests[0].config(cell.config).cell_key]
        names = ("data_digest", "own_code_digest") if cell.config.cell_key in digests else ("data_digest",)
        runs = [run for (key, _), run in done.items() if key == cell.config.cell_key]
        check_digests(cell, {name: found[name] for name in names if name in found}, runs)


def _jobs(
    study: Study,
    done: Mapping[tuple[str, int], StoredRun],
    requests: Sequence[ScoreRequest],
    digests: Digests,
    delivery: Delivery,
) -> list[ScoreJob]:
    """What is to be scored, seed by seed, by what the run folders hold; what of that the store lacks is stored."""
    jobs: dict[str, ScoreJob] = {}
    for seed in range(study.seeds):
        for cell in study.cells():
            run = done.get((cell.config.cell_key, seed))
            if run is None or run.run_id in jobs:  # two cells may be one
                continue
            if delivery.store.folders.fetch(run.run_id, SCORES_FILE):
                delivery.deliver_scores(run.run_id)
            known = {each.identity for each in read_scores(delivery.store.folder(run.run_id))}
            lacking = []
            for asked in requests:
                weights = digests[asked.config(cell.config).cell_key]["features_digest"]
                protocols = asked.protocols(cell.config, weights).items()
                keys = [key for key, words in protocols if (key, asked.which, asked.features, words) not in known]
                lacking += [asked._replace(scores=tuple(keys))] if keys else []
            config = cell.config.replace(seed=seed)
            jobs[run.run_id] = ScoreJob(f"{cell.label}, seed {seed}", run.run_id, config, tuple(lacking))
    return [job for job in jobs.values() if job.requests]


def _require_generators(jobs: Iterable[ScoreJob], store: Store) -> None:
    """Raise ValueError if runs do not keep what is to be scored."""
    lacking = []
    for job in jobs:
        names = {generator_path(store.folder(job.run_id), asked.which).name for asked in job.requests}
        lacking += [(job, name) for name in sorted(names) if not store.folders.holds(job.run_id, name)]
    if lacking:
        job, name = lacking[0]
        more = f", nor do {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise ValueError(
            f"{job.label}: {store.folders.location(job.run_id)} keeps no {name}{more}; what was removed cannot "
            f"be scored: put the file back, or delete the run in MLflow and make it again"
        )
