"""Examples and labels on the device that trains: all of them there, or batch by batch from pinned memory."""

import torch
from torch import Tensor

from trainers.gpu import memory

SHARE = 1 / 8  # of a device's memory, that a tensor may take to stay there; the data of a pair are two


class Rows:
    """A tensor [N, ...] of the CPU, whose rows are wanted on a device. As it is, images as bytes, it stays there if it
    takes at most SHARE of the memory; else each batch crosses from pinned memory. Either way the rows are the same, and
    the host does not wait: a plain copy would, until the device has done all that it was told."""

    def __init__(self, rows: Tensor, device: torch.device) -> None:
        self.device = device
        self.resident = rows.nbytes <= SHARE * memory(device)
        self.rows = rows.to(device) if self.resident else rows

    def take(self, indices: Tensor, turned: Tensor | None = None) -> Tensor:
        """Those at the indices [n] of the CPU, on the device; left to right where `turned` [n]. One copy."""
        if not self.resident:
            some = self.rows[indices]
            if turned is not None:
                some[turned] = some[turned].flip(-1)
            return torch.empty_like(some, pin_memory=True).copy_(some).to(self.device, non_blocking=True)
        if turned is None:
            return self.rows[indices.to(self.device, non_blocking=True)]
        there = torch.stack([indices, turned.long()]).to(self.device, non_blocking=True)
        some = self.rows[there[0]]
        return torch.where(there[1].bool().view(-1, *[1] * (some.ndim - 1)), some.flip(-1), some)
