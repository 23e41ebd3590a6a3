"""Claims: joined with studies; verdicts from synthetic runs with known answers, and from real ones."""

import dataclasses
import math

import numpy as np
import pytest
from claim_stubs import BASE, COOP, TABLE5, cells_of, ledger, seeds
from stubs import stub_runs

import reports.claims
from reports.ledger import Ledger, as_text
from reports.report import write_report
from reports.results import Results
from search.store import load_runs
from spaces import CLAIMS, STUDIES, Claim
from spaces.claims import EQUIVALENT, HIGHER, LESS, LOWER, MORE, NOT_WORSE, by_column

IDS = list(CLAIMS)
JOINT = "joint cooperative + adversarial objective"


def test_each_claim_says_what_it_compares():
    for claim in CLAIMS.values():
        assert claim.text
        assert claim.place
        assert all(claim.sets.values())
        for part in claim.all_parts:
            assert part.treatment
            assert (part.control or part.kind == "difference" or part.metric == "jump") != ()
            assert part.claimed in (LOWER, HIGHER, EQUIVALENT, NOT_WORSE, LESS, MORE, (0.9, math.inf))


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=IDS)
def test_claims_name_cells_that_there_are(claim):
    for part in claim.all_parts:
        cells = {(cell.row, cell.column) for cell in STUDIES[part.study].cells()}
        assert {*part.treatment, *part.control} <= cells


def test_a_claim_that_holds_at_the_papers_scale(runs_of):
    runs_of("coopinit-table5", cells_of(TABLE5))
    found = ledger().verdict(CLAIMS["C1"])
    assert (found.verdict, found.scope) == ("supported", "paper")
    assert found.weakest.test.effect == pytest.approx(9 / 13)  # the part that is least sure
    assert found.weakest.n == 10
    assert found.weakest.budget == "25,000,000"
    assert len(found.weakest.run_ids) == 20
    assert {ledger().verdict(CLAIMS[name]).verdict for name in ("C2", "C3")} == {"supported"}  # gains 2.3, 2.4, 1.4


def test_one_part_that_fails_contradicts_the_whole(runs_of):
    runs_of("coopinit-table5", cells_of(TABLE5 | {(COOP, "WAS-GP"): 18}))
    found = ledger().verdict(CLAIMS["C1"])
    assert found.verdict == "contradicted"
    assert found.weakest.part.treatment == ((COOP, "WAS-GP"),)


def test_one_part_that_fails_needs_no_other_run(runs_of, monkeypatch):
    """Holm's correction still counts all parts; and a study that is not there is no obstacle."""
    runs_of("coopinit-table9", cells_of({(COOP, "D scale 1/16"): 20, (BASE, "D scale 1/16"): 10}))
    found = ledger().verdict(CLAIMS["C13"])
    assert found.verdict == "contradicted"
    assert sum(bool(finding.reason) for finding in found.findings) == 9
    monkeypatch.setattr(reports.claims, "STUDIES", {"coopinit-table9": STUDIES["coopinit-table9"]})
    assert ledger().verdict(CLAIMS["C13"]).verdict == "contradicted"


def test_one_part_that_is_open_leaves_the_whole_open(runs_of):
    runs_of("coopinit-table5", cells_of(TABLE5 | {(COOP, "WAS-GP"): 12.9}))
    assert ledger().verdict(CLAIMS["C1"]).verdict == "undecided"


@pytest.mark.parametrize("varied", [{"budget": 0.1}, {"settings": {"dataset": "cifar100"}}, {"tiny": True}])
def test_elsewhere_a_claim_only_agrees(runs_of, varied):
    runs_of("coopinit-table5", cells_of(TABLE5))
    assert ledger(**varied).verdict(CLAIMS["C1"]).verdict == "agrees at small scale"
    runs_of("coopinit-table5", cells_of(TABLE5 | {(COOP, "NS"): 30}))
    assert ledger(**varied).verdict(CLAIMS["C1"]).verdict == "disagrees at small scale"


