"""How the MLflow UI shows a study or a search: which columns its table has, in which order, and how wide. It is a
shared view, a tag of the experiment, which the links of `ganablate ui` open."""

import json
from collections.abc import Iterable
from itertools import chain
from typing import Any

from search.store.queries import VIEW
from spaces import Search, Study
from trainers.config import Config

VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
FIRST = {"attributes.`Run Name`": 165, "runDateAndNestInfo": 45}  # columns that MLflow always shows; pixels
WIDTH, OF_COUNTS = 85, 50  # pixels of the others, few since MLflow's own panels take half of a screen
COUNTS = {f"metrics.`{name}`" for name in ("n", "lost", "done", "stopped", "diverged")}


def logged_fields(config: Config) -> dict[str, Any]:
    """The fields of a Config that its run has as params: those that act and differ from their defaults."""
    return config.acting().non_defaults() | ({"dataset": config.data_name} if config.is_at_path else {})


def varied(configs: Iterable[Config], names: Iterable[str]) -> list[str]:
    """Those of some fields that differ between Configs as params."""
    logged = [logged_fields(config) for config in configs]
    return [name for name in dict.fromkeys(names) if len({str(fields.get(name)) for fields in logged}) > 1]


def view_of(study: Study | Search, configs: Iterable[Config] = ()) -> str:
    """The shared view of a study, or of a search by the Configs of its trials so far: what its runs come to, then the
    params in which they differ."""
    if isinstance(study, Study):  # fields that act in some rows alone are no news
        configs = [cell.config for cell in study.cells()]
        names = chain(*study.rows.values(), *study.columns.values())
    else:
        configs = list(configs)
        names = chain.from_iterable(map(logged_fields, configs))
    columns = [f"metrics.`{name}`" for name in study.summary]
    columns += [f"params.`{name}`" for name in varied(configs, names)]
    widths = FIRST | {column: OF_COUNTS if column in COUNTS else WIDTH for column in columns}
    shown = {"selectedColumns": columns, "columnOrder": list(widths), "columnWidths": widths}
    return json.dumps({**shown, "orderByKey": "attributes.start_time", "orderByAsc": True})
