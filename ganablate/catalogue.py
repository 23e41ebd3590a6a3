"""All names that a user may type, by kind, each with a line that says what it is. Imports no torch."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from pydantic.fields import FieldInfo

from spaces import RECIPES, SPACES, STUDIES, Study
from spaces.search import SAMPLERS, SCHEDULERS
from trainers.config import Config
from trainers.foresight import described
from trainers.messages import counted, did_you_mean
from trainers.names import BACKBONES, DATASETS, FEATURES, LOSSES, METRICS, PATHS, SCORES, Metric, Score

WHEN = {
    "final": "of the last evaluation",
    "best": "the best of all evaluations",
    "late": "mean of the evaluations in the last fifth of a run",
    "untrained": "of the evaluation before training",
}


def catalogue(kinds: Iterable[str] = ()) -> dict[str, dict[str, str]]:
    """What each name is, by kind and name, of some kinds or all. Raises ValueError for a kind that there is not."""
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"kind {kind!r} is unknown; {did_you_mean(kind, KINDS)}")
    return {kind: KINDS[kind]() for kind in kinds or KINDS}


def lines(tables: Mapping[str, Mapping[str, str]], width: int | None) -> Iterator[str]:
    """A line a name, below a line a kind, each cut to the width, if any."""
    for kind, table in tables.items():
        yield f"{kind}:"
        longest = max(map(len, table))
        for name, told in table.items():
            line = f"  {name:<{longest}}  {told}"
            yield line if width is None or len(line) <= width else f"{line[: width - 3]}..."


def first_sentence(text: str) -> str:
    """The first sentence of a text, in one line, without its full stop."""
    plain = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<! al)\.(?: (?=[A-Z])|$)", plain, maxsplit=1)[0]


def _described(sources: Mapping[str, str]) -> dict[str, str]:
    """What the sources of `module` or `module:object` say of them."""
    return {name: first_sentence(described(source)) for name, source in sources.items()}


def _study(study: Study) -> str:
    recipe = study.recipe if isinstance(study.recipe, str) else "a recipe of its own"
    columns = f" x {', '.join(study.columns)}" if len(study.columns) > 1 else ""
    return f"{recipe}: {', '.join(study.rows)}{columns}; {counted(study.seeds, 'seed')}"


def _recipe(config: Config) -> str:
    methods = [f"CoopInit for {config.n_coop:,} images"] if config.n_coop else []
    methods += ["aw-loss"] if config.aw != "off" else []
    size = f" at {config.resolution}x{config.resolution}" if config.resolution else ""
    told = [f"{config.backbone} on {config.data_name}{size}", f"{config.loss} loss", f"{config.n_images:,} images"]
    return ", ".join(told + methods)


def _metric(metric: Metric) -> str:
    label = metric.label.removeprefix(f"{metric.when} ")
    return f"{label}, {WHEN[metric.when]}; {'lower' if metric.lower_is_better else 'higher'} is better"


def _is_on_request(score: Score) -> bool:
    """Whether `score` may take it of kept generators."""
    return score.is_of_samples and score.on != "points"


def _score(score: Score) -> str:
    return f"{score.label}; {'lower' if score.lower_is_better else 'higher'} is better"


def _field(field: FieldInfo) -> str:
    return f"default {field.default}: {first_sentence(field.description or '')}"


KINDS: dict[str, Callable[[], dict[str, str]]] = {  # as `list --json` has them
    "studies": lambda: {name: _study(study) for name, study in STUDIES.items()},
    "recipes": lambda: {name: _recipe(config) for name, config in RECIPES.items()},
    "spaces": lambda: {name: first_sentence(inspect.getdoc(space) or "") for name, space in SPACES.items()},
    "backbones": lambda: _described({name: row.build.partition(":")[0] for name, row in BACKBONES.items()}),
    "datasets": lambda: _described({name: row.build for name, row in DATASETS.items()}),
    "images": lambda: _described({f"{prefix}PATH": row.build for prefix, row in PATHS.items()}),
    "losses": lambda: _described({name: row.build for name, row in LOSSES.items()}),
    "features": lambda: _described({name: row.build for name, row in FEATURES.items()}),
    "regularizers": lambda: _described({name: row.penalty for name, row in Config.regularizers().items()}),
    "metrics": lambda: {name: _metric(metric) for name, metric in METRICS.items()},
    "scores": lambda: {name: _score(score) for name, score in SCORES.items() if _is_on_request(score)},
    "samplers": lambda: dict(SAMPLERS),
    "schedulers": lambda: dict(SCHEDULERS),
    "fields": lambda: {name: _field(field) for name, field in Config.model_fields.items()},
}
