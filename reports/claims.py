"""Verdicts on claims, from the runs of a store or of reports, by the rules of reports.verdicts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reports.chance import Contrast, false_chance
from reports.folder import reported
from reports.foreign import ForeignResults, find_import
from reports.measurements import TIME, Measurements, Untestable
from reports.planning import part_needs
from reports.published import HARMLESS
from reports.results import Results, span
from reports.verdicts import Judgement, Test, compare_means, compare_ranks, compare_shares, judge
from search.store import Store
from spaces import STUDIES, Claim, Part, Study
from spaces.foreign import ForeignStudy

Vary = Callable[[Study], Study]
WORDS = {
    ("holds", "paper"): "supported",
    ("fails", "paper"): "contradicted",
    ("holds", "small"): "agrees at small scale",
    ("fails", "small"): "disagrees at small scale",
}
UNDECIDED, NOT_RUN = "undecided", "not run"


class Finding(NamedTuple):
    """A part, tested, of a claim's reading: the title of its study's variant, seeds a cell, those that it needs to be
    decided (0: unknown), images a run; why it could not be, or empty."""

    part: Part
    test: Test
    study: str
    n: int = 0
    budget: str = ""
    run_ids: tuple[str, ...] = ()
    reason: str = ""
    contrast: Contrast | None = None
    needed: int = 0
    reading: str = ""


class Verdict(NamedTuple):
    """A claim's verdict, its scope (paper or small; empty where nothing was run), the findings it rests on, how each
    reading was judged, and the chance that it would be false if nothing had an effect."""

    claim: Claim
    verdict: str
    scope: str
    findings: tuple[Finding, ...]
    readings: Mapping[str, Judgement]
    false_chance: float = 0.0
    registered: str = ""  # of a user's own: when, in words

    @property
    def weakest(self) -> Finding:
        """The decisive part: strongest evidence against if the claim fails, else weakest evidence for it."""
        if self.verdict in (WORDS["fails", "paper"], WORDS["fails", "small"]):
            return min(self.findings, key=lambda finding: finding.test.p_against)
        return max(self.findings, key=lambda finding: finding.test.p_for)

    @property
    def reason(self) -> str:
        """Why there is no verdict, or else empty."""
        reasons = list(dict.fromkeys(finding.reason for finding in self.findings if finding.reason))
        if reasons:
            return reasons[0] + (f", and {len(reasons) - 1} more" if len(reasons) > 1 else "") + self._needs
        if self.verdict != UNDECIDED:
            return ""
        if len(set(self.readings.values())) > 1:
            return "the readings differ: " + ", ".join(f"{name} {judged}" for name, judged in self.readings.items())
        if self.claim.covered and set(self.readings.values()) == {"holds"}:
            return f"the small study has {self.claim.covered}"
        return self._needs.removeprefix("; ")

    @property
    def _needs(self) -> str:
        """What the part that needs most seeds would take, where those planned are fewer."""
        most = max(self.findings, key=lambda finding: finding.needed)
        return f"; of {most.n} seeds a cell, about {most.needed:,} are needed" if 0 < most.n < most.needed else ""


class VariantJudge:
    """Tests parts of claims on one variant of the studies, each of which it reads once: from a store, or from a folder
    of reports."""

    def __init__(self, store: Store | Path, vary: Vary, own: Mapping[str, Study] | None = None) -> None:
        self.store, self.vary, self.own = store, vary, own or {}
        self.variants: dict[str, Results] = {}
        self.refused: dict[str, ValueError] = {}

    def judged(self, claim: Claim, sets: Mapping[str, tuple[Part, ...]], scope: str = "") -> Verdict:
        """A claim by some sets of parts, its readings, all of which must agree; the scope is found where it is not
        given."""
        found = {name: [self.finding(part)._replace(reading=name) for part in parts] for name, parts in sets.items()}
        readings: dict[str, Judgement] = {name: judge([each.test for each in some]) for name, some in found.items()}
        findings = tuple(finding for some in found.values() for finding in some)
        said = set(readings.values())
        judgement = said.pop() if len(said) == 1 else "undecided"
        is_run = [all(finding.run_ids for finding in some) for some in found.values()]
        if judgement == UNDECIDED and not any(is_run):
            return Verdict(claim, NOT_RUN, "", findings, readings)
        is_partial = bool(claim.covered) and scope == "small"
        if judgement == "holds" and is_partial:
            judgement = "undecided"
        run = [finding.part for finding in findings if finding.run_ids]
        scope = scope or ("paper" if claim.setting_told and all(map(self.at_paper_scale, run)) else "small")
        chance = false_chance([[each.contrast for each in some] for some in found.values()], not is_partial)
        return Verdict(claim, WORDS.get((judgement, scope), UNDECIDED), scope, findings, readings, chance)

    def finding(self, part: Part) -> Finding:
        """A part's test, of complete cells only."""
        try:
            results = self.results(part.study)
        except Untestable as untestable:
            return Finding(part, Test(), part.study, reason=str(untestable))
        study, configs = results.study, results.configs
        there = all(label in configs for label in (*part.treatment, *part.control))
        empty = Finding(part, Test(), study.title, study.seeds, needed=part_needs(part, configs) if there else 0)
        try:
            measured = Measurements(part, results)
        except Untestable as untestable:
            return empty._replace(reason=str(untestable))
        contrast, reason = None, ""
        try:
            measured.refuse_mixtures()
            contrast = _compared(measured)
        except Untestable as untestable:  # the runs are there, and cannot be compared
            reason = str(untestable)
        budgets = results.budgets(measured.groups)
        budget = span(budgets) if budgets else ""
        test, run_ids = contrast.test if contrast else Test(), tuple(measured.runs["run_id"])
        return empty._replace(test=test, budget=budget, run_ids=run_ids, reason=reason, contrast=contrast)

    def results(self, name: str) -> Results:
        """The results of a study's variant. Raises Untestable if there is no such study or variant."""
        studies = {**STUDIES, **self.own}
        if name not in studies:
            raise Untestable(f"there is no study {name}")
        if name not in self.variants:
            try:
                self.variants[name] = self._read(self.vary(studies[name]))
            except ValueError as error:  # the setting is one that this study varies, say
                self.refused[name] = error
                raise Untestable(str(error)) from None
        return self.variants[name]

    def _read(self, study: Study) -> Results:
        """The results of a study. Raises ValueError where there are none."""
        if isinstance(study, ForeignStudy):
            imported = find_import(self.store, study.name)
            if imported is None:
                raise ValueError(f"{study.name} was imported no longer")
            return ForeignResults(imported, study)
        return reported(self.store, study) if isinstance(self.store, Path) else Results(study, self.store)

    def at_paper_scale(self, part: Part) -> bool:
        """Whether the study is as defined, and no published value of the part's cells is of other data or networks."""
        results = self.results(part.study)
        study = results.study
        varied = study.budget != 1 or study.tiny or set(study.settings) - set(HARMLESS)
        labels, stated = {*part.treatment, *part.control}, results.published.items()
        return not varied and all(value.comparable for (row, column, _), value in stated if (row, column) in labels)


