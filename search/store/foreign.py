"""Studies of runs that other code made: a file each under the storage folder, written whole when it is imported.

Nothing of where the runs come from is changed, and nothing of it is asked again.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from search.store.connection import Store
from search.store.frames import TAGS
from spaces import STUDIES
from spaces.find import other_kind
from spaces.foreign import ForeignStudy
from trainers.files import read_json, write_json
from trainers.messages import did_you_mean, file_name, first_error
from trainers.names import Metric
from trainers.run_state import RunState

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "foreign"  # of the storage folder
KEPT = "imported.json"  # in the folder of a report: the import that it is of


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ForeignMetric(_Strict):
    """How a metric is ordered and compared."""

    key: str
    lower_is_better: bool
    scale: Literal["ratio", "difference"]


class ForeignRun(_Strict):
    """A run: its labels and seed, where it is found, the last value of each metric (NaN if that was not finite), and
    what was logged of it before, as (step, value)."""

    row: str
    column: str
    seed: int
    run_id: str
    code_version: str = ""
    values: dict[str, float]
    series: dict[str, list[tuple[int, float]]] = {}

    @property
    def is_lost(self) -> bool:
        """Whether a value is not finite."""
        return not all(map(math.isfinite, self.values.values()))

    @property
    def label(self) -> str:
        """Row, column and seed in words."""
        return f"{' / '.join(filter(None, (self.row, self.column)))}, seed {self.seed}"


class Imported(_Strict):
    """What one import took in: the study's name, where from, in words and as a place, and its runs in the order of its
    rows."""

    name: str
    source: str
    place: str
    paired: bool
    metrics: list[ForeignMetric] = Field(min_length=1)
    runs: list[ForeignRun] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        keys = {metric.key for metric in self.metrics}
        if any(run.values.keys() != keys for run in self.runs) or len({run.label for run in self.runs}) < len(
            self.runs
        ):
            raise ValueError("each run should have all metrics, and a seed of its own in its cell")
        return self

    @property
    def study(self) -> ForeignStudy:
        """The study that these runs make. Raises ValueError for labels that make none."""
        rows, columns = (list(dict.fromkeys(getattr(run, side) for run in self.runs)) for side in ("row", "column"))
        only: dict[str, list[str]] = {row: [] for row in rows}
        for run in self.runs:
            only[run.row].append(run.column)
        return ForeignStudy(
            self.name,
            rows={row: {} for row in rows},
            columns={column: {} for column in columns},
            only=only,
            seeds=len(self.seeds) if self.shares_seeds else max(self._counts.values()),
            metrics=tuple(metric.key for metric in self.metrics),
            measured={metric.key: self._measured(metric) for metric in self.metrics},
            source=self.source,
            paired=self.paired,
        )

    @property
    def seeds(self) -> list[int]:
        """All seeds, in ascending order."""
        return sorted({run.seed for run in self.runs})

    @property
    def _counts(self) -> Counter[tuple[str, str]]:
        return Counter((run.row, run.column) for run in self.runs)

    @property
    def shares_seeds(self) -> bool:
        """Whether all cells are of one list of seeds, of which some may lack; else each has seeds of its own."""
        return self.paired or len(self.seeds) == max(self._counts.values())

    def _measured(self, metric: ForeignMetric) -> Metric:
        """With decimals that show three digits of the usual standard deviation over seeds, else four of the values."""
        cells: dict[tuple[str, str], list[float]] = {}
        for run in self.runs:
            if not run.is_lost:
                cells.setdefault((run.row, run.column), []).append(run.values[metric.key])
        spreads = [spread for some in cells.values() if len(some) > 1 and (spread := statistics.stdev(some)) > 0]
        largest = max((abs(value) for some in cells.values() for value in some), default=0.0)
        size = statistics.median(spreads) if spreads else largest / 10
        decimals = min(10, max(0, 2 - math.floor(math.log10(size)))) if size > 0 else 0
        return Metric(metric.key, "final", metric.key, metric.lower_is_better, decimals, metric.scale)

    def frame(self) -> pd.DataFrame:
        """The runs in the form of load_runs, and `place`, by which those of one seed stand beside each other. A run
        with a value that is not finite has diverged, and is lost; no other is."""
        import pandas as pd

        places: dict[tuple[str, str, int], int] = {}
        counts: Counter[tuple[str, str]] = Counter()
        for run in sorted(self.runs, key=lambda run: run.seed):
            cell = run.row, run.column
            places[*cell, run.seed] = self.seeds.index(run.seed) if self.shares_seeds else counts[cell]
            counts[cell] += 1
        lines = [
            {
                "row": run.row,
                "column": run.column,
                "seed": run.seed,
                "run_id": run.run_id,
                "cell_key": "",
                "state": RunState.DIVERGED if run.is_lost else RunState.DONE,
                **dict.fromkeys(TAGS, ""),
                "protocol": self.protocol,
                "code_version": run.code_version,
                **{key: value if math.isfinite(value) else math.nan for key, value in run.values.items()},
                "evaluations": math.nan,
                "seconds": math.nan,
                "lost": run.is_lost,
                "place": places[run.row, run.column, run.seed],
            }
            for run in self.runs
        ]
        return pd.DataFrame(lines)

    @property
    def protocol(self) -> str:
        """By what the runs were scored, as far as anyone here knows."""
        return f"values of other code, from {self.source}"


def imported_file(store: Store, name: str) -> Path:
    """Where the import of that name lies."""
    return store.storage / FOLDER / f"{file_name(name)}.json"


def write_imported(store: Store, imported: Imported) -> bool:
    """Write an import in place of a former one of that name; whether there was one. Raises OSError."""
    path = imported_file(store, imported.name)
    is_former = path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, imported.model_dump())
    return is_former


def read_imported(store: Store, name: str) -> Imported | None:
    """The import of that name; None if there is none. Raises ValueError if its file is damaged."""
    path = imported_file(store, name)
    return _read(path) if name not in STUDIES and path.is_file() else None


def find_imported(store: Store, name: str) -> Imported | None:
    """The import that a user names where a study is asked for; None for a study of ours, and for a file of his own.
    Raises ValueError for a name that is neither, where there are imports."""
    if name in STUDIES or name.partition(":")[0].endswith(".py"):
        return None
    found = read_imported(store, name)
    if found is None and (others := [each.name for each in imports(store)]):
        raise ValueError(
            f"study {name!r} is unknown; {other_kind('study', name)}{did_you_mean(name, {*STUDIES, *others})}, or a "
            f"file.py of your own"
        )
    return found


def imported_in(folder: Path) -> Imported | None:
    """The import that the report in a folder is of; None for a report of ours. Raises ValueError if it is damaged."""
    return _read(folder / KEPT) if (folder / KEPT).is_file() else None


def imports(store: Store) -> list[Imported]:
    """All imports, by name. Raises ValueError if a file is damaged."""
    return [_read(path) for path in sorted((store.storage / FOLDER).glob("*.json"))]


def _read(path: Path) -> Imported:
    try:
        found = Imported.model_validate(read_json(path))
        _ = found.study
    except ValidationError as error:
        raise ValueError(f"{path} is no study that `import` wrote: {first_error(error)}; import it again") from None
    except ValueError as error:
        raise ValueError(f"{path} is no study that `import` wrote: {error}; import it again") from None
    return found
