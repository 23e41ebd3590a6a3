"""A storage folder of version 0.1.0 is planned, reported, resumed and searched on, all by the command."""

import contextlib
import csv
import json
import platform
import re
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest
import torch
from tuned import without_ray

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.long,
    pytest.mark.usefixtures("undrawn"),
    pytest.mark.skipif(
        (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="elsewhere ring8 is of other points"
    ),
]
FIXTURES = Path(__file__).parent / "fixtures"
FORMER = json.loads((FIXTURES / "storage-0.1.0.json").read_text())
STUDIES = {study["plan"]["study"].partition(" (")[0]: study for study in FORMER["studies"]}
TRIALS = FORMER["search"]["trials"]
COLUMNS = {"trial": "number", "seed": "seed", "state": "state", "energy_distance_final": "value", "images": "images"}


@contextlib.contextmanager
def database(folder):
    """Asks the SQLite file of a storage folder."""
    with contextlib.closing(sqlite3.connect(folder / "runs" / "mlflow.db")) as connection, connection:
        yield lambda question, *values: connection.execute(question, values).fetchall()


@pytest.fixture
def former(tmp_path, monkeypatch):
    """What 0.1.0 left, in the working directory; MLflow keeps absolute paths to artifacts, which are changed."""
    shutil.unpack_archive(FIXTURES / "storage-0.1.0.tar.xz", tmp_path, filter="data")
    with database(tmp_path) as ask:
        ((artifacts,),) = ask("SELECT artifact_location FROM experiments WHERE name = 'points'")
        places = artifacts.removesuffix("/runs/artifacts"), tmp_path.as_uri()
        ask("UPDATE experiments SET artifact_location = replace(artifact_location, ?, ?)", *places)
        ask("UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", *places)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANABLATE_CACHE", str(tmp_path / "runs" / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr("trainers.apart.has_run_files", lambda: False)  # study.py patches nothing
    return tmp_path


@pytest.fixture
def ganablate(former, monkeypatch, capsys):
    """The command: takes what a user types, ends well, and gives what it printed."""
    from ganablate import main

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["ganablate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert not ended.value.code, told.err
        return told.out

    return command


def states(plan):
    """What a plan says of its cells, but for their keys, and of what is missing; then, interrupted was missing too, and
    runs had no numbers."""
    cells = [
        [
            cell["row"],
            cell["column"],
            [run | {"state": run["state"].replace("interrupted", "missing")} for run in cell["runs"]],
        ]
        for cell in plan["cells"]
    ]
    missing = [{name: value for name, value in each.items() if name != "job"} for each in plan["missing"]]
    return today(plan["study"]), cells, missing


def today(text):
    """A text with the short name of image files, as it was not then."""
    return text.replace("folder:photos", "photos")


def lines(text):
    return list(csv.DictReader(text.splitlines()))


def known(found, expected):
    """Lines or rows without the columns that are new, and with the keys and digests of then, which differ, and the
    differences, in whose place others stand."""
    return [
        {
            name: before[name] if name in ("cell_key", "data_digest") or "_difference_" in name else line[name]
            for name in before
        }
        for line, before in zip(found, expected, strict=True)
    ]


def written(line):
    """A line as CSV has it."""
    return {name: "" if value is None else today(str(value)) for name, value in line.items()}


def alike(line):
    """What equals a line to the last bit, or nearly so on a processor, or with a torch, that rounds otherwise."""
    vendor = re.search(r"vendor_id\s*: (\w+)", Path("/proc/cpuinfo").read_text())
    if FORMER["bits"] == [torch.__version__, torch.backends.cpu.get_cpu_capability(), vendor and vendor[1]]:
        return line
    return {name: pytest.approx(v, rel=1e-3, abs=0.01) if isinstance(v, float) else v for name, v in line.items()}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * name.startswith(("tuned", "points"))) for name in STUDIES]
)
@pytest.mark.usefixtures("none_lost")  # as then
def test_a_study_is_planned_and_reported(ganablate, former, name):
    """The same states, ids and numbers, to the last digit; and nothing is made again."""
    study = STUDIES[name]
    assert states(json.loads(ganablate("plan", *study["arguments"], "--json"))) == states(study["plan"])
    if not study["plan"]["missing"]:  # data and own code count as those of the runs
        assert "nothing to run" in " ".join(ganablate("run", *study["arguments"]).split())
    ganablate("report", *study["arguments"], "--out", "out")
    told = {"table.csv": lines(today(study["table.csv"])), "runs.csv": list(map(written, study["runs"]))}
    for file, expected in told.items():
        assert known(lines((former / "out" / file).read_text()), expected) == expected


