"""What a user types for a study, a recipe or a space: a name of ours, or a file of their own."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from spaces.claims import Claim
from spaces.foreign import ForeignStudy
from spaces.recipes import RECIPES
from spaces.search_spaces import SPACES, Space
from spaces.studies import STUDIES
from spaces.study import OPTIONS, Study
from trainers.config import Config
from trainers.messages import did_you_mean
from trainers.names import BACKBONES, DATASETS, FEATURES, LOSSES
from trainers.user_code import load_file

KINDS: dict[str, tuple[Mapping[str, Any], str]] = {  # what names are of, and how one is used
    "study": (STUDIES, "`ganablate run {}`"),
    "recipe": (RECIPES, "`ganablate train {} --out FOLDER`, `ganablate search {} --samples N`"),
    "space": (SPACES, "`ganablate search RECIPE --space {}`"),
    "backbone": (BACKBONES, "--set backbone={}"),
    "data set": (DATASETS, "--set dataset={}"),
    "loss": (LOSSES, "--set loss={}"),
    "feature net": (FEATURES, "--set features={}"),
}


def other_kind(kind: str, name: str) -> str:
    """A clause that tells what else a name is that is none of this kind, or nearly is; "" where it is nothing."""
    others = {other: row for other, row in KINDS.items() if other != kind}
    for other, (table, use) in others.items():
        if name in table:
            return f"it is a {other}: {use.replace('{}', name)}; "
    nearest = get_close_matches(name, [each for table, _ in KINDS.values() for each in table], n=1)
    if not nearest or (kind in KINDS and nearest[0] in KINDS[kind][0]):
        return ""
    other = next(other for other, (table, _) in others.items() if nearest[0] in table)
    return f"there is a {other} {nearest[0]!r}; "


def find_study(name: str) -> Study:
    """The study of that name, or of `file.py` or `file.py:NAME`. Raises ValueError."""
    study: Study = _find("study", name, STUDIES, Study)
    return study


def find_claims(
    name: str, elsewhere: Callable[[str], Study | None] = lambda _: None
) -> tuple[dict[str, Claim], dict[str, Study]]:
    """The claims by id that `claims` (or NAME) of `file.py` (or `file.py:NAME`) lists, and by name the file's studies
    and those `elsewhere` that claims are on. Raises ValueError, for a claim on cells that there are not too."""
    path, attribute = _split(name)
    if path is None:
        raise ValueError(f"{name} is no file.py with claims of your own")
    module, listed = load_file(path), attribute or "claims"
    claims = getattr(module, listed, None)
    if not isinstance(claims, list | tuple) or not claims or not all(isinstance(each, Claim) for each in claims):
        raise ValueError(f"{path} should list its claims, as {listed} = [Claim(...)]")
    studies = {value.name: value for value in vars(module).values() if isinstance(value, Study)}
    found: dict[str, Claim] = {}
    for claim in claims:
        if claim.id in found:
            raise ValueError(f"{path} has two claims {claim.id!r}")
        for part in claim.all_parts:
            if part.study not in studies and part.study not in STUDIES and (imported := elsewhere(part.study)):
                studies[part.study] = imported
        _check_claim(claim, {**STUDIES, **studies})
        found[claim.id] = claim
    return found, studies


def _check_claim(claim: Claim, studies: Mapping[str, Study]) -> None:
    """Raise ValueError if a claim is on a study, a cell or a metric that there is not."""
    for part in claim.all_parts:
        if part.study not in studies:
            raise ValueError(
                f"claim {claim.id!r}: study {part.study!r} is unknown; {did_you_mean(part.study, studies)}"
            )
        study, cells = studies[part.study], set(studies[part.study].places)
        if isinstance(study, ForeignStudy) and part.metric not in study.metrics:
            own = ", ".join(study.metrics)
            raise ValueError(f"claim {claim.id!r}: study {part.study!r} has no metric {part.metric!r}; its own: {own}")
        for label in (*part.treatment, *part.control):
            if label not in cells:
                raise ValueError(f"claim {claim.id!r}: study {part.study!r} has no cell {label}")
        if not part.treatment:
            raise ValueError(f"claim {claim.id!r} has a part without a treatment")


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
            raise ValueError(
                f"space {name!r} is unknown; {other_kind('space', name)}{did_you_mean(name, SPACES)}, or file.py:NAME"
            )
        return SPACES[name]
    space: Space = _member(load_file(path), attribute, object)
    if not callable(space):
        raise ValueError(f"{name} should be a function space(trial, base), not a {type(space).__name__}")
    return space


def parse_settings(pairs: Iterable[str] | None) -> dict[str, Any]:
    """field=value pairs as overrides; backbone_options.width=32 or dataset_options.radius=2 changes one option. Raises
    ValueError."""
    settings: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, text = pair.partition("=")
        field, _, option = name.partition(".")
        if not equals or (option and field not in OPTIONS):
            raise ValueError(
                f"--set {pair!r} should read field=value, or backbone_options.name=value (or dataset_options)"
            )
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):  # a text, or a number or a nest that is too much for JSON
            value = text
        if option:
            options = settings.setdefault(field, {})
            if not isinstance(options, dict):
                raise ValueError(f'{field} = {options!r} should be an object with names, as {{"width": 32}}')
            options[option] = value
        else:
            settings[field] = value
    return settings


def _split(name: str) -> tuple[Path | None, str]:
    """File and NAME of `file.py` or `file.py:NAME`; no file in other names."""
    match = re.fullmatch(r"(.+\.py)(?::(\w+))?", name)
    return (Path(match[1]), match[2] or "") if match else (None, "")


def _find(kind: str, name: str, table: Mapping[str, Any], wanted: type) -> Any:
    path, attribute = _split(name)
    if path is None:
        if name not in table:
            hint = f"{other_kind(kind, name)}{did_you_mean(name, table)}"
            raise ValueError(f"{kind} {name!r} is unknown; {hint}, or a file.py of your own")
        return table[name]
    module = load_file(path)
    if attribute:
        return _member(module, attribute, wanted)
    matches = {key: value for key, value in vars(module).items() if isinstance(value, wanted)}
    if len(matches) != 1:
        names = f"; name one of them: {', '.join(f'{path}:{key}' for key in matches)}" if matches else ""
        raise ValueError(f"{name} holds {len(matches)} of what should be one {wanted.__name__}{names}")
    return next(iter(matches.values()))


def _member(module: ModuleType, name: str, wanted: type) -> Any:
    members = {key for key, value in vars(module).items() if isinstance(value, wanted) and not key.startswith("_")}
    if name not in members:
        raise ValueError(f"{module.__file__} has no {wanted.__name__} {name!r}; {did_you_mean(name, members)}")
    return vars(module)[name]
