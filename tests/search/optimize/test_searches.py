"""Searches: what Optuna is told, what stops, and that a search which was killed goes on as if it had not been."""

import functools
import io
import json
import math
import random
import shutil
import time
from collections import Counter

import optuna
import pandas as pd
import pytest
from rich.console import Console

from reports.searches import show_outcome, write_searches, write_study, write_trials
from search.optimize.analysis import analyse
from search.optimize.outcome import check_table, load_outcome, read_outcome, stored_search, tuned_study
from search.optimize.searches import TrialQueue, check_search, run_search, sampler
from search.plan import Job
from search.store import Store
from search.store.delivery import Delivery
from search.store.identity import origin
from search.store.parents import Parents
from search.store.queries import find_runs, histories, reserved_for, trials_of
from search.store.recovery import recover_search
from search.tune.cluster import Cluster
from search.tune.queue import DONE
from spaces import RECIPES, SPACES, Search, find_study
from spaces.search import SAMPLERS
from trainers.config import Config
from trainers.files import write_json
from trainers.run_folder import read_evaluations, write_evaluations, write_origin

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("undrawn")]
FAIL, COMPLETE = optuna.trial.TrialState.FAIL, optuna.trial.TrialState.COMPLETE
BASE = Config(n_images=800, eval_every=100, n_coop=100, eta=0.1)
SHORT = BASE.replace(n_images=400)  # enough where no rule stops a trial


def search(by="tpe", scheduler="asha", base=BASE, space=SPACES["all"]):
    return Search("r", base, "all", space, by, scheduler)


def searched_by(by, scheduler):
    return search(by, scheduler, BASE if scheduler != "none" else SHORT)


class Killed(Exception):
    """What ends a simulated driver."""


def objective(config, images):
    """A stand-in for training: smooth in what the space varies, falling with images; some trials diverge."""
    if config.lr > 6e-4:
        return math.nan
    best = math.log(config.lr / 3e-4) ** 2 + math.log(config.eta / 0.05) ** 2 + (config.langevin_steps / 10 - 1) ** 2
    return best + 10 * (1 - images / 1_000)


def train(config, folder):
    """As trainers.loop.train: rows that are on disk first, then the others, each on disk before it is yielded."""
    rows = read_evaluations(folder)
    yield from rows
    while not rows or rows[-1]["state"] == "running":
        images = 100 * len(rows)
        value = objective(config, images)
        state = "diverged" if math.isnan(value) else "done" if images == config.n_images else "running"
        rows.append({"images": images, "state": state, "fid": value, "seconds": 1.0, "eval_seconds": 0.0})
        rows[-1]["logged_at"] = time.time()
        write_evaluations(folder, rows)
        yield rows[-1]


def simulate(wanted, store, samples, *, slots=1, events=10**9):
    """Drive a search as Tune and its workers would, without either; die after so many events."""
    work, delivery, here = TrialQueue(wanted, store, samples, slots=slots), Delivery(store), origin(store)
    live = []

    def happens():
        nonlocal events
        time.sleep(0.002)  # so that no two events share a millisecond
        events -= 1
        if events < 0:
            raise Killed

    while True:
        while work.reserve(delivery):
            pass
        found = work.next()
        if isinstance(found, Job):
            happens()
            work.begin(found, delivery)
            folder = store.folder(found.run_id)
            write_origin(folder, {**here, "cell_key": found.key[0], **found.origin})
            write_json(folder / "config.json", found.config.acting().model_dump(mode="json"))
            live.append((found, train(found.config, store.folder(found.run_id))))
            continue
        if found == DONE and not live:
            return load_outcome(wanted, store)
        for entry in list(live):
            job, rows = entry
            row = next(rows)
            happens()
            stops = math.isfinite(row["fid"]) and work.stops(job, row["images"], row["fid"])
            delivery.deliver(job.run_id)
            happens()
            ended = "stopped" if stops and row["state"] == "running" else row["state"]
            if ended != "running":
                delivery.finish(job.run_id, ended)
                work.ended(job, ended)
                live.remove(entry)


def told(outcome):
    return [(t.number, t.state, t.value, t.images, t.params, t.config) for t in outcome.trials]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, empty_database):
    """A function (sampler, scheduler) -> store and outcome of a search's 14 trials, by one slot and one driver."""

    @functools.cache
    def made(by, scheduler):
        store = Store(storage=tmp_path_factory.mktemp("undisturbed"))
        shutil.copy(empty_database, store.storage)
        return store, simulate(searched_by(by, scheduler), store, 14)

    return made


