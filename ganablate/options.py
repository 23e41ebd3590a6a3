"""The command, and what users type alike for several of its commands: options, and what they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganablate import complete, places
from ganablate.selection import STORAGE, Selectors, variant

if TYPE_CHECKING:
    from spaces import Study
    from trainers.config import Config

ABOUT = "Hyper-parameter searches and ablation studies of GAN training."
app = typer.Typer(help=ABOUT, pretty_exceptions_enable=False)

StudyName = Annotated[
    str,
    typer.Argument(
        metavar="STUDY", help="a study of `ganablate list`, or file.py[:NAME]", autocompletion=complete.studies
    ),
]
RecipeName = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="a recipe of `ganablate list`, with --job a study, or file.py[:NAME]",
        autocompletion=complete.recipes,
    ),
]
ClaimNames = Annotated[list[str] | None, typer.Argument(metavar="[file.py] [CLAIM...]", help="ids, or all claims")]
Kinds = Annotated[list[str] | None, typer.Argument(metavar="[KIND...]", help="of what is listed [default: all]")]
Seeds = Annotated[int | None, typer.Option(help="seeds of each cell, 0 to N - 1")]
Budget = Annotated[float | None, typer.Option(help="factor on all budgets in images")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="change the recipe", autocompletion=complete.settings),
]
Tiny = Annotated[bool, typer.Option("--tiny", help="seconds a run: narrow networks, digits, 2,048 images")]
TrackingUri = Annotated[
    str | None,
    typer.Option(envvar=places.TRACKING_URI, help="MLflow store [default: SQLite under the storage folder]"),
]
Storage = Annotated[
    str,
    typer.Option(
        envvar=places.STORAGE,
        show_default="runs",
        help="folder of run folders, artifacts, caches and the default store; or a URI",
    ),
]
CpusPerTrial = Annotated[float, typer.Option(help="CPU cores of a trial; fractions share one")]
GpusPerTrial = Annotated[float | None, typer.Option(help="share of a GPU, 0 to 1 [default: 1 where there is one]")]
Host = Annotated[str, typer.Option(help="address to serve at; any but this machine's own asks nobody who he is")]
Address = Annotated[str | None, typer.Option(help="Ray cluster [default: this machine]")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="also run what failed before")]
Models = Annotated[bool, typer.Option("--models", help="log the generators of done runs as models in MLflow")]
NewData = Annotated[bool, typer.Option("--new-data", help="go on although the images of that name have changed")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="show Ray's own log")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
ScoreSamples = Annotated[
    int | None, typer.Option("--samples", help="generated samples of a score [default: the runs']")
]


def selectors(
    seeds: int | None = None,
    budget: float | None = None,
    pairs: list[str] | None = None,
    tiny: bool = False,
    tracking_uri: str | None = None,
    storage: str = STORAGE,
) -> Selectors:
    """What `ganablate.api` takes, by what was typed. Raises ValueError for a setting that is none."""
    from spaces import parse_settings

    where: Selectors = {"seeds": seeds, "budget": budget, "settings": parse_settings(pairs), "tiny": tiny}
    return {**where, "tracking_uri": tracking_uri, "storage": storage}


def one_cell(name: str, budget: float | None, pairs: list[str] | None, tiny: bool) -> Study:
    """A recipe as a study of one cell, its variant in the title. Raises ValueError."""
    from spaces import Study, find_recipe, parse_settings

    (label, recipe), settings = find_recipe(name), parse_settings(pairs)
    metrics = (f"{recipe.replace(**settings).metric}_final",)
    return Study(label, recipe, rows={label: {}}, metrics=metrics, settings=settings).variant(budget=budget, tiny=tiny)


def one_config(name: str, seed: int, *typed: Any) -> Config:
    """A recipe's Config of one seed. Raises ValueError."""
    return one_cell(name, *typed).cells()[0].config.replace(seed=seed)


def one_job(name: str, number: int, *typed: Any) -> Config:
    """The Config of a study's run of that number. Raises ValueError."""
    return variant(name, **selectors(*typed)).job(number)
