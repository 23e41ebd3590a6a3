"""The ledger of all claims: whose runs count, its forms, and the command on a real store."""

import dataclasses
import json
import re

import pandas as pd
import pytest
from claim_stubs import TABLE5, cells_of, ledger
from typer.testing import CliRunner

from ganablate.command import app
from reports.ledger import Ledger, as_text, to_json, to_lines, variants, write_ledger
from search.store import load_runs
from spaces import CLAIMS, STUDIES

pytestmark = pytest.mark.usefixtures("undrawn")
IDS = list(CLAIMS)


def test_nothing_run_is_nothing_said(runs_of):
    verdicts = ledger().verdicts()
    assert [verdict.claim.id for verdict in verdicts] == IDS
    assert {verdict.verdict for verdict in verdicts} == {"not run"}
    assert all(verdict.reason for verdict in verdicts)


def test_the_small_study_stands_in_until_the_papers_is_run(runs_of):
    rows = {"N_coop=3200": 20, "N_coop=12800": 15, "N_coop=51200": 20}
    runs_of("digits-ncoop", cells_of({(row, ""): mean for row, mean in rows.items()}))
    assert ledger().verdict(CLAIMS["C16"]).verdict == "agrees at small scale"
    rows = {"N_coop=0.25M": 15, "N_coop=0.75M": 10, "N_coop=1.5M": 15, "N_coop=3M": 15}
    runs_of("coopinit-fig8", cells_of({(row, ""): mean for row, mean in rows.items()}))
    assert ledger().verdict(CLAIMS["C16"]).verdict == "supported"


def test_the_first_variant_that_was_run_counts(runs_of):
    cells = cells_of(TABLE5)
    runs_of("coopinit-table5", cells)
    plain, small = (lambda study: study.variant(seeds=10)), (lambda study: study.variant(seeds=5, budget=0.1))
    both = Ledger({}, plain, small)
    assert both.verdict(CLAIMS["C1"]).verdict == "supported"
    runs_of("coopinit-table5", {label: values[:5] for label, values in cells.items()})
    found = Ledger({}, plain, small).verdict(CLAIMS["C1"])
    assert (found.verdict, found.weakest.study) == ("agrees at small scale", "coopinit-table5 (budget 0.1)")


def test_forms(runs_of, tmp_path):
    runs_of("coopinit-table5", cells_of(TABLE5))
    verdicts = ledger().verdicts()
    text = as_text(verdicts)
    assert list(text.cells.index) == IDS
    assert text.cells.loc["C1", "verdict"] == "supported"
    assert re.fullmatch(r"0\.69 \[0\.60, 0\.80\]", text.cells.loc["C1", "effect"])
    lines = to_lines(verdicts)
    assert len(lines) == sum(len(verdict.findings) for verdict in verdicts)
    told = json.loads(json.dumps(to_json(verdicts), allow_nan=False))
    assert [claim["id"] for claim in told] == IDS
    assert told[0]["parts"][0]["n"] == 10
    assert told[0]["parts"][0]["run_ids"].count(";") == 19
    paths = write_ledger(verdicts, tmp_path)
    assert len(pd.read_csv(paths[0])) == len(lines)
    assert paths[1].read_text().count("| not run |") == len(CLAIMS) - 4  # C1 to C3, and C26 without times


def test_the_command_on_an_empty_store(store):
    arguments = ["claims", "--storage", str(store.storage), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [claim["id"] for claim in told] == IDS
    assert {claim["verdict"] for claim in told} == {"not run"}


def test_claims_count_own_seeds_and_those_asked_for_the_more_first():
    def seeds(name, asked):
        return [vary(STUDIES[name]).seeds for vary in variants(asked, {})]

    assert seeds("aw-fig4", 10) == [10, 5]
    assert seeds("coopinit-fig1", 10) == [20, 10]
    assert seeds("coopinit-fig1", None) == [20]
    varied = [vary(STUDIES["quick"]).title for vary in variants(None, {"budget": 0.5})]
    assert varied == ["quick", "quick (budget 0.5)"]


@pytest.mark.long
def test_real_runs_lead_to_a_verdict(store, make_runs):
    """Two tiny seeds of the ring decide nothing, and the ledger says why and by which runs."""
    ring = STUDIES["ring"]
    study = dataclasses.replace(ring, rows={row: ring.rows[row] for row in ("GAN", "+ CoopInit")}, tiny=True, seeds=2)
    make_runs(study)
    arguments = ["claims", "C22", "A8", "--tiny", "--seeds", "2", "--storage", str(store.storage), "--json"]
    told = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert [claim["verdict"] for claim in told] == ["undecided", "not run"]
    assert told[0]["scope"] == "small"
    assert told[0]["reason"] == "of 2 seeds a cell, about 17 are needed"
    (part,) = told[0]["parts"]
    assert set(part["run_ids"].split(";")) == set(load_runs(study, store=store)["run_id"])
    assert (part["study"], part["n"], part["images"]) == ("ring (tiny)", 2, "2,048")


def test_settings_that_fit_no_study_are_refused_and_those_of_some_are_not(runs_of):
    with pytest.raises(ValueError, match="unknown field 'nonsense'"):
        ledger(settings={"nonsense": 1}).verdicts()
    with pytest.raises(ValueError, match="budget = -1"):
        ledger(budget=-1).verdicts()
    found = ledger(settings={"lr": 0.01})
    verdicts = {verdict.claim.id: verdict for verdict in found.verdicts()}
    assert "lr cannot be set" in verdicts["C7"].reason  # table 7 varies it
    assert "runs are done" in verdicts["C20"].reason


def test_an_unknown_claim_is_refused(store):
    with pytest.raises(ValueError, match="'C99' is unknown"):
        Ledger(store).verdicts(["C99"])
