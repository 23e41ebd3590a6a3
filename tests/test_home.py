"""What helps a newcomer: `ganablate` alone, `--version`, `list`, examples, completion, defaults of where runs are."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import ganablate as ga
from ganablate import complete
from ganablate.catalogue import KINDS, catalogue, first_sentence
from ganablate.command import app
from ganablate.doctor import PYTHONS
from ganablate.examples import EXAMPLES
from ganablate.home import Made, command_of
from ganablate.places import from_file, places
from ganablate.selection import open_store
from search.store.foreign import Imported, write_imported
from spaces import RECIPES, STUDIES, find_recipe, find_study
from spaces.find import other_kind
from trainers.config import Config

pytestmark = pytest.mark.usefixtures("undrawn")
HOME = Path(__file__).parent.parent
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]


def told(*arguments):
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANABLATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GANABLATE_STORAGE", raising=False)
    return tmp_path


def test_an_empty_folder_is_told_how_to_begin(here):
    assert told().startswith("No run was made here yet; runs is where")
    assert "Next: ganablate run quick --tiny" in told()
    assert not list(here.iterdir())


def test_a_store_is_told_by_its_studies(here, store, make_runs, tiny_study):
    make_runs(tiny_study)
    run = {"row": "a", "column": "", "seed": 0, "run_id": "x", "values": {"err": 1.0}}
    metric = {"key": "err", "lower_is_better": True, "scale": "ratio"}
    facts = {"name": "bench", "source": "csv", "place": "x.csv", "paired": False, "metrics": [metric], "runs": [run]}
    write_imported(store, Imported.model_validate(facts))
    lines = told().splitlines()
    assert lines[0] == "Runs are kept in runs."
    assert [line.split() for line in lines[1:3]] == [
        ["tiny", "4", "of", "4", "done"],
        ["bench", "1", "run", "of", "other", "code"],
    ]


def test_what_comes_next_is_a_command_that_makes_it(here, store, make_runs, monkeypatch):
    """Of a varied study with its selectors, whose runs are half made."""
    monkeypatch.setattr("trainers.config.TINY_IMAGES", 256)
    study = STUDIES["quick"].variant(tiny=True, settings={"loss": "hinge"})
    make_runs(study, seeds=1)
    lines = told().splitlines()
    assert lines[1].split("  ")[1:] == ["quick (loss hinge, tiny)", "4 of 8 done"]
    typed = lines[2].removeprefix("Next: ").partition("    ")[0]
    assert typed == "ganablate run quick --set loss=hinge --tiny"
    assert "8 runs, 4 to run" in told("plan", *shlex.split(typed)[2:])
    for row in study.rows:
        store.client.set_tag(ga.load_run(study, row).run_id, "state", "failed")
    assert "4 failed" in told()


@pytest.mark.parametrize(
    ("title", "total", "typed"),
    [
        ("quick", 8, "quick"),
        ("quick", 40, "quick --seeds 10"),
        ("quick (budget 0.5, tiny)", 8, "quick --budget 0.5 --tiny"),
        ("images (dataset photos)", 4, None),
        ("mine (tiny)", 2, None),
        ("search ring8_aw", None, None),
    ],
)
def test_a_title_is_turned_into_what_was_typed_or_not_at_all(title, total, typed):
    assert command_of(Made(title, total, {})) == typed


def test_the_version_is_that_of_the_package():
    version = re.search(r"^version: (\S+)$", (HOME / "CITATION.cff").read_text(), re.MULTILINE)[1]
    assert told("--version").startswith(f"ganablate {version}")
    assert [f"Programming Language :: Python :: 3.{n}" in PROJECT["classifiers"] for n in (11, 13, 14)] == [1, 1, 0]
    assert PYTHONS == ((3, 11), (3, 13))


def test_each_name_is_listed_with_what_it_is():
    held = json.loads(told("list", "--json"))
    assert held.keys() == {*KINDS, "about"}
    assert held["recipes"] == list(RECIPES)
    for kind in KINDS:
        assert held[kind] == list(held["about"][kind])
        printed = told("list", kind)
        for name, text in held["about"][kind].items():
            assert len(text) > 8, (kind, name)
            assert f"\n  {name}" in printed
    assert "8 Gaussians of std 0.01" in held["about"]["datasets"]["ring8"]
    assert held["about"]["metrics"]["fid_best"].startswith("FID, the best of all evaluations; lower")
    assert first_sentence("By Li et al. (2020). More.\n\nMuch more.") == "By Li et al. (2020)"


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("study", "digits_gan", "it is a recipe: `ganablate train digits_gan"),
        ("recipe", "quick", "it is a study: `ganablate run quick`"),
        ("study", "mnist", "it is a data set: --set dataset=mnist"),
        ("recipe", "coopinit", "it is a space"),
        ("study", "digits_gann", "there is a recipe 'digits_gan'"),
        ("command", "quick", "it is a study"),
        ("study", "quik", ""),
        ("study", "xyzzy", ""),
    ],
)
def test_a_name_of_another_kind_is_told(kind, name, words):
    clause = other_kind(kind, name)
    assert clause.startswith(words)
    assert bool(clause) == bool(words)


def test_a_command_that_is_a_study_is_told(here, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ganablate", "quick"])
    with pytest.raises(SystemExit) as ended:
        ga.main()
    assert ended.value.code == 2
    assert "'quick'. It is a study: `ganablate run quick`" in capsys.readouterr().err


def commands():
    return typer.main.get_command(app).commands


def test_each_command_has_two_examples_that_can_be_typed(here):
    """They are read as the command reads them, and their names are there."""
    assert commands().keys() == EXAMPLES.keys()
    for name, examples in EXAMPLES.items():
        assert len(examples) == 2
        shown = " ".join(told(name, "--help").split())
        for example in examples:
            program, typed, *arguments = shlex.split(example)
            assert (program, typed) == ("ganablate", name)
            assert example.split(" --")[0] in shown
            given = commands()[name].make_context(name, arguments).params
            check_names(given, example)


def check_names(given, example):
    if given.get("study") and "import" not in example:
        study = find_study(given["study"])
        assert given.get("row") in (None, *study.rows), example
        assert given.get("column") in (None, *study.columns), example
    if given.get("recipe"):
        assert find_study(given["recipe"]) if given["job"] is not None else find_recipe(given["recipe"])
    assert all(map(find_recipe, given.get("recipes") or []))
    assert not given.get("kinds") or "clean" in example or catalogue(given["kinds"])


class Typed:
    def __init__(self, **params):
        self.params = params


def test_what_tab_completes(here, monkeypatch):
    (here / "mine.py").touch()
    assert [name for name, _ in complete.studies("coopinit-table1")][:1] == ["coopinit-table1"]
    assert [name for name, _ in complete.studies("mi")] == ["mine.py"]
    assert "digits_gan" in dict(complete.recipes(Typed(job=None), "digits"))
    assert "quick" in dict(complete.recipes(Typed(job=3), "qu"))
    assert complete.rows(Typed(study="quick"), "+") == ["+ CoopInit", "+ aw-loss", "+ both"]
    assert complete.columns(Typed(study="coop-x-aw", row="GAN"), "S") == ["SN-GAN", "StyleGAN2"]
    assert complete.rows(Typed(study="mine.py"), "") == []
    assert dict(complete.settings("langevin_s")).keys() == {"langevin_steps="}
    assert dict(complete.settings("loss=h")).keys() == {"loss=hinge"}
    assert dict(complete.settings("aw=")).keys() == {"aw=off", "aw=normalized", "aw=unnormalized"}
    assert dict(complete.settings("deterministic")).keys() == {"deterministic=true", "deterministic=false"}
    assert {field.rstrip("=") for field, _ in complete.settings("")} == Config.model_fields.keys() - {"seed"}
    assert dict(complete.names("samplers")("t")).keys() == {"tpe"}
    monkeypatch.setenv("_GANABLATE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "ganablate why quick +")
    assert complete.rows(Typed(study="quick"), "+ b") == [r"+\ both"]
    monkeypatch.setenv("COMP_WORDS", 'ganablate why quick "+ b')
    assert complete.rows(Typed(study="quick"), "+ b") == ["+ both"]


@pytest.mark.parametrize(
    ("typed", "number", "offered"),
    [
        ("--set loss = h", 6, ["hinge"]),
        ("--set loss =", 5, ["hinge", "least_squares", "minimax", "nonsaturating", "wasserstein"]),
        ("--set lr = 0.1 --set aw = un", 10, ["unnormalized"]),
        ("--set lr = 0.1 --set n_im", 8, ["n_images="]),
        ("--set langevin_s", 4, ["langevin_steps="]),
    ],
)
def test_settings_that_bash_breaks_into_words_are_completed(monkeypatch, capsys, typed, number, offered):
    """As its script asks: words and the number of the one to be completed."""
    asked = {complete.SHELL: "complete_bash", "COMP_WORDS": f"ganablate plan quick {typed}", "COMP_CWORD": str(number)}
    for name, value in {**asked, complete.FIELD: ""}.items():
        monkeypatch.setenv(name, value)
    complete.join_words()
    with pytest.raises(SystemExit):
        app(standalone_mode=False, prog_name="ganablate")
    assert sorted(capsys.readouterr().out.split()) == offered


@pytest.mark.process
def test_a_shell_completes_without_what_is_slow(tmp_path):
    """As bash asks, through the entry point; in a process that is told what it imported."""
    code = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); import ganablate; "
    asked = {"_GANABLATE_COMPLETE": "complete_bash", "COMP_WORDS": "ganablate why quick +", "COMP_CWORD": "3"}
    code += "sys.argv[0] = 'ganablate'; ganablate.main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | asked, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [r"+\ CoopInit", r"+\ aw-loss", r"+\ both"], done.stderr
    assert {"torch", "ray", "mlflow", "pandas", "sqlalchemy"}.isdisjoint(done.stderr.split())


def test_where_runs_are_kept(here, monkeypatch):
    """By an option, else the environment, else the nearest file that says so; each place on its own."""
    inner = here / "project" / "inner"
    inner.mkdir(parents=True)
    assert places(None, "") == (None, "runs")
    (here / "pyproject.toml").write_text('[tool.ganablate]\nstorage = "kept"\ntracking-uri = "sqlite:///mine.db"\n')
    (here / "project" / "pyproject.toml").write_text("[tool.other]\nstorage = 3\n")
    monkeypatch.chdir(inner)
    assert places(None, "") == (f"sqlite:///{here}/mine.db", str(here / "kept"))
    monkeypatch.setenv("GANABLATE_STORAGE", "elsewhere")
    assert places(None, "") == (f"sqlite:///{here}/mine.db", "elsewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    assert places(None, "typed") == ("http://server", "typed")
    assert places("sqlite:///typed.db", "") == ("sqlite:///typed.db", "elsewhere")


def test_command_and_functions_follow_it(here, monkeypatch, store, make_runs, tiny_study):
    make_runs(tiny_study)
    (here / "pyproject.toml").write_text('[tool.ganablate]\nstorage = "runs"\n')
    (here / "inner").mkdir()
    monkeypatch.chdir(here / "inner")
    assert len(ga.load_runs(tiny_study)) == 4
    assert told().startswith(f"Runs are kept in {here / 'runs'}.")
    monkeypatch.setenv("GANABLATE_STORAGE", "none")
    assert ga.load_runs(tiny_study).empty
    assert open_store(None, str(store.storage)).storage == store.storage
    assert "[env var: GANABLATE_STORAGE]" in " ".join(told("plan", "--help").replace("│", " ").split())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.ganablate]\nstorag = 'x'\n", ["unknown key 'storag'", "did you mean 'storage'"]),
        ("[tool.ganablate]\nstorage = 3\n", ["storage = 3", "should be a text"]),
        ("[tool]\nganablate = 'runs'\n", ["should be a table"]),
        ("[tool.ganablate\n", ["is no TOML"]),
    ],
)
def test_a_mistake_in_the_file_is_a_sentence(here, text, words):
    (here / "pyproject.toml").write_text(text)
    with pytest.raises(ValueError, match=r"pyproject\.toml") as raised:
        from_file(here)
    assert all(word in str(raised.value) for word in words), raised.value
