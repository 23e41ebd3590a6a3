"""Power: reference values of simulations on the tool's own functions, and what plan tells of them."""

import json
import math

import numpy as np
import pytest
from stubs import StubResults, no_results, stub_runs
from typer.testing import CliRunner

from ganablate.command import app
from reports.planning import (
    LOG_STD,
    Spread,
    equivalence_power,
    fisher_power,
    needs_of,
    power,
    prior,
    seeds_for,
    spread_of,
    visible_events,
    visible_ratio,
    widened,
)
from reports.statistics import compare, fisher
from spaces import STUDIES, Study
from spaces.papers import CLAIMS
from trainers.config import Config


def spread(r, paired=True):
    return Spread(LOG_STD * math.sqrt(2 - 2 * r), paired, "")


@pytest.mark.parametrize(
    ("r", "equal", "not_worse", "of_8", "of_7"), [(0, 171, 128, 25, 12), (0.5, 87, 65, 14, 7), (0.8, 36, 28, 7, 5)]
)
def test_seeds_that_are_needed(r, equal, not_worse, of_8, of_7):
    """At a logarithmic spread of 0.27, a level of 5% and a chance of 80%."""
    assert seeds_for(lambda n: equivalence_power(math.log(1.1), spread(r), n)) == equal
    assert seeds_for(lambda n: power(math.log(1.1), spread(r), n)) == not_worse
    assert seeds_for(lambda n: power(math.log(0.8), spread(r), n)) == of_8
    assert seeds_for(lambda n: power(math.log(0.7), spread(r), n)) == of_7


@pytest.mark.parametrize("paired", [True, False])
def test_the_chance_is_that_of_the_test(paired):
    rng, r, n = np.random.default_rng(0), 0.5 if paired else 0.0, 8
    shared = rng.normal(size=(4_000, 1, n))
    logs = LOG_STD * (math.sqrt(r) * shared + math.sqrt(1 - r) * rng.normal(size=(4_000, 2, n)))
    seen = compare(logs[:, 0] + math.log(0.7), logs[:, 1], paired).p < 0.05
    assert power(math.log(0.7), spread(r, paired), n) == pytest.approx(seen.mean(), abs=0.025)


def test_what_is_seen_is_what_is_needed():
    for planned in (5, 10, 20):
        seen = math.log(visible_ratio(planned, spread(0.5))) * (1 + 1e-9)
        assert [power(seen, spread(0.5), n) >= 0.8 for n in (planned - 1, planned)] == [False, True]
    assert power(math.log(0.1), spread(0.5), 2) == 0  # below three pairs there is no p value


def test_counts():
    assert 10 < seeds_for(lambda n: fisher_power(0.9, 0.4, n)) < 20
    assert fisher(visible_events(10), 10, 0, 10) < 0.05 <= fisher(visible_events(10) - 1, 10, 0, 10)
    assert visible_events(3) == 0


def test_priors_look_at_configs():
    base = Config()
    coop, aw, small = base.replace(n_coop=6_400), base.replace(aw="normalized"), base.replace(n_train=100)
    assert prior(base, aw) == (pytest.approx(spread(0.6).std), True, "log std 0.27, r 0.6 by prior")
    assert prior(base, coop).std == pytest.approx(spread(0.2).std)
    assert prior(coop, coop.replace(aw="normalized")).std == pytest.approx(spread(0.6).std)
    assert prior(base, small) == (pytest.approx(spread(0).std), False, "log std 0.27, r 0 by prior")


def test_the_store_tells_more_than_the_prior():
    study = Study("s", Config(), {"GAN": {}, "a": {"lr": 1e-3}}, seeds=6, metrics=("fid_final",))
    values = {"GAN": [10.0, 12.0, 11.0, 9.0, 13.0, 10.5], "a": [9.0, 11.5, 10.0, 9.5, 12.0, 9.0]}
    logs = np.log(values["a"]) - np.log(values["GAN"])
    found = spread_of(StubResults(study, stub_runs(values)), ("a", ""), ("GAN", ""))
    assert found == (pytest.approx(logs.std(ddof=1)), True, "6 pairs")
    few = spread_of(
        StubResults(study, stub_runs({row: some[:4] for row, some in values.items()})), ("a", ""), ("GAN", "")
    )
    assert few.std == pytest.approx(widened(logs[:4].std(ddof=1), 4))
    assert widened(1.0, 4) == pytest.approx(1.727, abs=1e-3)  # sqrt(3 / chi2(3) at 20%)
    assert spread_of(no_results(study), ("a", ""), ("GAN", "")) == prior(Config(), Config().replace(lr=1e-3))


def test_plan_tells_each_comparison():
    level, needs = needs_of(no_results(STUDIES["quick"]), 0.7)
    assert level == pytest.approx(0.05 / 3)
    assert [(need.row, need.against, need.seeds) for need in needs[:2]] == [
        ("+ CoopInit", "GAN", 13),
        ("+ aw-loss", "GAN", 8),
    ]
    assert needs[0].line == "+ CoopInit against GAN: 13 seeds (paired; log std 0.27, r 0.2 by prior)"
    assert needs[0].chance == 0  # of two seeds
    for wrong in (0, 1, -1, math.inf):
        with pytest.raises(ValueError, match="detect"):
            needs_of(no_results(STUDIES["quick"]), wrong)
    with pytest.raises(ValueError, match="by no ratio"):
        needs_of(no_results(STUDIES["aw-fig4"]), 0.7)


def test_all_claims_have_a_need_or_none():
    from reports.planning import part_needs

    for claim in CLAIMS.values():
        for part in claim.all_parts:
            configs = {(cell.row, cell.column): cell.config for cell in STUDIES[part.study].cells()}
            needed = part_needs(part, configs)
            assert (needed >= 3) == (
                part.kind == "share" or (part.kind == "ratio" and len(part.control) == 1 == len(part.treatment))
            )


def test_the_command_tells_it(tmp_path):
    done = CliRunner().invoke(app, ["plan", "quick", "--seeds", "10", "--detect", "0.7", "--storage", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "+ aw-loss against GAN: 8 seeds (paired; log std 0.27, r 0.6 by prior); 10 decide with" in done.stdout
    assert "Claims that 10 seeds can hardly decide" in done.stdout
    assert "A12" in done.stdout.splitlines()[-1]  # at most 1.1 times the cost


def test_the_command_tells_it_in_json_and_for_two_seeds(tmp_path):
    asked = ["plan", "quick", "--detect", "0.7", "--storage", str(tmp_path)]
    told = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert told["study"] == "quick"
    assert {need["row"]: need["seeds"] for need in told["detect"]["needs"]}["+ aw-loss"] == 8
    assert told["detect"]["claims"]["A12"] > 2
    lines = CliRunner().invoke(app, asked).stdout
    assert "not even 2 of 2" in lines
    assert "2 decide with 0%" in lines
