"""Image files are what they hold: eight spellings are one data set, and two folders of one name are two."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from forked import COMMAND, Forked
from PIL import Image

from reports.report import write_report
from reports.results import Results
from search.plan import make_plan
from search.store import Store, load_runs
from search.store.delivery import Delivery
from search.store.image_sets import checked_images, other_content, resolved
from search.store.parents import IMAGES, Parents
from search.store.queries import find_runs
from spaces import Study
from trainers.config import Config
from trainers.data import load
from trainers.run_state import RunState

SMALL = Config(
    dataset="folder:photos",
    features="raw",
    resolution=16,
    backbone_options={"width": 4, "latent": 4},
    batch_size=8,
    n_images=16,
    eval_every=16,
    eval_samples=20,
)


def pictures(folder, seed=0, n=4):
    rng = np.random.default_rng(seed)
    for number in range(n):
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (18, 16), dtype=np.uint8)).save(folder / f"{number}.bmp")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory with a folder of images, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANABLATE_CACHE", str(tmp_path / "cache"))
    pictures(tmp_path / "photos")
    load._load.cache_clear()
    return tmp_path


def study(dataset="folder:photos", **fields):
    """As `--set dataset=...` makes it."""
    base = Study("mine", SMALL.replace(**fields), rows={"GAN": {}}, seeds=1, metrics=("fid_final",))
    return base.variant(settings={"dataset": dataset})


def states(*arguments, **options):
    return [job.state for job in make_plan(*arguments, **options).jobs]


def ended(*arguments, **options):
    """What a command printed."""
    process = Forked(*arguments, **options)
    assert process.returncode == 0, process.stderr
    return process.stdout


def zipped(folder, path, prefix=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, prefix + file.name)


def copied(folder, target):
    shutil.copytree(folder, target, copy_function=shutil.copy)  # the times are those of the copy


SPELLINGS = {
    "typed": lambda home: "folder:photos",
    "slash": lambda home: "folder:photos/",
    "dot": lambda home: "folder:./photos",
    "absolute": lambda home: f"folder:{home / 'photos'}",
    "elsewhere": lambda home: os.chdir((home / "photos").parent / "cache") or "folder:../photos",
    "link": lambda home: (home / "link").symlink_to(home / "photos") or "folder:link",
    "zip": lambda home: zipped(home / "photos", home / "some.zip") or "zip:some.zip",
    "zip of a folder": lambda home: zipped(home / "photos", home / "all.zip", "photos/") or "zip:all.zip",
    "moved": lambda home: (home / "photos").rename(home / "pictures") and "folder:pictures",
    "copied": lambda home: copied(home / "photos", home / "copy") or "folder:copy",
}


@pytest.fixture
def done(home, store, make_runs):
    """The study, run."""
    made = resolved(study(), store, reads=True)
    make_runs(made)
    return made


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_spelling_is_the_same_cell(done, home, store, spelling):
    """Found as done, by the cache alone."""
    (home / "cache").mkdir(exist_ok=True)
    chosen = study(SPELLINGS[spelling](home))
    assert states(resolved(chosen, store), store) == [RunState.DONE]
    assert list(load_runs(chosen, store=store)["run_id"]) == list(load_runs(done, store=store)["run_id"])
    assert resolved(chosen, store).cells()[0].config.cell_key == done.cells()[0].config.cell_key


def test_the_resolution_counts_by_what_it_makes(done, home, store):
    """Images of 16x18, stretched to 16, are others than cropped ones, and those of another size are others too."""
    keys = {
        resolved(study(**fields), store, reads=True).cells()[0].config.cell_key
        for fields in ({}, {"center_crop": False}, {"resolution": 8})
    }
    assert len(keys) == 3


def test_a_run_that_was_begun_by_another_spelling_goes_on(home, store, tmp_path):
    from trainers.loop import train

    chosen = resolved(study(n_images=32), store, reads=True)
    (cell,) = chosen.cells()
    run_id = Delivery(store).create(chosen, cell, 0)
    rows = train(cell.config, store.folder(run_id))
    first = next(rows)
    rows.close()
    Delivery(store).begin(run_id, cell.config)
    other = resolved(study(f"folder:{home / 'photos'}", n_images=32, eta=0.3), store)
    (job,) = make_plan(other, store).missing
    assert (job.run_id, job.state) == (run_id, RunState.INTERRUPTED)
    again = list(train(job.config, store.folder(run_id)))
    assert again[0] == first
    Delivery(store).begin(run_id, job.config)  # MLflow changes no param
    Delivery(store).deliver(run_id)
    assert states(other, store) == [RunState.DONE]
    whole = list(train(cell.config, tmp_path / "whole"))
    assert [row["fid"] for row in again] == [row["fid"] for row in whole]


def test_without_the_files_the_spelling_tells(done, home, store):
    shutil.rmtree(home / "photos")
    shutil.rmtree(home / "cache")
    load._load.cache_clear()
    assert states(study(), store) == [RunState.DONE]
    assert len(load_runs(study(), store=store)) == 1
    unknown = resolved(study("folder:nowhere"), store)
    assert (unknown.cells()[0].known_key, states(unknown, store)) == (None, [RunState.MISSING])
    assert load_runs(unknown, store=store).empty
    with pytest.raises(ValueError, match="folder:nowhere"):
        checked_images(study("folder:nowhere"), store, new_data=False)


def test_a_spelling_of_two_sets_is_refused_where_there_are_no_files(done, home, store, make_runs):
    pictures(home / "photos", seed=1)
    load._load.cache_clear()
    make_runs(checked_images(study(), store, new_data=True))
    shutil.rmtree(home / "photos")
    with pytest.raises(ValueError, match="runs on 2 different sets of images of that name"):
        resolved(study(), store)


def test_plan_reads_only_where_a_run_could_be_found(home, store, make_runs):
    assert resolved(study(), store, reads=None).cells()[0].known_key is None
    assert not (home / "cache").exists()
    make_runs(resolved(study(), store, reads=True))
    shutil.rmtree(home / "cache")
    load._load.cache_clear()
    assert states(study(), store) == [RunState.DONE]
    assert (home / "cache" / "images").exists()


def test_images_that_changed_are_told_before_anything_starts(done, home, store, tmp_path, caplog):
    pictures(home / "photos", seed=1)
    load._load.cache_clear()
    chosen = resolved(study(), store, reads=True)
    (line,) = other_content(chosen, store)
    assert line.startswith("photos has changed: 1 done runs saw ")
    assert states(chosen, store) == [RunState.MISSING]
    write_report(Results(chosen, store), tmp_path / "report")
    assert line in caplog.messages
    (run,) = [run for run in find_runs(store, "data", None) if "seed" in run.tags]
    store.client.set_tag(run.run_id, "code_version", "0.1.0-abc")
    (older,) = other_content(chosen, store)
    assert older.startswith("photos has changed, or is decoded otherwise since version 0.1.0: 1 done runs saw ")
    with pytest.raises(ValueError, match="--new-data"):
        checked_images(study(), store, new_data=False)
    new = checked_images(study(), store, new_data=True)
    Delivery(store).create(new, new.cells()[0], 0)
    assert other_content(new, store) == []  # begun, it goes on without the option


def test_two_sets_of_one_name_carry_their_digests(done, home, store, make_runs):
    (digest,) = done.data.values()
    assert done.title == "mine (dataset photos)"
    (home / "elsewhere").mkdir()
    os.chdir(home / "elsewhere")
    pictures(Path("photos"), seed=1)
    load._load.cache_clear()
    other = checked_images(study(), store, new_data=True)
    (second,) = other.data.values()
    assert other.title == f"mine (dataset photos {second[:4]})"
    make_runs(other)
    os.chdir(home)
    first = resolved(study(), store)
    assert first.title == f"mine (dataset photos {digest[:4]})"
    Parents(store).update(first, first.cells())
    names = {e.name: e.tags.get(IMAGES) for e in store.client.search_experiments()}
    assert {name: held for name, held in names.items() if held} == {first.title: digest, other.title: second}


def test_two_that_start_at_once_share_no_experiment(home, store):
    """Neither knew of the other when its title was made."""
    (home / "elsewhere").mkdir()
    pictures(home / "elsewhere" / "photos", seed=1)
    first = resolved(study(), store, reads=True)
    os.chdir(home / "elsewhere")
    load._load.cache_clear()
    second = resolved(study(), store, reads=True)
    assert first.title == second.title
    ids = [Parents(store).experiment(each) for each in (first, second, first, second)]
    assert ids[:2] == ids[2:]
    assert len(set(ids)) == 2


def test_no_title_shows_a_path(home, store):
    chosen = resolved(study(f"folder:{home / 'photos'}"), store, reads=True)
    (cell,) = chosen.cells()
    assert str(home) not in chosen.title + cell.config.protocol + cell.label
    run_id = Delivery(store).create(chosen, cell, 0)
    Delivery(store).begin(run_id, cell.config)
    assert store.client.get_run(run_id).data.params["dataset"] == "photos"


def test_another_form_of_the_same_images_is_no_change(done, home, store):
    """Nor are they others of that name: another size, another background, and labels where conditional is on."""
    for number in range(4):
        (home / "photos" / "ab"[number % 2]).mkdir(exist_ok=True)
        (home / "photos" / f"{number}.bmp").rename(home / "photos" / "ab"[number % 2] / f"{number}.bmp")
    load._load.cache_clear()
    labelled = {"backbone": "sngan", "backbone_options": {"width": 4}, "conditional": True, "resolution": 32}
    for fields in (labelled, {"resolution": 32}, {"background": "black"}):
        chosen = resolved(study(**fields), store, reads=True)
        assert other_content(chosen, store) == []
        assert chosen.title == "mine (dataset photos)"
    base = Study("mine", SMALL.replace(resolution=32), rows={"GAN": {}, "labels": labelled}, seeds=1)
    both = resolved(base.variant(settings={"dataset": "folder:photos"}), store, reads=True)
    assert len(set(both.data.values())) == len({cell.config.cell_key for cell in both.cells()}) == 2


@pytest.mark.slow
@pytest.mark.process
def test_two_people_in_two_folders_on_one_storage(home, empty_database):
    """Started at once, each with its own `folder:photos`: no cell, experiment or report folder is shared."""
    (home / "runs").mkdir()
    shutil.copy(empty_database, home / "runs")
    text = (
        "from spaces import Study\nfrom trainers.config import Config\n"
        f"study = Study('mine', Config(**{SMALL.model_dump(exclude_defaults=True)}), rows={{'GAN': {{}}}}, seeds=1)\n"
    )
    people = [home / "ann", home / "bob"]
    for seed, place in enumerate(people):
        pictures(place / "photos", seed=seed)
        (place / "mine.py").write_text(text)
    options = ["mine.py", "--storage", str(home / "runs")]
    running = [Forked(COMMAND, "run", *options, cwd=place) for place in people]
    assert [process.wait() for process in running] == [0, 0], [process.stderr for process in running]
    for place in people:
        assert Forked(COMMAND, "report", *options, cwd=place).returncode == 0
    store = Store(storage=home / "runs")
    folders = sorted(path.name for path in (home / "runs" / "reports").iterdir())
    titles = sorted(e.name for e in store.client.search_experiments() if IMAGES in e.tags)
    plans = [json.loads(ended(COMMAND, "plan", *options, "--json", cwd=place)) for place in people]
    assert [[run["state"] for run in plan["cells"][0]["runs"]] for plan in plans] == [["done"], ["done"]]
    assert len({plan["cells"][0]["cell_key"] for plan in plans}) == len(folders) == len(titles) == 2


@pytest.mark.process
def test_a_known_folder_of_ten_thousand_is_planned_in_a_second(home):
    """Without torch: the cache is asked, which names what the files hold."""
    folder = home / "many"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"{number:05d}.bmp").write_bytes(b"BM%d" % number)
    script = """
import json, sys, time
from trainers.config import Config
from trainers.data import sources
from trainers.data.image_files import from_folder
from trainers.names import ImageForm
content = from_folder("folder:many").content(True)
place = sources.decoded_folder(content, ImageForm())
place.mkdir(parents=True)
(place / "meta.json").write_text(json.dumps({"digest": "0" * 16, "plain": "1" * 16}))
started = time.perf_counter()
key = Config(dataset="folder:many", features="raw").cell_key
print(time.perf_counter() - started)
assert "torch" not in sys.modules
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", script], cwd=home, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1
