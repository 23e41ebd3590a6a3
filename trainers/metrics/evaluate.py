"""Scores a generator by the protocol of its Config."""

import math
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from trainers.config import Config
from trainers.data.dataset import Dataset
from trainers.features import load_features
from trainers.heartbeat import heartbeat
from trainers.metrics import BATCH
from trainers.metrics.frechet import Moments
from trainers.metrics.reference import reference
from trainers.metrics.sampled import Rows, Sampled
from trainers.names import KID_REAL, SCORES, Score, score_of, scores_of
from trainers.networks.layers import Generator
from trainers.streams import stream
from trainers.user_code import guard_user_code, load_object

# That a generator makes at a time, if that is less: larger images need more memory. These fill a GPU too, and on a CPU
# the numbers depend on it.
PIXELS = BATCH * 64 * 64


@torch.no_grad()
def evaluate(
    config: Config, data: Dataset, generator: Generator, device: torch.device, keys: Iterable[str] | None = None
) -> dict[str, float]:
    """The scores of a generator's samples, by default those of a run's evaluations, with latents that depend on the
    seed alone; leaves it in the mode it was in. NaN where features are not finite."""
    every = scores_of(config.feature_net, points=data.modes is not None)  # a user's own data may be points too
    wanted = {key: score for key in keys or every if (score := score_of(key)).is_of_samples}
    scores = wanted.values()
    kept = {score.takes for score in scores}
    net = load_features(config.feature_net)
    targets = data if data.pair is None else data.pair.test_targets
    n = config.eval_samples if data.pair is None else min(config.eval_samples, len(data.pair.test_sources.examples))
    keep = max(KID_REAL, n) if keys and "features" in kept else None
    # before there are features to hold
    real = reference(targets, config.feature_net, device, torch.get_num_threads(), keep)
    moments, features, samples = Moments(), Rows(n), Rows(n)
    for part in generate(config, data, generator, device, n):
        batch = net.extract(part)
        moments.update(batch)
        if "features" in kept:
            features.add(batch)
        if "samples" in kept:
            samples.add(part)
    if not moments.covariance.isfinite().all():
        return dict.fromkeys(keys or config.metric_keys, float("nan"))
    sampled = Sampled(data, net, real, moments, features.rows, samples.rows.cpu())
    ours = compute((score for key, score in wanted.items() if key in SCORES), sampled)
    return ours | {key: _own(key, score, sampled) for key, score in wanted.items() if key not in SCORES}


def _own(key: str, score: Score, sampled: Sampled) -> float:
    """What the function of a user's own score `module:object` gives by the name of the object. Raises ValueError."""
    function, name = load_object(score.compute, FunctionType), key.rpartition(":")[2]
    with guard_user_code("metric", key, ()):
        found = function(sampled)
    value = found.get(name) if isinstance(found, dict) else found
    if not isinstance(found, dict) or isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"metric {key!r}: {score.compute} should return {{{name!r}: a number}}, not {found!r:.80}")
    return float(value)


@torch.no_grad()
def compute(scores: Iterable[Score], taken: Any) -> dict[str, float]:
    """The numbers that the functions of the scores make of what they take, each called once."""
    values: dict[str, float] = {}
    for function in dict.fromkeys(score.compute for score in scores):
        heartbeat()
        values |= load_object(function)(taken)
    return values


@torch.no_grad()
def generate(
    config: Config, data: Dataset, generator: Generator, device: torch.device, n: int, labels: Tensor | None = None
) -> Iterator[Tensor]:
    """Yield n samples in batches [BATCH, *shape], the same for the same weights, of the labels [n]; None: of labels as
    frequent as in the data. Of a pair: the translations of test A, in order and over again."""
    was_training = generator.training
    generator.eval()
    part = max(1, min(BATCH, PIXELS // math.prod(data.shape[-2:])))
    for index, indices in enumerate(torch.arange(n).split(BATCH)):
        heartbeat()
        if data.pair is None:
            source = generator.sample_source(len(indices), stream(config.seed, "evaluation", index, device))
        else:
            source = data.pair.test_sources.scaled(indices % len(data.pair.test_sources.examples)).to(device)
        rng = stream(config.seed, "evaluation labels", index)
        drawn = data.labels[torch.randint(len(data.labels), (len(indices),), generator=rng)]
        wanted = drawn if labels is None else labels[indices]
        parts = zip(source.split(part), wanted.to(device).split(part), strict=True)
        yield torch.cat([generator(*inputs) for inputs in parts])
    generator.train(was_training)
