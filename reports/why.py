"""The runs behind a cell of a table, or one run by its id, read from the store without pandas or MLflow, so that the
answer is quick."""

import math
from collections.abc import Iterable

from search.plan import Job, make_plan, state_of
from search.store import Store
from search.store.database import StoredRun
from search.store.folders import RUN_ID
from search.store.image_sets import resolved
from search.store.queries import run_of, seed_runs, standing_for
from search.store.scores import scored_columns
from search.tune.progress import clock
from spaces import Study
from trainers.messages import did_you_mean
from trainers.names import METRICS, metric_named


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
    """A run of a cell."""
    if record is None:
        return [f"  seed {job.seed}: {job.shown}"]
    scored = scored_columns(study, [job.cell], {job.key: record}, strict=False).items()
    values = record.metrics | {name: held[record.run_id].value for name, held in scored if record.run_id in held}
    return _lines(store, f"seed {job.seed}: {job.shown}", record._replace(metrics=values), study.metrics)


def explain_run(run_id: str, store: Store) -> list[str]:
    """Lines on one run of the store, whether it counts or not. Raises ValueError for an id that it does not have."""
    if not RUN_ID.fullmatch(run_id):
        raise ValueError(f"{run_id[:40]!r} alone is no id of a run, which has 32 hex digits; a study needs a row too")
    store.require()
    run = run_of(store, run_id)
    if run is None:
        raise ValueError(f"the MLflow store {store.address} has no run {run_id} of ours")
    cell = " / ".join(filter(None, (run.tags["row"], run.tags["column"])))
    lines = [f"{run.tags['study']}: {cell}", f"  cell {run.cell_key}", f"  {run.tags.get('protocol', '')}"]
    if "seed" not in run.tags:
        done = run.tags.get("run_ids", "").replace(",", ", ")
        return [*lines, f"  run {run_id} is the parent of the cell's runs{done and f', of which are done: {done}'}"]
    metrics = [name for name in METRICS if name in run.metrics]
    lines += _lines(store, f"seed {run.seed}: {state_of(store, run.guard, run)}", run, metrics)
    for name in sorted(run.metrics):
        tag, _, score = name.rpartition("/")
        if tag in run.tags and name.startswith("scores/"):
            lines.append(f"    {score} {run.metrics[name]:.6g}: {run.tags[tag]}")
    if run.is_deleted:
        return [*lines, "    deleted in MLflow: counts no more"]
    first = standing_for(store, run)
    return [*lines, f"    counts no more: run {first.run_id} stands for it"] if first else lines


def _lines(store: Store, shown: str, record: StoredRun, metrics: Iterable[str]) -> list[str]:
    """A run in three lines at most."""
    numbers = [(metric_named(metric), record.metrics.get(metric, math.nan)) for metric in metrics]
    values = [f"{metric.label} {value:.{metric.decimals}f}" for metric, value in numbers if not math.isnan(value)]
    seconds = record.metrics.get("seconds", 0.0) + record.metrics.get("eval_seconds", 0.0)
    spent = f"{int(record.metrics.get('images', 0)):,} images in {clock(seconds)}"
    made = [record.tags[name] for name in ("code_version", "torch", "device") if name in record.tags]
    lines = [f"  {', '.join([shown, *values, spent])}"]
    lines += [f"    run {record.run_id}: {', '.join(made)}; {store.folders.location(record.run_id)}"]
    return lines + ([f"    {record.tags['error']}"] if record.tags.get("error") else [])
