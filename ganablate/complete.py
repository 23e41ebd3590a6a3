"""What a shell completes when Tab is pressed. Runs no file of the user's, and opens no store."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import typer

SHELL = "_GANABLATE_COMPLETE"  # what the shells' scripts set
FIELD = f"{SHELL}_FIELD"  # of `--set FIELD=VALUE`, where bash broke that and so completes the value alone


def join_words() -> None:
    """Have `--set FIELD=VALUE`, which bash breaks at `=`, be one word again in what its script asks; where the value is
    to be completed, that alone."""
    if os.environ.get(SHELL) != "complete_bash":
        return
    words, number = os.environ.get("COMP_WORDS", ""), int(os.environ.get("COMP_CWORD", 0))
    if last := re.fullmatch(r"(.*--set )([\w.]+) = ?(\S*)", words):
        words, os.environ[FIELD] = last[1] + last[3], last[2]
        number -= 2 if last[3] else 1
    joined, count = re.subn(r"(--set [\w.]+) = ", r"\1=", words)
    os.environ |= {"COMP_WORDS": joined, "COMP_CWORD": str(number - 2 * count)}


def studies(incomplete: str) -> list[tuple[str, str]]:
    """Names of studies, and files with some."""
    return [*_listed("studies", incomplete), *_files(incomplete)]


def recipes(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Names of recipes or, beside --job, of studies, and files with some."""
    kind = "studies" if context.params.get("job") is not None else "recipes"
    return [*_listed(kind, incomplete), *_files(incomplete)]


def rows(context: typer.Context, incomplete: str) -> list[str]:
    """Labels of the rows of the study that was typed before."""
    study = _typed_study(context)
    return _quoted(label for label in study.rows if label.startswith(incomplete)) if study else []


def columns(context: typer.Context, incomplete: str) -> list[str]:
    """Labels of the columns that the row typed before has."""
    study = _typed_study(context)
    labels = study.only.get(str(context.params.get("row")), study.columns) if study else ()
    return _quoted(label for label in labels if label and label.startswith(incomplete))


def settings(incomplete: str) -> list[tuple[str, str]]:
    """Fields of a Config as FIELD=, and of one its values, where these have names."""
    from trainers.config import Config

    broken = os.environ.get(FIELD, "")
    start = f"{broken}={incomplete}" if broken else incomplete
    field, equals, _ = start.partition("=")
    found = [name for name in Config.model_fields if name.startswith(field) and (name == field or not equals)]
    values = _values(found[0]) if len(found) == 1 else []
    texts = [f"{found[0]}={value}" for value in values] or [f"{name}=" for name in found if name != "seed"]
    return [(text.removeprefix(f"{broken}="), "") for text in texts if text.startswith(start)]


def kinds(incomplete: str) -> list[str]:
    """Kinds of names."""
    from ganablate.catalogue import KINDS

    return [kind for kind in KINDS if kind.startswith(incomplete)]


def names(kind: str) -> Any:
    """Of one kind of `list`."""

    def complete(incomplete: str) -> list[tuple[str, str]]:
        return _listed(kind, incomplete)

    return complete


def _listed(kind: str, incomplete: str) -> list[tuple[str, str]]:
    from ganablate.catalogue import catalogue

    return [(name, told) for name, told in catalogue([kind])[kind].items() if name.startswith(incomplete)]


def _files(incomplete: str) -> list[tuple[str, str]]:
    """Python files whose paths begin so."""
    folder, start = os.path.split(incomplete)
    try:
        inside = sorted(Path(folder or ".").iterdir())
    except OSError:
        return []
    found = (path for path in inside if path.suffix == ".py" and path.name.startswith(start))
    return [(os.path.join(folder, path.name), "") for path in found]  # noqa: PTH118 - as it was typed


def _typed_study(context: typer.Context) -> Any:
    from spaces import STUDIES

    return STUDIES.get(str(context.params.get("study")))


def _values(field: str) -> Iterable[str]:
    from trainers.config import Config
    from trainers.names import BACKBONES, COLOURS, DATASETS, FEATURES, LOSSES

    tables: dict[str, Iterable[str]] = {
        "dataset": DATASETS,
        "backbone": BACKBONES,
        "loss": LOSSES,
        "features": FEATURES,
        "background": COLOURS,
    }
    annotation = Config.model_fields[field].annotation
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    named = [value for part in parts if get_origin(part) is Literal for value in get_args(part)]
    return [*tables.get(field, []), *map(str, named), *(["true", "false"] if bool in parts else [])]


def _quoted(labels: Iterable[str]) -> list[str]:
    """Labels as the shell needs them: bash puts them in as they are, so that spaces need a backslash, unless a quote
    was opened. In quotes they would not begin as it was typed, and typer offers no such thing."""
    is_bare = os.environ.get(SHELL) == "complete_bash" and not {"'", '"'} & set(os.environ.get("COMP_WORDS", ""))
    return [re.sub(r"([^\w@%+=:,./-])", r"\\\1", label) if is_bare else label for label in labels]
