"""The MLflow store holds each run once, whatever is delivered how often."""

import contextlib
from collections import Counter

import pytest
from tuned import without_ray

from search.plan import make_plan
from search.run import run_study
from search.store import Store, load_runs, queries
from search.store.delivery import Delivery
from search.store.parents import Parents
from search.store.queries import histories, links
from spaces import Study
from trainers.loop import train


def children_of(store):
    """All active seed runs of the whole store."""
    experiments = [e.experiment_id for e in store.client.search_experiments()]
    return [run for run in store.client.search_runs(experiments) if "seed" in run.data.tags]


def parents(store):
    experiments = [e.experiment_id for e in store.client.search_experiments()]
    return [run for run in store.client.search_runs(experiments) if "seed" not in run.data.tags]


def test_a_study_in_mlflow(store, make_runs, tiny_study):
    make_runs(tiny_study)
    children, above = children_of(store), parents(store)
    assert len(children) == 4
    assert len(above) == 2
    for run in children:
        assert {
            "cell_key",
            "seed",
            "state",
            "protocol",
            "code_version",
            "study",
            "row",
            "column",
        } <= run.data.tags.keys()
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] in {p.info.run_id for p in above}
        changed = {**tiny_study.base.non_defaults(), **tiny_study.rows[run.data.tags["row"]]}
        assert run.data.params == {name: str(value) for name, value in changed.items()}
        assert [m.step for m in store.client.get_metric_history(run.info.run_id, "energy_distance")] == [0, 256, 512]
        grids = [a.path for a in store.client.list_artifacts(run.info.run_id, "images") if a.path.endswith(".png")]
        assert len(grids) == 3
        assert "config.json" in {a.path for a in store.client.list_artifacts(run.info.run_id)}


def test_parents_hold_the_aggregates(store, make_runs, tiny_study):
    make_runs(tiny_study)
    runs = load_runs(tiny_study, store=store)
    for parent in parents(store):
        values = runs.loc[runs["row"] == parent.data.tags["row"], "energy_distance_final"]
        kept = values[~runs["lost"]]
        assert parent.data.metrics["energy_distance_final_mean"] == pytest.approx(kept.mean(), nan_ok=True)
        assert parent.data.metrics["energy_distance_final_std"] == pytest.approx(kept.std(ddof=1), nan_ok=True)
        assert parent.data.metrics["energy_distance_final_n"] == len(kept)
        assert (parent.data.metrics["diverged"], parent.data.metrics["lost"]) == (0, 2 - len(kept))
        assert parent.info.status == "FINISHED"
        assert parent.data.tags["run_ids"].split(",") == list(runs.loc[values.index, "run_id"])


def test_links_open_the_studys_table(store, tiny_study):
    Parents(store).experiment(tiny_study)
    page = "http://a:1/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=table"
    assert links(store, "http://a:1") == {"tiny": page}
    assert links(store, "http://a:1", charts=True) == {"tiny": f"{page}&compareRunsMode=CHART"}


def test_parents_are_updated_in_place(store, make_runs, tiny_study):
    make_runs(tiny_study)
    store.client.delete_run(children_of(store)[0].info.run_id)
    Parents(store).update(tiny_study, tiny_study.cells())
    held = [p.data.metrics for p in parents(store)]
    assert Counter(each["energy_distance_final_n"] + each["lost"] for each in held) == {1: 1, 2: 1}
    assert len(parents(store)) == 2


def test_delivering_again_changes_nothing(store, tiny_study):
    """A driver that dies loses its memory: a new one delivers every row from the first on."""
    cell = tiny_study.cells()[0]
    run_id = Delivery(store).create(tiny_study, cell, 0)
    for _row in train(cell.config, store.folder(run_id)):
        Delivery(store).deliver(run_id)
    Delivery(store).finish(run_id, "done")

    def content():
        run = store.client.get_run(run_id)
        names = run.data.metrics
        history = {
            n: [(m.step, m.timestamp, m.value) for m in store.client.get_metric_history(run_id, n)] for n in names
        }
        return history, sorted(a.path for a in store.client.list_artifacts(run_id, "images"))

    before = content()
    again = Store(storage=store.storage)
    Delivery(again).deliver(run_id)
    Delivery(again).finish(run_id, "done")
    assert content() == before