@pytest.mark.long
def test_a_search_is_optunas_own_study_again(undisturbed, tmp_path, monkeypatch):
    """Read from the store by its title alone: as the sampler had it, in memory as in the file of optuna-dashboard."""
    store, outcome = undisturbed("tpe", "asha")
    found = stored_search("search r", store)
    assert (found.key, found.title, found.base, found.scheduler) == (search().key, "search r", BASE, "asha")
    known = TrialQueue(search(), store, 14).study.trials
    monkeypatch.setattr("reports.search_figures.FIGURES", {})
    console = Console(file=io.StringIO(), width=200)
    paths = write_searches([read_outcome(found, store)], store, tmp_path, console)
    assert [path.name for path in paths] == ["trials r.csv", "search.db"]
    assert "importances of unstopped trials take 30 trials, and there are" in console.file.getvalue()
    stored = optuna.load_study(study_name="search r", storage=f"sqlite:///{paths[-1]}").trials
    for trials in (analyse(outcome, store).trials, stored):
        for one, other in zip(known, trials, strict=True):
            assert (one.params, one.distributions, one.state) == (other.params, other.distributions, other.state)
            assert one.intermediate_values == other.intermediate_values
            assert one.value == other.value or one.state != COMPLETE
    with pytest.raises(ValueError, match="tells of no 'search q'"):
        stored_search("search q", store)
    run = next(run for run in find_runs(store, "study", ["search r"]) if "search_facts" in run.tags)
    store.client.set_tag(run.run_id, "search_facts", "{}")
    with pytest.raises(ValueError, match="cannot be read"):
        stored_search("search r", store)
    store.client.set_tag(run.run_id, "search_facts", run.tags["search_facts"])


@pytest.mark.long
@pytest.mark.parametrize(
    ("by", "scheduler"),
    [
        ("tpe", "asha"),
        pytest.param("cmaes", "none", marks=pytest.mark.slow),
        pytest.param("random", "median", marks=pytest.mark.slow),
        pytest.param("gp", "hyperband", marks=pytest.mark.slow),
    ],
)
def test_a_search_that_was_killed_is_the_search_that_was_not(store, undisturbed, by, scheduler):
    """One slot: the same proposals, rows, decisions and winner, wherever the driver died; more samples extend it."""
    wanted, first = searched_by(by, scheduler), told(undisturbed(by, scheduler)[1])
    for events in (9, 57, 22):
        with pytest.raises(Killed):
            simulate(wanted, Store(storage=store.storage), 14, events=events)
    outcome = simulate(wanted, Store(storage=store.storage), 14)
    assert told(outcome) == first
    assert len({str(trial.params) for trial in outcome.trials}) == 14
    more = simulate(wanted, Store(storage=store.storage), 16)
    assert told(more)[:14] == first
    assert [trial.number for trial in more.trials] == list(range(16))


def starts(wanted, store):
    return [int(run.tags["proposed_at"]) for run in trials_of(store, wanted)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("by", "scheduler", "backup"),
    [("tpe", "asha", 5), pytest.param("cmaes", "none", 0, marks=pytest.mark.slow)],
)
def test_a_search_whose_store_was_lost_is_the_search_whose_was_not(
    tmp_path, empty_database, undisturbed, by, scheduler, backup
):
    """Its database is removed amid trial 12, or one of five trials put in its place: what came back is what was, and
    the next proposals are those that would have been."""
    wanted, lost = searched_by(by, scheduler), Store(storage=tmp_path / "lost")
    lost.storage.mkdir()
    shutil.copy(empty_database, lost.storage)
    if backup:
        simulate(wanted, lost, backup)
        shutil.copy(tmp_path / "lost" / "mlflow.db", tmp_path / "backup")
    simulate(wanted, lost, 12)
    with pytest.raises(Killed):
        simulate(wanted, lost, 14, events=4)
    before = load_outcome(wanted, lost)
    proposed = starts(wanted, lost)
    shutil.move(tmp_path / "lost", tmp_path / "again")  # this process has the former file open
    shutil.copy(tmp_path / "backup" if backup else empty_database, tmp_path / "again" / "mlflow.db")
    store = Store(storage=tmp_path / "again")
    assert recover_search(wanted, Delivery(store)) == len(before.trials) - backup
    assert told(load_outcome(wanted, store)) == told(before)
    assert starts(wanted, store) == proposed == sorted(proposed)
    assert recover_search(wanted, Delivery(store)) == 0
    assert told(simulate(wanted, store, 14)) == told(undisturbed(by, scheduler)[1])


