"""The runs behind a cell of a table, read from the store without pandas or MLflow, so that the answer is quick."""

import math

from search.plan import Job, make_plan
from search.progress import clock
from search.store import Store
from search.store.database import StoredRun
from search.store.image_sets import resolved
from search.store.queries import seed_runs
from spaces import Study
from trainers.messages import did_you_mean
from trainers.names import METRICS


def explain(study: Study, store: Store, row: str, column: str | None = None) -> list[str]:
    """Lines on a cell, or on all cells of a row: its key and fields, and a run a seed. Raises ValueError."""
    if row not in study.rows:
        raise ValueError(f"row {row!r} is not in study {study.title!r}; {did_you_mean(row, study.rows)}")
    if column is not None and column not in study.columns:
        raise ValueError(f"column {column!r} is not in study {study.title!r}; {did_you_mean(column, study.columns)}")
    study = resolved(study, store)
    cells = [cell for cell in study.cells() if cell.row == row and column in (None, cell.column)]
    records = seed_runs(store, (cell.config for cell in cells))
    lines = []
    for cell, jobs in make_plan(study, store).by_cell():
        if cell in cells:
            config = cell.config
            fields = ", ".join(f"{name} {value}" for name, value in config.acting().non_defaults().items())
            lines += [
                f"{study.title}: {cell.label}",
                f"  cell {cell.known_key or 'unknown'}: {fields}",
                f"  {config.protocol}",
            ]
            lines += [line for job in jobs for line in _run(study, store, job, records.get(job.key))]
    return lines


def _run(study: Study, store: Store, job: Job, record: StoredRun | None) -> list[str]:
    """A run in three lines at most."""
    if record is None:
        return [f"  seed {job.seed}: {job.shown}"]
    numbers = [(METRICS[metric], record.metrics.get(metric, math.nan)) for metric in study.metrics]
    values = [f"{metric.label} {value:.{metric.decimals}f}" for metric, value in numbers if not math.isnan(value)]
    seconds = record.metrics.get("seconds", 0.0) + record.metrics.get("eval_seconds", 0.0)
    shown = f"{int(record.metrics.get('images', 0)):,} images in {clock(seconds)}"
    made = [record.tags[name] for name in ("code_version", "torch", "device") if name in record.tags]
    lines = [f"  seed {job.seed}: {', '.join([job.shown, *values, shown])}"]
    lines += [f"    run {record.run_id}: {', '.join(made)}; {store.folders.location(record.run_id)}"]
    return lines + ([f"    {record.tags['error']}"] if record.tags.get("error") else [])
