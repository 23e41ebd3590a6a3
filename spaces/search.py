"""Search: a hyper-parameter search to be."""

import hashlib
from dataclasses import dataclass
from typing import Any

from spaces.search_spaces import Space
from spaces.study import FIRST_SEARCH_SEED, Cell
from trainers.config import Config
from trainers.names import METRICS


@dataclass(frozen=True)
class Search:
    """Trials of one recipe over one space, and who proposes and who stops them.

    `settings` tells how the base differs from the recipe; `sampler` and `scheduler` are names in search.optimize.
    Trial number k trains with seed 10,000 + k and is judged by the base's metric at the full budget.
    """

    recipe: str
    base: Config
    space_name: str
    space: Space
    sampler: str = "tpe"
    scheduler: str = "asha"
    settings: str = ""

    @property
    def variant_label(self) -> str:
        """What differs from the plain recipe and from the defaults; it makes another search."""
        chosen = ((self.space_name, "all"), (self.sampler, "tpe"), (self.scheduler, "asha"), (self.settings, ""))
        parts = [value for value, default in chosen if value != default]
        return f" ({', '.join(parts)})" if parts else ""

    @property
    def title(self) -> str:
        """The name of its experiment."""
        return f"search {self.recipe}{self.variant_label}"

    @property
    def key(self) -> str:
        """What its trials are found by: 16 hex digits of title and base, so that a changed recipe starts anew."""
        return hashlib.sha256(f"{self.title}/{self.base.cell_key}".encode()).hexdigest()[:16]

    @property
    def cell(self) -> Cell:
        """Where its trials hang: the base."""
        return Cell("search", "", self.base)

    @property
    def metric(self) -> str:
        """The name in METRICS that orders trials."""
        return f"{self.base.metric}_final"

    @property
    def lower_is_better(self) -> bool:
        return METRICS[self.metric].lower_is_better

    @property
    def summary(self) -> tuple[str, ...]:
        """Columns of its table in the MLflow UI: what the parent says of the trials, and what each trial reached."""
        return ("best_value", "done", "stopped", "diverged", "images_saved", self.metric, self.base.metric, "images")

    def seed(self, number: int) -> int:
        """The training seed of a trial."""
        return FIRST_SEARCH_SEED + number

    def propose(self, trial: Any) -> Config:
        """The Config of an Optuna trial, seed 0. Raises ValueError for overrides that make none."""
        return self.base.replace(**self.space(trial, self.base))
