"""Hyper-parameter searches and ablation studies of GAN training: the command `ganablate`, and `import ganablate as ga`,
which does what the command does (`help(ganablate.api)`)."""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING


def _find_ours() -> None:
    """Have the packages beside this one found though a user's folder, first on the path, has modules of their names.
    Raises ImportError if one of those was imported before."""
    if "trainers.namesakes" in sys.modules:  # ours, on a node of a cluster in a folder of its own
        return
    home = Path(__file__).parents[1]
    for name in ("trainers", "spaces", "search", "reports"):
        held = str(getattr(sys.modules.get(name), "__file__", None))
        if name in sys.modules and home / name not in Path(held).parents:
            raise ImportError(f"{held} has the name of a part of ganablate, and was imported before it: rename it")
    spec = PathFinder.find_spec("trainers", [str(home)])  # which has the others found
    assert spec is not None
    assert spec.loader is not None
    sys.modules["trainers"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["trainers"])


_find_ours()

from trainers.lazy import exports  # noqa: E402

if TYPE_CHECKING:
    from ganablate.__main__ import main
    from ganablate.api import load_curves, load_generator, load_run, load_runs, run, score, table
    from spaces import Study
    from trainers.config import Config

API = ("load_curves", "load_generator", "load_run", "load_runs", "run", "score", "table")
__all__ = ["Config", "Study", "load_curves", "load_generator", "load_run", "load_runs", "main", "run", "score", "table"]
HOMES = {"main": "ganablate.__main__", "Study": "spaces", "Config": "trainers.config"}
__getattr__ = exports(__name__, HOMES | dict.fromkeys(API, "ganablate.api"))


def __dir__() -> list[str]:
    return __all__
