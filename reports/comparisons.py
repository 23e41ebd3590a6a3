"""What a table compares: each cell with the first row of its column, by each metric, and which rows none is better
than.

Stars and bold stand on the study's first metric alone, whose comparisons in all columns are the family of Holm's
correction; where runs are lost, their counts are compared and survivors take no mark.
"""

import hashlib
import json
import math
from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from reports.ablation import by_seed
from reports.statistics import (
    LEAST,
    LEVEL,
    among_best,
    chance_better,
    compare,
    correlation,
    fisher,
    holm,
    odds,
)
from spaces import Study
from spaces.claims import Label
from trainers.config import Config
from trainers.names import Scale, is_of_d
from trainers.run_state import IN_TABLE, RunState

Key = tuple[str, str, str]  # row, column, metric


class Comparison(NamedTuple):
    """A cell against the first row of its column, by one metric: ratio of geometric means, difference of means, or odds
    ratio of an event, with its 95% interval, of the runs that are not lost; NaN where there is none.

    `p_holm` is of the first metric alone. `pairs` are 0 where cells are not paired; `r` is the correlation over them.
    `lost_p` (Fisher) and `p_better` are there if a side has lost runs, and then no p. `digest` names the values.
    """

    scale: Scale
    method: str
    reference: str = ""
    effect: float = math.nan
    low: float = math.nan
    high: float = math.nan
    statistic: float = math.nan
    freedom: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan
    pairs: int = 0
    r: float = math.nan
    lost_p: float = math.nan
    p_better: float = math.nan
    digest: str = ""

    @property
    def is_starred(self) -> bool:
        return self.p_holm < LEVEL


class Sample(NamedTuple):
    """The ended runs of a cell by seed, those among them that are not lost, and what makes it a pair with another."""

    ended: pd.DataFrame
    kept: pd.DataFrame
    pairing: Hashable

    @property
    def lost(self) -> int:
        return len(self.ended) - len(self.kept)

    def counted(self, metric: str) -> pd.DataFrame:
        """The runs whose value of a metric counts: those that are not lost and, by what D alone is scored by, all that
        did not diverge."""
        return self.ended[self.ended["state"] != RunState.DIVERGED] if is_of_d(metric) else self.kept


def pairing(config: Config, digests: Iterable[str] = (), devices: Iterable[str] = ()) -> Hashable:
    """What two cells must share for their runs of one seed to see the same data, latents and noise, on the same kind of
    device. It looks at Configs, never at values: to choose by the correlation that is seen raises the error rate."""
    ran = config.acting()
    data = tuple(sorted(set(digests))) or ran.data_spelling
    options = json.dumps(dict(ran.backbone_options), sort_keys=True)
    return data, ran.n_train, ran.batch_size, ran.n_critic, ran.backbone, options, tuple(sorted(set(devices)))


def samples(cells: Mapping[Label, pd.DataFrame], configs: Mapping[Label, Config]) -> dict[Label, Sample]:
    """The Sample of each cell, of its judged runs."""
    found = {}
    for label, runs in cells.items():
        ended = runs[runs["state"].isin(IN_TABLE)].sort_values("seed")
        kept = ended[~ended["lost"].to_numpy(bool)]
        found[label] = Sample(ended, kept, pairing(configs[label], ended["data_digest"], ended["device"]))
    return found


def scales(study: Study, of_cells: Mapping[Label, Sample]) -> dict[str, Scale]:
    """How each metric of a study is compared: one of ratios that has a value of 0 or less as a difference."""
    found: dict[str, Scale] = {}
    for metric in study.metrics:
        scale = study.metric(metric).scale
        has_ratio = all((cell.counted(metric)[metric].dropna() > 0).all() for cell in of_cells.values())
        found[metric] = scale if scale != "ratio" or has_ratio else "difference"
    return found


def compare_table(
    study: Study, of_cells: Mapping[Label, Sample], references: Mapping[str, str]
) -> dict[Key, Comparison]:
    """All comparisons of a study's table, by (row, column, metric); the first row of a column has none."""
    others = [(row, column) for row, column in of_cells if row != references[column]]
    found: dict[Key, Comparison] = {}
    for metric, scale in scales(study, of_cells).items():
        for row, column in others:
            sides = of_cells[row, column], of_cells[references[column], column]
            test = _counted(*sides, metric) if scale == "event" else _means(*sides, metric, scale, study.seeds)
            test = _with_lost(test, *sides, metric, study.metric(metric).lower_is_better)
            found[row, column, metric] = test._replace(reference=references[column])
    first = [(row, column, study.metrics[0]) for row, column in others]
    adjusted = holm([found[key].p for key in first])
    return found | {key: found[key]._replace(p_holm=float(p)) for key, p in zip(first, adjusted, strict=True)}


