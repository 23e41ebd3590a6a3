"""The ledger of the papers' claims: for each a verdict from the runs of the store, by the rules of reports.verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from reports.published import HARMLESS, Beside, beside
from reports.table import Text, to_markdown, write_csv
from reports.verdicts import Test, compare_means, compare_ranks, compare_shares, detectable_ratio, judge, least_seeds
from search.store import Store, load_runs
from search.store.queries import histories
from spaces import CLAIMS, STUDIES, Claim, Part, Study
from spaces.claims import Label
from trainers.config import Config
from trainers.names import METRICS
from trainers.run_state import IN_TABLE, RunState

Series = list[tuple[int, float]]  # a run's evaluations: images, value
Vary = Callable[[Study], Study]
WORDS = {
    ("holds", "paper"): "supported",
    ("fails", "paper"): "contradicted",
    ("holds", "small"): "agrees at small scale",
    ("fails", "small"): "disagrees at small scale",
}
UNDECIDED, NOT_RUN = "undecided", "not run"
TIME = "seconds"  # of training, from the rows: those of a table of runs have the evaluations too


class Missing(Exception):
    """Why a part cannot be tested, in words."""


class Finding(NamedTuple):
    """A part of a claim, tested: the title of its study's variant, n seeds of each cell, the images of a run as budget;
    `reason` tells why it could not be tested, and is else empty."""

    part: Part
    test: Test
    study: str
    n: int = 0
    budget: str = ""
    run_ids: tuple[str, ...] = ()
    reason: str = ""


class Verdict(NamedTuple):
    """A claim's verdict, its scope (paper or small; empty where nothing was run) and the findings it rests on."""

    claim: Claim
    verdict: str
    scope: str
    findings: tuple[Finding, ...]

    @property
    def weakest(self) -> Finding:
        """The part on which the verdict hangs: the one most against the claim, else the one least for it."""
        if self.verdict in (WORDS["fails", "paper"], WORDS["fails", "small"]):
            return min(self.findings, key=lambda finding: finding.test.p_against)
        return max(self.findings, key=lambda finding: finding.test.p_for)

    @property
    def reason(self) -> str:
        """Why there is no verdict, or else empty."""
        reasons = list(dict.fromkeys(finding.reason for finding in self.findings if finding.reason))
        more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        if reasons:
            return reasons[0] + more
        if self.verdict != UNDECIDED:
            return ""
        least = least_seeds("share", len(self.findings))
        if self.weakest.n < least and all(finding.test.kind == "share" for finding in self.findings):
            return f"no outcome of fewer than {least} seeds a cell could decide"
        partial = self.claim.covered and judge([finding.test for finding in self.findings]) == "holds"
        return f"the small study has {self.claim.covered}" if partial else ""


class Variant(NamedTuple):
    """A study as it was varied, its cells and what is published of them, and its runs."""

    study: Study
    cells: dict[Label, Config]
    stated: dict[tuple[str, str, str], Beside]
    runs: pd.DataFrame

    def ended(self, label: Label) -> pd.DataFrame:
        """The ended runs of a cell. Raises Missing unless all its seeds are."""
        name = _labels((label,))
        if label not in self.cells:
            raise Missing(f"{self.study.title} has no cell {name}")
        row, column, state = (self.runs[key] for key in ("row", "column", "state"))
        group = self.runs[(row == label[0]) & (column == label[1]) & state.isin(IN_TABLE)]
        if len(group) < self.study.seeds:
            raise Missing(f"{name}: {len(group)} of {self.study.seeds} runs are done")
        return group


