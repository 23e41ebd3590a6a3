"""What `report` is told of the form of what it writes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganablate import complete
from ganablate.selection import Selectors, find_results, read_title, store_of

if TYPE_CHECKING:
    from reports.report import Form

StudyNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="STUDY", help="a study of `list`, or file.py[:NAME]", autocompletion=complete.studies),
]
MOST_DIGITS = 10
Html = Annotated[bool, typer.Option("--html", help="also one page to send, report.html: cells open, rows sort")]
Precision = Annotated[int | None, typer.Option(metavar="N", help="digits after the point [default: each metric's own]")]
Caption = Annotated[str, typer.Option(metavar="TEXT", help="in place of table.tex's, and the page's first line")]
Label = Annotated[str, typer.Option(metavar="NAME", help="of table.tex, for \\ref [default: tab:STUDY]")]
Siunitx = Annotated[bool, typer.Option("--siunitx", help="columns of table.tex align at the point, by siunitx")]
SideBySide = Annotated[
    bool, typer.Option("--side-by-side", help="several studies in one table; a variant by its title: 'quick (tiny)'")
]


def one_of(studies: list[str] | None, *, several: bool) -> str | None:
    """The study that was typed, the first of several; None of none. Raises ValueError for more than were asked for."""
    if studies and len(studies) > 1 and not several:
        raise ValueError(f"report takes one STUDY, or --side-by-side with {' and '.join(studies)}")
    return studies[0] if studies else None


def report_side_by_side(studies: list[str], out: Path | None, form: Form, where: Selectors) -> None:
    """Write and print several studies, or variants of one, as one table. Raises ValueError."""
    from rich.console import Console

    from reports.screen import show, show_paths
    from reports.side_by_side import write_side_by_side

    several = [find_results(name, **chosen) for name, chosen in (_titled(study, where) for study in studies)]
    store = store_of(where)
    store.require()
    title = " and ".join(results.study.title for results in several)
    text, paths = write_side_by_side(several, out or store.report_folder(title), form)
    show(text, console := Console())
    show_paths(paths, console)


def _titled(study: str, where: Selectors) -> tuple[str, Selectors]:
    """A study and selectors by a variant's title, `quick (budget 0.2, tiny)`; any other name as it is. Raises
    ValueError for a setting that is none."""
    from spaces import parse_settings

    name, budget, pairs, tiny = read_title(study)
    chosen = where.copy()
    if pairs:
        chosen["settings"] = {**(where.get("settings") or {}), **(parse_settings(pairs) or {})}
    if budget is not None:
        chosen["budget"] = budget
    if tiny:
        chosen["tiny"] = True
    return name, chosen


def form_of(html: bool, precision: int | None, caption: str, label: str, siunitx: bool, study: str | None) -> Form:
    """The form of a report; claims of the user's own stand on the page if the study is from a file.py that lists some.
    Raises ValueError for what a table cannot be like."""
    from reports.latex import LatexForm
    from reports.report import Form

    if precision is not None and not 0 <= precision <= MOST_DIGITS:
        raise ValueError(f"--precision {precision} should be 0 to {MOST_DIGITS} digits after the point")
    latex = LatexForm(caption, label, siunitx).checked()
    if not html:
        return Form(precision, latex)
    from reports.page import write_page
    from spaces.find import find_claims
    from trainers.user_code import load_file

    path = (study or "").partition(":")[0]
    own = find_claims(path) if path.endswith(".py") and hasattr(load_file(Path(path)), "claims") else None
    return Form(precision, latex, partial(write_page, caption=caption, own=own))
