"""What the store holds of generators that were scored after training, as columns of a table of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from search.store.database import StoredRun
from spaces import Cell, Study
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
    cells, found = list(cells), dict[str, dict[str, Scored]]()
    for name in study.metrics:
        for request in requests_of([name], study.score_samples):
            columns: dict[str, dict[str, list[Scored]]] = {}  # by column, then by run id
            for cell in cells:
                of_cell = (runs.get((cell.config.cell_key, seed)) for seed in range(study.seeds))
                held = {run.run_id: held_scores(run, request, request.scores[0]) for run in of_cell if run}
                if study.score_samples or not strict:
                    sides = request.sides(cell.config)
                    held = {
                        key: [each for each in some if each.protocol.startswith(sides)] for key, some in held.items()
                    }
                columns.setdefault(cell.column, {}).update(held)
            if strict:
                _require_one_protocol(study, name, columns)
            values = {key: some for held in columns.values() for key, some in held.items()}
            found[name] = {run_id: some[0] for run_id, some in values.items() if some}
    return found


def held_scores(run: StoredRun, request: ScoreRequest, key: str) -> list[Scored]:
    """What a run has of one of the scores of a request, by whatever protocols; of a user's own by its code of today."""
    names = filter(name_pattern(request.features, key, request.which).fullmatch, sorted(run.metrics))
    found = [Scored(run.metrics[name], run.tags.get(name.rpartition("/")[0], "")) for name in names]
    return [each for each in found if each.protocol.endswith(own_code(key))]


def _require_one_protocol(study: Study, name: str, columns: Mapping[str, Mapping[str, list[Scored]]]) -> None:
    for column, held in columns.items():
        protocols = sorted({scored.protocol for some in held.values() for scored in some})
        if len(protocols) > 1:
            where = f"{study.title}, {column}" if column else study.title
            raise ValueError(
                f"{name} of {where} has values by {len(protocols)} protocols ({' | '.join(protocols)}); "
                f"--samples N shows those of N samples"
            )
