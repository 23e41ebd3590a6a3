"""Our packages are found where this file lies, though a user's folder that is first on the path has a search.py or a
trainers/ of its own. What imports `trainers` in the first place (`ganablate`, a fresh process, a worker) sees to that
itself; this finds the others."""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

HOME = Path(__file__).parents[1]  # what holds our packages
PACKAGES = ("trainers", "spaces", "search", "reports")


class Ours:
    """Finds them before any other finder is asked; not a PathFinder, which would list each distribution once more."""

    places = (str(HOME),)  # on a node of a cluster each package has a folder of its own

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Where one of them lies."""
        return PathFinder.find_spec(fullname, cls.places) if fullname in PACKAGES else None


def namesake(module: str) -> str:
    """A clause that tells of the user's own module that has the name of a package of ours, so that ours is found where
    `module` is imported; "" if there is none."""
    name = module.partition(".")[0]
    for folder in map(Path, sys.path if name in PACKAGES else ()):
        for path in (folder / f"{name}.py", folder / name / "__init__.py"):
            if path.is_file() and not path.resolve().is_relative_to(HOME.resolve() / name):
                return f"; {path} has the name of a part of ganablate, which is found in its place: rename it"
    return ""
