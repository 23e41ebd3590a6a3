"""What the statistics promise, on simulated studies in which nothing has an effect: coverage, stars, bold, lost runs.

The slow versions are of 20,000 studies a law, the fast ones of fewer and one law each.
"""

import math

import numpy as np
import pytest
from simulated import LAWS, STD, studies
from stubs import StubResults, stub_runs

import reports.claims
from reports.chance import Contrast, false_chance
from reports.claims import WORDS
from reports.ledger import Ledger
from reports.statistics import among_best, compare, share_interval, stars
from reports.verdicts import compare_means, judge
from spaces import CLAIMS, STUDIES, Study
from spaces.claims import LOWER, NOT_WORSE
from trainers.config import Config

MANY = 20_000


def coverage(rng, count, n, r, name, paired):
    """Share of 95% intervals of a ratio that hold 1."""
    values = studies(rng, count, 2, n, r, name)
    low, high = compare(values[:, 1], values[:, 0], paired).interval
    return ((low <= 0) & (high >= 0)).mean()


def false_marks(rng, count, rows, n, r, name, paired):
    """Shares of tables with a false star, and with a row that is not bold though none is better."""
    values = studies(rng, count, rows, n, r, name)
    starred = stars(values[:, 1:], values[:, :1], paired).any(-1).mean()
    best = among_best(values, np.full((rows, rows), paired))
    return starred, (~best).any(-1).mean()


def half_widths(rng, count, n, r):
    """Median logarithmic half-width, paired and Welch's."""
    values = studies(rng, count, 2, n, r, "equal")
    found = (compare(values[:, 1], values[:, 0], paired).interval for paired in (True, False))
    return [np.median(high - low) / 2 for low, high in found]


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS, ids=str)
def test_coverage_of_the_printed_ratio(law):
    assert coverage(np.random.default_rng(0), MANY, *law) >= 0.94


