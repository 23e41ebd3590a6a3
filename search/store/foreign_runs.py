"""Takes in runs that other code made, as a study: from an MLflow experiment, or from a CSV."""

import csv
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from search.store.connection import Store
from search.store.foreign import ForeignMetric, ForeignRun, Imported, write_imported
from search.store.frames import LARGEST
from search.store.queries import histories, pages
from spaces import CLAIMS, STUDIES
from trainers.messages import counted, did_you_mean
from trainers.names import Metric

MLFLOW, CSV = "mlflow:", "csv:"
PARENT, COMMIT = "mlflow.parentRunId", "mlflow.source.git.commit"  # tags that MLflow gives
FINISHED = "FINISHED"


class Asked(NamedTuple):
    """What a user asks to be taken in: what makes a run's row, its seed and, if any, its column (params, or columns of
    the CSV), the metrics, whether of two runs of one cell and seed the later counts, whether equal seeds share data and
    start, and the row that the others are compared with (the first that is met)."""

    study: str
    row: str
    seed: str
    column: str | None
    metric: list[Metric]
    latest: bool = False
    paired: bool = False
    reference: str | None = None


class Found(NamedTuple):
    """The runs of a source, oldest first, what it is in words and where, and what of it was left out."""

    runs: list[ForeignRun]
    source: str
    place: str
    left_out: list[str]


def import_study(source: str, asked: Asked, store: Store) -> list[str]:
    """Take in runs as a study, in place of a former import of that name; returns what to say of it. Raises ValueError,
    before anything is written, for what cannot be a study."""
    _check_names(asked)
    if source.startswith(MLFLOW):
        found = _from_mlflow(source.removeprefix(MLFLOW), asked, store)
    else:
        found = _from_csv(Path(source.removeprefix(CSV)), asked)
    runs, replaced = _unique(found, asked)
    rows = list(dict.fromkeys(run.row for run in runs))
    if asked.reference is not None and asked.reference not in rows:
        raise ValueError(f"{found.source} has no row {asked.reference!r}; {did_you_mean(asked.reference, rows)}")
    runs.sort(key=lambda run: (run.row != asked.reference, rows.index(run.row)))
    metrics = [ForeignMetric(key=m.key, lower_is_better=m.lower_is_better, scale=m.scale) for m in asked.metric]
    imported = Imported(
        name=asked.study, source=found.source, place=found.place, paired=asked.paired, metrics=metrics, runs=runs
    )
    study = imported.study
    is_former = write_imported(store, imported)
    lost = sum(run.is_lost for run in runs)
    told = [
        f"{study.name}: {counted(len(runs), 'run')} of {found.source}, {counted(len(study.rows), 'row')}"
        + (f" x {counted(len(study.columns), 'column')}" if asked.column else "")
        + f", up to {counted(study.seeds, 'seed')} a cell"
        + (f"; {lost} lost, with a value that is not finite" if lost else "")
        + (", in place of what was imported before" if is_former else "")
    ]
    told += [
        f"{m.key}: {'lower' if m.lower_is_better else 'higher'} is better, compared by {m.scale}s" for m in metrics
    ]
    pairs = "equal seeds share data and start (--paired)" if asked.paired else "by Welch's test; --paired pairs seeds"
    return [*told, f"rows are compared with {next(iter(study.rows))}: {pairs}", *found.left_out, *replaced]


def _check_names(asked: Asked) -> None:
    """Raise ValueError for a study's name that is taken or none, and for metrics that are none or double."""
    name = asked.study
    if not name.strip() or name.partition(":")[0].endswith(".py"):
        raise ValueError(f"--study {name!r} is no name for a study")
    if name in STUDIES or name in CLAIMS:
        raise ValueError(f"--study {name!r}: a {'study' if name in STUDIES else 'claim'} of ganablate is called so")
    double = [key for key, count in Counter(metric.key for metric in asked.metric).items() if count > 1]
    if double or not asked.metric:
        raise ValueError(f"--metric {double[0]} is given twice" if double else "import needs a --metric")


def _from_mlflow(name: str, asked: Asked, store: Store) -> Found:
    """The finished runs of an experiment. Raises ValueError if one lacks a param or a metric."""
    store.require()
    experiment = store.client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        names = [each.name for each in pages(store.client.search_experiments)]
        raise ValueError(f"the MLflow store {store.address} has no experiment {name!r}; {did_you_mean(name, names)}")
    source = f"the MLflow experiment {name!r}"

    def page(page_token: str | None = None) -> Any:
        order = ["attributes.start_time ASC"]
        return store.client.search_runs([experiment.experiment_id], order_by=order, page_token=page_token)

    held = list(pages(page))
    sides = [side for side in (asked.row, asked.seed, asked.column) if side]
    parents = {run.data.tags.get(PARENT) for run in held}
    nests = {run.info.run_id for run in held if run.info.run_id in parents and not set(sides) <= set(run.data.params)}
    others = [run for run in held if run.info.run_id not in nests]
    finished = [run for run in others if run.info.status == FINISHED]
    states = Counter(run.info.status.lower() for run in others if run.info.status != FINISHED)
    told = ", ".join(f"{count} {state}" for state, count in states.items())
    left_out = [f"left out are runs that are not finished: {told}"] if states else []
    if not finished:
        raise ValueError(f"{source} has no finished run" + (f" ({left_out[0]})" if left_out else ""))
    for side in sides:
        _require(source, "param", side, {run.info.run_id: run.data.params for run in finished})
    for metric in asked.metric:
        _require(source, "metric", metric.key, {run.info.run_id: run.data.metrics for run in finished})
    ids = [run.info.run_id for run in finished]
    series = {metric.key: histories(store, ids, metric.key) for metric in asked.metric}
    runs = [
        _run(
            *_labels(run.data.params, asked, f"run {run.info.run_id} of {source}"),
            run_id=run.info.run_id,
            code_version=run.data.tags.get(COMMIT, "")[:12],
            values={metric.key: run.data.metrics[metric.key] for metric in asked.metric},
            series={key: _points(of_runs[run.info.run_id]) for key, of_runs in series.items()},
        )
        for run in finished
    ]
    return Found(runs, source, store.address, left_out)


