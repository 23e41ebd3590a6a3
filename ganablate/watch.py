"""Commands on what other processes make now, and what to type once it is made."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganablate import complete
from ganablate.options import Budget, Seeds, Set, Storage, Tiny, TrackingUri, app, selectors
from ganablate.selection import STORAGE, Selectors, store_of, variant
from trainers.messages import as_seen, counted, printable

if TYPE_CHECKING:
    from reports.status import Status
    from search.locks import Holder
    from search.store import Store

StudyOrSearch = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="a study of `ganablate list`, file.py[:NAME], or the title of a search, as 'search digits_gan'",
        autocompletion=complete.studies,
    ),
]
PLACES = ("tracking_uri", "storage")
SELECTORS = ("study", "seeds", "budget", "set_", "tiny", *PLACES)
STOPS_WITHIN, LOOK_EVERY = 60.0, 0.5  # seconds for which `stop` waits, and between two looks


@app.command()
def status(
    study: StudyOrSearch,
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Set = None,
    tiny: Tiny = False,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
) -> None:
    """Print what runs now, how far it is, its latest values and when it is likely over; from any terminal."""
    for line in _status(study, selectors(seeds, budget, set_, tiny, tracking_uri, storage)).to_text():
        print(printable(line))


@app.command()
def stop(
    study: StudyOrSearch,
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Set = None,
    tiny: Tiny = False,
    tracking_uri: TrackingUri = None,
    storage: Storage = STORAGE,
) -> None:
    """Ask the process that makes a study's runs to stop as Ctrl-C does, and wait until it has, from any terminal of its
    machine; once more has it leave at once."""
    from search.locks import holder

    found = _status(study, selectors(seeds, budget, set_, tiny, tracking_uri, storage))
    locks, asked = found.locks, []
    if not locks:
        print(printable(f"{found.title}: no process makes runs of it now."))
        return
    for process, paths in groupby(sorted(locks, key=lambda path: str(holder(path))), key=holder):
        asked.append(_ask(process, list(paths), found))
    over = time.monotonic() + STOPS_WITHIN
    while all(asked) and locks & found.locks and time.monotonic() < over:
        time.sleep(LOOK_EVERY)
    if not all(asked):
        raise typer.Exit(1)
    if locks & found.locks:
        print("It has not stopped yet; `ganablate stop` once more has it leave at once.", file=sys.stderr)
        raise typer.Exit(1)
    print("It has stopped; the command that made them goes on with what is left.")


def _status(study: str, where: Selectors) -> Status:
    """Raises ValueError for a study or a search that there is not."""
    from reports.status import SEARCH, search_status, status_of

    store = store_of(where)
    return search_status(study, store) if study.startswith(SEARCH) else status_of(variant(study, **where), store)


def _ask(process: Holder | None, locks: list[Path], found: Status) -> bool:
    """Send SIGINT to the process that holds these locks, and say so, or why it cannot be sent; whether it was."""
    has = "makes" if found.is_search else f"has {counted(len(locks), 'run')} in hand of"
    who = f"process {process.process}" if process else "a process of an earlier version"
    try:
        if process is None:
            refusal = "end it where it was started"
        elif not process.is_here:
            who, refusal = f"{who} of {process.host}", "type this there"
        elif not process.holds(locks[0]):
            who, refusal = f"{who} of another container", "type this there"
        else:
            os.kill(process.process, signal.SIGINT)
            refusal = ""
    except PermissionError:
        refusal = "it is another user's, who alone can stop it"
    told = f"{who} {has} {found.title}"
    if refusal:
        print(printable(f"{told}: {refusal}"), file=sys.stderr)
    else:
        print(printable(f"{told}, and was asked to stop: it finishes the checkpoints of what it trains."), flush=True)
    return not refusal


def show_next(context: typer.Context, title: str, store: Store, study: Path | None = None) -> None:
    """Print, on a terminal, what to type once runs are made: the report on them, by the study in a file if there is
    one, and the MLflow UI or, of a tracking server, its address."""
    if not sys.stdout.isatty():
        return
    ui = typed("ui", context, PLACES)
    if store.server:
        from search.store.queries import links

        ui = links(store, store.server).get(title, store.server)
    report = typed("report", context, PLACES, str(as_seen(study))) if study else typed("report", context, SELECTORS)
    steps = {report: "table and figures", ui: "every run in MLflow"}
    width = max(map(len, steps)) if max(map(len, steps)) < shutil.get_terminal_size().columns - 32 else 0
    for head, (command, text) in zip(("Next: ", "      "), steps.items(), strict=True):
        print(printable(f"{head}{command:<{width}}    {text}".rstrip() if width else f"{head}{command}"))


def typed(command: str, context: typer.Context, names: tuple[str, ...], *arguments: str) -> str:
    """Another command with these arguments and those of this one that have these names, as they were typed."""
    from search.store.address import redacted

    words = ["ganablate", command, *arguments]
    for param in context.command.params:
        name = param.name or ""
        source = context.get_parameter_source(name)
        if name not in names or source is None or source.name != "COMMANDLINE":
            continue
        value: Any = redacted(context.params[name]) if name == "tracking_uri" else context.params[name]
        option = [] if param.param_type_name == "argument" else [param.opts[0]]
        for each in value if isinstance(value, list | tuple) else [value]:
            words += [*option, *([] if each is True else [str(each)])]
    return shlex.join(words)
