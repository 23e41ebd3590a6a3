"""What is imported is declared; the core alone lists and trains; version, licence and citation agree."""

import ast
import functools
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sources import nodes_of

from ganablate.__main__ import EXTRA
from search.tune.cluster import PACKAGES
from trainers.names import FEATURES

HOME = Path(__file__).parent.parent
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
PARTS = ("trainers", "spaces", "search", "reports", "ganablate")
PRODUCT = [path for part in PARTS for path in (HOME / part).rglob("*.py")]
FOR_FEATURES = {canonicalize_name(name) for row in FEATURES.values() for name in row.packages}
DISTRIBUTIONS = {module: {canonicalize_name(d) for d in found} for module, found in packages_distributions().items()}
TRAIN = ["train", "digits_gan", "--tiny", "--budget", "0.1", "--out", "run"]


def declared(extra=None):
    """The requirements of the core, or of an extra and those that it names, by distribution."""
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    found = {}
    for requirement in map(Requirement, lines):
        if requirement.name == "ganablate":
            for inner in requirement.extras:
                found |= declared(inner)
        else:
            found[canonicalize_name(requirement.name)] = requirement
    return found


def with_dependencies(requirements):
    """The distributions that these requirements install here, with all that they require in their turn."""
    found, waiting = set(), [(requirement.name, frozenset(requirement.extras)) for requirement in requirements]
    while waiting:
        name, extras = waiting.pop()
        if (canonicalize_name(name), extras) in found:
            continue
        found.add((canonicalize_name(name), extras))
        for requirement in map(Requirement, requires(name) or ()):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return {name for name, _ in found}


def modules_imported(path):
    """Every module that a file imports, however late."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported(paths):
    """The distributions of what these files import, that is neither Python's nor the project's."""
    tops = {module.partition(".")[0] for path in paths for module in modules_imported(path)}
    tops -= {*sys.stdlib_module_names, *PARTS}
    return {min(DISTRIBUTIONS[top], key=len) for top in tops if top in DISTRIBUTIONS}  # mlflow, not mlflow-skinny


def test_what_is_imported_is_declared():
    product = imported(PRODUCT)
    anywhere = {**declared(), **declared("all")}
    assert product <= set(anywhere)
    # and nothing else is: Optuna imports cmaes, and what training does without is imported by name
    by_name = {canonicalize_name(package) for row in FEATURES.values() for package in row.packages}
    assert set(anywhere) - product == {"cmaes", "safetensors", *by_name}
    others = [*(HOME / "tests").rglob("*.py"), *(HOME / "benchmarks").rglob("*.py")]
    assert imported(others) <= {*anywhere, *declared("dev")}
    assert imported((HOME / "tools").rglob("*.py")) <= {*anywhere, *declared("docs")}


def test_training_imports_the_core_alone():
    parts = [path for path in PRODUCT if path.relative_to(HOME).parts[0] in ("trainers", "spaces")]
    assert imported(parts) <= set(declared())


def test_the_extra_is_told_by_its_modules():
    names = [name for name in declared("all") if name not in FOR_FEATURES]
    assert sorted(EXTRA) == sorted(names)


def test_nodes_get_what_workers_import():
    """All of trainers, and what the worker reaches in search, however late it imports it; Ray itself is there."""
    waiting = [HOME / "search" / "tune" / "worker.py", *(HOME / "trainers").rglob("*.py")]
    reached = set()
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            stems = [HOME / module.replace(".", "/") for module in modules_imported(path)]
            files = [file for stem in stems for file in (stem.with_suffix(".py"), stem / "__init__.py")]
            waiting += [file for file in files if file.is_file()]
    needed = imported(reached) - {"ray"} - FOR_FEATURES
    packages = {canonicalize_name(name) for name in PACKAGES}
    assert needed <= packages
    tune = {canonicalize_name(r.name) for r in map(Requirement, requires("ray")) if "tune" in str(r.marker)}
    assert packages - needed <= tune  # which Ray asks for on a node, and does not bring


@functools.cache
def outside_the_core():
    """The modules that an installation of the core lacks, and rich, which some versions of typer do without."""
    core = with_dependencies(declared().values()) - {"rich"} | {"ganablate"}
    return sorted(module for module, found in DISTRIBUTIONS.items() if not found & core and module.isidentifier())


CORE_ONLY = """
import contextlib, io, json, sys
from importlib.machinery import PathFinder

commands, missing = map(json.loads, sys.argv[1:])

