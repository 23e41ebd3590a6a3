"""A study's table where the MLflow UI shows it: how cells compare, beside their means, and the table with its caption
and its learning curves as the description of the experiment."""

import hashlib
import logging
import math

from reports.markdown import to_markdown
from reports.results import Results
from reports.table import as_text
from search.store import Store
from search.store.parents import DRAWN, LONGEST_NOTE, Parents
from search.store.queries import links
from spaces import Study
from spaces.study import COMPARED
from trainers.messages import printable

logger = logging.getLogger(__name__)

CURVES = "curves.png"  # artifact of the first row's parent
WIDE = 760  # pixels, of which the UI's description has room for so many, and shows them as they are


def show_in_mlflow(study: Study, store: Store) -> None:
    """Write both. Where that cannot be done a warning says why: the runs are safe."""
    try:
        results = Results(study, store)
        study, parents, text = results.study, Parents(store), to_markdown(as_text(results))
        parents.compare(study, compared(results))
        charts = links(store, "", charts=True)[study.title].removeprefix("/")
        first = f"[Curves of all rows]({charts}); `ganablate report` writes figures, LaTeX and, by `--html`, a page"
        parents.describe(study, _fitting(first, text, _drawn(results, parents)))
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


def _drawn(results: Results, parents: Parents) -> str:
    """The learning curves as Markdown of an image that lies with the first row's parent, drawn anew where runs came or
    went; nothing where there are none, or, with a warning, where they cannot be drawn or written there."""
    study, store = results.study, results.store
    shown = {label: [*runs["run_id"]] for label, runs in results.done.items()}
    digest = hashlib.sha256(repr((study.metrics[0], shown)).encode()).hexdigest()[:16]
    try:
        if not store or not any(shown.values()):
            return ""
        parent = parents.parent(study, study.cells()[0])
        if store.client.get_run(parent).data.tags.get(DRAWN) != digest:
            from reports.figures import first_curves  # takes matplotlib a second to load

            if not (picture := first_curves(results, WIDE)):
                return ""
            store.client.log_image(parent, picture, CURVES)
            store.client.set_tag(parent, DRAWN, digest)
    except Exception as error:  # the client of an object store raises errors of its own
        logger.warning("the MLflow UI does not show the curves of %s: %s", printable(study.title), error)
        return ""
    return f"![learning curves](get-artifact?path={CURVES}&run_uuid={parent})\n"


def _fitting(first: str, table: str, figure: str) -> str:
    """All three, the first line being what the UI shows of a description that is not opened, or a word in place of a
    table that has more letters than MLflow takes."""
    text = f"{first}\n\n{table}\n\n{figure}"
    return text if len(text) <= LONGEST_NOTE else f"{first}\n\nThe table is too long to stand here.\n\n{figure}"
