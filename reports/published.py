"""What a paper published of a study's cells, and in what ours differ from it."""

import dataclasses
import math
from collections.abc import Iterable
from string import ascii_lowercase
from typing import NamedTuple

from spaces import Paper, Published, Study, published
from spaces.papers import find_paper
from trainers.config import Config
from trainers.names import ImageForm, feature_extractor, metric_named

SCORING = ("features", "eval_samples")  # fields that act on scores of generated images
BUDGET_AND_DATA = ("n_train", *ImageForm._fields, "n_images", "backbone_options")  # tiny changes these
HARMLESS = ("threads", "channels_last", "compile")  # settings that change speed alone


class PublishedValue(NamedTuple):
    """A published value, its standard deviation (NaN where none is stated), and what a reader must know of it.

    `comparable` if data set, protocol, samples and budget of our cell are the paper's; never a value that is only
    quoted, which has no cell of ours, nor one whose setting the paper does not tell.
    """

    value: float = math.nan
    std: float = math.nan
    comparable: bool = False
    notes: tuple[str, ...] = ()


def published_values(study: Study) -> dict[tuple[str, str, str], PublishedValue]:
    """What is published of the study's metrics, by (row, column, metric), in the order of the published table."""
    paper = find_paper(study.published)
    if paper is None:
        return {}
    as_defined = dataclasses.replace(study, budget=1.0, settings={}, tiny=False)
    ours, defined = ({(cell.row, cell.column): cell.config for cell in each.cells()} for each in (study, as_defined))
    stated = {}
    for value in published(study.published):
        place, metric = (value.row, value.column), paper.metrics.get(value.metric)
        if metric not in study.metrics:
            continue
        run_here = place in ours
        deviations = _deviations(ours[place], defined[place], value, paper, study.settings) if run_here else ""
        notes = tuple(filter(None, (deviations and f"ours has {deviations}", value.note)))
        comparable = run_here and not deviations and value.comparable
        stated[*place, metric] = PublishedValue(value.value, value.std, comparable, notes)
    return stated


def _deviations(config: Config, defined: Config, value: Published, paper: Paper, settings: Iterable[str]) -> str:
    """In what a cell differs from the published one, empty if in nothing: data set, the budget of the cell as defined,
    fields that were set, since they make another method of it, and of a score of images protocol and samples."""
    asked = [name for name in dict.fromkeys([*BUDGET_AND_DATA, *settings]) if name not in (*HARMLESS, *SCORING)]
    expected = {name: getattr(defined, name) for name in asked} | {"dataset": value.dataset}
    is_of_samples = metric_named(paper.metrics[value.metric]).key in config.metric_keys
    if is_of_samples:
        expected["feature_net"] = paper.features
        if not config.is_paired:  # of which all test images are translated, few as they are
            expected["eval_samples"] = paper.samples
    own = {name: getattr(config, name) for name in expected} | {"dataset": paper.dataset_name(config)}
    found = [_deviation(name, own[name], theirs) for name, theirs in expected.items() if own[name] != theirs]
    if is_of_samples and feature_extractor(config.feature_net).unproven:
        found.append(f"{config.feature_net} features, which were not held against published ones")
    return "; ".join(found)


def _deviation(name: str, own: object, paper: object) -> str:
    """A difference as a footnote has it."""
    if isinstance(own, dict):
        return f"other {name}"
    both = (f"{value:,}" if type(value) is int else str(value) for value in (own, paper))
    return f"{name} {', not '.join(both)}"


def footnotes(study: Study) -> dict[str, str]:
    """A letter for each note of the study's published values, in the order of the published table."""
    texts = dict.fromkeys(note for each in published_values(study).values() for note in each.notes)
    return {text: ascii_lowercase[i % 26] * (1 + i // 26) for i, text in enumerate(texts)}
