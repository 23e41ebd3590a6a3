"""Imports run one way, and light packages stay light."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest
from forked import Forked
from sources import nodes_of

HOME = Path(__file__).parent.parent
ORDER = ["trainers", "spaces", "search", "reports", "ganablate"]
SPACES_MAY_SEE = (
    "trainers.config",
    "trainers.names",
    "trainers.messages",
    "trainers.score_request",
    "trainers.user_code",
)


def modules_imported(path):
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def product():
    """The product's files by the names of their modules."""
    files = [path for part in ORDER for path in (HOME / part).rglob("*.py")]
    return {".".join(path.relative_to(HOME).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def test_no_two_modules_import_each_other():
    """Nor do more of them in a circle; imports inside functions count too."""
    modules = product()
    imports = {}
    for name, path in modules.items():
        wanted = {
            inner if (inner := f"{node.module}.{alias.name}") in modules else node.module
            for node in nodes_of(path)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        imports[name] = wanted & modules.keys() - {name}
    assert len(list(graphlib.TopologicalSorter(imports).static_order())) == len(modules)  # raises CycleError


def test_files_and_functions_fit_their_size():
    """Nobody scrolls: a file has at most 450 lines, a function 50."""
    for name, path in product().items():
        text = path.read_text()
        assert len(text.splitlines()) <= 450, name
        for node in nodes_of(path):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 50, f"{name}.{node.name}"


def test_the_rooms_of_search():
    """Seven files and three folders at most."""
    shown = [path for path in (HOME / "search").iterdir() if path.name != "__pycache__"]
    assert sum(path.is_file() for path in shown) <= 7
    assert sum(path.is_dir() for path in shown) <= 3


@pytest.mark.parametrize("package", ORDER[:-1])
def test_imports_run_one_way(package):
    later = ORDER[ORDER.index(package) + 1 :]
    for path in (HOME / package).rglob("*.py"):
        for module in modules_imported(path):
            assert module.split(".")[0] not in later, f"{path} imports {module}"
            if package == "spaces":
                assert not module.startswith("trainers") or module in SPACES_MAY_SEE, path


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("torch", {"trainers", "benchmarks"}),
        ("ray", {"search"}),
        ("matplotlib", {"reports"}),
        ("mlflow", {"search/store/"}),
    ],
)
def test_libraries_stay_at_home(library, homes):
    for path in [*HOME.glob("*.py"), *(p for d in [*ORDER[:-1], "benchmarks"] for p in (HOME / d).rglob("*.py"))]:
        name = path.relative_to(HOME).as_posix()
        if any(module.split(".")[0] == library for module in modules_imported(path)):
            assert any(name.startswith(home) for home in homes), f"{name} imports {library}"


def test_figures_are_no_windows_of_the_users():
    """Who draws by pyplot in a notebook sees figures of their own alone; those of Optuna's are closed at once."""
    names = {
        name
        for name, path in product().items()
        for node in nodes_of(path)
        if isinstance(node, ast.ImportFrom | ast.Import)
        for alias in node.names
        if "pyplot" in f"{getattr(node, 'module', '')}.{alias.name}".split(".")
    }
    assert names == {"reports.search_figures"}


LIGHT = {  # what each, and those before it, import none of
    "trainers.config": {"torch", "ray", "mlflow", "pandas"},
    "trainers.networks": {"torch"},
    "spaces": {"torch", "ray", "mlflow", "pandas"},
    "ganablate.__main__": {"torch", "ray", "mlflow", "pandas", "matplotlib"},
    "search.store": {"torch", "ray", "matplotlib"},
    "reports": {"torch", "ray", "matplotlib"},
}
TRAINING = {"ray", "mlflow", "optuna", "pandas", "matplotlib", "torch_fidelity", "timm", "rich", "sklearn"}


@pytest.fixture(scope="module")
def loaded():
    """All modules behind each of these imports, one after the other in one process."""
    code = "\n".join(f"import {module}, sys; print(*sys.modules)" for module in LIGHT)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    return dict(zip(LIGHT, map(str.split, found.stdout.splitlines()), strict=True))


@pytest.mark.process
@pytest.mark.parametrize("module", LIGHT)
def test_light_packages_stay_light(module, loaded):
    assert module in loaded[module]
    assert LIGHT[module].isdisjoint(loaded[module])


FORGET = """
import sys
for name in list(sys.modules):
    if name.partition(".")[0] in others:
        del sys.modules[name]
"""


@pytest.mark.process
def test_training_imports_no_other_library():
    """In a process that has torch, which takes seconds to import, and has forgotten the others."""
    done = Forked(FORGET + "import trainers.loop; print(*sys.modules)", others=TRAINING)
    assert done.returncode == 0, done.stderr
    assert TRAINING.isdisjoint(done.stdout.split())
