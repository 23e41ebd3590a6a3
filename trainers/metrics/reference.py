"""The real side of the metrics, taken once."""

import logging
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainers.data.dataset import Dataset
from trainers.features import load_features
from trainers.files import cache_folder, key_of, made_once, reading
from trainers.heartbeat import heartbeat
from trainers.metrics import BATCH
from trainers.metrics.frechet import Moments, symmetric_root
from trainers.names import KID_REAL, scores_of
from trainers.streams import stream

STATISTICS_FORMAT = 1  # of the files of real statistics; another number, due where other arrays are kept: all anew
log = logging.getLogger(__name__)


class Reference(NamedTuple):
    """The real side of a Frechet distance, and of a KID where the feature net has one."""

    mean: Tensor
    covariance: Tensor
    root: Tensor
    features: Tensor | None  # [at most KID_REAL, d]


@cache
def reference(data: Dataset, features: str, device: torch.device, threads: int) -> Reference:
    """Statistics of all training examples, taken once a process; sums depend on the number of threads. Those of a slow
    feature net are taken once a machine: a file of the cache folder holds them."""
    net = load_features(features)
    if not net.slow:
        statistics = _real_statistics(data, features, device)
    else:
        on = (threads, device.type, torch.__version__)
        key = key_of(STATISTICS_FORMAT, data.digest, features, net.digest, BATCH, *on)
        path = cache_folder() / "statistics" / f"{key}.npz"
        made_once(path, lambda aside: _save(aside, _real_statistics(data, features, device)))
        with reading(path):
            statistics = _read(path, _keeps_features(features))
    there = {name: value.to(device) for name, value in statistics.items()}
    return Reference(there["mean"], there["covariance"], symmetric_root(there["covariance"]), there.get("features"))


def _real_statistics(data: Dataset, features: str, device: torch.device) -> dict[str, Tensor]:
    """Mean and covariance of the features, and for a KID the features of at most KID_REAL examples."""
    net, moments = load_features(features), Moments()
    if net.slow:
        log.info("taking %s features of %s training examples once", features, f"{len(data.examples):,}")
    keeps_features = _keeps_features(features)
    drawn = torch.randperm(len(data.examples), generator=stream(0, "kid reference"))[:KID_REAL]  # the same for all runs
    is_kept = torch.zeros(len(data.examples), dtype=torch.bool).index_fill(0, drawn, True)
    kept = []
    for indices in torch.arange(len(data.examples)).split(BATCH):
        heartbeat()
        batch = net.extract(data.scaled(indices).to(device))
        moments.update(batch)
        if keeps_features:
            kept.append(batch[is_kept[indices].nonzero()[:, 0].to(batch.device)])
    statistics = {"mean": moments.mean, "covariance": moments.covariance}
    return {**statistics, "features": torch.cat(kept)} if keeps_features else statistics


def _keeps_features(features: str) -> bool:
    """Whether a score on the feature net takes real features, beside their moments."""
    return any(score.takes == "features" for score in scores_of(features, points=False).values())


def _read(path: Path, keeps_features: bool) -> dict[str, Tensor]:
    """What _save wrote; raises anything if it is damaged."""
    with np.load(path, allow_pickle=False) as stored:
        names = ("mean", "covariance", *(("features",) if keeps_features else ()))
        statistics = {name: torch.from_numpy(stored[name]) for name in names}
    shapes = {name: tuple(value.shape) for name, value in statistics.items()}
    n, d = shapes.get("features", (0,))[0], shapes["mean"][0]
    if shapes != {"mean": (d,), "covariance": (d, d), **({"features": (n, d)} if keeps_features else {})}:
        raise ValueError(f"its arrays do not fit: {shapes}")
    if not all(value.is_floating_point() for value in statistics.values()):
        raise ValueError("its numbers are no floats")
    return statistics


def _save(path: Path, statistics: dict[str, Tensor]) -> None:
    with path.open("wb") as file:
        np.savez(file, **{name: value.cpu().numpy() for name, value in statistics.items()})  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
