"""Claims that a user registered before judging them: tags of the experiment of the study that they are of."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import NamedTuple

from search.store.connection import Store
from search.store.parents import Parents
from search.store.queries import experiment_tags, seed_runs
from spaces import Cell, Study
from trainers.messages import counted
from trainers.run_state import RunState

TAG = "ganablate.claim."  # and the digest of a claim


class Registration(NamedTuple):
    """What was written when a claim was registered: its date, the planned seeds, how many of their runs had begun."""

    date: str
    seeds: int
    begun: int

    @property
    def when(self) -> str:
        """In words, by the study's runs."""
        return f"after {self.begun} run{'s' * (self.begun > 1)}" if self.begun else "before the first run"

    def told(self, seeds: int) -> str:
        """In words, beside a verdict on so many seeds."""
        return f"registered {self.when}" + ("" if seeds == self.seeds else f", for {counted(self.seeds, 'seed')}")


def register(store: Store, study: Study, cells: Iterable[Cell], digest: str) -> Registration:
    """Write that a claim on some of a study's cells stands from now on; what was registered once stays as it is."""
    held = registered(store, study, digest)
    if held:
        return held
    runs = seed_runs(store, [cell.config for cell in cells])
    begun = sum(seed < study.seeds and run.state != RunState.MISSING for (_, seed), run in runs.items())
    made = Registration(time.strftime("%Y-%m-%d"), study.seeds, begun)
    with store.exclusive():
        store.client.set_experiment_tag(Parents(store).experiment(study), TAG + digest, json.dumps(made._asdict()))
    return made


def registered(store: Store, study: Study, digest: str) -> Registration | None:
    """What was registered of a claim in a study's experiment. Raises ValueError if its tag was changed."""
    return registrations(store, study).get(digest)


def registrations(store: Store, study: Study) -> dict[str, Registration]:
    """What is registered in a study's experiment, by the digests of claims; nothing where there is no store yet. Raises
    ValueError if a tag was changed."""
    tags = experiment_tags(store, dict.fromkeys((study.title, *study.titles())))
    return {name.removeprefix(TAG): _read(study, name, text) for name, text in tags.items() if name.startswith(TAG)}


def _read(study: Study, tag: str, text: str) -> Registration:
    try:
        return Registration(**json.loads(text))
    except (TypeError, ValueError):
        raise ValueError(f"experiment {study.title!r} has a tag {tag} that says no registration") from None
