"""Commands that make runs, or tell what would be made."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ganablate import api, complete, places
from ganablate.options import (
    Address,
    Budget,
    CpusPerTrial,
    GpusPerTrial,
    Json,
    Models,
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
    app,
    one_cell,
    selectors,
)
from ganablate.read import report_on
from ganablate.selection import STORAGE, find_results, open_store, select_imported, store_of, variant
from ganablate.watch import show_next

if TYPE_CHECKING:
    from search.store.foreign import Imported

T = TypeVar("T")
RETRY = "run again with --retry-failed once the cause is mended"
Recipes = Annotated[
    list[str],
    typer.Argument(metavar="RECIPE...", help="recipes, searched one after the other", autocompletion=complete.recipes),
]
Space = Annotated[
    str, typer.Option(help="a space of `ganablate list`, or file.py:NAME", autocompletion=complete.names("spaces"))
]
Sampler = Annotated[
    str, typer.Option(help="who proposes: tpe, random, gp or cmaes", autocompletion=complete.names("samplers"))
]
Scheduler = Annotated[
    str, typer.Option(help="who stops: asha, hyperband, median or none", autocompletion=complete.names("schedulers"))
]


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
    jobs: Annotated[bool, typer.Option("--jobs", help="print the missing runs: number, row, column, seed")] = False,
    array: Annotated[bool, typer.Option("--array", help="print their numbers alone, as sbatch --array does")] = False,
) -> None:
    """Show a study's cells and seeds, their states, and what `run` would start."""
    if (jobs or array) and (as_json or detect is not None):
        raise ValueError("--jobs and --array print the missing runs alone; leave out --json and --detect")
    from search.plan import foresee, make_plan, trained_already
    from search.store.image_sets import resolved
    from trainers.messages import printable

    where = selectors(seeds, budget, set_, tiny, tracking_uri, storage)
    store = store_of(where)
    if imported := select_imported(study, store, **where):
        _plan_imported(imported, detect, as_json)
        return
    chosen = resolved(variant(study, **where), store, reads=None)
    made = make_plan(chosen, store)
    for line in foresee(chosen, store):
        print(printable(line), file=sys.stderr)
    if jobs or array:
        if not made.missing:
            print(f"{printable(chosen.title)}: nothing is missing", file=sys.stderr)
        for line in filter(None, [made.to_array()] if array else made.to_jobs()):
            print(line)
        return
    detected = None
    if detect is not None:
        from reports.planning import detect as seeds_that_show
        from reports.results import Results

        detected = seeds_that_show(Results(chosen, store), detect)
    if as_json:
        print(json.dumps(made.to_json() | (detected.to_json() if detected else {})))
        return
    if chosen.note:
        print(textwrap.fill(printable(chosen.note), shutil.get_terminal_size().columns))
    for line in [*made.to_text(), *trained_already(made, store), *(detected.to_text() if detected else [])]:
        print(printable(line))


@app.command()
def run(
    context: typer.Context,
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
    models: Models = False,
    verbose: Verbose = False,
) -> None:
    """Make a study's missing runs on Ray Tune; the same command after a crash finishes the rest."""
    where = selectors(seeds, budget, set_, tiny, tracking_uri, storage)
    cluster: Any = {"cpus_per_trial": cpus_per_trial, "gpus_per_trial": gpus_per_trial, "address": address}
    again = {"retry_failed": retry_failed, "new_data": new_data, "models": models, "verbose": verbose}
    _exit_if_failed(_interruptible(api.run, study, **again, **cluster, **where), RETRY)
    show_next(context, variant(study, **where).title, store_of(where))


@app.command()
def score(
    study: StudyName,
    features: Annotated[
        str,
        typer.Option(
            help="feature net, as inception or lite0, or module:object of your own",
            autocompletion=complete.names("features"),
        ),
    ],
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
    where = selectors(seeds, budget, set_, tiny, tracking_uri, storage)
    cluster: Any = {"cpus_per_trial": cpus_per_trial, "gpus_per_trial": gpus_per_trial, "address": address}
    names = None if metrics is None else metrics.split(",")
    asked = (study, features, names, which)
    states = _interruptible(api.score, *asked, samples=samples, verbose=verbose, **cluster, **where)
    _exit_if_failed(states, "the same command tries again")


@app.command()
def search(
    context: typer.Context,
    recipes: Recipes,
    samples: Annotated[int, typer.Option(help="trials in all; more of them later go on with the same search")],
    space: Space = "all",
    sampler: Sampler = "tpe",
    scheduler: Scheduler = "asha",
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
    outcomes, again = [], {"retry_failed": retry_failed}
    for each, found in zip(searches, digests, strict=True):
        outcomes.append(_interruptible(run_search, each, store, cluster, samples=samples, digests=found, **again))
        show_outcome(outcomes[-1])
    study = tuned_study(outcomes, seeds)
    _exit_if_failed(_interruptible(api.make_runs, study, store, cluster, new_data=new_data, **again), RETRY)
    report_on(find_results(study, tracking_uri=tracking_uri, storage=storage), folder, outcomes)
    show_next(context, study.title, store, folder / "study.py")


@app.command()
def train(
    recipe: RecipeName,
    out: Annotated[Path, typer.Option(help="run folder; training goes on from what it holds")],
    seed: Annotated[int | None, typer.Option(help="training seed [default: 0]")] = None,
    job: Annotated[int | None, typer.Option(help="train the run of this number of a study, see `plan --jobs`")] = None,
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Set = None,
    tiny: Tiny = False,
) -> None:
    """Train one recipe, or one run of a study, in a folder, without Ray or MLflow; Ctrl-C, SIGTERM and SIGHUP finish a
    checkpoint first."""
    from trainers.apart import apart
    from trainers.user_code import find_beside, load_object

    if job is None and seeds is not None:
        raise ValueError(f"--seeds {seeds} goes with --job, of a study; --seed is that of a recipe")
    if job is not None and seed is not None:
        raise ValueError(f"--seed {seed} cannot stand beside --job {job}, which is of one seed")
    function = "ganablate.options:one_config" if job is None else "ganablate.options:one_job"
    numbers = (seed or 0,) if job is None else (job, seeds)
    if ".py" in recipe:  # what a user's file patches when it is run must not reach what is trained
        config = apart(function, recipe, *numbers, budget, set_, tiny)
        find_beside(Path(recipe))
    else:
        config = load_object(function)(recipe, *numbers, budget, set_, tiny)

    places.use_cache_below(places.folder(places.places(None, "")[1]))
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


def _plan_imported(imported: Imported, detect: float | None, as_json: bool) -> None:
    """Show the seeds of runs that were made elsewhere and, if asked, how many a ratio needs."""
    from reports.foreign import ForeignResults, plan_lines, to_json
    from reports.planning import detect as seeds_that_show
    from trainers.messages import printable

    detected = None if detect is None else seeds_that_show(ForeignResults(imported), detect)
    if as_json:
        print(json.dumps(to_json(imported) | (detected.to_json() if detected else {})))
        return
    print(*map(printable, [*plan_lines(imported), *(detected.to_text() if detected else [])]), sep="\n")


def _exit_if_failed(states: dict[str, str], hint: str) -> None:
    """Tell which runs failed and what to do; exit code 1 if some did."""
    from trainers.run_state import RunState

    failed = {name: state for name, state in states.items() if state.startswith(RunState.FAILED)}
    for name, state in failed.items():
        print(f"{name}: {state}", file=sys.stderr)
    if failed:
        print(hint, file=sys.stderr)
        raise typer.Exit(1)


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
