"""Verdicts on claims, from the runs of a store, by the rules of reports.verdicts."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from reports.measurements import Measurements, Untestable
from reports.published import HARMLESS
from reports.results import Results
from reports.table import span
from reports.verdicts import Test, compare_means, compare_ranks, compare_shares, judge, least_seeds
from search.store import Store
from spaces import STUDIES, Claim, Part, Study

Vary = Callable[[Study], Study]
WORDS = {
    ("holds", "paper"): "supported",
    ("fails", "paper"): "contradicted",
    ("holds", "small"): "agrees at small scale",
    ("fails", "small"): "disagrees at small scale",
}
UNDECIDED, NOT_RUN = "undecided", "not run"


class Finding(NamedTuple):
    """A part, tested: the title of its study's variant, seeds a cell, images a run; why it could not be, or empty."""

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
        """The decisive part: strongest evidence against if the claim fails, else weakest evidence for it."""
        if self.verdict in (WORDS["fails", "paper"], WORDS["fails", "small"]):
            return min(self.findings, key=lambda finding: finding.test.p_against)
        return max(self.findings, key=lambda finding: finding.test.p_for)

    @property
    def reason(self) -> str:
        """Why there is no verdict, or else empty."""
        reasons = list(dict.fromkeys(finding.reason for finding in self.findings if finding.reason))
        if reasons:
            return reasons[0] + (f", and {len(reasons) - 1} more" if len(reasons) > 1 else "")
        if self.verdict != UNDECIDED:
            return ""
        least = least_seeds("share", len(self.findings))
        if self.weakest.n < least and all(finding.test.kind == "share" for finding in self.findings):
            return f"no outcome of fewer than {least} seeds a cell could decide"
        partial = self.claim.covered and judge([finding.test for finding in self.findings]) == "holds"
        return f"the small study has {self.claim.covered}" if partial else ""


class VariantJudge:
    """Tests parts of claims on one variant of the studies, each of which it reads once."""

    def __init__(self, store: Store, vary: Vary) -> None:
        self.store, self.vary = store, vary
        self.variants: dict[str, Results] = {}
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
        """A part's test, of complete cells only."""
        try:
            results = self.results(part.study)
            measured = Measurements(part, results)
        except Untestable as untestable:
            return Finding(part, Test(), part.study, reason=str(untestable))
        test, reason = Test(), ""
        try:
            measured.refuse_mixtures()
            test = _compared(measured)
        except Untestable as untestable:  # the runs are there, and cannot be compared
            reason = str(untestable)
        budget = span({results.configs[label].n_images for label in measured.groups})
        study, run_ids = results.study, tuple(measured.runs["run_id"])
        return Finding(part, test, study.title, study.seeds, budget, run_ids, reason)

    def results(self, name: str) -> Results:
        """The results of a study's variant. Raises Untestable if there is no such study or variant."""
        if name not in STUDIES:
            raise Untestable(f"there is no study {name}")
        if name not in self.variants:
            try:
                self.variants[name] = Results(self.vary(STUDIES[name]), self.store)
            except ValueError as error:  # the setting is one that this study varies, say
                self.refused[name] = error
                raise Untestable(str(error)) from None
        return self.variants[name]

    def at_paper_scale(self, part: Part) -> bool:
        """Whether the study is as defined, and no published value of the part's cells is of other data or networks."""
        results = self.results(part.study)
        study = results.study
        varied = study.budget != 1 or study.tiny or set(study.settings) - set(HARMLESS)
        labels, stated = {*part.treatment, *part.control}, results.published.items()
        return not varied and all(value.comparable for (row, column, _), value in stated if (row, column) in labels)


def _compared(measured: Measurements) -> Test:
    """The test of a part. Raises Untestable if there is none for such values."""
    part = measured.part
    treatment, control = ([measured.values(label) for label in side] for side in (part.treatment, part.control))
    if part.kind == "share":
        counts = [(int((values[0] >= part.reaches).sum()), len(values[0])) for values in (treatment, control)]
        return compare_shares(*counts)
    if all(np.isfinite(values).all() for values in (*treatment, *control)):
        if part.kind == "ratio" and any((values <= 0).any() for values in (*treatment, *control)):
            raise Untestable(f"{part.metric} of {part.study} has values of 0 or less, which have no ratio")
        return compare_means(treatment, control, part.claimed, ratio=part.kind == "ratio")
    if len(treatment) == len(control) == 1 and part.kind == "ratio":
        return compare_ranks(treatment[0], control[0], part.claimed)
    raise Untestable(f"{part.study}: seeds diverged, and ranks tell nothing of gains and differences")
