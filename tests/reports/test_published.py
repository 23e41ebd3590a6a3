"""Published values beside ours: joined by label, comparable only where all agrees, never mixed up with ours."""

import io
import math

import pytest
from rich.console import Console
from stubs import no_results, stub_runs

from reports import ablation_table
from reports.latex import to_latex
from reports.markdown import to_markdown
from reports.published import footnotes, published_values
from reports.report import write_report
from reports.results import Results
from reports.screen import show
from reports.spreadsheet import to_csv
from reports.table import as_text
from search.store import load_runs
from spaces import STUDIES, Study, published
from spaces.recipes import STYLEGAN2, STYLEGAN2_COOP
from trainers.names import FEATURES


@pytest.fixture
def table7():
    """CoopInit's table 7, whose published values are copied from the paper by hand."""
    coop = {**STYLEGAN2_COOP, "r1_gamma": 0.01}
    return Study(
        "t7",
        STYLEGAN2,
        rows={
            "StyleGAN2 (gamma=0.01)": {},
            "StyleGAN2 (gamma=0.00)": {"r1_gamma": 0.0},
            "StyleGAN2 + CoopInit (gamma=0.00)": STYLEGAN2_COOP,
            "StyleGAN2 + CoopInit (gamma=0.01)": coop,
        },
        columns={f"lr={lr:.4f}": {"lr": lr} for lr in (0.002, 0.0025, 0.003)},
        published="coopinit/table7",
    )


@pytest.fixture
def table3():
    """SN-GAN of the aw paper's table 3; the other rows of that table are not run here."""
    return Study(
        "t3",
        "sngan_cifar100",
        rows={"SN-GAN": {}},
        metrics=("fid_final", "fid_best", "is_best"),
        published="aw-loss/table3",
    )


def test_values_join_by_label_at_the_papers_own_protocol(table7):
    table = ablation_table(stub_runs({}), table7)
    assert table.loc[("StyleGAN2 (gamma=0.01)", "lr=0.0030"), ("fid_best", "published")] == 8.71
    assert table.loc[("StyleGAN2 + CoopInit (gamma=0.00)", "lr=0.0020"), ("fid_best", "published")] == 6.16
    assert table["fid_final", "published"].isna().all()  # the papers report the best


def test_nothing_run_shows_published_values_and_dashes(table7):
    text = as_text(no_results(table7))
    assert list(text.cells.loc["StyleGAN2 (gamma=0.01)"]) == [
        "–", "–", "9.28 (=)", "", "0/3", "–", "–", "8.95 (=)", "", "0/3", "–", "–", "8.71 (=)", "", "0/3",
    ]  # fmt: skip
    assert "lr=0.0020: published best FID ↓" in text.cells
    assert "(=): data set, protocol, samples and budget are those of the published value" in text.caption


@pytest.mark.parametrize(
    ("varied", "told"),
    [
        ({"budget": 0.01}, "ours has n_images 250,000, not 25,000,000"),
        ({"settings": {"dataset": "cifar100"}}, "ours has dataset cifar100, not cifar10"),
        ({"settings": {"features": "lite0"}}, "ours has feature_net lite0, not inception"),
        ({"settings": {"eval_samples": 5000}}, "ours has eval_samples 5,000, not 50,000"),
        ({"settings": {"n_train": 100}}, "ours has n_train 100, not None"),
        ({"settings": {"beta2": 0.9}}, "ours has beta2 0.9, not 0.99"),
        ({"tiny": True}, "dataset digits, not cifar10"),
    ],
)
def test_a_footnote_names_what_differs(table7, varied, told):
    study = table7.variant(**varied)
    assert not any(each.comparable for each in published_values(study).values())
    assert told in as_text(no_results(study)).caption
    assert as_text(no_results(study)).cells.iloc[0, 2].startswith("9.28 (a")


def test_what_changes_no_number_of_the_protocol_is_no_difference(table7):
    assert all(
        value.comparable for value in published_values(table7.variant(settings={"threads": 4}, seeds=9)).values()
    )


UNTOLD = "The paper does not tell the optimiser of the step."


def notes_of(study):
    return {note for each in published_values(study).values() for note in each.notes}


def test_no_score_compares_on_features_that_were_not_held_against_published_ones(table7, monkeypatch):
    monkeypatch.setitem(FEATURES, "inception", FEATURES["inception"]._replace(unproven=True))
    assert not any(each.comparable for each in published_values(table7).values())
    told = "ours has inception features, which were not held against published ones"
    assert told in as_text(no_results(table7)).caption
    assert notes_of(STUDIES["aw-fig5"]) == {UNTOLD}  # D's logits see none