def _require(source: str, kind: str, name: str, held: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ValueError unless all runs, by id, have a param or metric of that name."""
    lacking = [run_id for run_id, names in held.items() if name not in names]
    if len(lacking) == len(held):
        known = {each for names in held.values() for each in names}
        raise ValueError(f"no run of {source} has a {kind} {name!r}; {did_you_mean(name, known)}")
    if lacking:
        more = f", nor have {len(lacking) - 1} others" if len(lacking) > 1 else ""
        raise ValueError(f"run {lacking[0]} of {source} has no {kind} {name!r}{more}")


def _points(points: Iterable[tuple[int, int, float]]) -> list[tuple[int, float]]:
    """What was logged of a metric by step, the last of each, without what is not finite."""
    return [(step, value) for step, value in {step: value for _, step, value in points}.items() if _finite(value)]


def _finite(value: float) -> bool:
    return abs(value) < LARGEST  # NaN is not


def _run(row: str, column: str, seed: int, **fields: Any) -> ForeignRun:
    """A run, whose values that are not finite are NaN."""
    values = {key: value if _finite(value) else math.nan for key, value in fields.pop("values").items()}
    return ForeignRun(row=row, column=column, seed=seed, values=values, **fields)


def _labels(told: Mapping[str, str], asked: Asked, where: str) -> tuple[str, str, int]:
    """Row, column and seed of a run. Raises ValueError for an empty label, and a seed that is no whole number."""
    row, column = told[asked.row].strip(), told[asked.column].strip() if asked.column else ""
    if not row or (asked.column and not column):
        raise ValueError(f"{where}: {asked.column if row else asked.row} is empty")
    text = told[asked.seed].strip()
    try:
        seed = float(text)
    except ValueError:
        seed = math.nan
    if not (abs(seed) < 2**53 and seed.is_integer()):
        raise ValueError(f"{where}: {asked.seed} = {text!r} should be a whole number")
    return row, column, int(seed)


def _from_csv(path: Path, asked: Asked) -> Found:
    """The runs of a CSV, a line each. Raises ValueError for what is none."""
    wanted = [side for side in (asked.row, asked.seed, asked.column) if side] + [m.key for m in asked.metric]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", strict=True)
            heads = [head.strip() for head in reader.fieldnames or []]
            reader.fieldnames = heads
            lines = [(reader.line_num, line) for line in reader]
    except (UnicodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV in UTF-8: {error}") from None
    for name in wanted:
        if heads.count(name) != 1:
            has = "no" if name not in heads else "more than one"
            raise ValueError(f"{path} has {has} column {name!r}; its first line names {', '.join(heads) or 'none'}")
    runs = []
    for number, line in lines:
        where = f"{path}, line {number}"
        if "" in line.keys() - set(heads) or None in line.values():
            raise ValueError(f"{where}: it should have {len(heads)} fields, as the first line has")
        values = {metric.key: _number(line[metric.key], metric.key, where) for metric in asked.metric}
        runs.append(_run(*_labels(line, asked, where), run_id=f"{path.name}:{number}", values=values))
    if not runs:
        raise ValueError(f"{path} has no run: a first line with names, then a line a run")
    return Found(runs, path.name, str(path.absolute()), [])


def _number(text: str, name: str, where: str) -> float:
    """A number as a CSV has it. Raises ValueError."""
    try:
        return float(text)
    except ValueError:
        said = f"{text.strip()!r} where a number should be" if text.strip() else "no value"
        raise ValueError(f"{where}: {name} has {said}") from None


def _unique(found: Found, asked: Asked) -> tuple[list[ForeignRun], list[str]]:
    """A run a cell and seed, the latest one, and what to say of others. Raises ValueError for two, unless `latest`."""
    by_label: dict[str, list[ForeignRun]] = {}
    for run in found.runs:
        by_label.setdefault(run.label, []).append(run)
    for label, runs in by_label.items():
        if len(runs) > 1 and not asked.latest:
            ids = " and ".join(run.run_id for run in runs[:2])
            raise ValueError(f"{found.source} has {len(runs)} runs of {label} ({ids}); --latest takes the last of them")
    former = len(found.runs) - len(by_label)
    told = [f"left out, for a later run of the same seed: {former} (--latest)"] if former else []
    return [runs[-1] for runs in by_label.values()], told
