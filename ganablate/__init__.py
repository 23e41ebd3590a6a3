"""Hyper-parameter searches and ablation studies of GAN training: the command `ganablate`, and `import ganablate as ga`,
which does what the command does (`help(ganablate.api)`)."""

from typing import TYPE_CHECKING

from trainers.lazy import exports

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
