"""Run folders made elsewhere are taken in once."""

import json
import shutil

import pytest

from search.importing import import_runs
from search.plan import make_plan
from search.store import load_runs
from search.store.delivery import Delivery
from search.store.identity import origin
from search.store.queries import find_runs, histories
from trainers.loop import train
from trainers.run_folder import read_evaluations, read_origin


@pytest.fixture
def elsewhere(tmp_path, tiny_study, trained):
    """Folders of three runs of a study, one of which has not ended, as a SLURM array leaves them."""
    folder = tmp_path / "elsewhere"
    first, second = tiny_study.cells()
    for name, seed in (("a", 0), ("b/c", 1)):
        shutil.copytree(trained(first.config.replace(seed=seed)), folder / name)
    run = train(second.config, folder / "d")
    for _ in range(2):
        next(run)
    run.close()
    return folder


def states(study, store):
    return [job.state for job in make_plan(study, store).jobs]


@pytest.mark.usefixtures("umask_of_a_team")
def test_who_may_enter_is_a_matter_of_the_storage(store, elsewhere):
    """Not of the private folder that a run was made in."""
    for path in [elsewhere / "a", *(elsewhere / "a").rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    (store.storage / "trials").mkdir()
    (store.storage / "trials").chmod(0o2775)
    assert list(import_runs([elsewhere / "a"], store))
    made = list((store.storage / "trials").rglob("*"))
    assert {path.stat().st_mode & 0o7777 for path in made if path.is_dir()} == {0o2775}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o664}


def test_what_is_taken_in_counts_once(store, tiny_study, elsewhere):
    assert states(tiny_study, store) == ["missing"] * 4
    told = list(import_runs([elsewhere], store))
    assert [line.split(": taken in as run ")[0] for line in told] == [str(elsewhere / n) for n in ("a", "b/c", "d")]
    assert states(tiny_study, store) == ["done", "done", "missing", "missing"]
    runs = load_runs(tiny_study, store=store)
    assert len(runs) == 3
    for _, run in runs.iterrows():  # as theirs are that were made here
        assert read_origin(store.folder(run["run_id"])) == {**origin(store), "cell_key": run["cell_key"]}
    for path, run_id in zip(("a", "b/c"), runs["run_id"], strict=False):
        rows = read_evaluations(elsewhere / path)
        assert [(images, value) for _, images, value in histories(store, [run_id], "fid")[run_id]] == [
            (row["images"], row["fid"]) for row in rows
        ]
        assert runs.set_index("run_id").loc[run_id, "fid_best"] == min(row["fid"] for row in rows)

    again = list(import_runs([elsewhere, elsewhere / "a"], store))
    assert all("the store has this run" in line for line in again)
    assert len(find_runs(store, "seed", ["0", "1"])) == 3


def test_an_interrupted_run_goes_on(store, tiny_study, elsewhere):
    list(import_runs([elsewhere / "d"], store))
    (job,) = [job for job in make_plan(tiny_study, store).missing if job.run_id]
    whole = [row["fid"] for row in train(job.config, elsewhere / "whole")]
    # ended where it was begun, it is taken in again; ended here, it is left alone
    assert "as far" in next(iter(import_runs([elsewhere / "d"], store)))
    assert [row["fid"] for row in train(job.config, elsewhere / "d")] == whole
    assert "(done)" in next(iter(import_runs([elsewhere / "d"], store)))
    assert [value for *_, value in histories(store, [job.run_id], "fid")[job.run_id]] == whole
    assert states(tiny_study, store)[2] == "done"


def test_a_run_that_the_store_began_itself_is_left_alone(store, tiny_study, elsewhere):
    cell = tiny_study.cells()[0]
    begun = train(cell.config, store.folder(Delivery(store).create(tiny_study, cell, 0)))
    next(begun)
    begun.close()
    assert "begun this run itself" in next(iter(import_runs([elsewhere / "a"], store)))


def test_a_run_that_is_being_trained_is_left_to_who_trains_it(store, tiny_study, elsewhere):
    run = train(tiny_study.cells()[1].config, elsewhere / "d")
    next(run)
    told = list(import_runs([elsewhere], store))
    assert [line.partition(": ")[2][:8] for line in told] == ["taken in", "taken in", "a proces"]
    run.close()
    assert "to be gone on with" in list(import_runs([elsewhere], store))[2]


def test_a_crash_in_the_middle_takes_the_rest_in_later(store, tiny_study, elsewhere, monkeypatch):
    def dies(*_, **__):
        raise RuntimeError

    for place in ("pathlib.Path.rename", *(f"search.store.delivery.Delivery.{name}" for name in ("deliver", "_close"))):
        with monkeypatch.context() as patch:
            patch.setattr(place, dies)
            with pytest.raises(RuntimeError):
                list(import_runs([elsewhere / "a"], store))
        assert states(tiny_study, store)[0] == "missing"
    list(import_runs([elsewhere / "a"], store))
    assert states(tiny_study, store)[0] == "done"
    assert len(find_runs(store, "seed", ["0"])) == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (None, None, "holds no run folder"),
        ("config.json", "{", "a is no run folder that can be read"),
        ("config.json", '{"lr": -1}', "lr = -1"),
        ("config.json", '{"speed": 1}', "unknown field 'speed'"),
        ("config.json", "[1]", "no run folder that can be read"),
        ("rows.jsonl", '{"images": 3}\n', "line 1: state is missing"),
        ("rows.jsonl", "nonsense\n", "no run folder that can be read"),
        ("rows.jsonl", "3\n", "no run folder that can be read"),
        ("data.json", '{"shape": 3}', "data.json: shape = 3"),
    ],
)
def test_folders_that_are_none_are_refused_before_any_is_copied(store, elsewhere, name, content, words):
    if name is None:
        target = elsewhere.parent / "empty"
        target.mkdir()
    else:
        target = elsewhere / "a"
        (target / name).write_text(content)
    with pytest.raises(ValueError, match=words):
        list(import_runs([elsewhere / "b", target], store))
    with pytest.raises(ValueError, match="does not exist"):
        list(import_runs([elsewhere / "b", elsewhere / "nowhere"], store))
    assert find_runs(store, "seed", ["0", "1"]) == []
    assert json.loads((elsewhere / "b/c/config.json").read_text())["seed"] == 1
