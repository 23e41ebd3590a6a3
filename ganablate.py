"""The command `ganablate`: studies and searches of GAN training, from plan to table."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from search.store import Store
    from spaces import Study

app = typer.Typer(
    help="Hyper-parameter searches and ablation studies of GAN training.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="a study's name; see `ganablate list`")]
Seeds = Annotated[int | None, typer.Option(help="seeds of each cell, 0 to N - 1")]
Budget = Annotated[float | None, typer.Option(help="factor on all budgets in images")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="change the recipe")]
TrackingUri = Annotated[str | None, typer.Option(help="MLflow store [default: SQLite under the storage folder]")]
Storage = Annotated[Path, typer.Option(help="folder of run folders, artifacts and the default store")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
STORAGE = Path("runs")


@app.command("list")
def list_names(as_json: Json = False) -> None:
    """Print the names of studies, recipes, spaces, backbones and data sets."""
    from spaces import RECIPES, SPACES, STUDIES
    from trainers.config import DATASETS
    from trainers.networks import BACKBONES

    tables: dict[str, Iterable[str]] = {
        "studies": STUDIES,
        "recipes": RECIPES,
        "spaces": SPACES,
        "backbones": BACKBONES,
        "datasets": DATASETS,
    }
    if as_json:
        print(json.dumps({kind: list(names) for kind, names in tables.items()}))
        return
    for kind, names in tables.items():
        print(f"{kind}: {', '.join(names) or 'none'}")


@app.command()
def plan(
    study: StudyName,
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Set = None,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
    as_json: Json = False,
) -> None:
    """Show a study's cells and seeds, their states, and what `run` would start."""
    from search.plan import make_plan
    from search.progress import clock

    chosen, store = _select(study, seeds, budget, set_), _store(tracking_uri, storage)
    made = make_plan(chosen, store)
    if as_json:
        print(json.dumps(made.to_json()))
        return
    for cell in chosen.cells():
        states = [f"{job.seed}: {job.state}" for job in made.jobs if job.cell == cell]
        print(f"{cell.label}  [{cell.config.cell_key}]  {', '.join(states)}")
    left = "" if made.seconds_left is None else f", about {clock(made.seconds_left)}"
    print(f"{chosen.title}: {len(made.jobs)} runs, {len(made.missing)} to run{left}")


@app.command()
def run(
    study: StudyName,
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Set = None,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
    cpus_per_trial: Annotated[float, typer.Option(help="CPU cores of a trial; fractions share one")] = 1.0,
    gpus_per_trial: Annotated[float, typer.Option(help="GPUs of a trial; fractions share one")] = 0.0,
    address: Annotated[str | None, typer.Option(help="Ray cluster [default: this machine]")] = None,
    retry_failed: Annotated[bool, typer.Option(help="also run what failed before")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="show Ray's own log")] = False,
) -> None:
    """Make a study's missing runs on Ray Tune; the same command after a crash finishes the rest."""
    from rich.console import Console

    from search.run import run_study

    chosen, store = _select(study, seeds, budget, set_), _store(tracking_uri, storage)
    try:
        states = run_study(
            chosen,
            store,
            cpus_per_trial=cpus_per_trial,
            gpus_per_trial=gpus_per_trial,
            address=address,
            retry_failed=retry_failed,
            console=Console(),
            verbose=verbose,
        )
    except KeyboardInterrupt as interrupt:
        print(f"interrupted: {interrupt or 'the same command goes on'}", file=sys.stderr)
        raise typer.Exit(130) from None
    failed = {name: state for name, state in states.items() if state.startswith("failed")}
    for name, state in failed.items():
        print(f"{name}: {state}", file=sys.stderr)
    if failed:
        print("run again with --retry-failed once the cause is mended", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def report(
    study: StudyName,
    out: Annotated[Path | None, typer.Option(help="folder for the report [default: STORAGE/reports/STUDY]")] = None,
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Set = None,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
) -> None:
    """Write a study's table (CSV, LaTeX, Markdown) and figures from the store, and print the table."""
    from rich.console import Console

    from reports.report import show, write_report

    chosen, store = _select(study, seeds, budget, set_), _store(tracking_uri, storage)
    text, paths = write_report(chosen, store, out or storage / "reports" / chosen.title)
    show(text, Console())
    for path in paths:
        print(path)


@app.command()
def ui(
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
    port: Annotated[int, typer.Option(help="port on this machine")] = 5000,
) -> None:
    """Serve the MLflow UI on what was run, at http://127.0.0.1:PORT."""
    import os

    store = _store(tracking_uri, storage)
    address = f"http://127.0.0.1:{port}"
    for study, link in store.links(address).items():
        print(f"{study}: {link}")
    print(f"everything: {address}", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store.uri, "--port", str(port)]
    os.execv(sys.executable, command)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="a recipe's name; see `ganablate list`")],
    out: Annotated[Path, typer.Option(help="run folder; training goes on from what it holds")],
    seed: Annotated[int, typer.Option(help="training seed")] = 0,
    budget: Budget = None,
    set_: Set = None,
) -> None:
    """Train one recipe in a folder, without Ray or MLflow; Ctrl-C and SIGTERM finish a checkpoint first."""
    from spaces import Study

    factor = 1.0 if budget is None else budget
    chosen = Study(recipe, recipe, rows={recipe: {}}, settings=_settings(set_), budget=factor)
    config = chosen.cells()[0].config.replace(seed=seed)

    from trainers.loop import train as train_config

    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: signals.append(number))
    state = "running"
    for row in train_config(config, out, stop=lambda: bool(signals)):
        seconds, state = row["seconds"] + row["eval_seconds"], row["state"]
        print(f"{row['images']:>12,} images  {config.metric} {row[config.metric]:10.4f}  {seconds:8.1f} s", flush=True)
    if state == "running":
        print(f"interrupted: the same command goes on with {out}", file=sys.stderr)
        raise typer.Exit(128 + signals[0])
    print(f"{state}: {out}")


def _select(name: str, seeds: int | None, budget: float | None, pairs: list[str] | None) -> Study:
    """The study that the selectors stand for. Raises ValueError."""
    from spaces import STUDIES
    from trainers.config import choose

    if name not in STUDIES:
        raise ValueError(f"study {name!r} is unknown; {choose(name, STUDIES)}")
    study = STUDIES[name]
    return study.varied(seeds=seeds, budget=budget, settings=_settings(pairs))


def _settings(pairs: list[str] | None) -> dict[str, Any]:
    """field=value pairs as overrides; backbone_options.width=32 changes one option. Raises ValueError."""
    settings: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, text = pair.partition("=")
        field, _, option = name.partition(".")
        if not equals or (option and field != "backbone_options"):
            raise ValueError(f"--set {pair!r} should read field=value, or backbone_options.name=value")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        if option:
            settings.setdefault(field, {})[option] = value
        else:
            settings[field] = value
    return settings


def _store(tracking_uri: str | None, storage: Path) -> Store:
    from search.store import Store

    return Store(tracking_uri, storage)


def main() -> None:
    """Entry point: a user's mistake, or a file that cannot be used, is one sentence and exit code 2."""
    try:
        app()
    except (ValueError, OSError) as error:
        print(f"ganablate: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
