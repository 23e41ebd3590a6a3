"""How the MLflow UI shows a study or a search: which columns its table has, in which order, and how wide. It is a
shared view, a tag of the experiment, which the links of `ganablate ui` open."""

import base64
import json
import zlib
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
PACKED = "deflate;"  # how the UI knows a view that is compressed, lest a tag of 5,000 letters hold a few charts alone
LOSSES = ("loss_real", "loss_fake", "loss_g")
OF_AW = ("aw_w_real", "aw_w_fake", "aw_cosine")
OF_COOP = ("langevin_distance", "langevin_slope", "langevin_curvature", "loss_teaching", "logit_real", "logit_revised")
SAMPLES, GRIDS = "Samples", "samples"  # a section of charts, and the key of a run's grids
OTHERS = "Model metrics"  # the section of charts to which MLflow adds whatever else there is
CARD = {"deleted": False, "isGenerated": False}  # what the UI needs of any chart
CHART = CARD | {  # and of a line against images
    "type": "LINE",
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
    params in which they differ; and a study's charts."""
    if isinstance(study, Study):  # fields that act in some rows alone are no news
        configs = [cell.config for cell in study.cells()]
        names = chain(*study.rows.values(), *study.columns.values())
    else:
        configs = list(configs)
        names = chain.from_iterable(map(logged_fields, configs))
    columns = {f"metrics.`{name}`": name for name in study.summary}
    columns |= {f"params.`{name}`": name for name in varied(configs, names)}
    widths = FIRST | {column: COUNTS.get(name) or _width(name) for column, name in columns.items()}
    view: dict[str, Any] = {"selectedColumns": list(columns), "columnOrder": list(widths), "columnWidths": widths}
    view |= {"orderByKey": "attributes.start_time", "orderByAsc": True}
    view |= _charts(study, configs) if isinstance(study, Study) else {}
    packed = zlib.compress(json.dumps(view, separators=(",", ":")).encode(), 9)
    return PACKED + base64.b64encode(packed).decode()


def _width(head: str) -> int:
    """Pixels of a column by the letters of its head."""
    return min(max(22 + 6 * len(head), WIDTHS.start), WIDTHS.stop - 1)


def _charts(study: Study, configs: list[Config]) -> dict[str, Any]:
    """The charts of a study's rows: its first two scores, a ratio on a logarithmic axis, losses, what its methods
    measure, and of the seeds of an opened row the last grids of samples. MLflow itself adds other metrics below."""
    scores: dict[str, str] = {}
    for metric in list({each.key: each for each in map(study.metric, study.metrics)}.values())[:2]:
        scores |= {metric.key: "log" if metric.scale == "ratio" else "linear", f"{metric.key}_std": "linear"}
    penalties = dict.fromkeys(name for config in configs for name in config.active_regularizers)
    sections: dict[str, Iterable[str]] = {
        "Scores": scores,
        "Losses": LOSSES,
        "aw-loss": OF_AW if any(config.aw != "off" for config in configs) else (),
        "CoopInit": OF_COOP if any(config.n_coop for config in configs) else (),
        "Regularizers": [*penalties, *(["ada_p"] if any(config.ada != "off" for config in configs) else [])],
    }
    sections = {section: names for section, names in sections.items() if names}
    charts = [
        {**CHART, "uuid": name, "metricSectionId": section, "metricKey": name, "displayName": name}
        | {"scaleType": scores.get(name, "linear")}
        for section, names in sections.items()
        for name in names
    ]
    last = max(-(-config.n_images // config.batch_size) * config.batch_size for config in configs)  # steps are whole
    grids = {"type": "IMAGE", "uuid": GRIDS, "metricSectionId": SAMPLES, "imageKeys": [GRIDS], "step": last}
    charts.append(CARD | grids | {"showRunParams": False})
    shown = [
        {"uuid": name, "name": name, "display": name != OTHERS, "isReordered": False, "columns": 2 - (name == SAMPLES)}
        for name in (*sections, SAMPLES, OTHERS)
    ]
    return {"compareRunCharts": charts, "compareRunSections": shown, "isAccordionReordered": True}
