"""The ledger of claims: verdicts on all of them, as a table, CSV and JSON."""

import json
import math
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from reports.claims import NOT_RUN, UNDECIDED, Finding, VariantJudge, Vary, Verdict
from reports.foreign import find_import
from reports.markdown import to_markdown
from reports.measurements import labels
from reports.own_claims import register_claim, told_of
from reports.planning import LOG_STD, R_ALIKE, Spread, visible_ratio
from reports.spreadsheet import write_csv
from reports.table import TextTable, telling
from search.store import Store
from spaces import CLAIMS, Claim, Study, find_claims
from spaces.foreign import ForeignStudy, better_than_first
from trainers.messages import counted, printable


class Ledger:
    """Verdicts from a store, or from a folder of reports, on the papers' claims or on `own` ones and their studies.
    `varies` make the variants of studies whose runs count: other budgets, settings, seeds; a claim is judged by the
    first of them under which it was run, by its own parts before those of its small study."""

    def __init__(
        self, store: Store | Path, *varies: Vary, own: tuple[Mapping[str, Claim], Mapping[str, Study]] | None = None
    ):
        self.claims, studies = own or (CLAIMS, {})
        self.is_own = own is not None
        self.judges = [VariantJudge(store, vary, studies) for vary in varies or [lambda study: study]]

    def verdicts(self, names: Iterable[str] = ()) -> list[Verdict]:
        """Of the claims with these ids, or of all. Raises ValueError for an id that there is not, and for a variant
        that fits no study."""
        for name in names:
            if name not in self.claims:
                raise ValueError(f"claim {name!r} is unknown; allowed: {', '.join(self.claims)}")
        verdicts = [self.verdict(self.claims[name]) for name in list(names) or self.claims]
        for judge in self.judges:
            if judge.refused and not judge.variants:
                raise next(iter(judge.refused.values()))
        return verdicts

    def verdict(self, claim: Claim) -> Verdict:
        """Of one claim."""
        own = [judge.judged(claim, claim.sets) for judge in self.judges]
        small = [judge.judged(claim, {"": claim.small}, "small") for judge in self.judges] if claim.small else []
        found = next((verdict for verdict in (*own, *small) if verdict.verdict != NOT_RUN), own[0])
        return found._replace(registered=told_of(self.judges[0], claim)) if self.is_own else found

    def register(self) -> list[str]:
        """Register all claims, by the first of the variants; what to say of each."""
        return [f"{claim.id}: {register_claim(self.judges[0], claim)}" for claim in self.claims.values()]


def ledger_of(store: Store | Path, ids: list[str], varies: Iterable[Vary], register: bool) -> tuple[Ledger, list[str]]:
    """The ledger that a command line asks for, and the ids: of the papers' claims or, if the first of the texts names a
    file.py, of those that it holds, registered if so asked; if it names an imported study, of one claim a row, that it
    is better than the first. Raises ValueError."""
    path = ids[0] if ids and ids[0].partition(":")[0].endswith(".py") else None
    if register and path is None:
        raise ValueError("--register is for claims of your own: ganablate claims my_study.py --register")
    if isinstance(store, Path) and (register or not store.is_dir()):
        raise ValueError("--register notes in a store" if register else f"{store} is no folder of reports")
    if ids and path is None and ids[0] not in CLAIMS and (study := _imported_study(store, ids[0])):
        return Ledger(store, *varies, own=(better_than_first(study), {study.name: study})), ids[1:]
    own = find_claims(path, partial(_imported_study, store)) if path else None
    ledger = Ledger(store, *varies, own=own)
    if register:
        print(*map(printable, ledger.register()), sep="\n", file=sys.stderr)
    return ledger, ids[1:] if path else ids


def _imported_study(store: Store | Path, name: str) -> ForeignStudy | None:
    imported = find_import(store, name)
    return imported.study if imported else None


def variants(seeds: int | None, options: Mapping[str, Any]) -> list[Vary]:
    """Functions that make the variants of a study whose runs count: unchanged, then with the options.

    Of each there is one with its own seeds or, where `seeds` is given, the larger of both counts, then the smaller.
    """
    counts = [max, min] if seeds is not None else [lambda own, _: own]
    chosen: list[Mapping[str, Any]] = [{}, options] if any(options.values()) else [{}]

    def vary(study: Study, options: Mapping[str, Any], count: Callable[..., int]) -> Study:
        return study.variant(seeds=count(study.seeds, seeds), **options)

    return [partial(vary, options=options, count=count) for options in chosen for count in counts]


def as_text(verdicts: Collection[Verdict]) -> TextTable:
    """The ledger as a table, a line a claim; the effect is that of the part on which it hangs."""
    lines = [
        {
            "claim": verdict.claim.text,
            "verdict": _said(verdict),
            "effect": effect(verdict.weakest),
            "runs": _runs(verdict),
            "why not": verdict.reason,
        }
        for verdict in verdicts
    ]
    cells = pd.DataFrame(lines, index=pd.Index([verdict.claim.id for verdict in verdicts], name="claims"))
    return TextTable(cells, pd.DataFrame(False, cells.index, cells.columns), caption(verdicts), prose=True)


