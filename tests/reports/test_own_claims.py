"""Claims of a user's own: found in a file, registered, judged by the same rules."""

import dataclasses
import json
from pathlib import Path

import pandas as pd
import pytest
from claim_stubs import ledger, seeds
from typer.testing import CliRunner

from ganablate.command import app
from reports.claims import VariantJudge
from reports.ledger import Ledger, to_lines
from reports.own_claims import digest_of_claim
from reports.report import write_report
from reports.results import Results
from search.store.registry import Registration, registered
from spaces import STUDIES, Claim, Study, find_claims, find_study
from spaces.claims import EQUIVALENT, HIGHER, contrasts
from trainers.config import Config

FILE = """
from spaces import Study
from spaces.claims import Claim, contrasts
from trainers.config import Config

tiny = Config(dataset="ring8", backbone="mlp", backbone_options={"width": 16, "latent": 4}, batch_size=32,
              n_images=512, eval_every=256, eval_samples=400)
study = Study("tiny", tiny, {"GAN": {}, "+ aw": {"aw": "normalized"}}, seeds=2,
              metrics=("energy_distance_final", "fid_best"))
metric = {"metric": "energy_distance_final"}
claims = [Claim("M1", "aw helps", "here", contrasts("tiny", "+ aw", "GAN", **metric))]
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "mine.py").write_text(FILE)
    return str(tmp_path / "mine.py")


def test_claims_are_found_in_a_file(path):
    claims, studies = find_claims(path)
    assert list(claims) == ["M1"]
    assert list(studies) == ["tiny"]


@pytest.mark.parametrize("name", ["ring-paper", "ring-deep", "digits-wide"])
def test_the_claims_of_our_results_are_on_their_study(name):
    """By which `report --from` finds the study too."""
    file = str(Path(__file__).parents[2] / "docs" / "results" / name / "study.py")
    claims, studies = find_claims(file)
    assert {part.study for claim in claims.values() for part in claim.all_parts} == {name} == set(studies)
    assert find_study(file) is STUDIES[name]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("claims = ", "others = "), "should list its claims"),
        (('"+ aw", "GAN"', '"+ aw", "nobody"'), r"has no cell \('nobody', ''\)"),
        (('contrasts("tiny"', 'contrasts("tony"'), "study 'tony' is unknown"),
        (("claims = [", "claims = 2 * ["), "two claims 'M1'"),
    ],
)
def test_a_mistake_in_a_file_is_a_sentence(path, tmp_path, change, words):
    (tmp_path / "mine.py").write_text(FILE.replace(*change))
    with pytest.raises(ValueError, match=words):
        find_claims(path)


def test_a_claim_has_parts_or_readings():
    parts = contrasts("quick", "+ aw-loss", "GAN")
    for wrong in ({}, {"parts": parts, "readings": {"a": parts}}, {"readings": {"a": ()}}):
        with pytest.raises(ValueError, match="should have parts"):
            Claim("M1", "text", "place", **wrong)


def test_readings_must_agree(runs_of):
    """By one the claim holds, by the other it fails: it is undecided, and the ledger shows both."""
    runs_of("quick", {("GAN", ""): seeds(20), ("+ aw-loss", ""): seeds(15), ("+ both", ""): seeds(30)})
    lower, higher = (contrasts("quick", row, "GAN") for row in ("+ aw-loss", "+ both"))
    claim = Claim("A6", "text", "place", readings={"copied Adam": lower, "fresh Adam": higher})
    found = ledger().verdict(claim)
    assert found.verdict == "undecided"
    assert found.readings == {"copied Adam": "holds", "fresh Adam": "fails"}
    assert found.reason == "the readings differ: copied Adam holds, fresh Adam fails"
    both = dataclasses.replace(claim, readings={"copied Adam": lower, "fresh Adam": lower})
    assert ledger().verdict(both).verdict == "supported"
    worse = dataclasses.replace(claim, readings={"copied Adam": higher, "fresh Adam": higher})
    assert ledger().verdict(worse).verdict == "contradicted"
    assert ledger().verdict(worse).false_chance <= ledger().verdict(claim).false_chance + 0.05


def test_the_digest_is_that_of_what_is_claimed():
    base = {"lr": 1e-3}
    study = Study("mine", Config(), {"GAN": {}, "a": base}, seeds=2)
    part = contrasts("mine", "a", "GAN")

    def digest(claim, of=study):
        return digest_of_claim(VariantJudge({}, lambda study: study, {"mine": of}), claim)

    claim = Claim("M1", "text", "place", part)
    assert digest(claim) == digest(Claim("M2", "other words", "elsewhere", part))
    assert digest(claim) == digest(claim, dataclasses.replace(study, seeds=5))
    assert digest(claim) != digest(Claim("M1", "text", "place", contrasts("mine", "a", "GAN", claimed=HIGHER)))
    assert digest(claim) != digest(Claim("M1", "text", "place", contrasts("mine", "a", "GAN", claimed=EQUIVALENT)))
    assert digest(claim) != digest(claim, dataclasses.replace(study, rows={"GAN": {}, "a": {"lr": 2e-3}}))


def test_what_a_registration_says():
    assert Registration("2026-01-01", 10, 0).told(10) == "registered before the first run"
    assert Registration("2026-01-01", 10, 3).told(20) == "registered after 3 runs, for 10 seeds"


@pytest.mark.long
def test_a_claim_is_registered_before_its_runs_or_after(store, make_runs, path):
    """Once: a second time changes nothing."""
    assert store.client  # runs go into this store, in which the claim is registered
    storage = ["--storage", str(store.storage)]

    def command(*arguments):
        done = CliRunner().invoke(app, ["claims", path, *arguments, *storage], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done

    def judged():
        (found,) = json.loads(command("--json").stdout)
        return found

    assert (judged()["verdict"], judged()["registered"]) == ("not run", "not registered")
    assert "registered before the first run" in command("--register").stderr
    claims, studies = find_claims(path)
    make_runs(studies["tiny"])
    found = judged()
    assert found["registered"] == "registered before the first run"
    assert found["verdict"] == "undecided"
    assert len(found["parts"][0]["run_ids"].split(";")) == 4
    command("--register")
    assert judged()["registered"] == "registered before the first run"
    late = {"M2": dataclasses.replace(claims["M1"], id="M2", parts=contrasts("tiny", "GAN", "+ aw", metric="fid_best"))}
    of_late = Ledger(store, own=(late, studies))
    assert "registered after 4 runs" in of_late.register()[0]
    assert of_late.verdict(late["M2"]).registered == "registered after 4 runs"
    assert registered(store, studies["tiny"], "0" * 16) is None


def test_only_own_claims_are_registered(store):
    with pytest.raises(ValueError, match="claims of your own"):
        CliRunner().invoke(app, ["claims", "C1", "--register", "--storage", str(store.storage)], catch_exceptions=False)


@pytest.mark.long
def test_reports_are_judged_as_their_store_is(store, make_runs, path, tmp_path):
    """But for the registration, of which they do not tell; runs of other settings are none."""
    claims, studies = find_claims(path)
    timed = dataclasses.replace(claims["M1"], id="M2", parts=contrasts("tiny", "+ aw", "GAN", metric="seconds"))
    own = {**claims, "M2": timed}, studies
    make_runs(studies["tiny"])
    write_report(Results(studies["tiny"], store), tmp_path / "tiny")
    of_store, of_reports = (to_lines(Ledger(source, own=own).verdicts()) for source in (store, tmp_path))
    assert pd.DataFrame(of_reports).equals(pd.DataFrame(of_store).assign(registered=""))
    assert [line["n"] for line in of_reports] == [2, 2]
    with pytest.raises(ValueError, match=r"is of other settings than tiny \(lr 0.0005\)"):
        Ledger(tmp_path, lambda study: study.variant(settings={"lr": 5e-4}), own=(claims, studies)).verdicts()
    with pytest.raises(ValueError, match="there is no report on tiny"):
        Ledger(tmp_path / "tiny", own=(claims, studies)).verdicts()
    for wrong in (["--from", str(tmp_path / "nowhere")], ["--register", "--from", str(tmp_path)]):
        assert CliRunner().invoke(app, ["claims", path, *wrong]).exit_code