class Ledger:
    """Verdicts from a store. `varies` make the variants of studies whose runs count: other budgets, settings, seeds;
    a claim is judged by the first of them under which it was run, by its own parts before those of its small study."""

    def __init__(self, store: Store, *varies: Vary) -> None:
        self.readers = [Reader(store, vary) for vary in varies or [lambda study: study]]

    def verdicts(self, names: Iterable[str] = ()) -> list[Verdict]:
        """Of the claims with these ids, or of all. Raises ValueError for an id that there is not, and for a variant
        that fits no study."""
        for name in names:
            if name not in CLAIMS:
                raise ValueError(f"claim {name!r} is unknown; allowed: {', '.join(CLAIMS)}")
        verdicts = [self.verdict(CLAIMS[name]) for name in list(names) or CLAIMS]
        for reader in self.readers:
            if reader.refused and not reader.variants:
                raise next(iter(reader.refused.values()))
        return verdicts

    def verdict(self, claim: Claim) -> Verdict:
        """Of one claim."""
        own = [reader.judged(claim, claim.parts) for reader in self.readers]
        small = [reader.judged(claim, claim.small, "small") for reader in self.readers] if claim.small else []
        return next((verdict for verdict in (*own, *small) if verdict.verdict != NOT_RUN), own[0])


class Reader:
    """Tests parts of claims on one variant of the studies, each of which it reads once."""

    def __init__(self, store: Store, vary: Vary) -> None:
        self.store, self.vary = store, vary
        self.variants: dict[str, Variant] = {}
        self.refused: dict[str, ValueError] = {}

    def judged(self, claim: Claim, parts: tuple[Part, ...], scope: str = "") -> Verdict:
        """A claim by some parts; the scope is found where it is not given."""
        findings = tuple(self.finding(part) for part in parts)
        judgement = judge([finding.test for finding in findings])
        if judgement == UNDECIDED and not all(finding.run_ids for finding in findings):
            return Verdict(claim, NOT_RUN, "", findings)
        if judgement == "holds" and parts is claim.small and claim.covered:
            judgement = "undecided"
        run = [finding.part for finding in findings if finding.run_ids]
        scope = scope or ("paper" if claim.setting_told and all(map(self.at_paper_scale, run)) else "small")
        return Verdict(claim, WORDS.get((judgement, scope), UNDECIDED), scope, findings)

    def finding(self, part: Part) -> Finding:
        """A part's test, of complete cells only: to look again after every seed would raise false verdicts."""
        try:
            variant = self.variant(part.study)
            groups = {label: variant.ended(label) for label in (*part.over, *part.under)}
        except Missing as missing:
            return Finding(part, Test(), part.study, reason=str(missing))
        found = pd.concat(groups.values())
        test, reason = Test(), ""
        try:
            _refuse_mixtures(found, part)
            test = self._test(part, variant.cells, groups)
        except Missing as missing:  # the runs are there, and cannot be compared
            reason = str(missing)
        budgets = sorted({variant.cells[label].n_images for label in groups})
        budget = f"{budgets[0]:,}" if len(budgets) == 1 else f"{budgets[0]:,} to {budgets[-1]:,}"
        return Finding(part, test, variant.study.title, variant.study.seeds, budget, tuple(found["run_id"]), reason)

    def variant(self, name: str) -> Variant:
        """A study's variant, read once. Raises Missing if there is no such study or variant."""
        if name not in STUDIES:
            raise Missing(f"there is no study {name}")
        if name not in self.variants:
            try:
                study = self.vary(STUDIES[name])
            except ValueError as error:  # the setting is one that this study varies, say
                self.refused[name] = error
                raise Missing(str(error)) from None
            cells = {(cell.row, cell.column): cell.config for cell in study.cells()}
            self.variants[name] = Variant(study, cells, beside(study), load_runs(study, store=self.store))
        return self.variants[name]

    def _test(self, part: Part, cells: Mapping[Label, Config], groups: Mapping[Label, pd.DataFrame]) -> Test:
        measure = Measured(self.store, part, cells, groups)
        over, under = ([measure.values(label) for label in side] for side in (part.over, part.under))
        if part.kind == "share":
            counts = [(int((values[0] >= part.reaches).sum()), len(values[0])) for values in (over, under)]
            return compare_shares(*counts)
        if all(np.isfinite(values).all() for values in (*over, *under)):
            if part.kind == "ratio" and any((values <= 0).any() for values in (*over, *under)):
                raise Missing(f"{part.metric} of {part.study} has values of 0 or less, which have no ratio")
            return compare_means(over, under, part.claimed, ratio=part.kind == "ratio")
        if len(over) == len(under) == 1 and part.kind == "ratio":
            return compare_ranks(over[0], under[0], part.claimed)
        raise Missing(f"{part.study}: seeds diverged, and ranks tell nothing of gains and differences")

    def at_paper_scale(self, part: Part) -> bool:
        """Whether data set, backbone and budget are the paper's: the study is as defined, and no published value of the
        part's cells says otherwise."""
        study, _, published, _ = self.variant(part.study)
        varied = study.budget != 1 or study.tiny or set(study.settings) - set(HARMLESS)
        stated = [each for (*place, _), each in published.items() if tuple(place) in (*part.over, *part.under)]
        return not varied and all(each.comparable for each in stated)