def _compared(measured: Measurements) -> Contrast:
    """The test of a part. Raises Untestable if there is none for such values."""
    part, of_cells = measured.part, measured.results.samples
    labels = (*part.treatment, *part.control)
    values = [measured.values(label) for label in labels]
    pairings = [of_cells[label].pairing for label in labels]
    treatment, control = values[: len(part.treatment)], values[len(part.treatment) :]
    signs = [1] * len(treatment) + [-1] * len(control)
    shares = np.concatenate(values) >= part.reaches
    names = [(part.study, label) for label in labels]
    cells = tuple(zip(signs, names, pairings, strict=True))

    def contrast(test: Test) -> Contrast:
        return Contrast(test, cells, len(values[0]), part.claimed, part.kind == "ratio", float(shares.mean()))

    if part.kind == "share":
        counts = [(int((side[0] >= part.reaches).sum()), len(side[0])) for side in (treatment, control)]
        return contrast(compare_shares(*counts))
    if part.metric == TIME or all(np.isfinite(each).all() for each in values):
        ratio = part.kind == "ratio"
        if ratio and any((each <= 0).any() for each in values):
            raise Untestable(f"{part.metric} of {part.study} has values of 0 or less, which have no ratio")
        return contrast(compare_means(treatment, control, part.claimed, ratio=ratio, pairings=pairings))
    if len(treatment) == len(control) == 1:
        return contrast(compare_ranks(treatment[0], control[0], part.claimed, ratio=part.kind == "ratio"))
    raise Untestable(f"{part.study}: seeds were lost, and ranks tell nothing of gains")
