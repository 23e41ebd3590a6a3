"""Scores a generator by the protocol of its Config."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from trainers.config import Config
from trainers.data.dataset import Dataset
from trainers.features import load_features
from trainers.metrics import BATCH
from trainers.metrics.frechet import Moments, frechet_distance
from trainers.metrics.inception import inception_metrics
from trainers.metrics.points import point_metrics
from trainers.metrics.reference import reference
from trainers.networks.layers import Generator
from trainers.streams import stream

PIXELS = BATCH * 64 * 64  # that a generator makes at a time, if that is less: larger images need more memory


@torch.no_grad()
def evaluate(config: Config, data: Dataset, generator: Generator, device: torch.device) -> dict[str, float]:
    """The metrics of a generator, with latents that depend on the seed alone; leaves it in the mode it was in."""
    net = load_features(config.feature_net)
    moments, features, points = Moments(), [], []
    n = config.eval_samples if data.pair is None else min(config.eval_samples, len(data.pair.test_sources.examples))
    for samples in generate(config, data, generator, device, n):
        batch = net.extract(samples)
        moments.update(batch)
        if "kid" in config.row_metrics:
            features.append(batch.cpu())
        if data.modes is not None:
            points.append(samples.cpu())
    if not moments.covariance.isfinite().all():
        return dict.fromkeys(config.row_metrics, float("nan"))
    targets = data if data.pair is None else data.pair.test_targets
    real = reference(targets, config.feature_net, device, torch.get_num_threads())
    fid = frechet_distance(real.mean, real.covariance, moments.mean, moments.covariance, root1=real.root)
    values = {"fid": fid}
    if real.features is not None:
        values |= inception_metrics(net, torch.cat(features), real.features)
    if data.modes is not None:
        values |= point_metrics(data, torch.cat(points))
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
