"""What a paper published of a study's cells, and in what ours differ from it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from string import ascii_lowercase
from typing import NamedTuple

from spaces import Published, Study, published
from trainers.config import Config

PAPERS_METRICS = {  # FID and IS of a published table are the best of evaluations
    "fid": "fid_best",
    "is": "is_best",
    "logit_real_after": "logit_real_after_final",
    "gap_after": "gap_after_final",
}
SCORES, SCORING = ("fid", "is"), ("features", "eval_samples")  # values of generated images, and the fields they take
PAPERS_FEATURES, PAPERS_SAMPLES = "inception", 50_000  # both papers score 50,000 samples on Inception features
USERS_IMAGES = ("folder:ffhq", "folder:imagenet")  # whose published names end in the resolution
BUDGET_AND_DATA = ("n_train", "resolution", "center_crop", "n_images", "backbone_options")  # tiny changes these
HARMLESS = ("threads", "channels_last", "compile")  # settings that change speed alone


class Beside(NamedTuple):
    """A published value, its standard deviation (NaN where none is stated), and what a reader must know of it.

    `comparable` if data set, protocol, samples and budget of our cell are the paper's; never a value that is only
    quoted, which has no cell of ours, nor one whose setting the paper does not tell.
    """

    value: float = math.nan
    std: float = math.nan
    comparable: bool = False
    notes: tuple[str, ...] = ()


def beside(study: Study) -> dict[tuple[str, str, str], Beside]:
    """What is published of the study's metrics, by (row, column, metric), in the order of the published table."""
    if study.published is None:
        return {}
    ours, defined = ({(cell.row, cell.column): cell.config for cell in each.cells()} for each in (study, plain(study)))
    found = {}
    for value in published(study.published):
        place = (value.row, value.column)
        differs = differences(ours[place], defined[place], value, study.settings) if place in ours else ""
        notes = tuple(filter(None, (differs and f"ours has {differs}", value.note)))
        metric = PAPERS_METRICS.get(value.metric, value.metric)
        comparable = place in ours and not differs and value.comparable
        found[*place, metric] = Beside(value.value, value.std, comparable, notes)
    return {key: each for key, each in found.items() if key[2] in study.metrics}


def plain(study: Study) -> Study:
    """The study as it is defined: at full budget, without settings, not tiny."""
    return dataclasses.replace(study, budget=1.0, settings={}, tiny=False)


def differences(config: Config, defined: Config, value: Published, settings: Iterable[str]) -> str:
    """In what a cell differs from the published one: data set, protocol, samples, budget; empty if in nothing.

    Protocol and samples are those of a score of images. The paper's budget is that of the cell as it is defined. Other
    fields that were set count too, since they make another method of it.
    """
    asked = [name for name in dict.fromkeys([*BUDGET_AND_DATA, *settings]) if name not in (*HARMLESS, *SCORING)]
    expected = {name: getattr(defined, name) for name in asked} | {"dataset": value.dataset}
    if value.metric in SCORES:
        expected["feature_net"] = PAPERS_FEATURES
    if value.metric in SCORES and not config.is_paired:  # of which all test images are translated, few as they are
        expected["eval_samples"] = PAPERS_SAMPLES
    held = {name: getattr(config, name) for name in expected} | {"dataset": papers_name(config)}
    return "; ".join(_told(name, held[name], paper) for name, paper in expected.items() if held[name] != paper)


def papers_name(config: Config) -> str:
    """What published.csv calls a cell's data, or, of data that no paper has, what the cell does."""
    if config.dataset in USERS_IMAGES:
        return f"{config.dataset.removeprefix('folder:')}{config.resolution}"
    return config.dataset.removeprefix("pair:")


def _told(name: str, own: object, paper: object) -> str:
    """A difference as a footnote has it."""
    if isinstance(own, dict):
        return f"other {name}"
    both = (f"{value:,}" if type(value) is int else str(value) for value in (own, paper))
    return f"{name} {', not '.join(both)}"


def footnotes(study: Study) -> dict[str, str]:
    """A letter for each note of the study's published values, in the order of the published table."""
    texts = dict.fromkeys(note for each in beside(study).values() for note in each.notes)
    return {text: ascii_lowercase[i % 26] * (1 + i // 26) for i, text in enumerate(texts)}