@pytest.mark.long
def test_two_slots_repeat_no_trial_and_keep_every_stop(store):
    wanted = search()
    ends = {}
    for events in (15, 30, 20, 10**9):
        try:
            outcome = simulate(wanted, store, 14, slots=2, events=events)
        except Killed:
            outcome = load_outcome(wanted, store)
        now = {trial.number: trial for trial in outcome.trials if trial.state != "running"}
        assert ends.items() <= now.items()
        ends = now
    assert sorted(ends) == list(range(14))
    assert len({trial.run_id for trial in outcome.trials}) == 14
    assert Counter(trial.state for trial in outcome.trials)["stopped"] > 0


@pytest.mark.slow
def test_a_clock_that_jumps_repeats_no_trial(store, monkeypatch):
    """By up to 30 days at every look, through three deaths."""
    rng, true = random.Random(0), time.time
    monkeypatch.setattr(time, "time", lambda: true() + rng.uniform(-30, 30) * 86_400)
    wanted = search()
    ids = {}
    for events in (15, 30, 20, 10**9):
        try:
            outcome = simulate(wanted, store, 14, slots=2, events=events)
        except Killed:
            outcome = load_outcome(wanted, store)
        now = {trial.number: trial.run_id for trial in outcome.trials}
        assert ids.items() <= now.items()
        ids = now
    assert len(set(ids.values())) == 14
    assert {trial.state for trial in outcome.trials} <= {"done", "stopped", "diverged"}
    for trial in outcome.trials:
        images = [images for _, images, _ in histories(store, [trial.run_id], "images")[trial.run_id]]
        assert images == list(range(0, trial.images + 1, 100))


@pytest.mark.long
def test_optuna_is_told_what_became_of_each_trial(undisturbed):
    wanted = search()
    store, outcome = undisturbed("tpe", "asha")
    states = Counter(trial.state for trial in outcome.trials)
    assert min(states["done"], states["stopped"], states["diverged"]) > 0
    study = TrialQueue(wanted, store, 0).study
    counts = Counter(trial.state.name for trial in study.trials)
    assert counts == {"COMPLETE": states["done"], "PRUNED": states["stopped"], "FAIL": states["diverged"]}
    for trial, held in zip(outcome.trials, study.trials, strict=True):
        assert held.params == trial.params
        if trial.state == "done":
            assert held.value == trial.value == objective(trial.config, 800)
        if trial.state == "stopped":  # at the only rung, with its value there
            assert trial.images == held.last_step == 300
            assert held.intermediate_values[300] == objective(trial.config, 300)
        if trial.state == "diverged":
            assert math.isnan(trial.value)
            assert trial.images == 0
    done = [trial for trial in outcome.trials if trial.state == "done"]
    assert outcome.winner == min(done, key=lambda trial: trial.value)
    assert outcome.images_saved == states["stopped"] * 500
    parent = store.client.get_run(Parents(store).parent(wanted, wanted.cell))
    assert parent.data.metrics["stopped"] == states["stopped"]
    assert parent.data.metrics["best_value"] == outcome.winner.value
    assert parent.data.tags["winner"] == outcome.winner.run_id
    statuses = {t.state: store.client.get_run(t.run_id).info.status for t in outcome.trials}
    assert statuses == {"done": "FINISHED", "stopped": "FINISHED", "diverged": "FINISHED"}


def test_tpe_finds_better_values_than_random():
    """On a smooth objective, 40 proposals; the median of three searches."""
    best = {}
    for name in ("random", "tpe"):
        found = []
        for recipe in "abc":
            study = optuna.create_study()
            wanted = Search(recipe, BASE, "all", SPACES["all"], name)
            for number in range(40):
                study.sampler = sampler(wanted, number)
                trial = study.ask()
                value = objective(wanted.propose(trial), 800)
                failed = math.isnan(value)
                study.tell(trial, None if failed else value, FAIL if failed else COMPLETE)
            found.append(study.best_value)
        best[name] = sorted(found)[1]
    assert best["tpe"] < best["random"]


