"""A study's report: table.csv, runs.csv, table.tex, table.md and figures in one folder, from the store alone."""

import logging
from pathlib import Path

from reports.latex import to_latex
from reports.markdown import to_markdown
from reports.results import Results
from reports.spreadsheet import to_csv, write_csv
from reports.table import TextTable, as_text
from search.store.image_sets import other_content

logger = logging.getLogger(__name__)


def write_report(results: Results, out: Path) -> tuple[TextTable, list[Path]]:
    """Write the report; returns the table and the paths. Raises ValueError if runs cannot stand in one table."""
    from reports.figures import make_figures

    for line in other_content(results.study, results.store):
        logger.warning(line)
    text = as_text(results)
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / name for name in ("table.csv", "runs.csv", "table.tex", "table.md")]
    write_csv(to_csv(results), paths[0])
    write_csv(results.runs, paths[1])
    paths[2].write_text(to_latex(text, results), encoding="utf-8")
    paths[3].write_text(to_markdown(text), encoding="utf-8")
    return text, paths + make_figures(results, out)
