"""What a search found: on the screen, its trials as CSV, and its analysis by Optuna."""

from __future__ import annotations

import logging
import pprint
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console

from reports.spreadsheet import write_csv
from search.tune.progress import say
from spaces import Study
from spaces.study import OPTIONS, diff
from trainers.config import Config
from trainers.messages import counted, file_name, printable
from trainers.names import metric_named
from trainers.run_state import RunState

if TYPE_CHECKING:
    from search.optimize.outcome import Outcome
    from search.store import Store

logger = logging.getLogger(__name__)

DATABASE = "search.db"


def show_outcome(outcome: Outcome, console: Console | None = None) -> None:
    """Print how the trials ended, what stopping saved, and the winner."""
    console = console or Console()
    states = Counter(trial.state for trial in outcome.trials)
    ended = ", ".join(f"{count} {state}" for state, count in states.items())
    full = sum(trial.config.n_images for trial in outcome.trials)
    lines = [
        f"{outcome.search.title}: {counted(len(outcome.trials), 'trial')}, {ended}",
        f"  stopping saved {outcome.images_saved:,} of {full:,} images ({outcome.images_saved / full:.0%})",
    ]
    if states[RunState.DONE]:
        metric, winner = metric_named(outcome.search.metric), outcome.winner
        values = ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in diff(outcome.search.base, winner.config).items()
            if name != "seed"
        )
        lines.append(f"  winner: trial {winner.number}, {metric.label} {winner.value:.{metric.decimals}f}: {values}")
    failed = [trial for trial in outcome.trials if trial.state == RunState.FAILED]
    lines += [f"  trial {trial.number} failed: {trial.error}" for trial in failed]
    lines += ["  run again with --retry-failed once the cause is mended"] if failed else []
    for line in lines:
        say(console, printable(line))


def write_searches(outcomes: Iterable[Outcome], store: Store, folder: Path, console: Console) -> list[Path]:
    """Write of each search all trials, Optuna's figures and importances, and of all together `search.db`, which
    optuna-dashboard opens; print the importances. Returns the paths. Raises ValueError as `analyse`."""
    from reports.search_figures import draw_importances, draw_search
    from search.optimize.analysis import analyse, write_database

    folder.mkdir(parents=True, exist_ok=True)
    analyses, paths = [analyse(outcome, store) for outcome in outcomes], list[Path]()
    for analysis in analyses:
        recipe, found = analysis.search.recipe, analysis.importances()
        paths.append(write_trials(analysis.outcome, folder))
        paths += draw_search(analysis, folder, file_name(recipe))
        if any(each.shares for each in found):
            shares = pd.DataFrame({f"{each.of} ({each.trials})": each.shares for each in found})
            paths.append(folder / f"importances {file_name(recipe)}.csv")
            write_csv(shares.rename_axis("parameter").reset_index(), paths[-1])
            paths += draw_importances(found, analysis.search.title, folder / f"importances {file_name(recipe)}")
        for each in found:
            top = ", ".join(f"{name} {share:.2f}" for name, share in each.shares.items())
            told = f"importances of {each.of} ({each.trials}, fANOVA): {top}" if top else each.refusal
            say(console, printable(f"{recipe}: {told}"))
    if analyses:
        write_database(analyses, folder / DATABASE)
        paths.append(folder / DATABASE)
    return paths


def searches_of(study: Study, store: Store) -> list[Outcome]:
    """The searches whose winners are the rows of a study, as far as the store tells of them."""
    from search.optimize.outcome import read_outcome, stored_search

    label = study.name.removeprefix(f"tuned {', '.join(study.searched)}")
    outcomes = []
    for recipe in study.searched:
        try:
            outcomes.append(read_outcome(stored_search(f"search {recipe}{label}", store), store))
        except ValueError as error:
            logger.warning(error)
    return outcomes


def write_trials(outcome: Outcome, folder: Path) -> Path:
    """Write all trials, a line each, with the settings that they ran with, as `trials RECIPE.csv`; returns the path."""
    search, lines = outcome.search, []
    varied = _varied(outcome)
    for trial in outcome.trials:
        outcomes = {"state": trial.state, search.metric: trial.value, search.base.metric: trial.last}
        ran = _settings(trial.config.acting())
        settings = {name: ran.get(name) for name in varied}
        head = {"trial": trial.number, "seed": trial.config.seed, **outcomes, "images": trial.images}
        lines.append({**head, **settings, "run_id": trial.run_id})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"trials {file_name(search.recipe)}.csv"
    write_csv(pd.DataFrame(lines), path)
    return path


def _settings(config: Config) -> dict[str, Any]:
    """A Config's fields, the options of backbone and data set one by one."""
    fields = config.model_dump(exclude={"seed", *OPTIONS})
    return fields | {f"{field}.{name}": x for field in sorted(OPTIONS) for name, x in getattr(config, field).items()}


def _varied(outcome: Outcome) -> list[str]:
    """The fields in which a trial differs from the base, or that were drawn under their own names."""
    base = _settings(outcome.search.base)
    of_trials = [_settings(trial.config) for trial in outcome.trials]
    changed = {name for ran in of_trials for name, value in ran.items() if name not in base or value != base[name]}
    changed |= {name for trial in outcome.trials for name in trial.params}
    return [name for name in dict.fromkeys(name for ran in of_trials for name in ran) if name in changed]


def write_study(study: Study, folder: Path) -> Path:
    """Write the table of the winners as a study file, by which `why`, `plan` and `report` find it; returns the path."""
    fields = {name: getattr(study, name) for name in ("name", "rows", "seeds", "metrics", "searched")}
    lines = [f"    {name}={pprint.pformat(value, sort_dicts=False, width=100)}," for name, value in fields.items()]
    path = folder / "study.py"
    head = "from spaces import Study\nfrom trainers.config import Config\n\nstudy = Study(\n    recipe=Config(),\n"
    path.write_text(head + "\n".join(lines) + "\n)\n", encoding="utf-8")
    return path