def test_a_space_that_changed_is_refused(store):
    simulate(search(), store, 2)

    def other(trial, base):
        return {"lr": trial.suggest_float("lr", 1e-9, 1e-8)}

    def wider(trial, base):
        return SPACES["all"](trial, base.replace(lr=base.lr * 1.1))

    for space in (other, wider):
        with pytest.raises(ValueError, match="the space changed"):
            TrialQueue(search(space=space), store, 3)


def test_trials_of_other_data_are_refused(store):
    simulate(search(), store, 2)
    check_search(search(), 3, store)
    store.client.set_tag(trials_of(store, search())[1].run_id, "data_digest", "0" * 16)
    with pytest.raises(ValueError, match="data_digest of search"):
        check_search(search(), 3, store)


def test_a_deleted_trial_is_made_again(store):
    wanted = search()
    outcome = simulate(wanted, store, 4)
    store.client.delete_run(outcome.trials[1].run_id)
    again = simulate(wanted, store, 4)
    assert [trial.number for trial in again.trials] == [0, 1, 2, 3]
    assert told(again)[2:] == told(outcome)[2:]


def test_a_trial_that_was_created_twice_counts_once(store):
    """The answer of a creation was lost, and the client asked again: the search goes on as if it had not."""
    wanted = search()
    outcome = simulate(wanted, store, 4)
    held = store.client.get_run(outcome.trials[0].run_id)
    twin = {**{k: v for k, v in held.data.tags.items() if not k.startswith("mlflow.")}, "state": "missing"}
    again = store.client.create_run(held.info.experiment_id, start_time=held.info.start_time - 50, tags=twin)
    assert told(load_outcome(wanted, store)) == told(outcome)
    more = simulate(wanted, store, 5)
    assert told(more)[:4] == told(outcome)
    assert again.info.run_id not in {trial.run_id for trial in more.trials}


def test_a_lost_answer_makes_no_second_trial(store, monkeypatch):
    """The run is there, though its creation failed: the proposal takes it."""
    wanted = search()
    queue, delivery = TrialQueue(wanted, store, 2, slots=2), Delivery(store)
    create = delivery.create

    def lost(*arguments, **options):
        create(*arguments, **options)
        monkeypatch.setattr(delivery, "create", create)
        raise ValueError("the answer is lost")

    monkeypatch.setattr(delivery, "create", lost)
    with pytest.raises(ValueError, match="lost"):
        queue.reserve(delivery)
    assert queue.next() == "wait"
    queue.reserve(delivery)
    job = queue.next()
    queue.begin(job, delivery)
    assert [run.run_id for run in trials_of(store, wanted)] == [job.run_id]
    assert len(store.client.search_runs(["1"], "tags.trial = '0'")) == 1


def test_runs_are_created_ahead_of_their_proposals(store):
    """As many as there are slots; a driver that comes later takes those that wait, and no more than it needs."""
    wanted = search()
    queue, delivery = TrialQueue(wanted, store, 5, slots=2), Delivery(store)
    assert queue.next() == "wait"
    while queue.reserve(delivery):
        pass
    ahead = reserved_for(store, wanted)
    assert list(ahead) == [0, 1]
    assert trials_of(store, wanted) == []
    first = queue.next()
    queue.begin(first, delivery)
    assert first.run_id == ahead[0]
    outcome = simulate(wanted, store, 2)
    assert [trial.run_id for trial in outcome.trials] == list(ahead.values())
    assert reserved_for(store, wanted) == {}
    assert outcome.trials[0].params == json.loads(first.origin["params"])


def test_a_trial_that_began_before_the_store_had_heard_of_it_is_told_by_its_folder(store):
    """The driver proposed it, its worker trained, the server was silent, and the driver died."""
    wanted = search()
    queue, delivery = TrialQueue(wanted, store, 2, slots=2), Delivery(store)
    while queue.reserve(delivery):
        pass
    job = queue.next()
    folder = store.folder(job.run_id)
    folder.mkdir(parents=True)
    write_json(folder / "config.json", job.config.acting().model_dump(mode="json"))
    write_origin(folder, {**origin(store), "cell_key": job.key[0], **job.origin})
    first = next(train(job.config, folder))
    assert trials_of(store, wanted) == []
    assert recover_search(wanted, delivery) == 0  # none was lost
    (run,) = trials_of(store, wanted)
    assert (run.run_id, run.cell_key) == (job.run_id, job.key[0])
    assert delivery.recover([run]) == [job.run_id]
    outcome = simulate(wanted, store, 2)
    assert outcome.trials[0].run_id == job.run_id
    assert outcome.trials[0].params == json.loads(job.origin["params"])
    assert read_evaluations(folder)[0] == first


