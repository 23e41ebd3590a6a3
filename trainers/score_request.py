"""What kept generators are scored by after training, and what a run folder keeps of it. Needs no torch."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from trainers.config import Config
from trainers.files import write_atomically
from trainers.messages import did_you_mean, first_error
from trainers.names import (
    FD_SIZES,
    KID_SUBSET,
    KID_SUBSETS,
    SCORES,
    feature_extractor,
    metric_named,
    score_of,
    scores_on_request,
)
from trainers.user_code import code_digest

PAIR, FRECHET = 1.5e-10, 2e-10  # seconds of a core: of a pair of rows, a feature; of a Frechet distance, d^3
SCORES_FILE = "scores.jsonl"
Which = Literal["final", "best"]  # generator: of the last evaluation, or of the best by the run's own protocol


class ScoreRequest(NamedTuple):
    """Scores, keys of SCORES or `module:object` of a user's own, of a kept generator on a feature net, by so many
    samples; None: as many as the run's own evaluations take."""

    features: str
    scores: tuple[str, ...]
    which: Which = "final"
    samples: int | None = None

    def config(self, config: Config) -> Config:
        """The Config whose evaluations would be of these samples on this net. Raises ValueError."""
        samples = config.eval_samples if self.samples is None else self.samples
        for score in map(score_of, self.scores):
            if samples < score.min_samples:
                raise ValueError(f"samples = {samples} is too few for {score.label}, which needs {score.min_samples}")
        return config.replace(features=self.features, eval_samples=samples)

    def sides(self, config: Config) -> str:
        """How the protocols of all its scores of a run begin: feature net, samples on both sides. Raises ValueError."""
        return f"{SCORES['fid'].protocol(self.config(config))}, weights "

    def protocols(self, config: Config, weights: str) -> dict[str, str]:
        """In words, by key, what each score of a run depends on beside the model; `weights` is the digest of the
        feature net's. Raises ValueError."""
        asked, sides = self.config(config), self.sides(config) + weights
        words = {key: "" if key == "fid" else score_of(key).protocol(asked) for key in self.scores}
        return {key: "; ".join(filter(None, (sides, own, own_code(key)))) for key, own in words.items()}

    def seconds(self, config: Config) -> float:
        """What a run takes on one core, about: samples on the net, distances of all pairs, Frechet distances."""
        row, n = feature_extractor(self.features), self.config(config).eval_samples
        computed = {SCORES[key].compute.rpartition(":")[2] for key in self.scores if key in SCORES}
        pairs = n**2 * ("manifold" in computed) + KID_SUBSETS * min(n, KID_SUBSET) ** 2 * ("kid" in computed)
        distances = "fid" in computed, FD_SIZES * ("fd_infinity" in computed)
        return row.pace * n / 1_000 + PAIR * pairs * row.size + FRECHET * sum(distances) * row.size**3


class StoredScore(BaseModel):
    """A line of scores.jsonl. `value` is NaN where features are not finite; `weights` is the digest of the feature
    net's, `logged_at` Unix time, `seconds` what the line's whole request took."""

    model_config = ConfigDict(extra="forbid", strict=True)
    metric: str
    which: Which
    features: str
    protocol: str
    weights: str
    value: float
    seconds: float
    logged_at: float

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What there is one value of."""
        return self.metric, self.which, self.features, self.protocol

    @property
    def name(self) -> str:
        """In MLflow; the part before the last / names the tag that holds the protocol."""
        digits = hashlib.sha256(self.protocol.encode()).hexdigest()[:8]
        return f"scores/{_plain(self.features)}-{digits}/{_called(self.metric)}_{self.which}"


def name_pattern(features: str, key: str, which: Which) -> re.Pattern[str]:
    """What names in MLflow are of a score of kept generators, by whatever protocol."""
    return re.compile(rf"scores/{re.escape(_plain(features))}-[0-9a-f]{{8}}/{re.escape(_called(key))}_{which}")


def own_modules(requests: Iterable[ScoreRequest]) -> list[str]:
    """The `module:object` names of scores of a user's own, and of what computes them. Raises ValueError."""
    own = {key for request in requests for key in request.scores if key not in SCORES}
    return sorted(own | {score_of(key).compute for key in own})


def own_code(key: str) -> str:
    """What a protocol ends in of a score of the user's own, so that changed code is another one; "" of ours."""
    return "" if key in SCORES else f"{key} of code {code_digest(sorted({key, score_of(key).compute}))}"


def _plain(name: str) -> str:
    """A feature net, or a score, in letters that MLflow takes."""
    return re.sub(r"[^\w.-]", ".", name, flags=re.ASCII)


def _called(key: str) -> str:
    """A score as tables call it."""
    return _plain((SCORES[key].name if key in SCORES else "") or key)


def requests_of(metrics: Iterable[str], samples: int | None = None) -> list[ScoreRequest]:
    """What must be scored for these metrics of a table, in their order. Raises ValueError for unknown ones."""
    found: dict[tuple[str, Which], list[str]] = {}
    for name in metrics:
        metric = metric_named(name)
        if metric.features:
            found.setdefault((metric.features, "best" if metric.when == "best" else "final"), []).append(metric.key)
    return [ScoreRequest(net, tuple(keys), which, samples) for (net, which), keys in found.items()]


def requested(features: str, metrics: str | None, samples: int | None, which: str) -> ScoreRequest:
    """What a user asks for by a feature net and scores as tables call them, `fid,precision`, or `module:object` of the
    user's own; by default all of ours. Raises ValueError."""
    if which not in ("final", "best"):
        raise ValueError(f"which = {which!r} should be final or best")
    metric_named(f"fid@{features}")  # is there such a net?
    known = {_called(key): key for key in scores_on_request(features)}
    names = list(known) if metrics is None else [name.strip() for name in metrics.split(",")]
    for name in names:
        if ":" in name:
            score_of(name)
            known[name] = name
        if name not in known:
            raise ValueError(f"score {name!r} is unknown on {features} features; {did_you_mean(name, known)}")
    return ScoreRequest(features, tuple(dict.fromkeys(known[name] for name in names)), cast(Which, which), samples)


def read_scores(run_dir: Path) -> list[StoredScore]:
    """The scores of a run folder. Raises ValueError for a line that is none."""
    path, found = run_dir / SCORES_FILE, []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), 1):
        try:
            found.append(StoredScore.model_validate(json.loads(line)))
        except ValidationError as error:
            raise ValueError(f"{path}, line {number}: {first_error(error)}") from None
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return found


def write_scores(run_dir: Path, scores: Iterable[StoredScore]) -> None:
    """All scores of a run folder, atomically; of two of one identity the first."""
    kept: dict[tuple[str, ...], StoredScore] = {}
    for score in scores:
        kept.setdefault(score.identity, score)
    lines = [json.dumps(score.model_dump()) + "\n" for score in kept.values()]
    write_atomically(run_dir / SCORES_FILE, lambda file: file.write("".join(lines).encode()))
