"""The command `ganablate`: studies and searches of GAN training, from plan to table."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ganablate.options import (
    STORAGE,
    Address,
    Budget,
    ClaimNames,
    CpusPerTrial,
    GpusPerTrial,
    Host,
    Json,
    Kinds,
    NewData,
    RecipeName,
    RetryFailed,
    ScoreSamples,
    Seeds,
    Set,
    Storage,
    StudyName,
    Tiny,
    TrackingUri,
    Verbose,
    one_cell,
    one_config,
    open_store,
    select,
)  # fmt: skip

if TYPE_CHECKING:
    from search.optimize.outcome import Outcome
    from search.store import Store
    from search.tune.cluster import Cluster
    from spaces import Study

T = TypeVar("T")

ABOUT = "Hyper-parameter searches and ablation studies of GAN training."
app = typer.Typer(help=ABOUT, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


@app.command("list")
def list_names(as_json: Json = False) -> None:
    """Print the names of studies, recipes, spaces, backbones and data sets."""
    from spaces import RECIPES, SPACES, STUDIES
    from trainers.names import BACKBONES, DATASETS

    tables: dict[str, Iterable[str]] = {"studies": STUDIES, "recipes": RECIPES, "spaces": SPACES}
    tables |= {"backbones": BACKBONES, "datasets": DATASETS}
    if as_json:
        print(json.dumps({kind: list(names) for kind, names in tables.items()}))
        return
    width = shutil.get_terminal_size().columns
    for kind, names in tables.items():
        print(textwrap.fill(f"{kind}: {', '.join(names)}", width, subsequent_indent="  ", break_on_hyphens=False))


@app.command()
def plan(
    study: StudyName,
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Set = None,
    tiny: Tiny = False,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
    as_json: Json = False,
    detect: Annotated[float | None, typer.Option(help="a ratio of means: say how many seeds each row needs")] = None,
) -> None:
    """Show a study's cells and seeds, their states, and what `run` would start."""
    from search.plan import foresee, make_plan, trained_already
    from search.store.image_sets import resolved
    from trainers.messages import printable

    store = open_store(tracking_uri, storage)
    chosen = resolved(select(study, seeds, budget, set_, tiny), store, reads=None)
    made = make_plan(chosen, store)
    for line in foresee(chosen, store):
        print(printable(line), file=sys.stderr)
    detected = None
    if detect is not None:
        from reports.planning import detect as seeds_that_show

        detected = seeds_that_show(chosen, store, detect)
    if as_json:
        print(json.dumps(made.to_json() | (detected.to_json() if detected else {})))
        return
    if chosen.note:
        print(textwrap.fill(printable(chosen.note), shutil.get_terminal_size().columns))
    for line in [*made.to_text(), *trained_already(made, store), *(detected.to_text() if detected else [])]:
        print(printable(line))


@app.command()
def run(
    study: StudyName,
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Set = None,
    tiny: Tiny = False,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
    cpus_per_trial: CpusPerTrial = 1.0,
    gpus_per_trial: GpusPerTrial = None,
    address: Address = None,
    retry_failed: RetryFailed = False,
    new_data: NewData = False,
    verbose: Verbose = False,
) -> None:
    """Make a study's missing runs on Ray Tune; the same command after a crash finishes the rest."""
    chosen, store = select(study, seeds, budget, set_, tiny), open_store(tracking_uri, storage)
    from search.tune.cluster import Cluster

    _run(chosen, store, Cluster(cpus_per_trial, gpus_per_trial, address, verbose), retry_failed, new_data)


@app.command()
def score(
    study: StudyName,
    features: Annotated[str, typer.Option(help="feature net, as inception or lite0, or module:object of your own")],
    metrics: Annotated[str | None, typer.Option(help="scores, as fid,precision [default: all of the net's]")] = None,
    samples: ScoreSamples = None,
    which: Annotated[str, typer.Option(help="generator of each run: final or best")] = "final",
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Set = None,
    tiny: Tiny = False,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
    cpus_per_trial: CpusPerTrial = 1.0,
    gpus_per_trial: GpusPerTrial = None,
    address: Address = None,
    verbose: Verbose = False,
) -> None:
    """Score a study's done runs by other metrics or another feature net, without training; each once."""
    from trainers.score_request import requested

    request = requested(features, metrics, samples, which)
    chosen, store = select(study, seeds, budget, set_, tiny), open_store(tracking_uri, storage)
    store.require()
    from search.score import score_study
    from search.tune.cluster import Cluster

    cluster = Cluster(cpus_per_trial, gpus_per_trial, address, verbose)
    _exit_if_failed(_interruptible(score_study, chosen, store, [request], cluster), "the same command tries again")