def test_features_and_samples_are_of_scores_alone():
    """Not of D's logits, which no feature net sees."""
    study = STUDIES["aw-fig5"].variant(settings={"features": "lite0", "eval_samples": 1000})
    assert notes_of(study) == {UNTOLD}
    assert len(published_values(study)) == 4
    (note,) = notes_of(STUDIES["aw-fig5"].variant(tiny=True)) - {UNTOLD}
    assert "dataset digits, not cifar10" in note


def test_equal_notes_share_a_letter(table7):
    found = footnotes(table7.variant(budget=0.5))
    assert sum(note.startswith("ours has") for note in found) == 1
    assert list(found.values()) == list("abcdef"[: len(found)])


def test_rows_that_are_only_quoted_have_no_runs(table3):
    text = as_text(no_results(table3))
    assert list(text.cells.index)[:3] == ["SN-GAN", "SS-GAN (quoted)", "MSGAN (quoted)"]
    assert text.cells.loc["SN-GAN", "published best IS ↑"] == "8.18 ± 0.12 (=, a)"
    assert text.cells.loc["SRN-GAN (quoted)", "published best FID ↓"] == "19.55"
    assert text.cells.loc["SRN-GAN (quoted)", ["FID ↓", "best IS ↑", "n"]].tolist() == ["–", "–", "–"]
    assert "not run here" in text.caption
    assert "3 runs are not done" in text.caption  # of SN-GAN alone


def test_csv_says_what_is_comparable(table3):
    frame = to_csv(no_results(table3)).set_index("row")
    assert frame.loc["SN-GAN", ["is_best_published", "is_best_published_std", "is_best_comparable"]].tolist() == [
        8.18, 0.12, True,
    ]  # fmt: skip
    assert not frame.loc["SS-GAN", "fid_best_comparable"]
    assert math.isnan(frame.loc["SS-GAN", "fid_final_mean"])
    varied = table3.variant(budget=0.5)
    assert "n_images" in to_csv(no_results(varied)).set_index("row").loc["SN-GAN", "fid_best_notes"]


def test_no_value_without_a_setting_is_comparable_on_the_papers_own_data_either():
    """Which differ in nothing, whatever they are called here, and though a pair has few test images."""
    for name in ("coopinit-table2", "coopinit-table3", "coopinit-table4"):
        study = STUDIES[name]
        cells = {(cell.row, cell.column) for cell in study.cells()}
        ours = [each for (*place, _), each in published_values(study).items() if tuple(place) in cells]
        assert not any(each.comparable for each in ours)
        assert all(each.notes and not each.notes[0].startswith("ours has") for each in ours)
    differs, untold = published_values(STUDIES["coopinit-table2"].variant(budget=0.1))[
        "StyleGAN2", "", "fid_best"
    ].notes
    assert differs == "ours has n_images 2,500,000, not 25,000,000"
    assert untold == "The paper tells neither budget nor setting."
    coopnets = published_values(STUDIES["coopinit-table1"])["CoopNets", "unconditional", "fid_best"]
    assert (coopnets.comparable, len(coopnets.notes)) == (False, 1)
    joint = published_values(STUDIES["coopinit-joint"])["joint cooperative + adversarial objective", "", "fid_best"]
    assert (joint.comparable, joint.notes) == (False, ("The paper tells no setting of this value.",))


def test_contradictions_of_a_paper_are_footnotes(table7, monkeypatch):
    noted = [value._replace(note="table 10 says 5.12") for value in published("coopinit/table7")]
    monkeypatch.setattr("reports.published.published", lambda table: noted)
    text = as_text(no_results(table7))
    assert text.cells.iloc[0, 2] == "9.28 (=, a)"
    assert "(a): table 10 says 5.12." in text.caption


def test_all_forms_hold_them(table3):
    text = as_text(no_results(table3))
    assert "8.18 ± 0.12 (=, a)" in to_markdown(text)
    assert r"8.18 $\pm$ 0.12 (=, a)" in to_latex(text, no_results(table3))
    console = Console(file=io.StringIO(), width=300)
    show(text, console)
    assert "SRN-GAN (quoted)" in console.file.getvalue()


def test_a_report_of_nothing_run(store, table3, tmp_path):
    text, paths = write_report(Results(table3, store), tmp_path)
    assert len(load_runs(table3, store=store)) == 0
    assert text.cells.loc["SN-GAN", "published best FID ↓"].startswith("22.40 (=")
    assert all(path.stat().st_size for path in paths)