def test_incomplete_cells_give_no_verdict(runs_of):
    """Else one could look after each seed, until it pleases."""
    cells = cells_of(TABLE5)
    cells[COOP, "NS"] = cells[COOP, "NS"][:9]
    runs_of("coopinit-table5", cells)
    found = ledger().verdict(CLAIMS["C1"])
    assert found.verdict == "not run"
    assert found.reason == "StyleGAN2 + CoopInit / NS: 9 of 10 runs are done"


def test_a_small_study_of_one_case_speaks_against_a_claim_on_each_and_not_for_it(runs_of):
    runs_of("quick", cells_of({("GAN", ""): 20, ("+ CoopInit", ""): 15}))
    found = ledger().verdict(CLAIMS["C1"])
    assert (found.verdict, found.scope) == ("undecided", "small")
    assert found.reason == "the small study has one loss of three"
    runs_of("quick", cells_of({("GAN", ""): 15, ("+ CoopInit", ""): 20}))
    found = ledger().verdict(CLAIMS["C1"])
    assert (found.verdict, found.reason) == ("disagrees at small scale", "")
    runs_of("coopinit-table5", cells_of(TABLE5))
    assert ledger().verdict(CLAIMS["C1"]).verdict == "supported"


def test_equivalence_is_shown_not_presumed(runs_of):
    rows = {("T (eta=1.0)", steps): 6.0 for steps in ("5", "10", "15")}
    runs_of("coopinit-table12", cells_of(rows, std=0.3))
    assert ledger().verdict(CLAIMS["C19"]).verdict == "undecided"  # no difference seen, none excluded
    runs_of("coopinit-table12", cells_of(rows, std=0.02))
    assert ledger().verdict(CLAIMS["C19"]).verdict == "supported"
    runs_of("coopinit-table12", cells_of(rows | {("T (eta=1.0)", "5"): 8.0}, std=0.02))
    assert ledger().verdict(CLAIMS["C19"]).verdict == "contradicted"


def test_modes_are_counted(runs_of):
    def modes(gan, coop):
        cells = {("GAN", ""): [8.0] * gan + [5.0] * (20 - gan), ("+ CoopInit", ""): [8.0] * coop + [7.0] * (20 - coop)}
        for study in ("coopinit-fig1", "ring-deep"):  # its readings
            runs_of(study, cells, metric="modes_final")
        return ledger(seeds=20).verdict(CLAIMS["C22"])

    assert modes(3, 15).verdict == "agrees at small scale"  # the paper does not say on what
    assert modes(15, 3).verdict == "disagrees at small scale"
    assert modes(8, 10).verdict == "undecided"
    assert modes(3, 15).weakest.test.kind == "share"
    effect = as_text([modes(3, 15)]).cells.loc["C22", "effect"]
    assert effect.startswith("15/20 [0.51, 0.91] against 3/20 [0.03, 0.38], ")


def test_a_reading_that_was_not_run_decides_nothing_and_hides_none(runs_of):
    cells = {("GAN", ""): [5.0] * 20, ("+ CoopInit", ""): [8.0] * 20}
    runs_of("coopinit-fig1", cells, metric="modes_final")
    found = ledger(seeds=20).verdict(CLAIMS["C22"])
    assert (found.verdict, list(found.readings.values())) == ("undecided", ["holds", "undecided"])
    assert "0 of 20 runs are done" in found.reason


def test_too_few_seeds_for_any_verdict_is_said(runs_of):
    cells = {("GAN", ""): [5.0] * 3, ("+ CoopInit", ""): [8.0] * 3}
    for study in ("coopinit-fig1", "ring-deep"):
        runs_of(study, cells, metric="modes_final")
    found = ledger(seeds=3).verdict(CLAIMS["C22"])
    assert found.verdict == "undecided"
    assert found.reason == "of 3 seeds a cell, about 17 are needed"


