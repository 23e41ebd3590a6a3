"""Scores of a study: each once, whatever is killed or lost in between."""

import dataclasses
import json
import shutil

import pytest

from reports.report import write_report
from reports.results import Results
from reports.table import as_text
from search.importing import import_runs
from search.plan import make_plan
from search.score import score_study
from search.store import Store, load_runs
from search.store.delivery import Delivery
from search.store.identity import origin
from search.store.queries import seed_runs
from search.store.recovery import recover_study
from search.tune import scoring
from trainers.loop import train
from trainers.run_folder import write_origin
from trainers.score_request import SCORES_FILE, ScoreRequest, read_scores
from trainers.scoring import score

RAW = ScoreRequest("raw", ("fid", "kid"), samples=100)


@pytest.fixture
def made(store, make_runs, tiny_study, none_lost):
    """A study of four done runs in a store of its own."""
    make_runs(tiny_study)
    return tiny_study, store


def ids(study, store):
    return [job.run_id for job in make_plan(study, store).jobs]


def score_here(study, store, request, count=None):
    """Score the first runs as a worker does, without the driver."""
    for job in make_plan(study, store).jobs[:count]:
        score(job.config, store.folder(job.run_id), request)


def table(study, store, *metrics, samples=None):
    return load_runs(study.variant(metrics=metrics, score_samples=samples), store=store)


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_a_study_is_scored_on_workers_once(made, tmp_path, capsys, monkeypatch):
    study, store = made
    study = dataclasses.replace(study, metrics=(*study.metrics, "fid@raw"), score_samples=100)
    score_here(study, store, RAW, 1)  # a driver was killed before it could say so
    before = (store.folder(ids(study, store)[0]) / SCORES_FILE).read_bytes()
    states = score_study(study, store, [RAW])
    assert states == dict.fromkeys(["+ aw, seed 0", "GAN, seed 1", "+ aw, seed 1"], "done")
    assert (store.folder(ids(study, store)[0]) / SCORES_FILE).read_bytes() == before
    *_, last = train(study.cells()[1].config.replace(seed=1, eval_samples=100), tmp_path / "run")  # raw is its own net
    runs = table(study, store, "fid@raw", samples=100)
    assert runs["fid@raw"].iloc[3] == last["fid"]
    assert runs["fid@raw"].notna().all()
    assert runs["fid@raw_protocol"].str.contains("100 generated samples").all()
    (parent,) = [
        run.data.metrics
        for run in store.client.search_runs(["1"])
        if run.info.run_name == "GAN" and "seed" not in run.data.tags
    ]
    assert parent["fid on raw_mean"] == pytest.approx(runs["fid@raw"][:2].mean())
    assert parent["fid on raw_n"] == 2
    below = [store.client.get_run(run_id).data.metrics["fid on raw"] for run_id in runs["run_id"]]
    assert below == list(runs["fid@raw"])  # in the column of their parent's mean

    monkeypatch.setattr(scoring, "_submit", lambda *_: pytest.fail("scored again"))
    capsys.readouterr()
    assert score_study(study, Store(storage=store.storage), [RAW]) == {}
    assert capsys.readouterr().out == "tiny: nothing to score.\n"


def test_the_store_learns_what_run_folders_hold(made, monkeypatch):
    """A driver was killed when all was scored, and nothing stored: no worker starts."""
    study, store = made
    score_here(study, store, RAW)
    monkeypatch.setattr("search.score.get_ready", lambda *_: 2)
    assert score_study(study, store, [RAW]) == {}
    runs = table(study, store, "fid@raw", "kid@raw")
    held = [{each.metric: each.value for each in read_scores(store.folder(run_id))} for run_id in runs["run_id"]]
    assert runs[["fid@raw", "kid@raw"]].to_dict("records") == [
        {f"{k}@raw": v for k, v in each.items()} for each in held
    ]
    points = store.client.get_metric_history(
        runs["run_id"].iloc[0], next(name_of(store, runs["run_id"].iloc[0], "fid"))
    )
    assert len(points) == 1


def name_of(store, run_id, score):
    return (name for name in store.client.get_run(run_id).data.metrics if name.endswith(f"/{score}_final"))


