"""The endless sampler that batches come from."""

import torch
from torch import Tensor

from trainers.data.dataset import Dataset, scale
from trainers.data.rows import Rows
from trainers.streams import stream


class Sampler:
    """Endless batches without replacement, epoch after epoch; where a batch starts tells what is in it. `n_train` takes
    the first so many of a permutation by the seed: subsets are nested. Raises ValueError if the data set holds
    fewer."""

    def __init__(self, data: Dataset, n_train: int | None, seed: int, device: torch.device) -> None:
        size = len(data.examples)
        if n_train is not None and n_train > size:
            raise ValueError(f"n_train = {n_train} is more than the {size} training examples of the data set")
        self.seed = seed
        self.device = device
        self.examples = Rows(data.examples, device)
        self.labels = Rows(data.labels, device) if data.n_classes > 1 else None
        chosen = torch.randperm(size, generator=stream(seed, "subset"))[:n_train]
        self.indices = torch.arange(size) if n_train is None else chosen
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def batch(self, start: int, n: int) -> tuple[Tensor, Tensor]:
        """Examples start, start + 1, ... of the endless sequence: data [n, *shape] float32 and labels [n]."""
        parts = []
        while n > 0:
            epoch, position = divmod(start, len(self.indices))
            part = self._shuffled(epoch)[position : position + n]
            parts.append(part)
            start, n = start + len(part), n - len(part)
        indices = torch.cat(parts)
        return scale(self.examples.take(indices)), self.labels_at(indices)

    def labels_at(self, indices: Tensor) -> Tensor:
        """Labels [n] of the examples at the indices [n] of the CPU; without classes nothing crosses for them."""
        if self.labels is None:
            return torch.zeros(len(indices), dtype=torch.int64, device=self.device)
        return self.labels.take(indices)

    def _shuffled(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            order = torch.randperm(len(self.indices), generator=stream(self.seed, "data", epoch))
            self._epoch, self._order = epoch, self.indices[order]
        return self._order
