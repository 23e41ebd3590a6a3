"""Imports run one way, and light packages stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parent.parent
ORDER = ["trainers", "spaces", "search", "reports", "ganablate"]
SPACES_MAY_SEE = ("trainers.config", "trainers.names", "trainers.messages", "trainers.user_code")


def modules_imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


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


LIGHT = {  # what each, and those before it, import none of
    "trainers.config": {"torch", "ray", "mlflow", "pandas"},
    "trainers.networks": {"torch"},
    "spaces": {"torch", "ray", "mlflow", "pandas"},
    "ganablate": {"torch", "ray", "mlflow", "pandas", "matplotlib"},
    "search.store": {"torch", "ray", "matplotlib"},
    "reports": {"torch", "ray", "matplotlib"},
    "trainers.loop": {"ray", "mlflow", "optuna", "pandas", "matplotlib", "torch_fidelity", "rich", "sklearn"},
}


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