def test_diverged_seeds_are_the_worst_not_forgotten(runs_of):
    """The survivors' mean is the better one; most of the runs have none."""
    survivors = {(BASE, ""): seeds(14), (COOP, ""): [*seeds(13, 3), *[None] * 7]}
    runs_of("coopinit-joint", {**survivors, (JOINT, ""): [None] * 10})
    found = ledger().verdict(CLAIMS["C20"])
    assert found.findings[0].test.kind == "rank"
    assert found.findings[0].test.p_for < 0.001  # lost seeds of the joint objective are worse than any FID
    assert found.verdict == "undecided"  # against CoopInit's: most seeds are lost there too
    runs_of("coopinit-joint", {**survivors, (COOP, ""): seeds(6), (JOINT, ""): [None] * 10})
    assert ledger().verdict(CLAIMS["C20"]).verdict == "agrees at small scale"  # the paper tells no setting


def test_a_margin_is_tested_by_ranks_where_seeds_diverged(runs_of):
    """Of CoopInit's eta, "5.0 equals 1.0": with all of its seeds lost it is worse by more than the margin."""
    rows = {("eta (T=10)", eta): seeds(mean, std=0.02) for eta, mean in (("0.5", 9), ("1.0", 6), ("5.0", 6))}
    runs_of("coopinit-table12", {**rows, ("eta (T=10)", "0.5"): [None] * 10})
    assert ledger().verdict(CLAIMS["C18"]).verdict == "supported"
    runs_of("coopinit-table12", {**rows, ("eta (T=10)", "5.0"): [None] * 10})
    assert ledger().verdict(CLAIMS["C18"]).verdict == "contradicted"


def test_gains_with_diverged_seeds_are_undecided_and_say_so(runs_of):
    runs_of("coopinit-table5", {**cells_of(TABLE5), (COOP, "NS"): [*seeds(6, 9), None]})
    found = ledger().verdict(CLAIMS["C2"])
    assert found.verdict == "undecided"
    assert found.reason == "coopinit-table5: seeds were lost, and ranks tell nothing of gains"


def test_what_d_says_counts_in_a_lost_run_too(runs_of):
    """As in figure 6, whose GAN collapsed: no sample is better than untrained, and D's logits are what they are."""
    logits = {("GAN", "aw paper"): seeds(0.1), ("+ aw-loss", "aw paper"): [*seeds(1.0, 9), None]}
    lost = {"energy_distance_final": 1.5, "energy_distance_untrained": 1.1, "high_quality_final": 0.1}
    runs_of("ring-paper", stub_runs(logits, ["class_logit_min_final"], **lost))

    def verdict(metric):
        part = by_column(
            "ring-paper", ("+ aw-loss", "GAN"), ["aw paper"], claimed=MORE, metric=metric, kind="difference"
        )
        return ledger().verdict(Claim("P1", "text", "place", part))

    of_d, of_samples = verdict("class_logit_min_final"), verdict("high_quality_final")
    assert (of_d.verdict, of_d.weakest.test.kind) == ("supported", "rank")  # since one run diverged
    assert of_samples.verdict == "undecided"  # all are the worst


def test_times_are_compared_on_one_machine_only(runs_of):
    """Times of training: those of a table, with their evaluations, say nothing."""
    evaluations = {}
    cells = {(BASE, "NS"): seeds(1000, std=0.01), (COOP, "NS"): [*seeds(1040, 9, std=0.01), None]}
    for (row, column), values in cells.items():
        for seed, value in enumerate(values):
            evaluations[f"coopinit-table5/{row}/{column}/{seed}", "seconds"] = [(25_000_000, value or 1)]
    same = {label: [5000] * 9 + [value] for label, (*_, value) in cells.items()}
    runs_of("coopinit-table5", same, metric="seconds")
    assert ledger(evaluations).verdict(CLAIMS["C26"]).verdict == "supported"
    mixed = stub_runs(cells, ["seconds"], "coopinit-table5/")
    mixed["device"] = ["cpu"] * 10 + ["cuda"] * 10
    runs_of("coopinit-table5", mixed)
    found = ledger(evaluations).verdict(CLAIMS["C26"])
    assert found.verdict == "undecided"
    assert "differ in device: cpu; cuda" in found.reason


def test_protocols_are_not_mixed(runs_of):
    mixed = stub_runs(cells_of(TABLE5))
    mixed.loc[mixed["column"] == "Hinge", "protocol"] = "other"
    runs_of("coopinit-table5", mixed)
    assert "differ in protocol" in ledger().verdict(CLAIMS["C3"]).reason


