"""A study's report in one folder: the table, what a paper needs beside it, and figures, from the store alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reports.latex import LatexForm, to_latex
from reports.markdown import to_markdown
from reports.paper import evaluations_frame, methods, tests_frame
from reports.results import Results
from reports.spreadsheet import to_csv, write_csv
from reports.table import TextTable, as_text
from search.store.foreign import KEPT
from search.store.image_sets import other_content
from search.store.registry import Registration, registrations
from trainers.files import write_json

if TYPE_CHECKING:
    from search.optimize.outcome import Outcome

logger = logging.getLogger(__name__)


class Form(NamedTuple):
    """How a report is written: digits after the point, by default each metric's own; what table.tex is like; and what
    writes a page of it, given results, table, the paths of figures and the folder, if there shall be one."""

    precision: int | None = None
    latex: LatexForm = LatexForm()
    page: Callable[[Results | Sequence[Results], TextTable, list[Path], Path], Path] | None = None


USUAL = Form()


def write_report(results: Results, out: Path, form: Form = USUAL) -> tuple[TextTable, list[Path]]:
    """Write the report; returns the table and the paths. Raises ValueError if runs cannot stand in one table."""
    from reports.figures import make_figures

    held: dict[str, Registration] = {}
    if results.store:
        held = registrations(results.store, results.study)
        for line in other_content(results.study, results.store):
            logger.warning(line)
    text = as_text(results, form.precision)
    out.mkdir(parents=True, exist_ok=True)
    frames = {"table.csv": to_csv(results), "runs.csv": results.runs, "tests.csv": tests_frame(results)}
    frames |= {"evaluations.csv": evaluations_frame(results)}
    texts = {
        "table.tex": to_latex(text, results, form=form.latex),
        "table.md": to_markdown(text),
        "methods.md": methods(results, list(held.values())),
    }
    paths = []
    for name, frame in frames.items():
        if len(frame):  # without rows there are no comparisons, without runs no evaluations
            paths.append(out / name)
            write_csv(frame, paths[-1])
    if not results.kept:
        (out / KEPT).unlink(missing_ok=True)  # of another study, whose report was here
    for name, kept in results.kept.items():
        paths.append(out / name)
        write_json(paths[-1], kept)
    for name, written in texts.items():
        paths.append(out / name)
        paths[-1].write_text(written, encoding="utf-8")
    figures = make_figures(results, out)
    pages = [form.page(results, text, figures, out)] if form.page else []
    return text, paths + figures + pages


def show_report(results: Results, folder: Path, outcomes: Iterable[Outcome] = (), form: Form = USUAL) -> None:
    """Write and print a study's report; of the winners of searches also the study, and of their searches all trials and
    what Optuna tells of them."""
    from rich.console import Console

    from reports.screen import show, show_paths
    from reports.searches import searches_of, write_searches, write_study

    (text, paths), console = write_report(results, folder, form), Console()
    show(text, console)
    if results.study.searched and results.store:
        outcomes = list(outcomes) or searches_of(results.study, results.store)
        paths += [write_study(results.study, folder), *write_searches(outcomes, results.store, folder, console)]
    show_paths(paths, console)
