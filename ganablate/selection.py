"""What users select, by the command as from Python: a variant of a study, and the store that holds its runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack

from ganablate import places
from trainers.messages import did_you_mean

if TYPE_CHECKING:
    from reports.results import Results
    from search.store import Store
    from search.store.foreign import Imported
    from spaces import Study

STORAGE = ""  # what the environment or pyproject.toml says, else runs


class Selectors(TypedDict, total=False):
    """Which variant of a study, and where its runs are."""

    # folder of run folders, artifacts and the default store; or an object store's URI [as ganablate.places says]
    storage: str | Path
    tracking_uri: str | None  # MLflow store [SQLite under the storage folder]
    seeds: int | None  # of each cell, 0 to seeds - 1 [the study's]
    budget: float | None  # factor on all budgets in images
    settings: Mapping[str, Any] | None  # changed fields of the recipe, as --set has them
    tiny: bool  # seconds a run
    metrics: Sequence[str] | None  # in place of the study's, as ("fid_final", "fid@lite0")
    samples: int | None  # generated samples of scores after training [the runs' own number]


def open_store(tracking_uri: str | None = None, storage: str | Path = STORAGE) -> Store:
    """The store of the selectors. Raises ValueError if it does not answer."""
    from search.store import Store

    store = Store(*places.places(tracking_uri, str(storage)))
    places.use_cache_below(store.storage)
    store.probe()
    return store


def store_of(where: Selectors) -> Store:
    """The store of the selectors. Raises ValueError if it does not answer."""
    return open_store(where.get("tracking_uri"), where.get("storage", STORAGE))


def variant(study: Study | str, **where: Unpack[Selectors]) -> Study:
    """The variant of a study. Raises ValueError for one that there is not, TypeError for what is no selector."""
    from spaces import find_study

    options, found = _options(where), find_study(study) if isinstance(study, str) else study
    return found.variant(**options)


def select(study: Study | str, **where: Unpack[Selectors]) -> tuple[Study, Store]:
    """The variant of a study, with the store that holds its runs. Raises as `variant`, and ValueError if the store does
    not answer."""
    return variant(study, **where), store_of(where)


def select_to_make(study: Study | str, **where: Unpack[Selectors]) -> tuple[Study, Store]:
    """The study whose runs are to be made or scored, and the store. Raises as `select`, and ValueError for a study of
    runs that were made elsewhere: what it lacks only their own code can make."""
    try:
        return select(study, **where)
    except ValueError:
        from search.store.foreign import read_imported

        if isinstance(study, str) and ".py" not in study and read_imported(store_of(where), study):
            told = f"study {study!r} was imported: only the code that made its runs can make or score more"
            raise ValueError(told) from None
        raise


def select_imported(study: Study | str, store: Store, **where: Unpack[Selectors]) -> Imported | None:
    """The runs made elsewhere that a study's name stands for; None where it is one of ours, or in a file. Raises
    ValueError for selectors of which these runs know nothing, and for a name that there is not."""
    from search.store.foreign import find_imported

    options = _options(where)
    found = find_imported(store, study) if isinstance(study, str) else None
    if found:
        found.study.variant(**options)
    return found


def find_results(
    study: Study | str, *, beside: str | None = None, same_protocol: str | None = None, **where: Unpack[Selectors]
) -> Results:
    """The results of a study, of one of runs that other code made too; with the rows of the import named by `beside`,
    if words say by what both were scored. Raises as `select`, and ValueError for rows that cannot stand together."""
    from reports.foreign import ForeignResults
    from reports.results import Results

    if beside is None and same_protocol is not None:
        raise ValueError("--same-protocol is said of runs that other code made: --beside NAME")
    store = store_of(where)
    if imported := select_imported(study, store, **where):
        found: Results = ForeignResults(imported, imported.study.variant(**_options(where)))
    else:
        found = Results(variant(study, **where), store)
    if beside is None:
        return found
    from reports.beside import results_beside

    return results_beside(found, store, beside, same_protocol)


class Variant(NamedTuple):
    """What the title of a study's variant says, as it is typed."""

    name: str
    budget: float | None
    pairs: list[str]  # FIELD=VALUE
    tiny: bool


def read_title(title: str) -> Variant:
    """The variant that a title tells, as `quick (lr 0.001, budget 0.2, tiny)`; any other text is a name alone. Raises
    ValueError for a budget that is no number."""
    found = re.fullmatch(r"(.+?) \((.+)\)", title)
    name, parts = (found[1], found[2].split(", ")) if found else (title, [])
    told = [part.partition(" ") for part in parts if part != "tiny"]
    budgets = [value for field, _, value in told if field == "budget"]
    try:
        budget = float(budgets[-1]) if budgets else None
    except ValueError:
        raise ValueError(f"{title!r}: budget {budgets[-1]!r} is no number") from None
    pairs = [f"{field}={value}" for field, _, value in told if field != "budget"]
    return Variant(name, budget, pairs, "tiny" in parts)


def _options(where: Selectors) -> dict[str, Any]:
    """What makes a variant. Raises TypeError for what is no selector."""
    if unknown := sorted(where.keys() - Selectors.__annotations__.keys()):
        raise TypeError(f"{unknown[0]!r} is no selector; {did_you_mean(unknown[0], Selectors.__annotations__)}")
    names = {"seeds": "seeds", "budget": "budget", "settings": "settings", "tiny": "tiny", "samples": "score_samples"}
    options: dict[str, Any] = {names[name]: value for name, value in where.items() if name in names}
    return {**options, "metrics": tuple(where.get("metrics") or ()) or None}
