"""Commands on what is kept: run folders made elsewhere, and what can go."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from ganablate.options import (
    Kinds,
    Storage,
    TrackingUri,
    app,
)
from ganablate.selection import STORAGE, open_store


@app.command("import")
def import_(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR... | mlflow:EXPERIMENT | csv:FILE",
            help="run folders, or folders that hold some; or runs that other code made, as a study",
        ),
    ],
    study: Annotated[str | None, typer.Option(metavar="NAME", help="what to call the study of such runs")] = None,
    row: Annotated[str | None, typer.Option(metavar="PARAM", help="what makes a row [default in a CSV: row]")] = None,
    seed: Annotated[str | None, typer.Option(metavar="PARAM", help="its seed [default in a CSV: seed]")] = None,
    column: Annotated[str | None, typer.Option(metavar="PARAM", help="what makes a column [default: none]")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY[:lower|higher][:ratio|difference]",
            help="what is compared, by its last value; the first one has the stars [default: lower, difference]",
        ),
    ] = None,
    paired: Annotated[bool, typer.Option("--paired", help="runs of one seed share data and start")] = False,
    latest: Annotated[bool, typer.Option("--latest", help="of two runs of one row and seed take the later")] = False,
    reference: Annotated[
        str | None, typer.Option(metavar="ROW", help="row to compare the others with [default: the oldest]")
    ] = None,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
) -> None:
    """Take in run folders that `ganablate train` made elsewhere, each once; or runs that other code made, as a study of
    their own: from an MLflow experiment, or a CSV of row, seed and metrics, a line a run."""
    from search.importing import import_runs
    from trainers.messages import printable

    foreign = [source for source in sources if source.startswith(("mlflow:", "csv:"))]
    asked: dict[str, Any] = {"--study": study, "--row": row, "--seed": seed, "--column": column, "--metric": metric}
    asked |= {"--paired": paired, "--latest": latest, "--reference": reference}
    if foreign and len(sources) > 1:
        raise ValueError("import takes one mlflow:EXPERIMENT or csv:FILE at a time, and no folders beside it")
    if foreign:
        lines: Iterable[str] = _import_foreign(foreign[0], asked, tracking_uri, storage)
    else:
        if option := next((name for name, value in asked.items() if value), None):
            raise ValueError(f"{option} is for runs that other code made: mlflow:EXPERIMENT or csv:FILE")
        lines = import_runs(map(Path, sources), open_store(tracking_uri, storage))
    for line in lines:
        print(printable(line), flush=True)


def _import_foreign(source: str, asked: dict[str, Any], tracking_uri: str | None, storage: str) -> list[str]:
    """Take in runs that other code made, by the options asked for; returns what to say of it. Raises ValueError."""
    from search.store.foreign_runs import Asked, import_study
    from spaces.foreign import parse_metric

    if source.startswith("csv:"):
        asked = {**asked, "--row": asked["--row"] or "row", "--seed": asked["--seed"] or "seed"}
    if lacking := [name for name in ("--study", "--row", "--seed", "--metric") if not asked[name]]:
        raise ValueError(f"import {source} needs {', '.join(lacking)}")
    asked["--metric"] = [parse_metric(text) for text in asked["--metric"]]
    wanted = Asked(**{name.removeprefix("--"): value for name, value in asked.items()})
    told = import_study(source, wanted, open_store(tracking_uri, storage))
    return [*told, f"next: ganablate report {shlex.quote(wanted.study)}"]


@app.command()
def clean(
    kinds: Kinds = None,
    yes: Annotated[bool, typer.Option("--yes", help="remove without asking")] = False,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
) -> None:
    """List what can go of the storage folder and what that frees; remove it with --yes, or once you said so."""
    from search.clean import KINDS, describe, find_leftovers, remove
    from trainers.messages import did_you_mean

    for kind in kinds or []:
        if kind not in KINDS:
            raise ValueError(f"kind {kind!r} is unknown; {did_you_mean(kind, KINDS)}")
    store = open_store(tracking_uri, storage)
    leftovers = find_leftovers(store)
    items = [item for item in leftovers.items if not kinds or item.kind in kinds]
    print("\n".join(describe(items, leftovers.unknown)))
    if not items:
        return
    if not yes and not (sys.stdin.isatty() and input("Remove all of this? [y/N] ").strip().lower() in ("y", "yes")):
        print("Nothing was removed; --yes removes it.")
        return
    removed = list(remove(items, store))
    print(f"Removed {len(removed):,} of {len(items):,}, {sum(item.size for item in removed) / 1e6:,.1f} MB.")
