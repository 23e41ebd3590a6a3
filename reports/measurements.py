"""What claims compare: of each run a metric of its table, a measure of its evaluations, or what it recorded last."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from reports.ablation import mixture
from reports.results import Results, Series
from spaces import CLAIMS, Part
from spaces.claims import Label
from trainers.config import Config
from trainers.names import METRICS, is_of_d
from trainers.run_state import RunState

Measure = Callable[[Series, Config, float], float]
TIME = "seconds"  # of training, as evaluations record it: those of a table of runs have the evaluations too


class Untestable(Exception):
    """Why a part cannot be tested, in words."""


class Measurements:
    """Values of a part's metric, one a run, by seed; a lost run has the worst value, infinity, but no time. Scores of
    D alone are known whatever its generator makes: there only a diverged run has the worst value.

    Raises Untestable unless all seeds of all its cells have ended: to look again after every seed would raise false
    verdicts.
    """

    def __init__(self, part: Part, results: Results) -> None:
        self.part, self.results = part, results
        self.groups = {label: self._ended(label) for label in (*part.treatment, *part.control)}
        self.runs = pd.concat(self.groups.values())

    def _ended(self, label: Label) -> pd.DataFrame:
        """The ended runs of a cell. Raises Untestable unless all its seeds are."""
        study = self.results.study
        if label not in self.results.cells:
            raise Untestable(f"{study.title} has no cell {labels((label,))}")
        group = self.results.samples[label].ended
        if len(group) < study.seeds:
            raise Untestable(f"{labels((label,))}: {len(group)} of {study.seeds} runs are done")
        return group

    def refuse_mixtures(self) -> None:
        """Raise Untestable unless runs were scored alike or, if times are compared, are of one kind of machine."""
        mixed = mixture(self.runs, ("device",)) if self.part.metric == TIME else mixture(self.runs)
        if mixed and self.part.control:
            raise Untestable(f"{self.part.study}: the runs differ in {mixed}")

    def values(self, label: Label) -> np.ndarray:
        """[n] of one cell, NaN where a run has no time. Raises Untestable if the runs do not record what is needed."""
        group, metric = self.groups[label], self.part.metric
        if metric in group and metric != TIME:
            values = group[metric].to_numpy(float)
        elif metric in MEASURES:
            target = self._target(TARGETS[metric]) if metric in TARGETS else math.nan
            config = self.results.configs[label]
            values = np.array([MEASURES[metric](each, config, target) for each in self._series(label, config.metric)])
        else:  # a key, or the first less the second
            ends = [self._last(label, key) for key in metric.split(" - ")]
            values = ends[0] - sum(ends[1:])
        of_d = all(map(is_of_d, metric.split(" - ")))
        lost = (group["state"] == RunState.DIVERGED if of_d else group["lost"]).to_numpy(bool)
        if metric == TIME:
            return np.where(lost, math.nan, values)
        values = np.where(lost, -math.inf if self._rises else math.inf, values)
        if np.isnan(values).any():
            raise Untestable(f"{self.part.study} has runs without {metric}")
        return values

    @property
    def _rises(self) -> bool:
        """Whether higher is better; of a key without a name in METRICS a claimed difference tells."""
        metric, study = self.part.metric, self.results.study
        if metric in METRICS or metric in study.metrics or "@" in metric:
            return not study.metric(metric).lower_is_better
        return self.part.kind == "difference" and self.part.claimed[1] == math.inf

    def _last(self, label: Label, key: str) -> np.ndarray:
        """[n], a key of each run's last evaluation, which tables may have."""
        group, name = self.groups[label], f"{key}_final"
        if name in group and group[name].notna().all():
            return group[name].to_numpy(float)
        return np.array([each[-1][1] for each in self._series(label, key)])

    def _series(self, label: Label, key: str) -> list[Series]:
        """Each run's evaluations of a key."""
        series = list(self.results.histories(key, self.groups[label]["run_id"]).values())
        if not all(series):
            raise Untestable(f"{self.part.study} has runs without {key}")
        return series

    def _target(self, when: str) -> float:
        """What all runs of the cell on the right reached that are not lost: the worst of their finals, or bests."""
        (label,) = self.part.control
        group = self.groups[label]
        return float(group.loc[~group["lost"].astype(bool), f"{self.results.configs[label].metric}_{when}"].max())


def keys_of_claims(study: str) -> list[str]:
    """The keys of evaluations that the papers' claims on a study compare, beside the metrics of tables."""
    metrics = [part.metric for claim in CLAIMS.values() for part in claim.all_parts if part.study == study]
    keys = (key for metric in metrics for key in metric.split(" - "))
    return sorted({key for key in keys if key not in METRICS and key not in MEASURES and key != TIME})


def labels(cells: tuple[Label, ...]) -> str:
    """The labels of some cells, in words."""
    return " x ".join(" / ".join(filter(None, label)) for label in cells)


def images_to(series: Series, _: Config, target: float) -> float:
    """Images at the first evaluation that is as low as the target; infinite if none is."""
    return next((float(images) for images, value in series if value <= target), math.inf)


def oscillation(series: Series, config: Config, _: float) -> float:
    """Mean absolute change of the logarithm from one evaluation to the next, in the second half of the run."""
    late = [value for images, value in series if images >= config.n_images / 2]
    return float(np.abs(np.diff(np.log(late))).mean()) if len(late) > 1 else math.nan


def jump(series: Series, config: Config, _: float) -> float:
    """The first evaluation after the switch of stages by the last before it."""
    switch = math.ceil(config.coop_images / config.batch_size) * config.batch_size  # a step is of one stage
    before = [value for images, value in series if 0 < images <= switch]
    after = [value for images, value in series if images > switch]
    return after[0] / before[-1] if before and after else math.nan


def unconverged(series: Series, _: Config, __: float) -> float:
    """1 if the run ended above half of the untrained generator's value, else 0."""
    return float(series[-1][1] > series[0][1] / 2)


TARGETS = {"images_to_target": "final", "images_to_best": "best"}  # of which values of the control
MEASURES: dict[str, Measure] = {"oscillation": oscillation, "jump": jump, "unconverged": unconverged}
MEASURES |= dict.fromkeys(TARGETS, images_to)