def _refuse_mixtures(runs: pd.DataFrame, part: Part) -> None:
    """Only what was scored alike is compared, and only times of one kind of machine."""
    names = ["protocol", "data_digest", "features_digest"] if part.metric != TIME else ["device"]
    for name in names:
        if len(set(runs[name])) > 1 and part.under:
            raise Missing(f"{part.study}: the runs differ in {name}: {'; '.join(sorted(set(runs[name])))}")


class Measured:
    """Values of a part's metric, one a run; a diverged run has the worst value, infinity, but no time."""

    def __init__(
        self, store: Store, part: Part, cells: Mapping[Label, Config], groups: Mapping[Label, pd.DataFrame]
    ) -> None:
        self.store, self.part, self.cells, self.groups = store, part, cells, groups

    def values(self, label: Label) -> np.ndarray:
        """[n] of one cell. Raises Missing if the runs do not record what is needed."""
        group, metric = self.groups[label], self.part.metric
        if metric in group and metric != TIME:
            values = group[metric].to_numpy(float)
        elif metric in MEASURES:
            row, target = self.cells[label].metric, self._target()
            series = self._series(label, row)
            values = np.array([MEASURES[metric](each, self.cells[label], target) for each in series])
        else:
            first, _, second = metric.partition(" - ")
            values = np.array([each[-1][1] for each in self._series(label, first)])
            if second:
                values = values - [each[-1][1] for each in self._series(label, second)]
        higher = metric in METRICS and not METRICS[metric].lower_is_better
        lost = (group["state"] == RunState.DIVERGED).to_numpy()
        if metric == TIME:
            return values[~lost]
        values = np.where(lost, -math.inf if higher else math.inf, values)
        if np.isnan(values).any():
            raise Missing(f"{self.part.study} has runs without {metric}")
        return values

    def _series(self, label: Label, row: str) -> list[Series]:
        """Each run's evaluations of a key of its rows."""
        run_ids = list(self.groups[label]["run_id"])
        points = histories(self.store, run_ids, row)
        if not all(points[run_id] for run_id in run_ids):
            raise Missing(f"{self.part.study} has runs without {row}")
        return [[(images, value) for _, images, value in points[run_id]] for run_id in run_ids]

    def _target(self) -> float:
        """What all done runs of the cell on the right reached: the worst of their final, or of their best, values."""
        if self.part.metric not in ("images_to_target", "images_to_best"):
            return math.nan
        (label,) = self.part.under
        when = "final" if self.part.metric == "images_to_target" else "best"
        values = self.groups[label][f"{self.cells[label].metric}_{when}"]
        return float(values.max())


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


MEASURES: dict[str, Callable[[Series, Config, float], float]] = {
    "images_to_target": images_to,
    "images_to_best": images_to,
    "oscillation": oscillation,
    "jump": jump,
    "unconverged": unconverged,
}


