"""Claims of a user's own: known by their content, and registered in the store before they are judged."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from reports.claims import VariantJudge
from reports.measurements import Untestable
from search.store import Store
from search.store.registry import register, registered
from spaces import Cell, Claim, Part, Study
from spaces.foreign import ForeignStudy
from trainers.messages import counted


def digest_of_claim(judge: VariantJudge, claim: Claim) -> str:
    """16 hex digits of SHA-256 over what is claimed, of which settings: words, place and seeds are not in it."""
    sets = {name: [_content(judge, part) for part in parts] for name, parts in claim.sets.items()}
    content = {"sets": sets, "small": [_content(judge, part) for part in claim.small], "covered": claim.covered}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _content(judge: VariantJudge, part: Part) -> dict[str, object]:
    cells = {(cell.row, cell.column): cell.known_key for cell in judge.results(part.study).study.cells()}
    sides = {
        side: [cells.get(label, " / ".join(label)) for label in getattr(part, side)]
        for side in ("treatment", "control")
    }
    return {**part._asdict(), "claimed": list(map(str, part.claimed)), **sides}


def _studies(judge: VariantJudge, claim: Claim) -> Iterator[tuple[Study, list[Cell]]]:
    """The variants of the studies that a claim is on, each with the cells that it names."""
    for name in dict.fromkeys(part.study for part in claim.all_parts):
        study = judge.results(name).study
        labels = {label for part in claim.all_parts if part.study == name for label in (*part.treatment, *part.control)}
        yield study, [cell for cell in study.cells() if (cell.row, cell.column) in labels]


def register_claim(judge: VariantJudge, claim: Claim) -> str:
    """Register a claim in each of its studies' experiments; what to say of it. Raises ValueError if the store does not
    answer, or a study cannot be varied so."""
    try:
        for study, _ in _studies(judge, claim):
            if isinstance(study, ForeignStudy):
                raise ValueError(f"claim {claim.id!r}: the runs of {study.name} were made before they were imported")
        digest = digest_of_claim(judge, claim)
        assert isinstance(judge.store, Store)
        made = [(study, register(judge.store, study, cells, digest)) for study, cells in _studies(judge, claim)]
    except Untestable as error:
        raise ValueError(f"claim {claim.id!r}: {error}") from None
    told = (
        f"{each.told(study.seeds)}, on {each.date}, for {counted(each.seeds, 'seed')} of {study.title}"
        for study, each in made
    )
    return f"{digest}, {'; '.join(told)}"


def told_of(judge: VariantJudge, claim: Claim) -> str:
    """When a claim was registered, in words: of several studies the least favourable; empty if it is not in one, where
    reports are judged, which do not tell, and of imported runs, which were there before."""
    if isinstance(judge.store, Path):
        return ""
    try:
        digest, studies = digest_of_claim(judge, claim), [study for study, _ in _studies(judge, claim)]
        if any(isinstance(study, ForeignStudy) for study in studies):
            return ""
        found = [(study, registered(judge.store, study, digest)) for study in studies]
    except Untestable:
        return ""
    if not all(each for _, each in found):
        return "not registered"
    study, latest = max(found, key=lambda each: each[1].begun if each[1] else 0)
    return latest.told(study.seeds) if latest else ""