@app.command()
def search(
    recipes: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="recipes, searched one after the other")],
    samples: Annotated[int, typer.Option(help="trials in all; more of them later go on with the same search")],
    space: Annotated[str, typer.Option(help="a space of `ganablate list`, or file.py:NAME")] = "all",
    sampler: Annotated[str, typer.Option(help="who proposes: tpe, random, gp or cmaes")] = "tpe",
    scheduler: Annotated[str, typer.Option(help="who stops: asha, hyperband, median or none")] = "asha",
    seeds: Annotated[int, typer.Option(help="fresh seeds of each winner, 0 to N - 1")] = 5,
    budget: Budget = None,
    set_: Set = None,
    tiny: Tiny = False,
    out: Annotated[Path | None, typer.Option(help="folder for the report [default: STORAGE/reports/...]")] = None,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
    cpus_per_trial: CpusPerTrial = 1.0,
    gpus_per_trial: GpusPerTrial = None,
    address: Address = None,
    retry_failed: RetryFailed = False,
    new_data: NewData = False,
    verbose: Verbose = False,
) -> None:
    """Search a recipe's hyper-parameters, then train the winner on fresh seeds; the same command goes on."""
    from spaces import Search, find_space

    chosen = [one_cell(name, budget, set_, tiny) for name in recipes]
    propose, store = find_space(space), open_store(tracking_uri, storage)
    from rich.console import Console

    from reports.searches import show_outcome
    from search.optimize.outcome import check_table, tuned_study
    from search.optimize.searches import check_search, run_search
    from search.store.image_sets import checked_images
    from search.tune.cluster import Cluster

    chosen = [checked_images(one, store, new_data) for one in chosen]
    searches = [
        Search(one.name, one.cells()[0].config, space, propose, sampler, scheduler, one.variant_label, one.labels())
        for one in chosen
    ]
    cluster = Cluster(cpus_per_trial, gpus_per_trial, address, verbose)
    folder = out or store.report_folder(check_table(searches, seeds))
    digests = [check_search(each, samples, store) for each in searches]
    folder.mkdir(parents=True, exist_ok=True)
    outcomes, options = [], {"samples": samples, "retry_failed": retry_failed}
    for each, found in zip(searches, digests, strict=True):
        outcomes.append(_interruptible(run_search, each, store, cluster, **options, digests=found))
        show_outcome(outcomes[-1], Console())
    study = tuned_study(outcomes, seeds)
    _run(study, store, cluster, retry_failed, new_data)
    _report(study, store, folder, outcomes)


@app.command()
def report(
    study: Annotated[str | None, typer.Argument(metavar="STUDY", help="a study of `list`, or file.py[:NAME]")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for the report [default: STORAGE/reports/STUDY]")] = None,
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Set = None,
    tiny: Tiny = False,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
    source: Annotated[Path | None, typer.Option("--from", help="make this report again, without a store")] = None,
    metrics: Annotated[str | None, typer.Option(help="in place of the study's, as fid_final,fid@lite0")] = None,
    samples: ScoreSamples = None,
) -> None:
    """Write a study's table (CSV, LaTeX, Markdown) and figures from the store, and print the table."""
    from search.store.image_sets import resolved
    from spaces import parse_settings

    shown = tuple(name.strip() for name in metrics.split(",")) if metrics else None
    if source:
        from reports.folder import rebuild

        options = {"budget": budget, "settings": parse_settings(set_), "tiny": tiny, "metrics": shown}
        rebuild(source, out, study, seeds, options)
        return
    if study is None:
        raise ValueError("report needs a STUDY, or the folder of a report: --from FOLDER")
    store = open_store(tracking_uri, storage)
    chosen = select(study, seeds, budget, set_, tiny).variant(metrics=shown, score_samples=samples)
    chosen = resolved(chosen, store)
    _report(chosen, store, out or store.report_folder(chosen.title))


@app.command()
def why(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="a study as elsewhere, or the id of a run alone")],
    row: Annotated[str | None, typer.Argument(help="label of a row")] = None,
    column: Annotated[str | None, typer.Argument(help="label of a column [default: all]")] = None,
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Set = None,
    tiny: Tiny = False,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
) -> None:
    """Print the runs behind a cell, or one run: seed, state, values, run id, code version, machine, folder."""
    from reports.why import explain, explain_run
    from trainers.messages import printable

    if row is None:
        lines = explain_run(study, open_store(tracking_uri, storage))
    else:
        lines = explain(select(study, seeds, budget, set_, tiny), open_store(tracking_uri, storage), row, column)
    print("\n".join(map(printable, lines)))