def as_text(verdicts: Iterable[Verdict]) -> Text:
    """The ledger as a table, a line a claim; effect, seeds and budget are those of the part on which it hangs."""
    lines = [
        {
            "claim": verdict.claim.text,
            "verdict": f"undecided at {verdict.scope} scale" if verdict.verdict == UNDECIDED else verdict.verdict,
            "effect": effect(verdict.weakest),
            "runs": _runs(verdict),
            "why not": verdict.reason,
        }
        for verdict in verdicts
    ]
    cells = pd.DataFrame(lines, index=pd.Index([verdict.claim.id for verdict in verdicts], name="claims"))
    return Text(cells, pd.DataFrame(0, cells.index, cells.columns), CAPTION, prose=True)


def _runs(verdict: Verdict) -> str:
    """Studies of a verdict, and of how many runs, seeds a cell and images a run it is."""
    studies = ", ".join(dict.fromkeys(finding.study for finding in verdict.findings))
    runs = {run for finding in verdict.findings for run in finding.run_ids}
    hangs = verdict.weakest
    return f"{studies}: {len(runs)} runs, {hangs.n} a cell, {hangs.budget} images each" if runs else studies


CAPTION = (
    "A claim holds if each of its parts does, by Welch's t test of logarithms, a permutation test of ranks where runs "
    "diverged, or Fisher's exact test of shares, each direction at 2.5% with Holm's correction over the parts; "
    "equivalence is within 10%. Effect: ratio of geometric means (shares: odds ratio; logits and angles: difference) "
    "with 95% interval, of the part on which the verdict hangs. Only cells with all their seeds count; to look again "
    "with more seeds makes false verdicts likelier than 5%. A t test of two "
    "cells whose logarithms vary by 0.27 sees, four times in five, a ratio of "
    + ", ".join(f"{detectable_ratio(seeds):.2f} with {seeds} seeds" for seeds in (3, 5, 10, 20))
    + "."
)


def effect(finding: Finding) -> str:
    """Effect with its interval, in words for a table."""
    test = finding.test
    counts = f"{test.counts}, " if test.counts else ""
    if math.isnan(test.effect) and math.isnan(test.low):
        return "–"
    value = "–" if math.isnan(test.effect) else f"{test.effect:.2f}"
    return counts + (value if math.isnan(test.low) else f"{value} [{test.low:.2f}, {test.high:.2f}]")


def to_lines(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """The ledger in full, a line a part: what was compared, the numbers, the runs."""
    return [
        {
            "id": verdict.claim.id,
            "paper": verdict.claim.paper,
            "claim": verdict.claim.text,
            "place": verdict.claim.place,
            "verdict": verdict.verdict,
            "scope": verdict.scope,
            "study": finding.study,
            "over": _labels(finding.part.over),
            "under": _labels(finding.part.under),
            "metric": finding.part.metric,
            "kind": finding.part.kind,
            "claimed_low": finding.part.claimed[0],
            "claimed_high": finding.part.claimed[1],
            **{name: value for name, value in finding.test._asdict().items() if name != "kind"},
            "test": finding.test.kind,
            "n": finding.n,
            "least_n": least_seeds(finding.test.kind, len(verdict.findings)),
            "images": finding.budget,
            "reason": finding.reason,
            "run_ids": ";".join(finding.run_ids),
        }
        for verdict in verdicts
        for finding in verdict.findings
    ]


def _labels(cells: tuple[Label, ...]) -> str:
    return " x ".join(" / ".join(filter(None, label)) for label in cells)


def to_json(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """What `claims --json` prints: an object a claim, its parts in it; numbers that are not finite are null."""
    told = []
    for verdict in verdicts:
        lines = [
            {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in line.items()}
            for line in to_lines([verdict])
        ]
        shared = ("id", "paper", "claim", "place", "verdict", "scope")
        parts = [{name: value for name, value in line.items() if name not in shared} for line in lines]
        told.append({**{name: lines[0][name] for name in shared}, "reason": verdict.reason, "parts": parts})
    return told


def write_ledger(verdicts: list[Verdict], folder: Path) -> list[Path]:
    """Write claims.csv, a line a part, and claims.md, a line a claim; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "claims.csv", folder / "claims.md"]
    write_csv(pd.DataFrame(to_lines(verdicts)), paths[0])
    paths[1].write_text(to_markdown(as_text(verdicts)))
    return paths
