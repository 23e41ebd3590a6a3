"""Reads a store: seed runs, trials, metric histories, sample grids, links.

Every function takes the Store and raises ValueError if it does not answer. Runs are found by their tags: a database is
read directly, a server is asked through MLflow's client.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from search.store.address import in_thread
from search.store.connection import Store
from search.store.database import (
    StoredRun,
    experiment_tags_in_database,
    is_database,
    points_from_database,
    run_from_database,
    run_ids_from_database,
    runs_from_database,
    runs_of_experiment_in_database,
    unmarked_experiments_in_database,
)
from search.store.former import IDENTITY, translated
from spaces import Search
from trainers.config import Config

if TYPE_CHECKING:
    from mlflow.entities import Run

T = TypeVar("T")
K = TypeVar("K")
QUESTIONS_AT_ONCE = 8  # to a tracking server
OURS = "tags.cell_key LIKE '%'"  # filter of a server
RESERVED = "reserved_for"  # tag of a run that was created before its trial was proposed: the search's key
VIEW = "table"  # key of the experiments' shared view in the MLflow UI


def find_runs(store: Store, tag: str, values: Iterable[str] | None) -> list[StoredRun]:
    """The active runs of ours whose tag has one of the values, or any, oldest first. Runs that an earlier version made,
    and that have its keys, are taken for what they are by today's, whatever they say."""
    values = None if values is None else set(values)
    if is_database(store.uri):
        runs = _from_database(store, runs_from_database, tag, values)
    else:
        runs = _from_server(store, tag, values)
    former = former_runs(store)
    runs = [run for run in runs if run.run_id not in former]
    runs += [run for run in former.values() if tag in run.tags and (values is None or run.tags[tag] in values)]
    runs = sorted(runs, key=lambda run: (run.start, run.run_id)) if former else runs
    return [run for run in runs if run.is_ours]


def former_runs(store: Store) -> dict[str, StoredRun]:
    """The runs of experiments that an earlier version made, by id, with the tags that they should have."""
    return {
        run.run_id: run._replace(tags={**run.tags, **changes})
        for experiment in unmarked_experiments(store)
        for run, changes in translated(list(runs_with_params(store, experiment)))
    }


def unmarked_experiments(store: Store) -> list[str]:
    """Ids of the experiments with runs of ours that may have former keys."""
    if store.is_marked:
        return []
    if is_database(store.uri):
        found = _from_database(store, unmarked_experiments_in_database, IDENTITY)
    else:
        found = _unmarked_on_server(store)
    store.is_marked = not found
    return found


def _unmarked_on_server(store: Store) -> list[str]:
    found = [str(e.experiment_id) for e in pages(store.client.search_experiments) if IDENTITY not in e.tags]
    return found if found and store.client.search_runs(found, OURS, max_results=1) else []  # others have theirs there


def runs_with_params(store: Store, experiment: str) -> Iterator[StoredRun]:
    """The runs of ours in an experiment; a server is asked for a page of them at a time."""
    if is_database(store.uri):
        runs: Iterable[StoredRun] = _from_database(store, runs_of_experiment_in_database, experiment, "cell_key")
    else:
        ask = partial(store.client.search_runs, [experiment], OURS)
        runs = (_stored(run)._replace(params=run.data.params) for run in pages(ask))
    return (run for run in runs if run.is_ours)


class StoredCells(NamedTuple):
    """What the store holds of some cells: their seed runs, of any study, by (cell_key, seed), their parents, and runs
    that another of the same (cell_key, seed) stands for, with that one: of a creation whose answer was lost, say."""

    seeds: dict[tuple[str, int], StoredRun]
    parents: list[StoredRun]
    duplicates: list[tuple[StoredRun, StoredRun]]


def stored_cells(store: Store, configs: Iterable[Config]) -> StoredCells:
    """The runs of these cells, by one question."""
    found = find_runs(store, "cell_key", {config.cell_key for config in configs})
    seeds, duplicates = first_of_each(
        (run for run in found if "seed" in run.tags), lambda run: (run.cell_key, run.seed)
    )
    return StoredCells(seeds, [run for run in found if "seed" not in run.tags], duplicates)