@pytest.mark.parametrize("call", ["log_batch", "log_dict", "set_terminated"])
def test_a_crash_while_a_run_is_opened_leaves_nothing_out(store, tiny_study, monkeypatch, call):
    """Whichever call to MLflow is the last one, the next driver completes run and parent."""
    cell = tiny_study.cells()[0]

    def dies(*_arguments, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store.client, call, dies)
        with contextlib.suppress(KeyboardInterrupt):
            Delivery(store).finish(Delivery(store).create(tiny_study, cell, 0), "failed")
    held = queries.seed_runs(store, [cell.config]).get((cell.config.cell_key, 0))
    run_id = held.run_id if held else Delivery(store).create(tiny_study, cell, 0)
    Delivery(store).begin(run_id, cell.config)
    list(train(cell.config, store.folder(run_id)))
    Delivery(store).deliver(run_id)
    Delivery(store).finish(run_id, "done")
    Parents(store).update(tiny_study, [cell])
    (run,), (parent,) = children_of(store), parents(store)
    expected = {name: str(value) for name, value in cell.config.non_defaults().items()}
    assert run.data.params == parent.data.params == expected
    assert run.info.status == parent.info.status == "FINISHED"
    assert "config.json" in {a.path for a in store.client.list_artifacts(run_id)}


def test_a_crash_between_checkpoint_and_rows_repeats_no_step(store, tiny_study):
    """Two drivers die around it; every step stays once."""
    cell = tiny_study.cells()[0]
    run_id = Delivery(store).create(tiny_study, cell, 0)
    run = train(cell.config, store.folder(run_id))
    next(run)
    held = (store.folder(run_id) / "rows.jsonl").read_bytes()
    next(run)
    run.close()
    Delivery(store).deliver(run_id)
    (store.folder(run_id) / "rows.jsonl").write_bytes(held)
    for _ in range(2):
        again = Store(storage=store.storage)
        for _row in train(cell.config, store.folder(run_id)):
            Delivery(again).deliver(run_id)
    assert [m.step for m in store.client.get_metric_history(run_id, "fid")] == [0, 256, 512]


def test_a_run_that_ends_while_it_is_delivered_counts_its_last_row(store, tiny_study, trained, monkeypatch):
    """The row is written between any two looks at the folder."""
    from search.store import delivery

    cell = tiny_study.cells()[0]
    whole = (trained(cell.config) / "rows.jsonl").read_bytes().splitlines(keepends=True)
    run_id = Delivery(store).create(tiny_study, cell, 0)
    rows = store.folder(run_id) / "rows.jsonl"
    rows.parent.mkdir(parents=True)

    def then_it_ends(read):
        def reads(*arguments):
            found = read(*arguments)
            rows.write_bytes(b"".join(whole))
            return found

        return reads

    for name in ("read_evaluations", "end_of", "read_provenance"):
        rows.write_bytes(b"".join(whole[:-1]))
        with monkeypatch.context() as patch:
            patch.setattr(delivery, name, then_it_ends(getattr(delivery, name)))
            Delivery(store).deliver(run_id)
    Delivery(store).deliver(run_id)
    assert {m.value for m in store.client.get_metric_history(run_id, "evaluations")} == {3.0}
    assert {m.step for m in store.client.get_metric_history(run_id, "fid_final")} == {512}
    assert store.client.get_run(run_id).data.tags["state"] == "done"


def test_rows_carry_their_own_time(store, tiny_study):
    cell = tiny_study.cells()[0]
    run_id = Delivery(store).create(tiny_study, cell, 0)
    rows = list(train(cell.config, store.folder(run_id)))
    Delivery(store).deliver(run_id)
    history = store.client.get_metric_history(run_id, "fid")
    assert [m.timestamp for m in history] == [int(row["logged_at"] * 1000) for row in rows]


