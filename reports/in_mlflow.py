"""A study's table where the MLflow UI shows it: how cells compare, beside their means, and the table with its caption
as the description of the experiment."""

import logging
import math

from reports.markdown import to_markdown
from reports.results import Results
from reports.table import as_text
from search.store.parents import LONGEST_NOTE, Parents
from search.store.queries import links
from spaces.study import COMPARED
from trainers.messages import printable

logger = logging.getLogger(__name__)


def show_in_mlflow(results: Results) -> None:
    """Write both. Where that cannot be done a warning says why: the runs are safe."""
    study, store = results.study, results.store
    assert store
    try:
        parents, text = Parents(store), to_markdown(as_text(results))
        parents.compare(study, compared(results))
        charts = links(store, "", charts=True)[study.title].removeprefix("/")
        first = f"[Curves of all rows]({charts}); `ganablate report` writes figures, LaTeX and, by `--html`, a page"
        parents.describe(study, _fitting(first, text))
    except ValueError as error:
        logger.warning("the MLflow UI does not show the table of %s: %s", printable(study.title), error)


def compared(results: Results) -> dict[tuple[str, str], dict[str, float]]:
    """How each cell compares with the first row of its column by the study's first metric, with the 95% interval, as
    metrics of its parent run; NaN where there is none."""
    metric, found = results.study.metrics[0], {}
    for row, column in results.configs:
        values = {f"{name}{end}": math.nan for name in COMPARED.values() for end in ("", "_low", "_high")}
        if test := results.comparisons.get((row, column, metric)):
            name = COMPARED[test.scale]
            values |= {name: test.effect, f"{name}_low": test.low, f"{name}_high": test.high}
        found[row, column] = values
    return found


def _fitting(first: str, table: str) -> str:
    """Both, the first line being what the UI shows of a description that is not opened, or a word in place of a table
    that has more letters than MLflow takes."""
    both = f"{first}\n\n{table}"
    return both if len(both) <= LONGEST_NOTE else f"{first}\n\nThe table is too long to stand here.\n"
