"""What the image files of a study hold: asked of the cache, of the files, or of the runs in the store."""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from search.store.connection import Store
from search.store.database import StoredRun
from search.store.queries import find_runs
from spaces import STUDIES, Study
from trainers.apart import unpatched
from trainers.config import Config
from trainers.data.sources import known_digest, unreadable
from trainers.run_folder import code_version
from trainers.run_state import RunState

logger = logging.getLogger(__name__)


def resolved(study: Study, store: Store, *, reads: bool | None = False) -> Study:
    """The study with the digests of its image files, so that its cells have their keys; of other data it is as it was.

    The digest is that of the files if the cache knows them. If not, `reads` decodes them: always (True), only if the
    store has a run on image files (None), or never. Where that is not done, or the files are not on this machine, the
    digest is that of the store's runs on files that were spelled so; without such runs it stays unknown, and the cells
    have no runs. Raises ValueError if the files cannot be read, or the store knows several digests for one spelling.
    """
    asked = {cell.config.data_spelling: cell.config for cell in study.cells() if cell.config.is_at_path}
    if not asked.keys() - study.data.keys():
        return study
    runs = _image_runs(store)
    digests = {
        spelling: study.data.get(spelling) or _digest(config, runs, bool(runs) if reads is None else reads, reads)
        for spelling, config in asked.items()
    }
    runs = _image_runs(store)  # what was decoded now may tell more of those of earlier versions
    shared = {spelling for spelling, config in asked.items() if _others(runs, config, digests[spelling])}
    return replace(study, data=digests, told=frozenset(shared))


def _image_runs(store: Store) -> list[StoredRun]:
    return [run for run in find_runs(store, "data", None) if "seed" in run.tags and run.tags.get("data_digest")]


def checked_images(study: Study, store: Store, new_data: bool) -> Study:
    """The study with the digests of its image files, which are decoded if need be. Raises ValueError if they changed,
    and `new_data` does not say that this is meant."""
    study = resolved(study, store, reads=True)
    for line in other_content(study, store):
        if not new_data:
            raise ValueError(f"{line}; --new-data makes all of it anew")
        logger.warning(line)
    return study


def absent(study: Study) -> list[str]:
    """A sentence for each set of image files that is not on this machine, and by whose digest the store has runs, or
    whose path is that of a study of ours, which nobody need have. Raises ValueError for any other."""
    ours = {cell.config.dataset for cell in STUDIES[study.name].cells()} if study.name in STUDIES else set()
    asked = {cell.config.data_spelling: cell.config for cell in study.cells() if cell.config.is_at_path}
    lines: dict[str, str] = {}
    for spelling, config in asked.items():
        error = unreadable(config.dataset)
        known = study.data.get(spelling)
        if error and not known and config.dataset not in ours:
            raise ValueError(error)
        if error:
            lines[config.dataset] = f"{error}; {'the store has runs on it, which count' if known else '`run` needs it'}"
    return list(lines.values())


def _digest(config: Config, runs: list[StoredRun], read: bool, required: bool | None) -> str:
    """The digest of one set of image files; "" if nobody knows it."""
    if digest := known_digest(config.dataset, config.image_form, config.conditional):
        return digest
    path = Path(os.path.expanduser(config.dataset.partition(":")[2]))  # noqa: PTH111 - a home of nobody is no error yet
    if read and (required or path.exists()):
        return str(unpatched("trainers.data.load:content_digest", config))
    found = sorted({run.tags["data_digest"] for run in runs if run.tags.get("data_spelling") == config.data_spelling})
    if len(found) > 1:
        raise ValueError(
            f"dataset = {config.dataset!r} is not on this machine, and the store has runs on {len(found)} different "
            f"sets of images of that name ({', '.join(found)}); put the images where the name says"
        )
    return found[0] if found else ""


def _others(runs: Iterable[StoredRun], config: Config, digest: str) -> list[StoredRun]:
    """Runs on other images of the same short name, asked for in the same form."""
    return [
        run
        for run in runs
        if run.tags["data"] == config.data_name and run.tags["data_digest"] != digest and _of_form(run, config)
    ]


def _of_form(run: StoredRun, config: Config) -> bool:
    """Whether a run asked for its images in the form of a Config: at its resolution and so on, with labels or without.
    The same files have another digest in each."""
    return _form(run.tags.get("data_spelling", "")) == _form(config.data_spelling)


def _form(spelling: str) -> str:
    """What in a spelling follows the path."""
    return re.search(r"( at \d+(, stretched)?)?( on #?\w+)?( with labels)?$", spelling)[0]  # type: ignore[index]


def without_form(spelling: str) -> str:
    """Kind and path alone of data as they were asked for."""
    return spelling.removesuffix(_form(spelling))


def other_content(study: Study, store: Store) -> list[str]:
    """A sentence for each set of image files that changed: the store has done runs of this study on other images of
    that name, and none on these."""
    asked = {cell.config.data_spelling: cell.config for cell in study.cells() if cell.config.is_at_path}
    if not asked:
        return []
    runs = [
        run
        for run in find_runs(store, "data", [config.data_name for config in asked.values()])
        if "seed" in run.tags and run.tags["study"].partition(" (")[0] == study.name.partition(" (")[0]
    ]
    lines = []
    for spelling, config in asked.items():
        digest = study.data.get(spelling, "")
        alike = [run for run in runs if _of_form(run, config)]
        own = any(run.tags.get("data_digest") == digest for run in alike)
        done = Counter(run.tags.get("data_digest", "") for run in alike if run.state == RunState.DONE)
        if digest and done and not own:
            counts = " and ".join(f"{count} done runs saw {other[:4]}..." for other, count in sorted(done.items()))
            others = {run.tags.get("code_version", "") for run in alike} - {code_version()}
            since = ", ".join(sorted({version.partition("-")[0] for version in others} - {""}))
            changed = f"has changed, or is decoded otherwise since version {since}" if since else "has changed"
            lines.append(f"{config.data_name} {changed}: {counts}, they do not count here (it is {digest[:4]}... now)")
    return lines