def test_a_run_is_found_whatever_study_made_it(store, make_runs, tiny_study):
    make_runs(tiny_study)
    other = Study("other", tiny_study.base, rows={"base": {}, "hinge": {"loss": "hinge"}}, seeds=3)
    runs = load_runs(other, store=store)
    assert list(zip(runs["row"], runs["seed"], strict=True)) == [("base", 0), ("base", 1)]


def test_a_deleted_run_is_gone(store, make_runs, tiny_study):
    make_runs(tiny_study)
    gone = children_of(store)[0]
    store.client.delete_run(gone.info.run_id)
    assert gone.info.run_id not in set(load_runs(tiny_study, store=store)["run_id"])
    assert len(load_runs(tiny_study, store=store)) == 3


def test_a_deleted_experiment_is_named(store, make_runs, tiny_study):
    make_runs(tiny_study, seeds=1)
    store.client.delete_experiment(Parents(store).experiment(tiny_study))
    with pytest.raises(ValueError, match="'tiny' is deleted"):
        Parents(store).experiment(tiny_study)


def test_of_two_runs_of_one_seed_the_done_one_counts(store, make_runs, tiny_study):
    """Restoring a deleted run in MLflow can leave two."""
    Delivery(store).create(tiny_study, tiny_study.cells()[0], 0)
    make_runs(tiny_study)
    assert set(load_runs(tiny_study, store=store)["state"]) == {"done"}


def test_load_runs_refuses_an_unknown_study():
    with pytest.raises(ValueError, match="did you mean 'quick'"):
        load_runs("quik")


@pytest.fixture
def questions():
    """The statements that this process sends to databases."""
    from sqlalchemy import Engine, event

    asked = []

    def note(connection, cursor, statement, *_):
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield asked
    event.remove(Engine, "before_cursor_execute", note)


def test_questions_to_the_store_do_not_grow_with_its_runs(store, tiny_points, questions):
    counts = []
    for rows in (2, 40):
        study = Study("s", tiny_points, rows={str(i): {"lr": 1e-4 * (1 + i)} for i in range(rows)}, seeds=1)
        for cell in study.cells()[len(counts) :: 10]:
            Delivery(store).create(study, cell, 0)
        questions.clear()
        make_plan(study, store)
        runs = load_runs(study, store=store)
        assert len(histories(store, runs["run_id"], "fid")) == len(runs)
        counts.append(len(questions))
    assert counts[1] <= counts[0] <= 12


def test_histories_are_what_mlflow_says(store, make_runs, tiny_study):
    make_runs(tiny_study, seeds=1)
    ids = list(load_runs(tiny_study, store=store)["run_id"])
    store.client.log_metric(ids[0], "fid", float("nan"), step=1024)
    for run_id, points in histories(store, ids, "fid").items():
        held = store.client.get_metric_history(run_id, "fid")
        assert str(points) == str([(m.timestamp, m.step, m.value) for m in held])


def test_an_empty_store_gives_an_empty_frame(store, tiny_study):
    runs = load_runs(tiny_study, store=store)
    assert runs.empty
    assert {"row", "column", "seed", "state", "run_id", "fid_final", "fid_best"} <= set(runs.columns)


def test_run_asks_the_store_twice_before_it_starts(store, tiny_study, monkeypatch):
    """Once for the checks and what is left, once under the lock where it recovers; and for eight runs that it lacks."""
    happened, ask = [], queries.runs_from_database

    def tune_runs(queue, store, progress, cluster):
        happened.append("started")
        progress.states |= dict.fromkeys(map(str, range(progress.runs)), "done")
        return []

    monkeypatch.setattr(queries, "runs_from_database", lambda *question: happened.append("asked") or ask(*question))
    without_ray(monkeypatch)
    monkeypatch.setattr("search.tune.driver.tune_runs", tune_runs)
    for lacking in (1, 0):  # of a study that is new, and of one that has its runs
        happened.clear()
        run_study(tiny_study, store)
        assert happened == ["asked"] * (2 + lacking) + ["started"]
