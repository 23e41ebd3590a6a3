"""The ledger of claims: verdicts on all of them, as a table, CSV and JSON."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from reports.claims import NOT_RUN, UNDECIDED, Finding, VariantJudge, Vary, Verdict
from reports.markdown import to_markdown
from reports.measurements import labels
from reports.spreadsheet import write_csv
from reports.table import TextTable
from reports.verdicts import detectable_ratio, least_seeds
from search.store import Store
from spaces import CLAIMS, Claim, Study


class Ledger:
    """Verdicts from a store. `varies` make the variants of studies whose runs count: other budgets, settings, seeds;
    a claim is judged by the first of them under which it was run, by its own parts before those of its small study."""

    def __init__(self, store: Store, *varies: Vary) -> None:
        self.judges = [VariantJudge(store, vary) for vary in varies or [lambda study: study]]

    def verdicts(self, names: Iterable[str] = ()) -> list[Verdict]:
        """Of the claims with these ids, or of all. Raises ValueError for an id that there is not, and for a variant
        that fits no study."""
        for name in names:
            if name not in CLAIMS:
                raise ValueError(f"claim {name!r} is unknown; allowed: {', '.join(CLAIMS)}")
        verdicts = [self.verdict(CLAIMS[name]) for name in list(names) or CLAIMS]
        for judge in self.judges:
            if judge.refused and not judge.variants:
                raise next(iter(judge.refused.values()))
        return verdicts

    def verdict(self, claim: Claim) -> Verdict:
        """Of one claim."""
        own = [judge.judged(claim, claim.parts) for judge in self.judges]
        small = [judge.judged(claim, claim.small, "small") for judge in self.judges] if claim.small else []
        return next((verdict for verdict in (*own, *small) if verdict.verdict != NOT_RUN), own[0])


def variants(seeds: int | None, options: Mapping[str, Any]) -> list[Vary]:
    """Functions that make the variants of a study whose runs count: unchanged, then with the options.

    Of each there is one with its own seeds or, where `seeds` is given, the larger of both counts, then the smaller.
    """
    counts = [max, min] if seeds is not None else [lambda own, _: own]
    chosen: list[Mapping[str, Any]] = [{}, options] if any(options.values()) else [{}]

    def vary(study: Study, options: Mapping[str, Any], count: Callable[..., int]) -> Study:
        return study.variant(seeds=count(study.seeds, seeds), **options)

    return [partial(vary, options=options, count=count) for options in chosen for count in counts]


def as_text(verdicts: Iterable[Verdict]) -> TextTable:
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
    return TextTable(cells, pd.DataFrame(0, cells.index, cells.columns), CAPTION, prose=True)


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
    "with more seeds makes false verdicts likelier than 5%. A t test of two cells whose logarithms vary by 0.27 sees, "
    "four times in five, a ratio of "
    + ", ".join(f"{detectable_ratio(seeds):.2f} with {seeds} seeds" for seeds in (3, 5, 10, 20))
    + "."
)


def effect(finding: Finding) -> str:
    """Effect with its interval, in words for a table."""
    test = finding.test
    counts = f"{test.counts}, " if test.counts else ""
    value = "–" if math.isnan(test.effect) else f"{test.effect:.2f}"
    return counts + value + ("" if math.isnan(test.low) else f" [{test.low:.2f}, {test.high:.2f}]")


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
            "over": labels(finding.part.treatment),
            "under": labels(finding.part.control),
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


def to_json(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """What `claims --json` prints: an object a claim, its parts in it; numbers that are not finite are null."""
    claims = []
    for verdict in verdicts:
        lines = [
            {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in line.items()}
            for line in to_lines([verdict])
        ]
        shared = ("id", "paper", "claim", "place", "verdict", "scope")
        parts = [{name: value for name, value in line.items() if name not in shared} for line in lines]
        claims.append({**{name: lines[0][name] for name in shared}, "reason": verdict.reason, "parts": parts})
    return claims


def write_ledger(verdicts: list[Verdict], folder: Path) -> list[Path]:
    """Write claims.csv, a line a part, and claims.md, a line a claim; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "claims.csv", folder / "claims.md"]
    write_csv(pd.DataFrame(to_lines(verdicts)), paths[0])
    paths[1].write_text(to_markdown(as_text(verdicts)), encoding="utf-8")
    return paths
