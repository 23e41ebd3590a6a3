"""Commands that show what there is."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ganablate import complete
from ganablate.options import (
    Budget,
    ClaimNames,
    Host,
    Json,
    ScoreSamples,
    Seeds,
    Set,
    Storage,
    Tiny,
    TrackingUri,
    app,
    selectors,
)
from ganablate.report_form import (
    Caption,
    Html,
    Label,
    Precision,
    SideBySide,
    Siunitx,
    StudyNames,
    form_of,
    one_of,
    report_side_by_side,
)
from ganablate.selection import STORAGE, find_results, open_store, select_imported, store_of, variant

if TYPE_CHECKING:
    from reports.report import Form
    from reports.results import Results
    from search.optimize.outcome import Outcome
    from search.store import Store

T = TypeVar("T")
Beside = Annotated[str | None, typer.Option(metavar="NAME[:KEY]", help="rows of an imported study below the own ones")]
SameProtocol = Annotated[str | None, typer.Option(metavar="TEXT", help="by what both were scored, as the caption says")]


@app.command("list")
def list_names(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KIND...]", help="studies, losses, ... [default: all]", autocompletion=complete.kinds),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print all names that there are, with a line on each: studies, recipes, spaces, backbones, data sets, losses,
    feature nets, regularizers, metrics, scores, samplers, schedulers, how images of your own are named, and the fields
    of a run for --set."""
    from ganablate.catalogue import catalogue, lines

    chosen = catalogue(kinds or ())
    if as_json:
        print(json.dumps({kind: list(names) for kind, names in chosen.items()} | {"about": chosen}))
        return
    print(*lines(chosen, shutil.get_terminal_size().columns if sys.stdout.isatty() else None), sep="\n")


@app.command()
def report(
    studies: StudyNames = None,
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
    beside: Beside = None,
    same_protocol: SameProtocol = None,
    html: Html = False,
    precision: Precision = None,
    caption: Caption = "",
    label: Label = "",
    siunitx: Siunitx = False,
    side_by_side: SideBySide = False,
) -> None:
    """Write a study's table (CSV, LaTeX, Markdown, with --html a page) and figures from the store, and print the table;
    of a search, by its title as 'search digits_gan', all trials, Optuna's figures and importances."""
    shown = tuple(name.strip() for name in metrics.split(",")) if metrics else None
    where = selectors(seeds, budget, set_, tiny, tracking_uri, storage)
    study = one_of(studies, several=side_by_side)
    form = form_of(html, precision, caption, label, siunitx, study)
    if side_by_side:
        if source or beside or same_protocol:
            raise ValueError("--side-by-side goes with none of --from, --beside and --same-protocol")
        report_side_by_side(studies or [], out, form, {**where, "metrics": shown, "samples": samples})
        return
    if source:
        from reports.folder import rebuild

        if beside or same_protocol:
            raise ValueError("--beside and --same-protocol are for a study of the store, not for --from")
        options = {"budget": budget, "settings": where["settings"], "tiny": tiny, "metrics": shown}
        rebuild(source, out, study, seeds, options, form)
        return
    if study is None:
        raise ValueError("report needs a STUDY, or the folder of a report: --from FOLDER")
    from reports.status import SEARCH

    if study.startswith(SEARCH):
        report_search(study, out, store_of(where), form, shown, beside)
        return
    where["metrics"], where["samples"] = shown, samples
    results = find_results(study, beside=beside, same_protocol=same_protocol, **where)
    report_on(results, out or (results.store or store_of(where)).report_folder(results.study.title), form=form)


@app.command()
def why(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY", help="a study as elsewhere, or the id of a run alone", autocompletion=complete.studies
        ),
    ],
    row: Annotated[str | None, typer.Argument(help="label of a row", autocompletion=complete.rows)] = None,
    column: Annotated[
        str | None, typer.Argument(help="label of a column [default: all]", autocompletion=complete.columns)
    ] = None,
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

    where = selectors(seeds, budget, set_, tiny, tracking_uri, storage)
    store = store_of(where)
    if row is None:
        lines = explain_run(study, store)
    elif imported := select_imported(study, store, **where):
        from reports.foreign import why_lines

        lines = why_lines(imported, row, column)
    else:
        lines = explain(variant(study, **where), store, row, column)
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
    os.environ.setdefault("MLFLOW_WORKERS", "1")  # its four start in twice the time, and one answers a team
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", "--host", host, "--port", str(port)])


def report_on(results: Results, folder: Path, outcomes: Iterable[Outcome] = (), form: Form | None = None) -> None:
    """Write and print a study's report; of the winners of searches also the study and all trials."""
    from reports.report import USUAL, show_report

    if results.store:
        results.store.require()
    show_report(results, folder, outcomes, form or USUAL)


def report_search(title: str, out: Path | None, store: Store, form: Form, *of_table: object) -> None:
    """Write and print what the search of this title found. Raises ValueError if a table was to be shaped."""
    from rich.console import Console

    from reports.report import USUAL
    from reports.screen import show_paths
    from reports.searches import show_outcome, write_searches
    from search.optimize.outcome import read_outcome, stored_search

    if form != USUAL or any(of_table):
        raise ValueError(
            f"{title!r} is reported as trials and figures: --html, --precision, --caption, --label, --siunitx, "
            "--metrics and --beside are of a study's table"
        )
    store.require()
    outcome = read_outcome(stored_search(title, store), store)
    show_outcome(outcome, console := Console())
    show_paths(write_searches([outcome], store, out or store.report_folder(title), console), console)
