"""Takes in again the run folders that a store lost: its database was removed, or an older one was put in its place.

A run folder says which store it belongs to. A new run is created in the store, the folder gets its id as its name, and
what it holds is delivered: nothing is copied, and nothing trained twice. A process may be killed between any two of
these steps: a run without a folder takes the folder in by the next call, and a folder with its name is delivered as
that of any driver that died.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

from search.locks import RunLocks
from search.store.connection import Store
from search.store.database import StoredRun, is_database
from search.store.delivery import Delivery
from search.store.identity import belongs, origin
from search.store.queries import known_ids, reserved_for, seed_runs, trials_of
from spaces import Cell, Search, Study
from trainers.config import Config
from trainers.run_folder import ORIGIN, end_of, locked, read_origin, read_run, write_origin
from trainers.run_state import RunState

logger = logging.getLogger(__name__)
TAKEN_FROM = "taken_from"  # tag of a run that was taken in again: the id that it had


class LostRun(NamedTuple):
    """A run folder of ours whose id the store does not know, with the origin that it should have now."""

    run_id: str
    origin: dict[str, str]
    config: Config
    state: RunState
    images: int

    @property
    def place(self) -> tuple[str, int]:
        """What it is one of: the search and the number of the trial, or the cell and the seed."""
        return (self.origin["search"], int(self.origin["trial"])) if self.is_trial else self.key

    @property
    def is_trial(self) -> bool:
        return "search" in self.origin

    @property
    def proposal(self) -> dict[str, str]:
        """Of a trial: the tags that hold its proposal."""
        return {name: value for name, value in self.origin.items() if name not in ("store", "address", "cell_key")}

    @property
    def key(self) -> tuple[str, int]:
        return self.config.cell_key, self.config.seed

    @property
    def rank(self) -> tuple[bool, bool, int, str]:
        """Of several of one place, the first by this is taken in, as StoredRun.rank."""
        return self.state != RunState.DONE, not self.state.has_ended, -self.images, self.run_id


def recover_study(study: Study, delivery: Delivery) -> int:
    """Take in again what the store lost of a study's cells, of any seed; how many runs. What a living process has
    locked is left alone, and so is a folder whose cell and seed another run has. Raises ValueError if the store does
    not answer, or a process that nobody knows of trains in such a folder."""
    cells = {cell.config.cell_key: cell for cell in reversed(study.cells())}

    def create(lost: LostRun) -> str:
        return delivery.create(study, cells[lost.config.cell_key], lost.config.seed, taken_from=lost.run_id)

    if not delivery.store.folders.ids():  # where nothing was made yet, nothing is: a command may still be refused
        return 0
    with delivery.store.exclusive():  # two drivers must not make two
        found = _lost(delivery.store, lambda held: "search" not in held and held.get("cell_key") in cells)
        stored = seed_runs(delivery.store, (cell.config for cell in cells.values())) if found else {}
        return sum(_take_in(lost, stored.get(lost.place), lost.key, create, delivery) for lost in found)


def recover_search(search: Search, delivery: Delivery) -> int:
    """The same of the trials of a search, in the order of their proposals. Those whose run was created before they were
    proposed, and does not say yet what they are, are told by their folders."""

    def create(lost: LostRun) -> str:
        cell = Cell(f"trial {lost.origin['trial']}", "", lost.config.replace(seed=search.base.seed))
        return delivery.create(search, cell, lost.config.seed, search.cell, **lost.proposal, taken_from=lost.run_id)

    if not delivery.store.folders.ids():
        return 0
    with delivery.store.exclusive():
        _tell_begun(search, delivery)
        found = _lost(delivery.store, lambda held: held.get("search") == search.key)
        trials = trials_of(delivery.store, search) if found else []
        stored = {(search.key, int(run.tags["trial"])): run for run in trials}
        return sum(_take_in(lost, stored.get(lost.place), (search.key, 0), create, delivery) for lost in found)


def _tell_begun(search: Search, delivery: Delivery) -> None:
    """Write the proposals of trials that began, and whose driver died before the store had heard of them."""
    store = delivery.store
    for number, run_id in reserved_for(store, search).items():
        held = _origin(store, run_id)
        begun = _whole(store, run_id, held) if held.get("search") == search.key else None
        if begun and begun.place == (search.key, number):
            cell = Cell(f"trial {number}", "", begun.config.replace(seed=search.base.seed))
            delivery.propose(run_id, search, cell, begun.proposal)


def _lost(store: Store, is_wanted: Callable[[Mapping[str, str]], bool]) -> list[LostRun]:
    """The lost runs whose origin is wanted, one a place, in the order of their proposals, then of seeds.

    Of a database one question tells which folders it knows; a server is asked of those that nothing else rules out.
    """
    ids = store.folders.ids()
    if ids and is_database(store.uri):
        ids -= known_ids(store, ids)
    origins = {run_id: held for run_id in sorted(ids) if is_wanted(held := _origin(store, run_id))}
    if not origins:
        return []
    here = origin(store)
    origins = {run_id: held for run_id, held in origins.items() if belongs(held, here, store)}
    runs = [lost for run_id, held in origins.items() if (lost := _whole(store, run_id, {**held, **here}))]
    if not is_database(store.uri):
        known = known_ids(store, [lost.run_id for lost in runs])
        runs = [lost for lost in runs if lost.run_id not in known]
    firsts = {lost.place: lost for lost in sorted(runs, key=lambda lost: lost.rank, reverse=True)}
    return sorted(firsts.values(), key=lambda lost: (int(lost.origin.get("proposed_at", 0)), lost.key[::-1]))


def _origin(store: Store, run_id: str) -> dict[str, str]:
    """What a folder says of where it belongs; nothing, if it says nothing that can be read."""
    store.folders.fetch(run_id, ORIGIN)
    try:
        return read_origin(store.folder(run_id))
    except ValueError as error:
        logger.warning("%s; it is left alone", error)
        return {}


def _whole(store: Store, run_id: str, held: dict[str, str]) -> LostRun | None:
    """The run of a folder; None if it never began, or cannot be read, of which a warning tells."""
    store.folders.download(run_id)
    folder = store.folder(run_id)
    if not (folder / "config.json").exists():
        return None
    try:
        config, evaluations = read_run(folder)
        images = evaluations[-1]["images"] if evaluations else -1
        lost = LostRun(run_id, held, config, end_of(folder)[0], images)
        return lost if lost.place and config.cell_key == held["cell_key"] else None
    except (ValueError, KeyError) as error:
        logger.warning("%s is left alone: %s", folder, error)
        return None


def _take_in(
    lost: LostRun, run: StoredRun | None, guard: tuple[str, int], create: Callable[[LostRun], str], delivery: Delivery
) -> bool:
    """Take in one, in place of the run that the store has of it, if that never began; whether it was."""
    store = delivery.store
    with RunLocks(store.storage) as locks:
        if not locks.acquire(*guard) or (run and not (run.cell_key == lost.key[0] and _is_unbegun(store, run))):
            return False
        with locked(store.folder(lost.run_id)):  # a worker may outlive its driver for a while
            run_id = run.run_id if run else create(lost)
            if run:
                store.client.set_tag(run_id, TAKEN_FROM, lost.run_id)
            store.folders.rename(lost.run_id, run_id)
        write_origin(store.folder(run_id), lost.origin)
        store.folders.send(run_id, ORIGIN)
        delivery.begin(run_id, lost.config)
        delivery.interrupt(run_id)  # which delivers all, and how it ended
        return True


def _is_unbegun(store: Store, run: StoredRun) -> bool:
    """Whether a run was created and no more: a process was killed before it gave it a folder, or before it trained."""
    store.folders.fetch(run.run_id, "config.json")
    return run.state == RunState.MISSING and not (store.folder(run.run_id) / "config.json").exists()