def _means(cell: Sample, other: Sample, metric: str, scale: Scale, seeds: int) -> Comparison:
    """A comparison of means, over the runs that are not lost."""
    paired = cell.pairing == other.pairing
    values, against = (_on_scale(by_seed(each.counted(metric), metric, seeds), scale) for each in (cell, other))
    estimate = compare(values, against, paired)
    effect, low, high = (float(number) for number in (estimate.effect, *estimate.interval))
    back = math.exp if scale == "ratio" else float
    return Comparison(
        scale,
        "paired t" if paired else "Welch t",
        effect=back(effect),
        low=back(low),
        high=back(high),
        statistic=float(estimate.t(0.0)),
        freedom=math.nan if math.isnan(low) else float(estimate.freedom),
        p=float(estimate.p),
        pairs=int((np.isfinite(values) & np.isfinite(against)).sum()) if paired else 0,
        r=float(correlation(values, against)) if paired else math.nan,
        digest=_digest(cell.counted(metric), other.counted(metric), metric),
    )


def _with_lost(test: Comparison, cell: Sample, other: Sample, metric: str, lower: bool) -> Comparison:
    """The comparison, which of survivors has no p value: counts and the chance to be better stand for it."""
    lost, others = (len(each.ended) - len(each.counted(metric)) for each in (cell, other))
    if not (lost or others):
        return test
    counts = lost, len(cell.ended), others, len(other.ended)
    lost_p = fisher(*counts) if len(cell.ended) and len(other.ended) else math.nan
    better = chance_better(_lost_last(cell, metric, lower), _lost_last(other, metric, lower))
    if test.scale != "event":
        test = test._replace(p=math.nan, statistic=math.nan)
    return test._replace(lost_p=lost_p, p_better=better)


def _on_scale(values: np.ndarray, scale: Scale) -> np.ndarray:
    return np.log(values) if scale == "ratio" else values


def _counted(cell: Sample, other: Sample, metric: str) -> Comparison:
    """A comparison of counts of an event, by Fisher's exact test; a diverged run has none."""
    none = Comparison("event", "Fisher", digest=_digest(cell.ended, other.ended, metric))
    (happened, runs), (there, others) = events(cell, metric), events(other, metric)
    if not (runs and others):
        return none
    effect, low, high = odds(happened, runs, there, others)
    return none._replace(effect=effect, low=low, high=high, p=fisher(happened, runs, there, others))


def events(cell: Sample, metric: str) -> tuple[int, int]:
    """How many of a cell's ended runs had an event, of how many; a done run that does not record it is left out."""
    known = cell.ended[cell.ended[metric].notna() | (cell.ended["state"] == RunState.DIVERGED)]
    return int((known[metric] >= 1).sum()), len(known)


def _lost_last(cell: Sample, metric: str, lower: bool) -> np.ndarray:
    """[n] values of the ended runs, lower being better, infinite where lost."""
    values = cell.ended[metric].to_numpy(float) * (1 if lower else -1)
    return np.where(cell.ended.index.isin(cell.counted(metric).index), values, math.inf)


def _digest(runs: pd.DataFrame, others: pd.DataFrame, metric: str) -> str:
    """16 hex digits of SHA-256 over what was compared, each side by seed."""
    sides = [
        sorted(zip(each["seed"].tolist(), each[metric].astype(float).tolist(), strict=True)) for each in (runs, others)
    ]
    return hashlib.sha256(json.dumps(sides).encode()).hexdigest()[:16]


def bold_cells(study: Study, of_cells: Mapping[Label, Sample]) -> set[Label]:
    """The cells that no other of their column is better than, by the first metric: of those with all their seeds, none
    of them lost, and only where some other is beaten. Best values over evaluations flatter noisy runs: none is bold."""
    metric = study.metric(study.metrics[0])
    bold: set[Label] = set()
    if metric.when not in ("final", "late") or metric.scale == "event" or study.seeds < LEAST:
        return bold
    scale, sign = scales(study, of_cells)[study.metrics[0]], 1 if metric.lower_is_better else -1
    for column in study.columns:
        clean = [
            label
            for label, cell in of_cells.items()
            if label[1] == column
            and len(cell.kept) == study.seeds_of(label[0])
            and cell.kept[study.metrics[0]].notna().all()
        ]
        if len(clean) < 2:
            continue
        values = [_on_scale(by_seed(of_cells[label].kept, study.metrics[0], study.seeds), scale) for label in clean]
        paired = [[of_cells[a].pairing == of_cells[b].pairing for b in clean] for a in clean]
        best = among_best(sign * np.array(values), np.array(paired))
        bold |= {label for label, is_best in zip(clean, best, strict=True) if is_best and not best.all()}
    return bold
