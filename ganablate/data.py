"""The command that looks at data before they cost anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganablate import complete, places
from ganablate.options import Set, Storage, app
from ganablate.selection import STORAGE

if TYPE_CHECKING:
    from trainers.config import Config


@app.command()
def data(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="a data set of `ganablate list`, folder:PATH, zip:PATH, pair:PATH or module:object",
            autocompletion=complete.names("datasets"),
        ),
    ],
    set_: Set = None,
    out: Annotated[Path | None, typer.Option(help="picture to write, FILE.png, of what the networks see")] = None,
    storage: Storage = STORAGE,
) -> None:
    """Show what a data set holds: how many images, classes, sizes, what was skipped, and how the networks see them."""
    from spaces import parse_settings
    from trainers.messages import printable

    if out and (out.suffix.lower() != ".png" or out.is_dir()):  # before what may take minutes
        raise ValueError(f"out = {out} should be a picture, FILE.png")
    config = config_of(dataset).replace(**parse_settings(set_))
    places.use_cache_below(places.folder(places.places(None, storage)[1]))
    from trainers.overview import draw, in_lines, overview

    parts = overview(config)
    for line in in_lines(config, parts):
        print(printable(line) if line[0] != " " else f"  {printable(line[2:])}")
    if out:
        draw(config, parts, out)
        print(printable(f"{out}: some of them"))


def config_of(dataset: str) -> Config:
    """A recipe on the data set, by its kind. Raises ValueError if there is no such data set."""
    from spaces import RECIPES
    from trainers.names import data_source

    row = data_source(dataset)
    recipes = {"points": "ring8_gan", "pair": "cut_horse2zebra" if row.is_image_files else "cut_digits"}
    recipe = recipes.get(row.kind, "images_gan" if row.is_image_files else "digits_gan")
    return RECIPES[recipe].replace(dataset=dataset, **({"features": "raw"} if row.kind == "unknown" else {}))
