"""What the store holds of generators that were scored after training, as columns of a table of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from search.store.database import StoredRun
from spaces import Cell, Study
from trainers.config import Config
from trainers.score_request import ScoreRequest, name_pattern, own_code, requests_of


class Scored(NamedTuple):
    """A value of a kept generator, and in words the protocol by which it was made."""

    value: float
    protocol: str


def scored_columns(
    study: Study, cells: Iterable[Cell], runs: Mapping[tuple[str, int], StoredRun], *, strict: bool = True
) -> dict[str, dict[str, Scored]]:
    """What runs have of each metric of a study that is of kept generators, by run id. `runs` are those of the cells, by
    (cell_key, seed). Where a column has values by several protocols, as by several numbers of samples, and the study
    does not tell which, `strict` raises ValueError; else those by the number of the runs' own evaluations count."""
    found, is_told = dict[str, dict[str, Scored]](), bool(study.score_samples) or not strict
    of_seeds = [(cell, [runs.get((cell.config.cell_key, seed)) for seed in range(study.seeds)]) for cell in cells]
    for name, request in ((each, of) for each in study.metrics for of in requests_of([each], study.score_samples)):
        held = [
            (cell.column, run.run_id, _held(run, request, cell.config if is_told else None))
            for cell, of_cell in of_seeds
            for run in of_cell
            if run
        ]
        if strict:
            _require_one_protocol(study, name, held)
        found[name] = {run_id: some[0] for _, run_id, some in held if some}
    return found


def _held(run: StoredRun, request: ScoreRequest, config: Config | None) -> list[Scored]:
    """What a run has of a request of one score; of that of a Config by its protocol's numbers of examples alone."""
    some = held_scores(run, request, request.scores[0])
    return some if config is None else [each for each in some if each.protocol.startswith(request.sides(config))]


def held_scores(run: StoredRun, request: ScoreRequest, key: str) -> list[Scored]:
    """What a run has of one of the scores of a request, by whatever protocols; of a user's own by its code of today."""
    names = filter(name_pattern(request.features, key, request.which).fullmatch, sorted(run.metrics))
    found = [Scored(run.metrics[name], run.tags.get(name.rpartition("/")[0], "")) for name in names]
    return [each for each in found if each.protocol.endswith(own_code(key))]


def _require_one_protocol(study: Study, name: str, held: list[tuple[str, str, list[Scored]]]) -> None:
    for column in dict.fromkeys(column for column, *_ in held):
        protocols = sorted({scored.protocol for of, _, some in held if of == column for scored in some})
        if len(protocols) > 1:
            where = f"{study.title}, {column}" if column else study.title
            raise ValueError(
                f"{name} of {where} has values by {len(protocols)} protocols ({' | '.join(protocols)}); "
                f"--samples N shows those of N samples"
            )
