"""A cell and a seed lead to a generator, and its card says what the table says."""

import re

import pytest

from reports.model_card import find_kept, model_card
from reports.results import Results
from search.store.delivery import Delivery
from trainers.run_folder import generator_path
from trainers.run_state import RunState


def test_the_card_has_the_runs_scores_beside_its_cells(store, make_runs, tiny_study, none_lost):
    make_runs(tiny_study)
    kept = find_kept(tiny_study, store, "+ aw", None, 1, "best")
    results = Results(tiny_study, store)
    run = results.runs[results.runs["run_id"] == kept.run_id].iloc[0]
    assert (run["row"], run["seed"], kept.folder) == ("+ aw", 1, store.folder(kept.run_id))
    card = model_card(kept, store)
    assert card.startswith("---\nlibrary_name: pytorch\n")
    statistics = results.table.loc[("+ aw", ""), "fid_best"]
    cell = f"{statistics['mean']:.2f} ± {statistics['std']:.2f} | 2"
    assert f"| best FID ↓ | {run['fid_best']:.2f} | {cell} |" in card
    assert f"| energy distance ↓ | {run['energy_distance_final']:.4f} | " in card
    assert kept.cell.config.protocol in card
    assert "The generator of the best energy distance among its evaluations of one run" in card
    assert "`aw` normalized" in card
    assert f"- Data: ring8, digest `{run['data_digest']}`." in card
    assert "No licence is named" in card
    assert "lost" not in card.partition("not lost.")[2]


def test_runs_beyond_the_tables_seeds_have_their_own_value(store, make_runs, tiny_study, none_lost):
    make_runs(tiny_study)
    one = tiny_study.variant(seeds=1)
    card = model_card(find_kept(one, store, "GAN", None, 1), store)
    runs = Results(tiny_study, store).runs.query("row == 'GAN'").set_index("seed")
    own, others = (f"{runs.loc[seed, 'energy_distance_final']:.4f}" for seed in (1, 0))
    assert f"| energy distance ↓ | {own} | {others} | 1 |" in card


def test_lost_runs_are_told(store, make_runs, tiny_study):
    make_runs(tiny_study)
    runs = Results(tiny_study, store).runs
    lost = runs[runs["lost"]]
    assert len(lost)  # runs of seconds
    first = lost.iloc[0]
    card = model_card(find_kept(tiny_study, store, first["row"], None, int(first["seed"])), store)
    assert re.search(r"\d runs? of the cell (is|are) lost", card)
    assert "This run is one of them." in card


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("GANN", None, 0), "row 'GANN' is not in study 'tiny'; did you mean 'GAN'"),
        (("GAN", "x", 0), "row 'GAN' has no column 'x'"),
        (("GAN", None, 7), "tiny: the store has no run of GAN, seed 7; it has the seeds 0, 1, 2"),
        (("GAN", None, 2), "tiny: GAN, seed 2 is failed, not done"),
        (("GAN", None, 0, "last"), "which = 'last' should be final or best"),
        (("+ aw", None, 0), "keeps no generator_final.pt; it was removed"),
    ],
)
def test_what_is_not_there_is_a_sentence(store, make_runs, tiny_study, asked, told):
    make_runs(tiny_study)
    run_id = Delivery(store).create(tiny_study, tiny_study.cells()[0], 2)
    Delivery(store).finish(run_id, RunState.FAILED, "OSError: disk full")
    generator_path(find_kept(tiny_study, store, "+ aw", None, 0).folder, "final").unlink()
    with pytest.raises(ValueError, match=re.escape(told)) as error:
        find_kept(tiny_study, store, *asked)
    assert "\n" not in str(error.value)


def test_one_of_several_columns_is_named(store, make_runs, tiny_study, tiny_points):
    from spaces import Study

    crossed = Study("crossed", tiny_points, tiny_study.rows, {"a": {}, "b": {"lr": 1e-3}}, 1, tiny_study.metrics)
    make_runs(crossed)
    with pytest.raises(ValueError, match="several columns; name one of: a, b"):
        find_kept(crossed, store, "GAN", None, 0)
    assert find_kept(crossed, store, "GAN", "b", 0).cell.config.lr == 1e-3