@app.command()
def claims(
    ids: ClaimNames = None,
    out: Annotated[Path | None, typer.Option(help="folder for claims.csv and claims.md [default: none]")] = None,
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Set = None,
    tiny: Tiny = False,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
    as_json: Json = False,
    register: Annotated[bool, typer.Option("--register", help="note in the store that your claims stand")] = False,
    source: Annotated[Path | None, typer.Option("--from", help="judge the reports in a folder, not the store")] = None,
) -> None:
    """Print the papers' claims, or your own in file.py, each with a verdict from the store: of the studies as they are,
    else of the variant that the options stand for."""
    from reports.ledger import ledger_of, show_ledger, variants
    from spaces import parse_settings

    chosen = variants(seeds, {"budget": budget, "settings": parse_settings(set_), "tiny": tiny})
    ledger, wanted = ledger_of(source or open_store(tracking_uri, storage), ids or [], chosen, register)
    show_ledger(ledger, wanted, out, as_json)


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


@app.command()
def ui(
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
    port: Annotated[int, typer.Option(help="port on this machine")] = 5000,
    host: Host = "127.0.0.1",
) -> None:
    """Serve the MLflow UI on what was run, at http://127.0.0.1:PORT; of a tracking server, say where it is."""
    from search.store.queries import links

    store = open_store(tracking_uri, storage)
    address = store.server or f"http://{host}:{port}"
    for study, link in links(store, address).items():
        print(f"{study}: {link}")
    print(f"everything: {address}", flush=True)
    if store.server:
        return
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store.uri  # a command line is shown to all users of the machine
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # eight processes that nothing here needs
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", "--host", host, "--port", str(port)])


@app.command()
def train(
    recipe: RecipeName,
    out: Annotated[Path, typer.Option(help="run folder; training goes on from what it holds")],
    seed: Annotated[int, typer.Option(help="training seed")] = 0,
    budget: Budget = None,
    set_: Set = None,
    tiny: Tiny = False,
) -> None:
    """Train one recipe in a folder, without Ray or MLflow; Ctrl-C, SIGTERM and SIGHUP finish a checkpoint first."""
    from trainers.apart import apart

    options = recipe, seed, budget, set_, tiny
    # what a user's file patches when it is run must not reach what is trained
    config = apart("ganablate.options:one_config", *options) if ".py" in recipe else one_config(*options)

    from trainers import loop
    from trainers.run_state import RunState
    from trainers.signals import noted_signals

    loop.dry_run(config)
    state = RunState.RUNNING
    with noted_signals() as signals:
        for row in loop.train(config, out, stop=lambda: bool(signals)):
            seconds, state, value = row["seconds"] + row["eval_seconds"], row["state"], row[config.metric]
            print(f"{row['images']:>12,} images  {config.metric} {value:10.4f}  {seconds:8.1f} s", flush=True)
    if state == RunState.RUNNING:
        print(f"interrupted: the same command goes on with {out}", file=sys.stderr)
        raise typer.Exit(128 + signals[0])
    print(f"{state}: {out}")


def _run(study: Study, store: Store, cluster: Cluster, retry_failed: bool, new_data: bool) -> None:
    """Make a study's missing runs, and score those that are done by what the study asks for; exit code 1 if some
    failed."""
    from search.run import run_study
    from search.score import score_study
    from trainers.score_request import requests_of

    states = _interruptible(run_study, study, store, cluster, retry_failed=retry_failed, new_data=new_data)
    _exit_if_failed(states, "run again with --retry-failed once the cause is mended")
    if requests := requests_of(study.metrics, study.score_samples):
        scored = _interruptible(score_study, study, store, requests, cluster)
        _exit_if_failed(scored, "the same command scores them again once the cause is mended")


def _exit_if_failed(states: dict[str, str], hint: str) -> None:
    """Tell which runs failed and what to do; exit code 1 if some did."""
    from trainers.run_state import RunState

    failed = {name: state for name, state in states.items() if state.startswith(RunState.FAILED)}
    for name, state in failed.items():
        print(f"{name}: {state}", file=sys.stderr)
    if failed:
        print(hint, file=sys.stderr)
        raise typer.Exit(1)


def _report(study: Study, store: Store, folder: Path, outcomes: Iterable[Outcome] = ()) -> None:
    """Write and print a study's report; of the winners of searches also the study and all trials."""
    from reports.report import show_report
    from reports.results import Results

    store.require()
    show_report(Results(study, store), folder, outcomes)


def _interruptible(make: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """What make returns; exit code 130 or 143 with a sentence if Ctrl-C or SIGTERM ended it, 1 if the store is away."""
    try:
        return make(*arguments, **options)
    except KeyboardInterrupt as interrupt:
        message, number = interrupt.args or ("the same command goes on", signal.SIGINT)
        print(f"interrupted: {message}", file=sys.stderr)
        raise typer.Exit(128 + number) from None
    except ConnectionError as error:
        print(f"ganablate: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