class Core(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in missing else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Core
import ganablate

for command in commands:
    out, err, sys.argv[1:] = io.StringIO(), io.StringIO(), command
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ganablate.main()
    except (SystemExit, ModuleNotFoundError) as end:
        code = str(end) if isinstance(end, ModuleNotFoundError) else end.code or 0
        print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


NEED_MORE = [
    ["plan", "quick"],
    ["run", "quick"],
    ["search", "ring8_gan", "--samples", "1"],
    ["report", "quick"],
    ["why", "quick", "GAN"],
    ["claims"],
    ["import", "run"],
    ["clean"],
    ["ui"],
    ["sample", "quick", "GAN", "--out", "x.png"],
    ["export", "quick", "GAN", "--out", "x"],
]
WITH_THEIRS = [["run", "mine.py"], [*TRAIN, "--set", "backbone=mine:build"]]
LATER = [*TRAIN[:-1], "later", "--set", "loss=mine_later:loss"]
MINE_LATER = """
from trainers.losses import Loss, hinge

def real(logits):
    import pandas

loss = Loss(real, hinge.fake, hinge.generator)
"""


@pytest.fixture(scope="module")
def core_alone(tmp_path_factory):
    """Commands in one process in which nothing outside the core can be imported: code, output, errors of each."""
    assert {"ray", "mlflow", "optuna", "pandas", "matplotlib", "rich", "sqlalchemy"} <= set(outside_the_core())
    folder = tmp_path_factory.mktemp("core")
    (folder / "mine.py").write_text("import pandas\n")
    (folder / "mine_later.py").write_text(MINE_LATER)
    commands = [["list"], [], TRAIN, *NEED_MORE, *WITH_THEIRS, LATER]
    arguments = [sys.executable, "-c", CORE_ONLY, json.dumps(commands), json.dumps(outside_the_core())]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = map(json.loads, done.stdout.splitlines())
    return dict(zip(map(" ".join, commands), results, strict=True))


@pytest.mark.process
def test_the_core_alone_lists_and_trains(core_alone):
    code, out, _ = core_alone["list"]
    assert code == 0
    assert "digits_gan" in out
    assert core_alone[""][0] == 0
    assert "pip install 'ganablate[all]'" in core_alone[""][1]
    code, out, err = core_alone[" ".join(TRAIN)]
    assert code == 0, err
    assert out.endswith("done: run\n")


@pytest.mark.process
@pytest.mark.parametrize("command", NEED_MORE, ids=lambda command: command[0])
def test_other_commands_name_the_extra(core_alone, command):
    told = f"`{command[0]}` needs the extra `all` (missing: {', '.join(EXTRA)}); pip install 'ganablate[all]'"
    assert core_alone[" ".join(command)] == [2, "", f"ganablate: {told}\n"]


@pytest.mark.process
@pytest.mark.parametrize("command", WITH_THEIRS, ids=" ".join)
def test_a_users_module_that_lacks_a_package_is_told_as_theirs(core_alone, command):
    code, _, err = core_alone[" ".join(command)]
    assert code == 2
    assert "No module named 'pandas' (mine.py, line 1)" in err
    assert "extra" not in err


@pytest.mark.process
def test_so_is_one_that_imports_it_while_it_trains(core_alone):
    error, _, err = core_alone[" ".join(LATER)]
    assert error == "No module named 'pandas'"
    assert "extra" not in err


def test_every_declared_package_is_pinned():
    lines = (HOME / "constraints.txt").read_text().split()
    pins = {canonicalize_name(name): pin for name, _, pin in (line.partition("==") for line in lines)}
    extras = PROJECT["optional-dependencies"]
    for requirement in [r for extra in (None, *extras) for r in declared(extra).values()]:
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_make_installs_the_extras():
    makefile = (HOME / "Makefile").read_text()
    assert '".[all,dev]"' in makefile
    assert '".[docs]"' in makefile


def test_version_licence_and_citation_agree():
    """The version stands in CITATION.cff alone, where hatchling reads it."""
    citation = (HOME / "CITATION.cff").read_text()
    version = re.search(r"^version: (\S+)$", citation, re.MULTILINE)[1]
    assert "version" in PROJECT["dynamic"]
    assert f"\nlicense: {PROJECT['license']}\n" in citation
    heads = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", (HOME / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads[0] == ("Unreleased", "")
    assert heads[1][0] == version
    assert f"\ndate-released: {heads[1][1]}\n" in citation
    assert "Apache License" in (HOME / PROJECT["license-files"][0]).read_text()


@pytest.mark.parametrize("title", ["Adaptive Weighted Discriminator", "CoopInit: Initializing"])
def test_the_papers_are_cited(title):
    assert title in (HOME / "CITATION.cff").read_text()