def first_of_each(
    runs: Iterable[StoredRun], key: Callable[[StoredRun], K]
) -> tuple[dict[K, StoredRun], list[tuple[StoredRun, StoredRun]]]:
    """The run that counts of each key, in the order of the runs, and each other one with the one that counts."""
    groups: dict[K, list[StoredRun]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    firsts = {name: min(group, key=lambda run: run.rank) for name, group in groups.items()}
    others = [(run, firsts[name]) for name, group in groups.items() for run in group if run is not firsts[name]]
    return firsts, others


def seed_runs(store: Store, configs: Iterable[Config]) -> dict[tuple[str, int], StoredRun]:
    """The seed runs of these cells, of any study, by (cell_key, seed)."""
    return stored_cells(store, configs).seeds


def trials_of(store: Store, search: Search) -> list[StoredRun]:
    """The trials of a search in the order of their numbers, each once."""
    trials, _ = first_of_each(find_runs(store, "search", [search.key]), lambda run: int(run.tags["trial"]))
    return [trials[number] for number in sorted(trials)]


def reserved_for(store: Store, search: Search) -> dict[int, str]:
    """The runs, by number, that were created for trials of a search before these were proposed, and that wait."""
    runs = [run for run in find_runs(store, RESERVED, [search.key]) if "search" not in run.tags]
    firsts, _ = first_of_each(runs, lambda run: int(run.tags["trial"]))
    return {number: run.run_id for number, run in sorted(firsts.items())}


def all_runs(store: Store) -> dict[str, StoredRun]:
    """All seed runs by their ids, those that were deleted in MLflow too."""
    from mlflow.entities import ViewType

    runs: dict[str, StoredRun] = {}
    experiments = {e.experiment_id: e for e in pages(partial(store.client.search_experiments, ViewType.ALL))}
    ask = partial(store.client.search_runs, list(experiments), "tags.seed LIKE '%'", ViewType.ALL)
    for run in pages(ask):
        stages = {run.info.lifecycle_stage, experiments[run.info.experiment_id].lifecycle_stage}
        runs[run.info.run_id] = _stored(run, is_deleted=stages != {"active"})
    return runs


def run_of(store: Store, run_id: str) -> StoredRun | None:
    """The run of ours with this id, a cell's parent and a deleted one too; None if there is none."""
    is_read = is_database(store.uri)
    run = _from_database(store, run_from_database, run_id) if is_read else _stored_or_none(store, run_id)
    return run if run and run.is_ours else None


def standing_for(store: Store, run: StoredRun) -> StoredRun | None:
    """The run that counts in place of a seed's or a trial's, if it is a duplicate."""
    tag, number = ("search", "trial") if "search" in run.tags else ("cell_key", "seed")
    rivals = [other for other in find_runs(store, tag, [run.tags[tag]]) if number in other.tags]
    _, duplicates = first_of_each(rivals, lambda other: int(other.tags[number]))
    return next((first for other, first in duplicates if other.run_id == run.run_id), None)


def known_ids(store: Store, ids: Iterable[str]) -> set[str]:
    """Those of the ids that the store has a run of, deleted or not; a server is asked for one after the other."""
    if is_database(store.uri):
        return _from_database(store, run_ids_from_database, ids)
    return {run_id for run_id in ids if _stored_or_none(store, run_id)}


def _stored_or_none(store: Store, run_id: str) -> StoredRun | None:
    """A run of a server; None if the server says that there is none, other than that this user may not see it."""
    try:
        run = store.client.get_run(run_id)
    except ValueError as error:
        if getattr(error.__cause__, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return _stored(run, is_deleted=run.info.lifecycle_stage != "active")


def histories(store: Store, run_ids: Iterable[str], metric: str) -> dict[str, list[tuple[int, int, float]]]:
    """Each run's values of one metric as (milliseconds since 1970, images, value), by images, then by time."""
    points: dict[str, list[tuple[int, int, float]]] = {run_id: [] for run_id in run_ids}
    if is_database(store.uri):  # one question instead of one a run
        for run_id, stamp, images, value in _from_database(store, points_from_database, points, metric):
            points[run_id].append((stamp, images, value))
    else:
        for run_id, series in points.items():
            series += [(m.timestamp, m.step, m.value) for m in store.client.get_metric_history(run_id, metric)]
    return {run_id: sorted(series, key=lambda point: (point[1], point[0])) for run_id, series in points.items()}


def pictures(store: Store, run_id: str, target: Path, nearest: Iterable[float] = (math.inf,)) -> dict[int, Path]:
    """The run's grids of samples nearest to these images, by default its last, by images.

    They are those of its run folder, else MLflow's, copied into `target`; none where neither can be had here.
    """
    made = {int(path.stem): path for path in (store.folder(run_id) / "samples").glob("*.png")}
    if made:
        return {images: made[images] for images in _nearest(made, nearest)}
    try:
        grids = stored_grids(store, run_id)
    except ValueError:  # a server keeps it, and the store is the server's database
        return {}
    chosen = _nearest(grids, nearest)
    return {n: Path(store.client.download_artifacts(run_id, grids[n], str(target))) for n in chosen}


def stored_grids(store: Store, run_id: str) -> dict[int, str]:
    """Artifact paths of a run's grids by step, which MLflow writes into their names."""
    paths = [item.path for item in store.client.list_artifacts(run_id, "images")]
    matches = [re.search(r"samples[+%]step[+%](\d+)[+%].*\.png$", path) for path in paths]
    return {int(match[1]): match.string for match in matches if match}


def links(store: Store, address: str, *, charts: bool = False) -> dict[str, str]:
    """Where the MLflow UI at an address shows each study as its ablation table, or its rows as charts, by title."""
    from mlflow.entities import ViewType

    page = f"runs?workflowType=machine_learning&viewStateShareKey={VIEW}" + "&compareRunsMode=CHART" * charts
    return {
        e.name: f"{address}/#/experiments/{e.experiment_id}/{page}"
        for e in pages(partial(store.client.search_experiments, view_type=ViewType.ACTIVE_ONLY))
        if f"mlflow.sharedViewState.{VIEW}" in e.tags
    }


def experiment_tags(store: Store, names: Iterable[str]) -> dict[str, str]:
    """All tags of the experiments of these names; none where there is no store yet."""
    if is_database(store.uri):
        return _from_database(store, experiment_tags_in_database, names)
    found = (store.client.get_experiment_by_name(name) for name in names)
    return {key: value for each in found if each is not None for key, value in each.tags.items()}


def _from_database(store: Store, read: Callable[..., T], *arguments: Any) -> T:
    """What read(uri, ...) gives. Raises ValueError if the database does not answer."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return read(store.uri, *arguments)
    except (SQLAlchemyError, ImportError) as error:  # a database's driver may be missing
        raise store.unusable(error) from None


def _from_server(store: Store, tag: str, values: Iterable[str] | None) -> list[StoredRun]:
    """The same by MLflow's client: a question a value, since its filters know no IN for tags, some at a time."""

    experiments = [str(e.experiment_id) for e in pages(store.client.search_experiments)]
    filters = [f"tags.`{tag}` LIKE '%'"] if values is None else [f"tags.`{tag}` = '{value}'" for value in values]
    asks = [partial(store.client.search_runs, experiments, each) for each in filters]
    runs: list[StoredRun] = []
    for at in range(0, len(asks), QUESTIONS_AT_ONCE):
        answers = [in_thread(partial(_all_stored, ask)) for ask in asks[at : at + QUESTIONS_AT_ONCE]]
        runs += [run for answer in answers for run in answer.result()]
    return sorted(runs, key=lambda run: (run.start, run.run_id))


def _all_stored(ask: Callable[..., Any]) -> list[StoredRun]:
    return [_stored(run) for run in pages(ask)]


def _stored(run: Run, is_deleted: bool = False) -> StoredRun:
    info, data = run.info, run.data
    times = info.start_time, info.end_time
    return StoredRun(info.run_id, info.experiment_id, *times, data.tags, data.metrics, is_deleted)


def pages(ask: Callable[..., Any]) -> Iterator[Any]:
    """All that a search of MLflow gives, page by page."""
    page = ask()
    yield from page
    while page.token:
        page = ask(page_token=page.token)
        yield from page


def _nearest(steps: Collection[int], wanted: Iterable[float]) -> list[int]:
    """The steps that are nearest to those wanted, in ascending order; infinity asks for the largest."""
    return sorted({min(steps, key=lambda n: (abs(n - want), -n)) for want in wanted}) if steps else []
