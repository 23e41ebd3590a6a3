"""What `ganablate` alone says: where runs are kept, which studies have some, what comes next; and `--version`."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from ganablate.options import app
from ganablate.selection import open_store, read_title, variant
from trainers.messages import as_seen, counted

if TYPE_CHECKING:
    from search.store import Store
    from search.store.database import StoredRun

SHOWN = 6  # studies, those with the latest runs
MORE = "More: ganablate --help, ganablate list, ganablate doctor"
BEGIN = (
    "Next: ganablate run quick --tiny    all of a study in a minute, to see that it works",
    "      ganablate run quick           a small GAN on digits four ways: minutes, no GPU, no download",
)
CORE = (
    "The core alone is installed, which lists and trains; pip install 'ganablate[all]' brings every other command.",
    "Next: ganablate train digits_gan --tiny --out runs/one",
)


@app.callback(invoke_without_command=True)
def home(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    """Where you are: the store, what runs, and what comes next."""
    if version:
        from trainers.run_folder import code_version

        print(f"ganablate {code_version()}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        from trainers.messages import printable

        for line in where_you_are():
            print(printable(line))


class Made(NamedTuple):
    """What a store has of a study or a search: its title, how many runs it has in all, if that is known, and the number
    of those in each state."""

    title: str
    total: int | None
    states: Counter[str]

    @property
    def told(self) -> str:
        """The numbers in words."""
        states = dict(self.states)
        if self.total is None:
            counts = [f"{count} {state}" for state, count in states.items()]
            return f"{counted(self.states.total(), 'trial')}: {', '.join(counts)}"
        done = states.pop("done", 0)
        states.pop("missing", 0)
        return ", ".join([f"{done} of {self.total} done", *(f"{count} {state}" for state, count in states.items())])

    @property
    def missing(self) -> int:
        """Runs of a study that its command would make."""
        return max(0, (self.total or 0) - sum(self.states[state] for state in ("done", "diverged", "failed")))


def where_you_are() -> Iterator[str]:
    """A few lines on the store of this folder. Raises ValueError if it does not answer."""
    try:
        store = open_store()
    except ModuleNotFoundError:
        yield from (*CORE, MORE)
        return
    from search.store.foreign import imports
    from search.store.queries import find_runs

    made = _made(store, [run for run in find_runs(store, "seed", None) if run.cell_key])
    others = imports(store)
    folder = as_seen(store.storage)
    place = f"{folder} and {store.address}" if store.server else str(folder)
    if not made and not others:
        yield from (f"No run was made here yet; {place} is where they will be kept.", *BEGIN, MORE)
        return
    yield f"Runs are kept in {place}."
    told = {each.title: each.told for each in made[:SHOWN]}
    told |= {each.name: f"{counted(len(each.runs), 'run')} of other code" for each in others}
    width = max(map(len, told))
    yield from (f"  {title:<{width}}  {numbers}" for title, numbers in told.items())
    if len(made) > SHOWN:
        yield f"  and {len(made) - SHOWN} more: ganablate ui"
    yield from (*next_steps(made), MORE)


def _made(store: Store, runs: list[StoredRun]) -> list[Made]:
    """The runs of each study and search, that of the latest run first; each (cell, seed) or trial once."""
    from search.plan import state_of
    from search.store.queries import first_of_each
    from spaces import STUDIES

    by_title: dict[str, list[StoredRun]] = {}
    for run in sorted(runs, key=lambda run: -run.start):
        by_title.setdefault(run.tags["study"], []).append(run)
    made = []
    for title, found in by_title.items():
        is_search = any("trial" in run.tags for run in found)
        firsts, _ = first_of_each(found, lambda run: (run.tags.get("trial", run.cell_key), run.seed))
        states = Counter(str(state_of(store, run.guard, run)) for run in firsts.values())
        seeds = max(run.seed for run in found) + 1
        study = STUDIES.get(title.partition(" (")[0])
        cells = len({cell.config.model_dump_json() for cell in study.cells()} if study else {r.cell_key for r in found})
        total = cells * max(seeds, study.seeds if study else 0)
        made.append(Made(title, None if is_search else total, states))
    return made


def next_steps(made: list[Made]) -> Iterator[str]:
    """What to type next, by the study with the latest run."""
    if any(each.states["running"] for each in made):
        yield "Next: ganablate ui    shows in MLflow what runs now"
        return
    for each in made:
        typed = command_of(each)
        if typed is None:
            continue
        if each.missing:
            yield f"Next: ganablate run {typed}    makes the {each.missing} that are missing"
        elif each.states["failed"]:
            yield f"Next: ganablate why {typed} ROW    what {counted(each.states['failed'], 'run')} failed of"
            yield f"      ganablate run {typed} --retry-failed    once that is mended"
        else:
            yield f"Next: ganablate report {typed}    table and figures"
        return


def command_of(made: Made) -> str | None:
    """The study and the selectors by which a user types it; None where its title does not tell them."""
    from spaces import parse_settings

    try:
        name, budget, pairs, tiny = read_title(made.title)
        study = variant(name, budget=budget, settings=parse_settings(pairs), tiny=tiny)
    except ValueError:
        return None
    if study.title != made.title:
        return None
    seeds = (made.total or 0) // len({cell.config.model_dump_json() for cell in study.cells()})
    words = [name]
    words += ["--seeds", str(seeds)] if seeds > study.seeds else []
    words += ["--budget", f"{budget:g}"] if budget else []
    words += [word for pair in pairs for word in ("--set", pair)] + (["--tiny"] if tiny else [])
    return shlex.join(words)
