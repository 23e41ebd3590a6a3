"""The ledger: all claims, joined with studies; verdicts from synthetic runs with known answers, and a real store."""

import dataclasses
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import reports.claims
from ganablate import app
from reports.claims import MEASURES, Ledger, as_text, to_json, to_lines, write_ledger
from reports.report import write_report
from search.store import load_runs
from spaces import CLAIMS, STUDIES
from spaces.claims import EQUIVALENT, HIGHER, LESS, LOWER, MORE, NOT_WORSE
from trainers.config import Config
from trainers.names import METRICS

IDS = list(CLAIMS)
RATES = ("lr=0.0020", "lr=0.0025", "lr=0.0030")
JOINT = "joint cooperative + adversarial objective"
BASE, COOP = "StyleGAN2", "StyleGAN2 + CoopInit"


class SyntheticStore:
    """Histories by run id and row key."""

    def __init__(self):
        self.held = {}

    def histories(self, run_ids, metric):
        return {run: [(0, images, value) for images, value in self.held.get((run, metric), [])] for run in run_ids}


@pytest.fixture
def runs_of(monkeypatch):
    """Make the store hold, of each study named, cells of given final values; the budget is the study's own."""
    frames = {}

    def load(study, store):
        return frames.get(study.name, frame({}))

    def hold(name, cells, **changed):
        frames[name] = frame(cells, name, **changed)

    monkeypatch.setattr(reports.claims, "load_runs", load)
    return hold


def frame(cells, name="", metric="fid_final", **changed):
    """Runs of {(row, column): [value a seed, None for a diverged one]}."""
    lines = []
    for (row, column), values in cells.items():
        for seed, value in enumerate(values):
            held = dict.fromkeys([*METRICS, "seconds"], math.nan)
            held |= {"row": row, "column": column, "seed": seed, "state": "done" if value else "diverged"}
            held |= {"run_id": f"{name}/{row}/{column}/{seed}", metric: math.nan if value is None else value}
            held |= {"protocol": "p", "data_digest": "d", "features_digest": "f", "device": "cpu", **changed}
            lines.append(held)
    columns = ["row", "column", "seed", "state", "run_id", "protocol", "data_digest", "features_digest", "device"]
    return pd.DataFrame(lines, columns=[*columns, "seconds", *METRICS])


def seeds(mean, n=10, std=0.1, key=0):
    """[n] log-normal values with this geometric mean."""
    values = np.random.default_rng([key, int(mean * 100)]).normal(0, std, n)
    return list(mean * np.exp(values - values.mean()))


def ledger(store=None, **varied):
    return Ledger(store or SyntheticStore(), lambda study: study.variant(**({"seeds": 10} | varied)))


def test_each_claim_says_what_it_compares():
    for claim in CLAIMS.values():
        assert claim.parts
        assert claim.text
        assert claim.place
        for part in (*claim.parts, *claim.small):
            assert part.treatment
            assert (part.control or part.kind == "difference" or part.metric == "jump") != ()
            assert part.claimed in (LOWER, HIGHER, EQUIVALENT, NOT_WORSE, LESS, MORE, (0.9, math.inf))


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=IDS)
def test_claims_name_cells_that_there_are(claim):
    for part in (*claim.parts, *claim.small):
        cells = {(cell.row, cell.column) for cell in STUDIES[part.study].cells()}
        assert {*part.treatment, *part.control} <= cells


def test_nothing_run_is_nothing_said(runs_of):
    verdicts = ledger().verdicts()
    assert [verdict.claim.id for verdict in verdicts] == IDS
    assert {verdict.verdict for verdict in verdicts} == {"not run"}
    assert all(verdict.reason for verdict in verdicts)


TABLE5 = {(COOP, "NS"): 6, (BASE, "NS"): 14, (COOP, "Hinge"): 5, (BASE, "Hinge"): 12}
TABLE5 |= {(COOP, "WAS-GP"): 9, (BASE, "WAS-GP"): 13, (BASE, "NS (R1 gamma=0.01)"): 9}


def cells_of(means, **options):
    return {label: seeds(mean, key=key, **options) for key, (label, mean) in enumerate(means.items())}


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


def test_the_small_study_stands_in_until_the_papers_is_run(runs_of):
    rows = {"N_coop=3200": 20, "N_coop=12800": 15, "N_coop=51200": 20}
    runs_of("digits-ncoop", cells_of({(row, ""): mean for row, mean in rows.items()}))
    assert ledger().verdict(CLAIMS["C16"]).verdict == "agrees at small scale"
    rows = {"N_coop=0.25M": 15, "N_coop=0.75M": 10, "N_coop=1.5M": 15, "N_coop=3M": 15}
    runs_of("coopinit-fig8", cells_of({(row, ""): mean for row, mean in rows.items()}))
    assert ledger().verdict(CLAIMS["C16"]).verdict == "supported"


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


