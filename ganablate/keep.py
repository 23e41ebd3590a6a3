"""Commands on what is kept: run folders made elsewhere, and what can go."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ganablate.options import (
    STORAGE,
    Kinds,
    Storage,
    TrackingUri,
    app,
    open_store,
)

if TYPE_CHECKING:
    pass

T = TypeVar("T")


@app.command("import")
def import_(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="run folders, or folders that hold some")],
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
) -> None:
    """Take in run folders that `ganablate train` made elsewhere, each once."""
    from search.importing import import_runs
    from trainers.messages import printable

    for line in import_runs(folders, open_store(tracking_uri, storage)):
        print(printable(line), flush=True)


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
