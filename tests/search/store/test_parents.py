"""Parents say what their cells come to, and lose or repeat nothing wherever the writing of it ends."""

import statistics
from dataclasses import replace

import pytest
from test_view import unpacked

from search.store import load_runs
from search.store.delivery import Delivery
from search.store.parents import ABOVE, DRAWN, NOTE, Parents
from trainers.run_state import RunState

WRITES = {"create_run", "delete_run", "log_batch", "set_tag", "set_terminated", "set_experiment_tag"}
IMAGES = (0, 256, 512)


class Dying:
    """A client that goes away after so many writes, as a process that is killed."""

    def __init__(self, client, left):
        self._client, self._left = client, left

    def __getattr__(self, name):
        if name in WRITES:
            if not self._left:
                raise KeyboardInterrupt
            self._left -= 1
        return getattr(self._client, name)


@pytest.fixture
def study(tiny_study):
    return replace(tiny_study, rows={"GAN": {}}, metrics=("energy_distance_final", "energy_distance_best"))


def value_of(seed, images):
    """A run's score after some images: it falls, the faster the larger the seed."""
    return 4 - (images / 512) * (1 + seed) ** 2 / 4


def make(store, study, seeds):
    """Done runs without training."""
    from mlflow.entities import Metric, RunTag

    (cell,) = study.cells()
    for seed in seeds:
        run_id = Delivery(store).create(study, cell, seed)
        series = [Metric("energy_distance", value_of(seed, n), 1_000 * seed + n, n) for n in IMAGES]
        last = value_of(seed, 512)
        ends = {"untrained": value_of(seed, 0), "final": last, "best": last}
        metrics = [*series, *(Metric(f"energy_distance_{name}", value, 0, 512) for name, value in ends.items())]
        store.client.log_batch(run_id, metrics=metrics, tags=[RunTag("state", RunState.DONE)])


def held(store):
    """Parents and seed runs."""
    experiments = [e.experiment_id for e in store.client.search_experiments()]
    runs = store.client.search_runs(experiments)
    return [run for run in runs if "seed" not in run.data.tags], [run for run in runs if "seed" in run.data.tags]


def check_table(store, study, seeds):
    """One parent, over all runs, says of its seeds what they come to, each point of its curves once."""
    (parent,), children = held(store)
    assert {run.data.tags[ABOVE] for run in children} == {parent.info.run_id}
    assert list(load_runs(study, store=store)["seed"]) == list(range(seeds))
    for name, take in (("energy_distance", statistics.fmean), ("energy_distance_std", statistics.stdev)):
        points = store.client.get_metric_history(parent.info.run_id, name)
        expected = [(n, pytest.approx(take([value_of(seed, n) for seed in range(seeds)]))) for n in IMAGES]
        assert sorted((point.step, point.value) for point in points) == expected
    last = [value_of(seed, 512) for seed in range(seeds)]
    told = parent.data.metrics
    assert told["energy_distance_final"] == told["energy_distance_final_mean"] == pytest.approx(statistics.fmean(last))
    assert (told["n"], told["lost"]) == (seeds, 0)
    return parent


def test_curves_wait_for_all_seeds_and_a_cell_with_more_gets_a_new_parent(store, study, monkeypatch):
    """Killed at its first write, then at its second, and so on, each time by a process that knows nothing."""
    make(store, study, [0])
    Parents(store).update(study, study.cells())
    assert "energy_distance" not in held(store)[0][0].data.metrics
    make(store, study, [1])
    Parents(store).update(study, study.cells())
    first, more = check_table(store, study, 2), replace(study, seeds=3)
    for name, value in {NOTE: "my notes", DRAWN: "a picture"}.items():
        store.client.set_tag(first.info.run_id, name, value)
    make(store, more, [2])
    client, kills = store.client, 0
    while True:
        monkeypatch.setitem(vars(store), "client", Dying(client, kills))
        try:
            Parents(store).update(more, more.cells())
            break
        except KeyboardInterrupt:
            monkeypatch.setitem(vars(store), "client", client)
            assert list(load_runs(more, store=store)["seed"]) == [0, 1, 2]
            kills += 1
    monkeypatch.setitem(vars(store), "client", client)
    second = check_table(store, more, 3)
    assert kills > 3
    assert second.info.run_id != first.info.run_id
    assert second.info.start_time == first.info.start_time  # by which the UI orders rows
    assert (second.data.tags[NOTE], DRAWN in second.data.tags) == ("my notes", False)  # it has no picture
    monkeypatch.setitem(vars(store), "client", Dying(client, 2))
    Parents(store).update(more, more.cells())  # writes params and end of the parent alone: nothing changed


def test_a_run_below_a_parent_that_another_process_replaced_comes_to_the_new_one(store, study):
    make(store, study, [0, 1])
    late, (cell,) = Delivery(store), study.cells()
    late.parents.update(study, study.cells())
    make(store, study, [2])
    Parents(store).update(replace(study, seeds=3), study.cells())
    late.create(study, cell, 3)
    (parent,), children = held(store)
    assert len({run.data.tags[ABOVE] for run in children}) == 2
    late.parents.update(study, study.cells())
    (parent,), children = held(store)
    assert {run.data.tags[ABOVE] for run in children} == {parent.info.run_id}


def test_the_uis_table_has_the_columns_of_the_study_in_its_order(store, tiny_study):
    parents = Parents(store)
    experiment = parents.experiment(tiny_study)
    tag = "mlflow.sharedViewState.table"
    store.client.set_experiment_tag(experiment, tag, "{}")  # as an earlier version wrote another
    Parents(store).update(tiny_study, tiny_study.cells())
    view = unpacked(store.client.get_experiment(experiment).tags[tag])
    first = "energy_distance_final"
    metrics = [first, f"{first}_std", "n", "lost", "ratio", "ratio_low", "ratio_high", "fid_best", "fid_best_std"]
    expected = [*(f"metrics.`{name}`" for name in metrics), "params.`aw`"]
    assert view["selectedColumns"] == expected == view["columnOrder"][-len(expected) :]
    assert len({run.data.tags["mlflow.runColor"] for run in held(store)[0]}) == 2
    assert {*metrics} - {"ratio", "ratio_low", "ratio_high"} <= held(store)[0][0].data.metrics.keys()


def test_a_description_is_ours_until_someone_writes_another(store, study, monkeypatch):
    parents, client = Parents(store), store.client
    experiment = parents.experiment(study)

    def note():
        return client.get_experiment(experiment).tags[NOTE]

    parents.describe(study, "one")
    for writes in (0, 1):
        monkeypatch.setitem(vars(store), "client", Dying(client, writes))
        with pytest.raises(KeyboardInterrupt):
            Parents(store).describe(study, "two")
        monkeypatch.setitem(vars(store), "client", client)
        assert note() == "one"
    parents.describe(study, "three")
    assert note() == "three"
    client.set_experiment_tag(experiment, NOTE, "mine")
    parents.describe(study, "four")
    assert note() == "mine"
    with pytest.raises(ValueError, match="at most 5,000 letters, not 6,000"):
        parents.describe(study, "x" * 6_000)
