"""The command, and what users type alike for several of its commands: options, and what they stand for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from search.store import Store
    from search.store.foreign import Imported
    from spaces import Study
    from trainers.config import Config

ABOUT = "Hyper-parameter searches and ablation studies of GAN training."
app = typer.Typer(help=ABOUT, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="a study of `ganablate list`, or file.py[:NAME]")]
RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="a recipe of `ganablate list`, with --job a study, or file.py[:NAME]")
]
ClaimNames = Annotated[list[str] | None, typer.Argument(metavar="[file.py] [CLAIM...]", help="ids, or all claims")]
Kinds = Annotated[list[str] | None, typer.Argument(metavar="[KIND...]", help="of what is listed [default: all]")]
Seeds = Annotated[int | None, typer.Option(help="seeds of each cell, 0 to N - 1")]
Budget = Annotated[float | None, typer.Option(help="factor on all budgets in images")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="change the recipe")]
Tiny = Annotated[bool, typer.Option("--tiny", help="seconds a run: narrow networks, digits, 2,048 images")]
TrackingUri = Annotated[str | None, typer.Option(help="MLflow store [default: SQLite under the storage folder]")]
Storage = Annotated[str, typer.Option(help="folder of run folders, artifacts, caches and the default store; or a URI")]
CpusPerTrial = Annotated[float, typer.Option(help="CPU cores of a trial; fractions share one")]
GpusPerTrial = Annotated[float | None, typer.Option(help="share of a GPU, 0 to 1 [default: 1 where there is one]")]
Host = Annotated[str, typer.Option(help="address to serve at; any but this machine's own asks nobody who he is")]
Address = Annotated[str | None, typer.Option(help="Ray cluster [default: this machine]")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="also run what failed before")]
NewData = Annotated[bool, typer.Option("--new-data", help="go on although the images of that name have changed")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="show Ray's own log")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
ScoreSamples = Annotated[
    int | None, typer.Option("--samples", help="generated samples of a score [default: the runs']")
]
STORAGE = "runs"


def select(name: str, seeds: int | None, budget: float | None, pairs: list[str] | None, tiny: bool) -> Study:
    """The study that the selectors stand for. Raises ValueError."""
    from spaces import find_study, parse_settings

    return find_study(name).variant(seeds=seeds, budget=budget, settings=parse_settings(pairs), tiny=tiny)


def imported_study(name: str, store: Store, *selectors: Any) -> Imported | None:
    """The runs made elsewhere that a study's name stands for; None where it is one of ours, or in a file. Raises
    ValueError for selectors, of which these runs know nothing."""
    from search.store.foreign import find_imported
    from spaces import parse_settings

    found = find_imported(store, name)
    if found:
        seeds, budget, pairs, tiny = selectors
        found.study.variant(seeds=seeds, budget=budget, settings=parse_settings(pairs), tiny=tiny)
    return found


def select_to_make(
    name: str,
    seeds: int | None,
    budget: float | None,
    pairs: list[str] | None,
    tiny: bool,
    tracking_uri: str | None,
    storage: str,
) -> tuple[Study, Store]:
    """The study whose runs are to be made or scored, and the store. Raises ValueError, for one of runs that were made
    elsewhere too: what it lacks only their own code can make."""
    try:
        return select(name, seeds, budget, pairs, tiny), open_store(tracking_uri, storage)
    except ValueError:
        from search.store.foreign import read_imported

        if ".py" not in name and read_imported(open_store(tracking_uri, storage), name):
            told = f"study {name!r} was imported: only the code that made its runs can make or score more"
            raise ValueError(told) from None
        raise


def one_cell(name: str, budget: float | None, pairs: list[str] | None, tiny: bool) -> Study:
    """A recipe as a study of one cell, its variant in the title. Raises ValueError."""
    from spaces import Study, find_recipe, parse_settings

    (label, recipe), settings = find_recipe(name), parse_settings(pairs)
    metrics = (f"{recipe.replace(**settings).metric}_final",)
    return Study(label, recipe, rows={label: {}}, metrics=metrics, settings=settings).variant(budget=budget, tiny=tiny)


def one_config(name: str, seed: int, *selectors: Any) -> Config:
    """A recipe's Config of one seed. Raises ValueError."""
    return one_cell(name, *selectors).cells()[0].config.replace(seed=seed)


def one_job(name: str, number: int, *selectors: Any) -> Config:
    """The Config of a study's run of that number. Raises ValueError."""
    return select(name, *selectors).job(number)


def open_store(tracking_uri: str | None, storage: str) -> Store:
    """The store of the options. Raises ValueError if it does not answer."""
    from search.store import Store

    store = Store(tracking_uri, storage)
    os.environ.setdefault("GANABLATE_CACHE", str(store.storage / "cache"))
    store.probe()
    return store
