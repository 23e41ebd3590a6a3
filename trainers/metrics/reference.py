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
from trainers.names import KID_REAL, feature_extractor
from trainers.streams import stream

STATISTICS_FORMAT = 1  # of the files of real statistics; another number, due where other arrays are kept: all anew
log = logging.getLogger(__name__)


class Reference(NamedTuple):
    """The real side of a Frechet distance, and features of as many examples as scores take."""

    mean: Tensor
    covariance: Tensor
    root: Tensor
    features: Tensor  # [n, d], in the order of the examples
    ranks: Tensor  # [n]: which of the examples that were drawn each is of

    def drawn(self, n: int) -> Tensor:
        """Features of the first n examples that were drawn, [at most n, d]: the same for all runs."""
        return self.features if n >= len(self.features) else self.features[self.ranks < n]


@cache
def reference(data: Dataset, features: str, device: torch.device, threads: int, keep: int | None = None) -> Reference:
    """Statistics of all training examples and features of `keep` of them, by default of as many as evaluations take,
    taken once a process; sums depend on the number of threads. Those of a slow feature net are taken once a machine: a
    file of the cache folder holds them."""
    net, most = load_features(features), len(data.examples)
    usual = min(KID_REAL, most) if feature_extractor(features).logits else 0
    keep = usual if keep is None else min(keep, most)
    drawn = torch.randperm(len(data.examples), generator=stream(0, "kid reference"))[:keep]
    if not net.slow:
        statistics = _real_statistics(data, features, device, drawn)
    else:
        on = (threads, device.type, torch.__version__)
        kept = [] if keep == usual else [keep]
        key = key_of(STATISTICS_FORMAT, data.digest, features, net.digest, BATCH, *on, *kept)
        path = cache_folder() / "statistics" / f"{key}.npz"
        made_once(path, lambda aside: _save(aside, _real_statistics(data, features, device, drawn)))
        with reading(path):
            statistics = _read(path, keep)
    there = {name: value.to(device) for name, value in statistics.items()}
    rows = there.get("features", there["mean"].new_empty(0, len(there["mean"])))
    return Reference(there["mean"], there["covariance"], symmetric_root(there["covariance"]), rows, drawn.argsort())


def _real_statistics(data: Dataset, features: str, device: torch.device, drawn: Tensor) -> dict[str, Tensor]:
    """Mean and covariance of the features, and the features of the examples that were drawn, in their order."""
    net, moments = load_features(features), Moments()
    if net.slow:
        log.info("taking %s features of %s training examples once", features, f"{len(data.examples):,}")
    is_kept = torch.zeros(len(data.examples), dtype=torch.bool).index_fill(0, drawn, True)
    kept = []
    for indices in torch.arange(len(data.examples)).split(BATCH):
        heartbeat()
        batch = net.extract(data.scaled(indices).to(device))
        moments.update(batch)
        if len(drawn):
            kept.append(batch[is_kept[indices].nonzero()[:, 0].to(batch.device)])
    statistics = {"mean": moments.mean, "covariance": moments.covariance}
    return {**statistics, "features": torch.cat(kept)} if len(drawn) else statistics


def _read(path: Path, keep: int) -> dict[str, Tensor]:
    """What _save wrote; raises anything if it is damaged."""
    with np.load(path, allow_pickle=False) as stored:
        names = ("mean", "covariance", *(("features",) if keep else ()))
        statistics = {name: torch.from_numpy(stored[name]) for name in names}
    shapes, d = {name: tuple(value.shape) for name, value in statistics.items()}, len(statistics["mean"])
    if shapes != {"mean": (d,), "covariance": (d, d), **({"features": (keep, d)} if keep else {})}:
        raise ValueError(f"its arrays do not fit: {shapes}")
    if not all(value.is_floating_point() for value in statistics.values()):
        raise ValueError("its numbers are no floats")
    return statistics


def _save(path: Path, statistics: dict[str, Tensor]) -> None:
    with path.open("wb") as file:
        np.savez(file, **{name: value.cpu().numpy() for name, value in statistics.items()})  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