def _said(verdict: Verdict) -> str:
    """A verdict, with its scale where it does not tell, and when its claim was registered."""
    of_paper = verdict.verdict == UNDECIDED and verdict.claim.paper
    said = f"undecided at {verdict.scope} scale" if of_paper else verdict.verdict
    return said + (f" ({verdict.registered})" if verdict.registered else "")


def _runs(verdict: Verdict) -> str:
    """Studies of a verdict, those that were run if any, and of how many runs, seeds a cell and images a run it is."""
    run = [finding for finding in verdict.findings if finding.run_ids]
    studies = ", ".join(dict.fromkeys(finding.study for finding in run or verdict.findings))
    if not run:
        return studies
    runs = {run_id for finding in run for run_id in finding.run_ids}
    each = " or ".join(dict.fromkeys(str(finding.n) for finding in run))
    budgets = " or ".join(dict.fromkeys(finding.budget for finding in run if finding.budget))
    return f"{studies}: {counted(len(runs), 'run')}, {each} a cell" + (f", {budgets} images each" if budgets else "")


def caption(verdicts: Collection[Verdict]) -> str:
    """What a reader needs to trust the verdicts, and how many of them are false by chance."""
    tested = [verdict for verdict in verdicts if any(finding.contrast for finding in verdict.findings)]
    parts = sum(finding.contrast is not None for verdict in tested for finding in verdict.findings)
    expected = sum(verdict.false_chance for verdict in tested)
    of_chance = (
        f"Of the {len(tested)} claims with the {parts} parts that were tested here, {expected:.1f} would get a false "
        f"verdict if nothing had an effect. "
        if tested
        else ""
    )
    seen = (
        f"{visible_ratio(n, Spread(LOG_STD * math.sqrt(2 - 2 * r), paired, '')):.2f} with {n} seeds"
        for r, paired, n in ((R_ALIKE, True, 5), (R_ALIKE, True, 10), (0.0, False, 10))
    )
    return (
        "A claim holds if each of its parts does, by a t test of logarithms, seed by seed where cells share their data "
        "order, else Welch's; by a permutation test of ranks where runs were lost, or Fisher's exact test of shares; "
        "each direction at 2.5% with Holm's correction over the parts; equivalence is within 10%. "
        + of_chance
        + "Effect: ratio of geometric means, difference of means where a metric is compared so, odds ratio of how many "
        "runs, each with its 95% interval, or, by ranks, of medians without one; of the part on which the verdict "
        "hangs. Only cells with all their seeds count; to look again with more seeds "
        f"makes false verdicts likelier. With logarithms that vary by {LOG_STD}, a comparison sees four times in five "
        f"a ratio of {', '.join(seen)} (the first two at a correlation of {R_ALIKE} over seeds, the last unpaired)."
    )


def effect(finding: Finding) -> str:
    """Effect with its interval, in words for a table."""
    test = finding.test
    counts = f"{test.counts}, " if test.counts else ""
    value = "–" if math.isnan(test.effect) else f"{test.effect:.2f}"
    none = 0 if finding.part.kind == "difference" else 1
    low, high = (f"{bound:.{telling(bound, none, 2)}f}" for bound in (test.low, test.high))
    return counts + value + ("" if math.isnan(test.low) else f" [{low}, {high}]")


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
            "registered": verdict.registered,
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
            "needed_n": finding.needed,
            "reading": finding.reading,
            "reading_judged": verdict.readings[finding.reading],
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
        shared = ("id", "paper", "claim", "place", "verdict", "scope", "registered")
        parts = [{name: value for name, value in line.items() if name not in shared} for line in lines]
        claims.append({**{name: lines[0][name] for name in shared}, "reason": verdict.reason, "parts": parts})
    return claims


def show_ledger(ledger: Ledger, ids: Collection[str], out: Path | None, as_json: bool) -> None:
    """Judge claims; write, and print, what was found."""
    from rich.console import Console

    from reports.screen import show

    verdicts = ledger.verdicts(ids)
    paths = write_ledger(verdicts, out) if out else []
    if as_json:
        print(json.dumps(to_json(verdicts)))
        return
    show(as_text(verdicts), Console())
    for path in paths:
        print(path)


def write_ledger(verdicts: list[Verdict], folder: Path) -> list[Path]:
    """Write claims.csv, a line a part, and claims.md, a line a claim; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "claims.csv", folder / "claims.md"]
    write_csv(pd.DataFrame(to_lines(verdicts)), paths[0])
    paths[1].write_text(to_markdown(as_text(verdicts)), encoding="utf-8")
    return paths