def test_the_first_variant_that_was_run_counts(runs_of):
    cells = cells_of(TABLE5)
    runs_of("coopinit-table5", cells)
    plain, small = (lambda study: study.variant(seeds=10)), (lambda study: study.variant(seeds=5, budget=0.1))
    both = Ledger(SyntheticStore(), plain, small)
    assert both.verdict(CLAIMS["C1"]).verdict == "supported"
    runs_of("coopinit-table5", {label: values[:5] for label, values in cells.items()})
    found = Ledger(SyntheticStore(), plain, small).verdict(CLAIMS["C1"])
    assert (found.verdict, found.weakest.study) == ("agrees at small scale", "coopinit-table5 (budget 0.1)")


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
        runs_of("coopinit-fig1", cells, metric="modes_final")
        return ledger(seeds=20).verdict(CLAIMS["C22"])

    assert modes(3, 15).verdict == "agrees at small scale"  # the paper does not say on what
    assert modes(15, 3).verdict == "disagrees at small scale"
    assert modes(8, 10).verdict == "undecided"
    assert modes(3, 15).weakest.test.kind == "share"
    effect = as_text([modes(3, 15)]).cells.loc["C22", "effect"]
    assert effect.startswith("15/20 [0.51, 0.91] against 3/20 [0.03, 0.38], ")


def test_too_few_seeds_for_any_verdict_is_said(runs_of):
    cells = {("GAN", ""): [5.0] * 3, ("+ CoopInit", ""): [8.0] * 3}
    runs_of("coopinit-fig1", cells, metric="modes_final")
    found = ledger(seeds=3).verdict(CLAIMS["C22"])
    assert found.verdict == "undecided"
    assert found.reason == "no outcome of fewer than 4 seeds a cell could decide"


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
    assert found.reason == "coopinit-table5: seeds diverged, and ranks tell nothing of gains and differences"


def test_times_are_compared_on_one_machine_only(runs_of):
    """Times of training: those of a table, with their evaluations, say nothing."""
    store = SyntheticStore()
    cells = {(BASE, "NS"): seeds(1000, std=0.01), (COOP, "NS"): [*seeds(1040, 9, std=0.01), None]}
    for (row, column), values in cells.items():
        for seed, value in enumerate(values):
            store.held[f"coopinit-table5/{row}/{column}/{seed}", "seconds"] = [(25_000_000, value or 1)]
    same = {label: [5000] * 9 + [value] for label, (*_, value) in cells.items()}
    runs_of("coopinit-table5", same, metric="seconds")
    assert ledger(store).verdict(CLAIMS["C26"]).verdict == "supported"
    mixed = frame(cells, "coopinit-table5", metric="seconds")
    mixed["device"] = ["cpu"] * 10 + ["cuda"] * 10
    reports.claims.load_runs = lambda study, store: mixed
    found = ledger(store).verdict(CLAIMS["C26"])
    assert found.verdict == "undecided"
    assert "differ in device: cpu; cuda" in found.reason


def test_protocols_are_not_mixed(runs_of):
    cells = cells_of(TABLE5)
    mixed = frame(cells)
    mixed.loc[mixed["column"] == "Hinge", "protocol"] = "other"
    reports.claims.load_runs = lambda study, store: mixed
    assert "differ in protocol" in ledger().verdict(CLAIMS["C3"]).reason


def test_angles_are_differences_and_come_from_the_rows(runs_of):
    store = SyntheticStore()
    labels = [("original", ""), ("aw-loss", "")]
    runs_of("aw-fig4", {label: [1.0] * 10 for label in labels})
    assert ledger(store).verdict(CLAIMS["A4"]).reason == "aw-fig4 has runs without real_fake_obtuse, and 1 more"
    rng = np.random.default_rng(0)
    for seed in range(10):
        run = f"aw-fig4/original//{seed}"
        shares = {"real_fake_obtuse": 0.97, "step_real_obtuse": 0.6, "step_fake_obtuse": 0.2}
        for key, share in shares.items():
            store.held[run, key] = [(50_000, share + rng.normal(0, 0.01))]
    found = ledger(store).verdict(CLAIMS["A4"])
    assert found.verdict == "supported"
    assert found.findings[1].test.effect == pytest.approx(0.4, abs=0.02)


def test_fewer_images_to_what_every_base_run_reached(runs_of):
    store, columns = SyntheticStore(), ("cifar10", "stl10", "cifar100")
    cells = {(row, column): seeds(10) for row in ("AutoGAN", "aw-AutoGAN") for column in columns}
    runs_of("aw-fig3", cells, metric="fid_best")
    for row, halving in (("AutoGAN", 1000), ("aw-AutoGAN", 400)):
        for column in columns:
            for seed, noise in enumerate(seeds(1, std=0.2, key=halving)):
                series = [(n, 1000 * 0.5 ** (n / halving / noise)) for n in range(0, 15_000, 250)]
                store.held[f"aw-fig3/{row}/{column}/{seed}", "fid"] = series
    found = ledger(store).verdict(CLAIMS["A3"])
    assert found.verdict == "supported"
    assert found.weakest.test.effect == pytest.approx(0.4, rel=0.1)