def test_a_store_that_was_lost_takes_scores_in_again(made, empty_database):
    study, store = made
    for run in seed_runs(store, [cell.config for cell in study.cells()]).values():
        write_origin(store.folder(run.run_id), {**origin(store), "cell_key": run.cell_key})
    score_here(study, store, RAW)
    moved = shutil.move(store.storage, store.storage.with_name("again"))
    shutil.copy(empty_database, moved)
    again = Store(storage=moved)
    assert recover_study(study, Delivery(again)) == 4
    assert table(study, again, "fid@raw")["fid@raw"].notna().all()


def test_import_takes_scores_along_and_those_of_a_run_that_is_here(made, trained, tmp_path, tiny_study):
    study, store = made
    elsewhere = shutil.copytree(store.folder(ids(study, store)[0]), tmp_path / "elsewhere" / "run")
    config = study.cells()[0].config
    (fid,) = score(config, elsewhere, ScoreRequest("raw", ("fid",)))
    (told,) = import_runs([elsewhere], store)
    assert "1 scores of its generators were taken in" in told
    assert "left alone" in next(iter(import_runs([elsewhere], store)))
    assert table(study, store, "fid@raw")["fid@raw"].iloc[0] == fid.value
    other = Store(storage=tmp_path / "other")
    list(import_runs([elsewhere], other))
    assert table(study.variant(seeds=1), other, "fid@raw")["fid@raw"].iloc[0] == fid.value


def test_two_protocols_are_refused_and_told_apart_by_their_samples(made):
    study, store = made
    for request in (RAW, RAW._replace(samples=50)):
        score_here(study, store, request)
    for run_id in ids(study, store):
        Delivery(store).deliver_scores(run_id)
    with pytest.raises(ValueError, match=r"fid@raw of tiny has values by 2 protocols .*--samples N"):
        table(study, store, "fid@raw")
    few, many = (table(study, store, "fid@raw", samples=n)["fid@raw"] for n in (50, 100))
    assert (few != many).all()
    assert table(study, store, "fid@raw", samples=60)["fid@raw"].isna().all()
    Delivery(store).parents.update(study.variant(metrics=("fid@raw",)), study.cells())  # says no more than it knows


def test_reports_show_scores_as_other_metrics(made, tmp_path):
    study, store = made
    score_here(study, store, RAW)
    score_here(study, store, RAW._replace(which="best", scores=("fid",)))
    for run_id in ids(study, store):
        Delivery(store).deliver_scores(run_id)
    study = study.variant(metrics=("energy_distance_final", "fid@raw", "fid_best@raw"))
    text, paths = write_report(Results(study, store), tmp_path / "out")
    assert list(text.cells)[1:3] == ["FID on raw ↓", "FID on raw of the best generator ↓ (best energy distance)"]
    assert "FID on raw / GAN" in text.cells
    assert "Scored after training, from the generators that runs keep: Frechet distance on raw" in text.caption
    assert {path.name for path in paths} >= {"curves.png", "methods.md"}
    assert not any("fid" in path.name for path in paths)
    again = as_text(Results(study, store))
    pd_equal = again.cells.equals(text.cells)
    assert pd_equal
    from reports.folder import FolderResults

    rebuilt = as_text(FolderResults(study, tmp_path / "out"))
    assert rebuilt.cells.equals(text.cells)
    assert rebuilt.caption == text.caption


@pytest.mark.parametrize("gone", ["generator", "runs", "data"])
def test_what_cannot_be_scored_is_told_before_anything_is(made, gone, monkeypatch):
    study, store = made
    monkeypatch.setattr(
        "search.score.get_ready", lambda *_: pytest.skip("no worker should start") if gone == "runs" else 2
    )
    monkeypatch.setattr("search.score.score_runs", lambda *_: pytest.fail("something was scored"))
    run_id = ids(study, store)[1]
    if gone == "generator":
        (store.folder(run_id) / "generator_final.pt").unlink()
    if gone == "data":
        store.client.set_tag(run_id, "data_digest", "0123")
    if gone == "runs":
        study = study.variant(budget=0.5)
    told = {
        "generator": "GAN, seed 1: .*keeps no generator_final.pt",
        "runs": "no done run to score",
        "data": "restore",
    }
    with pytest.raises(ValueError, match=told[gone]):
        score_study(study, store, [RAW])
    assert not list(store.folders.root.glob(f"*/{SCORES_FILE}"))


def test_lines_of_scores_are_json(made):
    study, store = made
    score_here(study, store, RAW, 1)
    lines = (store.folder(ids(study, store)[0]) / SCORES_FILE).read_text().splitlines()
    assert [json.loads(line)["metric"] for line in lines] == ["fid", "kid"]
