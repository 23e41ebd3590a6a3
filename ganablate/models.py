"""Commands that give trained generators away: as pictures, and as files that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganablate import complete
from ganablate.options import (
    Budget,
    Seeds,
    Set,
    Storage,
    StudyName,
    Tiny,
    TrackingUri,
    app,
    selectors,
)
from ganablate.selection import STORAGE, select

RowName = Annotated[str, typer.Argument(metavar="ROW", help="label of a row", autocompletion=complete.rows)]
Column = Annotated[
    str | None, typer.Option(help="label of a column, where the row has several", autocompletion=complete.columns)
]
Seed = Annotated[int, typer.Option(help="training seed")]
Which = Annotated[str, typer.Option(help="generator of the run: final or best")]


@app.command()
def sample(
    study: StudyName,
    row: RowName,
    out: Annotated[Path, typer.Option(help="picture to write, FILE.png; with --each a new folder")],
    column: Column = None,
    seed: Seed = 0,
    which: Which = "final",
    n: Annotated[int | None, typer.Option(help="samples [default: a grid of 8 a row; of 2-D points 10,000]")] = None,
    sample_seed: Annotated[int, typer.Option(help="seed of the latents")] = 0,
    labels: Annotated[str | None, typer.Option(help="classes, one a row, as 3,7 [default: the first 10]")] = None,
    interpolate: Annotated[bool, typer.Option("--interpolate", help="each row a walk between two latents")] = False,
    source: Annotated[Path | None, typer.Option(help="folder of images to translate [default: test A]")] = None,
    each: Annotated[bool, typer.Option("--each", help="a file each, in a new folder")] = False,
    budget: Budget = None,
    set_: Set = None,
    tiny: Tiny = False,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
) -> None:
    """Draw samples of a done run's generator, or have it translate a folder of images."""
    from reports.model_card import find_kept

    try:
        classes = tuple(int(label) for label in labels.split(",")) if labels else ()
    except ValueError:
        raise ValueError(f"labels = {labels!r} should be numbers of classes with commas between, as 3,7") from None
    chosen, store = select(study, **selectors(None, budget, set_, tiny, tracking_uri, storage))
    kept = find_kept(chosen, store, row, column, seed, which)
    from trainers import sampling

    asked = sampling.SampleRequest(n, sample_seed, classes, interpolate, source, each)
    count = sampling.sample(kept.folder, out, asked, kept.which)
    print(f"{out}: {count:,} samples of {kept.title}")


@app.command()
def export(
    study: StudyName,
    row: RowName,
    out: Annotated[Path, typer.Option(help="new folder")],
    column: Column = None,
    seed: Seed = 0,
    which: Which = "final",
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Set = None,
    tiny: Tiny = False,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
) -> None:
    """Export a done run's generator: safetensors, a program that torch runs without ganablate, and a model card."""
    from reports.model_card import find_kept, model_card
    from trainers.messages import printable

    chosen, store = select(study, **selectors(seeds, budget, set_, tiny, tracking_uri, storage))
    kept = find_kept(chosen, store, row, column, seed, which)
    if out.exists():  # before what takes seconds
        raise ValueError(f"{out} is there already; name a folder that is not")
    card = model_card(kept, store)
    from trainers.exporting import export_generator

    files = export_generator(kept.folder, out, card, kept.which)
    print(printable(f"{kept.title}: {out} has {', '.join(files)}"))