def test_measures():
    config = Config(n_images=1_000, n_coop=300, eval_every=100)
    series = [(0, 100.0), (200, 50.0), (300, 40.0), (400, 44.0), (600, 20.0), (800, 10.0), (1000, 20.0)]
    assert MEASURES["images_to_target"](series, config, 40.0) == 300
    assert MEASURES["images_to_target"](series, config, 5.0) == math.inf
    assert MEASURES["jump"](series, config, math.nan) == pytest.approx(1.1)
    assert MEASURES["oscillation"](series, config, math.nan) == pytest.approx(math.log(2))
    assert MEASURES["unconverged"](series, config, math.nan) == 0
    assert MEASURES["unconverged"]([(0, 100.0), (1000, 60.0)], config, math.nan) == 1
    assert math.isnan(MEASURES["jump"](series, config.replace(n_coop=0), math.nan))
    steps = config.replace(n_images=1_000_000, n_coop=75_000, batch_size=64, eval_every=25_000)
    series = [(50_048, 50.0), (75_008, 40.0), (100_032, 400.0)]  # whole steps; the second ends the stage
    assert MEASURES["jump"](series, steps, math.nan) == pytest.approx(10)


def test_false_verdicts_over_the_whole_ledger(runs_of):
    """Nothing differs anywhere: of 10 ledgers, claims with a direction are rarely decided."""
    decided = total = 0
    for key in range(10):
        rng = np.random.default_rng(key)
        for name in ("coopinit-table5", "coopinit-table7", "coopinit-table8"):
            cells = [(cell.row, cell.column) for cell in STUDIES[name].cells()]
            runs_of(name, {label: list(np.exp(rng.normal(2, 0.27, 10))) for label in cells})
        verdicts = ledger().verdicts(["C1", "C2", "C3", "C5", "C6", "C7", "C10", "C11", "C12"])
        decided += sum(verdict.verdict != "undecided" for verdict in verdicts)
        total += len(verdicts)
    assert decided / total < 0.05


def test_forms(runs_of, tmp_path):
    runs_of("coopinit-table5", cells_of(TABLE5))
    verdicts = ledger().verdicts()
    text = as_text(verdicts)
    assert list(text.cells.index) == IDS
    assert text.cells.loc["C1", "verdict"] == "supported"
    assert re.fullmatch(r"0\.69 \[0\.6\d, 0\.7\d\]", text.cells.loc["C1", "effect"])
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
    from ganablate import _variants

    def seeds(name, asked):
        return [vary(STUDIES[name]).seeds for vary in _variants(asked, None, None, False)]

    assert seeds("aw-fig4", 10) == [10, 5]
    assert seeds("coopinit-fig1", 10) == [20, 10]
    assert seeds("coopinit-fig1", None) == [20]
    varied = [vary(STUDIES["quick"]).title for vary in _variants(None, 0.5, None, False)]
    assert varied == ["quick", "quick (budget 0.5)"]


def test_real_runs_lead_to_a_verdict(store, make_runs):
    """Two tiny seeds of the ring decide nothing, and the ledger says why and by which runs."""
    ring = STUDIES["ring"]
    study = dataclasses.replace(ring, rows={row: ring.rows[row] for row in ("GAN", "+ CoopInit")}, tiny=True, seeds=2)
    make_runs(study)
    arguments = ["claims", "C22", "A8", "--tiny", "--seeds", "2", "--storage", str(store.storage), "--json"]
    told = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert [claim["verdict"] for claim in told] == ["undecided", "not run"]
    assert told[0]["scope"] == "small"
    assert told[0]["reason"] == "no outcome of fewer than 4 seeds a cell could decide"
    (part,) = told[0]["parts"]
    assert set(part["run_ids"].split(";")) == set(load_runs(study, store=store)["run_id"])
    assert (part["study"], part["n"], part["images"]) == ("ring (tiny)", 2, "2,048")


def test_runs_record_what_claims_on_probes_read(store, make_runs, monkeypatch, tiny_images, tiny_points, tmp_path):
    """Each part of A4 to A7 and A9 finds its numbers in real runs, and figure 5's stand beside the published ones."""
    recipes = {"aw-fig4": tiny_images, "aw-fig5": tiny_images, "aw-fig6": tiny_points}
    small = {name: dataclasses.replace(STUDIES[name], recipe=recipe, seeds=2) for name, recipe in recipes.items()}
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
        text, _ = write_report(study, store, tmp_path / study.name)
        assert not (text.cells == "–").all().any()
        if study.name == "aw-fig5":
            published = text.cells.filter(like="published").loc["DCGAN aw-loss"]
            assert [value.split()[0] for value in published] == ["0.921", "1.413"]


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
