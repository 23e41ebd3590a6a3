"""Search: a hyper-parameter search to be."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spaces.search_spaces import Space
from spaces.study import FIRST_SEARCH_SEED, Cell
from trainers.config import Config
from trainers.messages import SHORTLY
from trainers.names import METRICS

SAMPLERS = {  # who proposes
    "tpe": "Optuna's tree-structured Parzen estimator (Bergstra et al. 2011)",
    "random": "each setting on its own, by the space's distributions",
    "gp": "a Gaussian process with expected improvement, Optuna's",
    "cmaes": "covariance matrix adaptation (Hansen 2016), for spaces of numbers alone",
}
SCHEDULERS = {  # who stops
    "asha": "asynchronous successive halving (Li et al. 2020): the best third of a rung goes on",
    "hyperband": "brackets of successive halving, each with a later first rung",
    "median": "stops what is worse than the median of the others' means so far (Golovin et al. 2017)",
    "none": "all trials run to their budget",
}


@dataclass(frozen=True)
class Search:
    """Trials of one recipe over one space, and who proposes and who stops them.

    `settings` tells how the base differs from the recipe, `all_settings` the same without and with the first digits of
    its images' digest; `sampler` and `scheduler` are names in SAMPLERS and SCHEDULERS.
    Trial number k trains with seed 10,000 + k and is judged by the base's metric at the full budget.
    """

    recipe: str
    base: Config
    space_name: str
    space: Space
    sampler: str = "tpe"
    scheduler: str = "asha"
    settings: str = ""
    all_settings: tuple[str, str] = ("", "")

    @property
    def variant_label(self) -> str:
        """What differs from the plain recipe and from the defaults; it makes another search."""
        return self._label(self.settings)

    def _label(self, settings: str) -> str:
        chosen = ((self.space_name, "all"), (self.sampler, "tpe"), (self.scheduler, "asha"), (settings, ""))
        parts = [value for value, default in chosen if value != default]
        return f" ({', '.join(parts)})" if parts else ""

    @property
    def title(self) -> str:
        """The name of its experiment."""
        return f"search {self.recipe}{self.variant_label}"

    @property
    def images(self) -> str:
        """The digest of its image files, as Study.images."""
        return self.base.data_digest if self.base.is_at_path else ""

    def titles(self) -> tuple[str, str]:
        """As Study.titles."""
        plain, told = (f"search {self.recipe}{self._label(settings)}" for settings in self.all_settings)
        return plain, told

    @property
    def key(self) -> str:
        """What its trials are found by, see `search_key`."""
        return search_key(self.recipe, self.space_name, self.sampler, self.scheduler, self.base.cell_key)

    @property
    def sampler_seed(self) -> str:
        """What the random numbers of proposals hang on; a title may change with what else a store holds."""
        return self.key if self.base.is_at_path else self.title

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
        overrides = self.space(trial, self.base)
        if not isinstance(overrides, Mapping) or not all(isinstance(name, str) for name in overrides):
            raise ValueError(f"it should return a dict of the changed fields, not {SHORTLY.repr(overrides)}")
        return self.base.replace(**overrides)


def search_key(recipe: str, space: str, sampler: str, scheduler: str, base_key: str) -> str:
    """16 hex digits of what makes a search; a changed base starts a new one."""
    return hashlib.sha256(json.dumps([recipe, space, sampler, scheduler, base_key]).encode()).hexdigest()[:16]