def test_angles_are_differences_and_come_from_evaluations(runs_of):
    evaluations = {}
    labels = [("original", ""), ("aw-loss", "")]
    runs_of("aw-fig4", {label: [1.0] * 10 for label in labels})
    assert ledger(evaluations).verdict(CLAIMS["A4"]).reason == "aw-fig4 has runs without real_fake_obtuse, and 1 more"
    rng = np.random.default_rng(0)
    for seed in range(10):
        run = f"aw-fig4/original//{seed}"
        shares = {"real_fake_obtuse": 0.97, "step_real_obtuse": 0.6, "step_fake_obtuse": 0.2}
        for key, share in shares.items():
            evaluations[run, key] = [(50_000, share + rng.normal(0, 0.01))]
    found = ledger(evaluations).verdict(CLAIMS["A4"])
    assert found.verdict == "supported"
    assert found.findings[1].test.effect == pytest.approx(0.4, abs=0.02)


def test_fewer_images_to_what_every_base_run_reached(runs_of):
    evaluations, columns = {}, ("cifar10", "stl10", "cifar100")
    cells = {(row, column): seeds(10) for row in ("AutoGAN", "aw-AutoGAN") for column in columns}
    runs_of("aw-fig3", cells, metric="fid_best")
    for row, halving in (("AutoGAN", 1000), ("aw-AutoGAN", 400)):
        for column in columns:
            for seed, noise in enumerate(seeds(1, std=0.2, key=halving)):
                series = [(n, 1000 * 0.5 ** (n / halving / noise)) for n in range(0, 15_000, 250)]
                evaluations[f"aw-fig3/{row}/{column}/{seed}", "fid"] = series
    found = ledger(evaluations).verdict(CLAIMS["A3"])
    assert found.verdict == "supported"
    assert found.weakest.test.effect == pytest.approx(0.4, rel=0.1)


@pytest.mark.slow
def test_runs_record_what_claims_on_probes_read(store, make_runs, monkeypatch, tiny_images, tiny_points, tmp_path):
    """Each part of A4 to A7 and A9 finds its numbers in real runs, and figure 5's stand beside the published ones."""
    tiny_images, tiny_points = (tiny.replace(eval_every=tiny.n_images) for tiny in (tiny_images, tiny_points))
    recipes = {"aw-fig4": tiny_images, "aw-fig5": tiny_images, "aw-fig6": tiny_points, "ring-paper": tiny_points}
    small = {name: dataclasses.replace(STUDIES[name], recipe=recipe, seeds=2) for name, recipe in recipes.items()}
    few = {row: small["ring-paper"].rows[row] for row in ("GAN", "+ aw-loss")}
    small["ring-paper"] = dataclasses.replace(small["ring-paper"], rows=few)
    monkeypatch.setattr(reports.claims, "STUDIES", small)
    for study in small.values():
        make_runs(study)
    for verdict in Ledger(store).verdicts(["A4", "A5", "A6", "A7", "A9"]):
        assert not any(finding.reason for finding in verdict.findings), verdict
        assert all(len(finding.run_ids) >= 2 for finding in verdict.findings)
    runs = load_runs(small["aw-fig5"], store=store).set_index(["row", "seed"])
    plain, aw = (runs.xs(row) for row in ("DCGAN original loss", "DCGAN aw-loss"))
    assert list(plain["fid_final"]) == list(aw["fid_final"])  # one trajectory
    assert (plain["logit_real_after_final"] != aw["logit_real_after_final"]).all()
    monkeypatch.setattr("reports.figures.make_figures", lambda *_: [])  # test_tiny_studies draws them
    for study in small.values():
        text, _ = write_report(Results(study, store), tmp_path / study.name)
        assert not (text.cells == "–").all().any()
        if study.name == "aw-fig5":
            published = text.cells.filter(like="published").loc["DCGAN aw-loss"]
            assert [value.split()[0] for value in published] == ["0.921", "1.413"]
