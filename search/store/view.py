"""How the MLflow UI shows a study or a search: which columns its table has, in which order, and how wide. It is a
shared view, a tag of the experiment, which the links of `ganablate ui` open."""

import json
from collections.abc import Iterable
from itertools import chain
from typing import Any

from search.store.queries import VIEW
from spaces import Cell, Search, Study
from trainers.config import Config

VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
FIRST = {"attributes.`Run Name`": 180, "runDateAndNestInfo": 45}  # columns that MLflow always shows; pixels
WIDTHS = range(70, 101)  # of the others by their heads, few since MLflow's own panels take half of a screen
COUNTS = {"n": 45, "lost": 45}
LONGEST = 5_000  # letters of a tag that MLflow takes
LOSSES = ("loss_real", "loss_fake", "loss_g")
OTHERS = "Model metrics"  # the section of charts to which MLflow adds whatever else there is
CHART = {  # what the UI needs of a line against images
    "type": "LINE",
    "deleted": False,
    "isGenerated": False,
    "lineSmoothness": 0,
    "xAxisKey": "step",
    "xAxisScaleType": "linear",
    "range": {},
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito


def colour(study: Study | Search, cell: Cell) -> dict[str, str]:
    """The tag by which the MLflow UI draws a row in the colour of its place, so that neighbours differ."""
    places = study.places if isinstance(study, Study) else []
    place = cell.row, cell.column
    return {"mlflow.runColor": COLOURS[places.index(place) % len(COLOURS)]} if place in places else {}


def logged_fields(config: Config) -> dict[str, Any]:
    """The fields of a Config that its run has as params: those that act and differ from their defaults."""
    return config.acting().non_defaults() | ({"dataset": config.data_name} if config.is_at_path else {})


def varied(configs: Iterable[Config], names: Iterable[str]) -> list[str]:
    """Those of some fields that differ between Configs as params."""
    logged = [logged_fields(config) for config in configs]
    return [name for name in dict.fromkeys(names) if len({str(fields.get(name)) for fields in logged}) > 1]


def view_of(study: Study | Search, configs: Iterable[Config] = ()) -> str:
    """The shared view of a study, or of a search by the Configs of its trials so far: what its runs come to, then the
    params in which they differ; a study's charts begin with its scores. Of a study with more columns than MLflow has
    room for it tells less."""
    if isinstance(study, Study):  # fields that act in some rows alone are no news
        configs = [cell.config for cell in study.cells()]
        names = chain(*study.rows.values(), *study.columns.values())
    else:
        configs = list(configs)
        names = chain.from_iterable(map(logged_fields, configs))
    columns = {f"metrics.`{name}`": name for name in study.summary}
    columns |= {f"params.`{name}`": name for name in varied(configs, names)}
    widths = FIRST | {column: COUNTS.get(name) or _width(name) for column, name in columns.items()}
    rows = {"selectedColumns": list(columns), "orderByKey": "attributes.start_time", "orderByAsc": True}
    order = {"columnOrder": list(widths), "columnWidths": widths}
    charts = _charts(study) if isinstance(study, Study) else {}
    views: list[dict[str, Any]] = [{**rows, **order, **charts}, {**rows, **order}, rows, {}]
    texts = (json.dumps(view, separators=(",", ":")) for view in views)
    return next(text for text in texts if len(text) <= LONGEST)


def _width(head: str) -> int:
    """Pixels of a column by the letters of its head."""
    return min(max(22 + 6 * len(head), WIDTHS.start), WIDTHS.stop - 1)


def _charts(study: Study) -> dict[str, Any]:
    """The charts of a study's rows: the first two of its scores, a ratio on a logarithmic axis, then losses. MLflow
    itself adds the other metrics below."""
    lines = []
    for metric in list({each.key: each for each in map(study.metric, study.metrics)}.values())[:2]:
        lines += [("Scores", metric.key, "log" if metric.scale == "ratio" else "linear")]
        lines += [("Scores", f"{metric.key}_std", "linear")]
    lines += [("Losses", name, "linear") for name in LOSSES]
    named = [
        {**CHART, "uuid": name, "metricSectionId": section, "metricKey": name, "displayName": name, "scaleType": scale}
        for section, name, scale in lines
    ]
    sections = [
        {"uuid": name, "name": name, "display": name != OTHERS, "isReordered": False, "columns": 2}
        for name in ("Scores", "Losses", OTHERS)
    ]
    return {"compareRunCharts": named, "compareRunSections": sections, "isAccordionReordered": True}