@pytest.mark.parametrize(
    ("law", "count"), [((5, 0.5, "quiet first", True), 20_000), ((5, 0.0, "equal", False), 20_000)]
)
def test_coverage(law, count):
    assert coverage(np.random.default_rng(0), count, *law) >= 0.94


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("rows", [4, 12])
def test_stars_and_bold_are_seldom_false(rows, law):
    starred, not_bold = 0.0, 0.0
    for seed in range(4):  # in parts, for the memory
        found = false_marks(np.random.default_rng([0, seed]), MANY // 4, rows, *law)
        starred, not_bold = starred + found[0] / 4, not_bold + found[1] / 4
    *_, name, paired = law
    assert starred <= (0.055 if paired or name == "equal" else 0.075)  # as the caption says
    assert not_bold <= 0.055  # some row that is among the best is not bold; all are


@pytest.mark.parametrize("paired", [True, False])
def test_false_marks(paired):
    starred, not_bold = false_marks(np.random.default_rng(0), 4_000, 4, 5, 0.5 if paired else 0.0, "equal", paired)
    assert 0.02 < starred <= 0.055
    assert 0.02 < not_bold <= 0.055


@pytest.mark.slow
def test_a_row_that_is_truly_best_is_bold():
    """The first row is best by a little, and the others differ."""
    rng = np.random.default_rng(0)
    for n in (3, 5, 10):
        values = studies(rng, MANY, 4, n, 0.5, "equal") + np.array([0, 0.001, 0.2, 0.6])[:, None]
        assert (~among_best(values, np.full((4, 4), True)))[:, 0].mean() <= 0.055


@pytest.mark.parametrize("count", [2_000, pytest.param(MANY, marks=pytest.mark.slow)])
def test_pairs_are_worth_their_seeds(count):
    paired, welch = half_widths(np.random.default_rng(0), count, 10, 0.5)
    assert paired <= 0.77 * welch


@pytest.mark.parametrize("count", [15, pytest.param(1_000, marks=pytest.mark.slow)])
def test_survivors_take_no_mark(count):
    """A row that loses a fifth of its runs, and is better by far where it does not: neither star nor bold in any table
    in which it lost one, nor its reference."""
    rng, n = np.random.default_rng(0), 10
    study = Study("s", Config(), {row: {"lr": 1e-4 * (i + 1)} for i, row in enumerate("abc")}, seeds=n)
    starred = 0
    for values in studies(rng, count, 3, n, 0.5, "equal"):
        lost = rng.random(n) < 0.2
        cells = dict(zip(study.rows, np.exp(values).tolist(), strict=True))
        cells["c"] = [None if gone else value / 3 for gone, value in zip(lost, cells["c"], strict=True)]
        results = StubResults(study, stub_runs(cells, study.metrics))
        found = results.comparisons["c", "", "fid_final"]
        starred += found.is_starred
        assert not (lost.any() and (found.is_starred or ("c", "") in results.bold))
        assert math.isnan(found.p_better) != lost.any()
    assert starred == pytest.approx(count * 0.8**n, abs=3 * math.sqrt(count * 0.1))  # only where none was lost


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_interval_of_the_lost_share_holds_it(n):
    lost = (np.random.default_rng(0).random((MANY, n)) < 0.2).sum(-1)
    low, high = share_interval(lost, n)
    assert ((low <= 0.2) & (high >= 0.2)).mean() >= 0.95


NAMES = sorted({part.study for claim in CLAIMS.values() for part in claim.all_parts})


def ledgers(n, count, runs_of, monkeypatch, chances=3):
    """False verdicts of each of so many ledgers in which all cells follow one law, and what the captions of the first
    say of them."""
    rng, expected, false = np.random.default_rng(0), [], []
    variants = {name: STUDIES[name].variant(seeds=n) for name in NAMES}
    frames = {
        name: stub_runs({(cell.row, cell.column): [1.0] * n for cell in STUDIES[name].cells()}, [], f"{name}/")
        for name in NAMES
    }
    for index in range(count):
        for name, frame in frames.items():
            size = len(frame)
            shared = np.tile(rng.normal(size=n), size // n)
            drawn = {
                m: 2 + STD * (0.5**0.5 * shared + 0.5**0.5 * rng.normal(size=size)) for m in ("fid_final", "fid_best")
            }
            modes = np.where(rng.random(size) < 0.5, 8.0, 7.0)
            runs_of(name, frame.assign(**{m: np.exp(logs) for m, logs in drawn.items()}, modes_final=modes, lost=False))
        if index == chances:
            monkeypatch.setattr(reports.claims, "false_chance", lambda *_: 0.0)
        verdicts = Ledger({}, lambda study: variants[study.name]).verdicts()
        if index < chances:
            expected.append(sum(verdict.false_chance for verdict in verdicts))
        false.append(sum(map(is_false, verdicts)))
    return np.array(false), np.mean(expected)


def is_false(verdict):
    """Whether a verdict says that a claim of order holds or fails, or that one of a margin fails."""
    said = {finding.contrast for finding in verdict.findings if finding.contrast}
    if verdict.verdict in (WORDS["holds", "paper"], WORDS["holds", "small"]):
        return any(contrast.is_of_order for contrast in said)
    return verdict.verdict in (WORDS["fails", "paper"], WORDS["fails", "small"])


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("n", [5, 10, 20])
def test_the_caption_tells_how_many_verdicts_are_false(n, runs_of, monkeypatch):
    false, expected = ledgers(n, 1_000, runs_of, monkeypatch, chances=20)
    error = false.std() / math.sqrt(len(false))
    print(f"n = {n}: {false.mean():.3f} false verdicts a ledger, {expected:.3f} expected, error {error:.3f}")
    assert abs(false.mean() - expected) <= 2 * error


def test_false_verdicts_are_about_as_many_as_told():
    """One claim of two parts with a common control, of an order and of a margin, at five seeds."""
    rng, pairing = np.random.default_rng(1), "paired"
    for claimed, is_of_order in ((LOWER, True), (NOT_WORSE, False)):
        outcomes = []
        for values in np.exp(studies(rng, 600, 3, 5, 0.5, "equal")):
            tests = [compare_means([each], [values[0]], claimed, pairings=[pairing] * 2) for each in values[1:]]
            said = judge(tests)
            outcomes.append(said == "fails" or (said == "holds" and is_of_order))
        cells = [((1, row, pairing), (-1, "control", pairing)) for row in range(2)]
        contrasts = [Contrast(test, cell, 5, claimed, True, 0.0) for test, cell in zip(tests, cells, strict=True)]
        assert false_chance([contrasts]) == pytest.approx(np.mean(outcomes), abs=0.02)
