"""What a user types for a study, a recipe or a space: a name of ours, or a file of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from spaces.recipes import RECIPES
from spaces.search_spaces import SPACES, Space
from spaces.studies import STUDIES
from spaces.study import Study
from trainers.config import Config
from trainers.messages import did_you_mean
from trainers.user_code import load_file


def find_study(name: str) -> Study:
    """The study of that name, or of `file.py` or `file.py:NAME`. Raises ValueError."""
    study: Study = _find("study", name, STUDIES, Study)
    return study


def find_recipe(name: str) -> tuple[str, Config]:
    """The recipe of that name, or of `file.py` or `file.py:NAME`, and what to call it. Raises ValueError."""
    recipe: Config = _find("recipe", name, RECIPES, Config)
    path, attribute = _split(name)
    return attribute or (path.stem if path else name), recipe


def find_space(name: str) -> Space:
    """The space of that name, or the function NAME of `file.py:NAME`. Raises ValueError."""
    path, attribute = _split(name)
    if path is None or not attribute:
        if name not in SPACES:
            raise ValueError(f"space {name!r} is unknown; {did_you_mean(name, SPACES)}, or file.py:NAME")
        return SPACES[name]
    space: Space = _member(load_file(path), attribute, object)
    if not callable(space):
        raise ValueError(f"{name} should be a function space(trial, base), not a {type(space).__name__}")
    return space


def _split(name: str) -> tuple[Path | None, str]:
    """File and NAME of `file.py` or `file.py:NAME`; no file in other names."""
    match = re.fullmatch(r"(.+\.py)(?::(\w+))?", name)
    return (Path(match[1]), match[2] or "") if match else (None, "")


def _find(kind: str, name: str, table: Mapping[str, Any], wanted: type) -> Any:
    path, attribute = _split(name)
    if path is None:
        if name not in table:
            raise ValueError(f"{kind} {name!r} is unknown; {did_you_mean(name, table)}, or a file.py of your own")
        return table[name]
    module = load_file(path)
    if attribute:
        return _member(module, attribute, wanted)
    found = {key: value for key, value in vars(module).items() if isinstance(value, wanted)}
    if len(found) != 1:
        names = f"; name one of them: {', '.join(f'{path}:{key}' for key in found)}" if found else ""
        raise ValueError(f"{name} holds {len(found)} of what should be one {wanted.__name__}{names}")
    return next(iter(found.values()))


def _member(module: ModuleType, name: str, wanted: type) -> Any:
    held = {key for key, value in vars(module).items() if isinstance(value, wanted) and not key.startswith("_")}
    if name not in held:
        raise ValueError(f"{module.__file__} has no {wanted.__name__} {name!r}; {did_you_mean(name, held)}")
    return vars(module)[name]