def test_a_failed_trial_is_told_and_made_again_on_demand(store):
    wanted = search()
    with pytest.raises(Killed):
        simulate(wanted, store, 1, events=3)
    (record,) = trials_of(store, wanted)
    Delivery(store).finish(record.run_id, "failed", "out of memory")
    assert [t.state.name for t in TrialQueue(wanted, store, 0).study.trials] == ["FAIL"]
    assert TrialQueue(wanted, store, 1).interrupted == []
    assert [r.run_id for r in TrialQueue(wanted, store, 1, retry_failed=True).interrupted] == [record.run_id]


@pytest.mark.parametrize(
    ("wanted", "samples", "words"),
    [
        (search(by="tbe"), 3, "sampler 'tbe' is unknown; did you mean 'tpe'"),
        (search(scheduler="ahsa"), 3, "did you mean 'asha'"),
        (search(), 0, "samples = 0"),
        (search(base=Config(), space=SPACES["coopinit"]), 3, "varies nothing of r"),
        (search(space=lambda trial, base: {"lrr": trial.suggest_float("lr", 0.1, 1)}), 3, "unknown field 'lrr'"),
        (search(space=lambda trial, base: {"lr": trial.suggest_float("lr", -2, -1)}), 3, "greater than 0"),
        (search(space=lambda trial, base: {"lr": trial.nonsense}), 3, "AttributeError"),
        (search(space=lambda trial, base: None), 3, "space 'all' on r, .*a dict of the changed fields, not None"),
        (search(space=lambda trial, base: {1: trial.suggest_float("lr", 0.1, 1)}), 3, "a dict of the changed fields"),
        (search(space=lambda trial, base: [trial.suggest_float("lr", 0.1, 1)]), 3, "a dict of the changed fields"),
        (search(space=lambda t, b: {"n_coop": t.suggest_int("share", 7, 8) * 90}), 3, "more than a quarter"),
        (search(space=lambda t, b: {"eval_samples": t.suggest_int("n", 10, 100)}), 3, "varies the protocol"),
        (search(space=lambda t, b: {"n_images": t.suggest_int("n", 900, 999)}), 3, "varies the n_images"),
        (search(space=lambda t, b: {"lr": t.suggest_categorical("lr", [(1e-3, 1)])[0]}), 3, "choices should be"),
        (search(space=lambda t, b: {"aw_alpha2": t.suggest_float("a", 0.5, 1.02)}), 60, "aw_alpha2 = 1.0"),
    ],
)
def test_searches_that_cannot_be_made_are_refused(store, wanted, samples, words):
    with pytest.raises(ValueError, match=words):
        check_search(wanted, samples, store)


def test_each_sampler_has_a_name(store):
    for name in SAMPLERS:
        check_search(search(name), 1, store)
        assert sampler(search(name), 0)


def test_searches_that_make_no_table_are_refused():
    ring, digits = (Search(name, RECIPES[name], "all", SPACES["all"]) for name in ("ring8_gan", "digits_gan"))
    with pytest.raises(ValueError, match="digits_gan"):
        check_table([ring, digits], 3)
    with pytest.raises(ValueError, match="named twice"):
        check_table([ring, ring], 3)
    with pytest.raises(ValueError, match="seeds = 0"):
        check_table([ring], 0)


def test_the_winners_table_has_its_fresh_seeds(store, tmp_path):
    outcome = simulate(search(), store, 5)
    study = tuned_study([outcome], seeds=3)
    (cell,) = study.cells()
    assert cell.config == outcome.winner.config.replace(seed=0)
    assert study.seeds == 3
    assert study.searched == {"r": outcome.winner.value}
    assert all(trial.config.seed >= 10_000 for trial in outcome.trials)
    assert find_study(str(write_study(study, tmp_path))) == study
    lines = write_trials(outcome, tmp_path).read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1", "2", "3", "4"]