@pytest.mark.parametrize("asked", FORMER["why"], ids=lambda asked: asked["arguments"][-1])
def test_why(ganablate, former, asked):
    told = ganablate("why", *asked["arguments"]).splitlines()
    told = [re.sub(r"interrupted at \d+%", "missing", line) for line in told]
    found, expected = ([line for line in some if not line.startswith("  cell ")] for some in (told, asked["lines"]))
    assert [line.partition(f"; {former}")[0] for line in found] == expected


def search(ganablate, samples):
    """Bring the search to so many trials; the lines of its table of trials."""
    ganablate("search", *FORMER["search"]["arguments"], "--samples", str(samples), "--out", "out")
    return lines(Path("out", "trials ring.csv").read_text())


def as_line(trial):
    """A line of that table."""
    fields = {name: trial[field] for name, field in COLUMNS.items()}
    return written({**fields, **ran(trial["params"]), "run_id": trial["run_id"]})


def ran(drawn):
    """The settings that a trial ran with, of what was drawn: then a table had these."""
    settings = dict(drawn)
    settings["r1_gamma"] *= settings["r1_gamma"] >= 1e-3
    return settings | {"aw_alpha2": settings["aw_alpha1"] + settings.pop("aw_gap")}


@pytest.mark.slow  # the one that goes on finds them too
def test_the_trials_of_a_search_and_its_winner_are_found(ganablate):
    expected = list(map(as_line, TRIALS))
    assert known(search(ganablate, len(TRIALS)), expected) == expected


@pytest.mark.parametrize("on_ray", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_was_interrupted_goes_on(ganablate, former, monkeypatch, request, on_ray):
    """A study's missing runs, to the numbers of runs that nothing interrupted."""
    request.getfixturevalue("cluster") if on_ray else without_ray(monkeypatch)
    study = STUDIES["broken off"]
    told = ganablate("run", *study["arguments"], "--cpus-per-trial", "2")  # by one worker
    made = re.findall(r"^(.+), seed (\d+): done", told, re.MULTILINE)
    assert sorted(made) == sorted((run["row"], str(run["seed"])) for run in study["plan"]["missing"])
    plan = json.loads(ganablate("plan", *study["arguments"], "--json"))
    assert plan["missing"] == []
    before, now = ([run for cell in each["cells"] for run in cell["runs"]] for each in (study["plan"], plan))
    assert now == [{**run, "state": "done"} for run in before]
    for run_id, expected in FORMER["undisturbed"].items():
        with (former / "runs" / "trials" / run_id / "rows.jsonl").open() as file:
            rows = list(map(json.loads, file))
        assert known(rows, expected) == [alike(row) for row in expected]
        images, seconds = ([row[name] for row in rows] for name in ("images", "seconds"))
        assert seconds == sorted(seconds)  # from the checkpoint on: 20 s of rest lie before it
        with database(former) as ask:  # MLflow has each evaluation and its grid once
            points = ask("SELECT step FROM metrics WHERE run_uuid = ? AND key = 'images' ORDER BY step", run_id)
        assert [step for (step,) in points] == images
        grids = former / "runs" / "artifacts" / run_id / "artifacts" / "images"
        assert len(list(grids.glob("*.png"))) == len(images)


def test_a_search_goes_on_with_the_trial_that_was_next(ganablate, former, monkeypatch):
    without_ray(monkeypatch)
    *found, new = search(ganablate, len(TRIALS) + 1)
    expected, following = list(map(as_line, TRIALS)), FORMER["search"]["next"]
    assert known(found, expected) == expected
    assert [new["trial"], new["state"]] == [str(following["number"]), following["state"]]
    settings = ran(following["params"])
    assert {name: float(new[name]) for name in settings} == alike(settings)
    with database(former) as ask:
        held = ask("SELECT value, count(*) FROM tags WHERE key = 'search' GROUP BY value")
        winners = ask("SELECT value FROM tags WHERE key = 'winner'")
    ((key, count),) = held
    assert (key != FORMER["search"]["key"], count) == (True, len(TRIALS) + 1)
    assert winners == [(FORMER["search"]["winner"],)]