def test_the_csv_has_what_ran_and_how_far_each_trial_got(store, tmp_path):
    """Not what was drawn for it: R1 is off below a bound, and alpha2 is drawn as a gap."""

    def space(trial, base):
        alpha = trial.suggest_float("aw_alpha1", 0.1, 0.6)
        gap = trial.suggest_float("aw_gap", 0.1, 0.3)
        gamma = trial.suggest_categorical("r1_gamma", [1e-5, 2.0])
        lr, width = trial.suggest_categorical("power", [1e-4, 3e-4, 0.1]), trial.suggest_int("width", 4, 8)
        drawn = {"aw_alpha1": alpha, "aw_alpha2": alpha + gap, "r1_gamma": gamma if gamma > 1e-3 else 0.0}
        return {**drawn, "lr": lr, "backbone_options": {"width": width}}

    outcome = simulate(search("random", base=BASE.replace(aw="normalized"), space=space), store, 12)
    states = {trial.state for trial in outcome.trials}
    assert states == {"done", "stopped", "diverged"}
    table = pd.read_csv(write_trials(outcome, tmp_path)).set_index("trial")
    settings = ["lr", "r1_gamma", "aw_alpha1", "aw_alpha2", "backbone_options.width"]
    assert set(table) == {"seed", "state", "fid_final", "fid", "images", "run_id", *settings}
    assert set(table["r1_gamma"]) == {0.0, 2.0}
    for trial in outcome.trials:
        config, line = trial.config, table.loc[trial.number]
        assert list(line[settings[:4]]) == pytest.approx([getattr(config, name) for name in settings[:4]])
        assert line["backbone_options.width"] == config.backbone_options["width"]
        value = objective(config, trial.images)
        assert (line["fid"] == pytest.approx(value)) or trial.state == "diverged"
        assert math.isnan(line["fid_final"]) == (trial.state != "done")


def test_what_diverged_or_failed_has_its_last_value(store):
    wanted = search("random", "none")
    simulate(wanted, store, 2)
    first, second = trials_of(store, wanted)
    store.client.log_metric(first.run_id, "fid", math.nan, step=900)
    store.client.set_tag(first.run_id, "state", "diverged")
    store.client.set_tag(second.run_id, "state", "failed")
    trials = load_outcome(wanted, store).trials
    assert [trial.state for trial in trials] == ["diverged", "failed"]
    assert [trial.last for trial in trials] == [objective(trial.config, 800) for trial in trials]


def test_an_outcome_is_shown_whatever_the_space_varies(store):
    def space(trial, base):
        loss = trial.suggest_categorical("loss", ["hinge", "least_squares"])
        return {"loss": loss, "backbone_options": {"width": trial.suggest_int("width", 4, 8)}, "lr_g": 1e-4}

    outcome = simulate(search("random", "none", space=space), store, 2)
    console = Console(record=True, width=300)
    show_outcome(outcome, console)
    text = console.export_text()
    assert f"loss {outcome.winner.config.loss}" in text
    assert f"backbone_options {outcome.winner.config.backbone_options}" in text
    assert "2 trials, 2 done" in text


@pytest.mark.usefixtures("cluster")
def test_a_search_on_ray(store, tiny_points):
    """Real training: trials are stopped, diverge and end, in one process; none is stopped in its cooperative stage."""

    def space(trial, base):
        power = trial.suggest_categorical("power", [-4, -3, 30])
        return {"lr": 10.0**power, "n_coop": trial.suggest_int("n_coop", 32, 128)}

    base = tiny_points.replace(n_coop=64, eta=0.1, eval_every=32, loss="wasserstein")
    wanted = Search("tiny", base, "all", space, "random", "median")
    outcome = run_search(wanted, store, Cluster(cpus_per_trial=2), samples=8)  # by one worker
    states = Counter(trial.state for trial in outcome.trials)
    assert states["diverged"] == sum(trial.params["power"] == 30 for trial in outcome.trials) > 0
    assert states["stopped"] > 0
    assert states["done"] > 0
    for trial in outcome.trials:
        assert trial.images >= trial.config.n_coop or trial.state == "diverged"
        steps = [point[1] for point in histories(store, [trial.run_id], "energy_distance")[trial.run_id]]
        assert len(set(steps)) == len(steps)
    assert outcome.images < 8 * base.n_images
    again = run_search(wanted, Store(storage=store.storage), samples=8)
    assert told(again) == told(outcome)  # test_former_storage has one that goes on with more
