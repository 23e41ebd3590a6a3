"""Random streams: each purpose of a run has its own, keyed by (seed, purpose, index).

So switching a method on leaves the other streams as they were (equal seeds are fair pairs), and resuming needs no
generator state. Nothing in training reads torch's global generator.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def stream_seed(seed: int, purpose: str, index: int = 0) -> int:
    """63-bit seed of one stream."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def stream(seed: int, purpose: str, index: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """Generator of one purpose at one index, usually the step."""
    return torch.Generator(device).manual_seed(stream_seed(seed, purpose, index))


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Within it torch's global CPU generator is this stream's, for torch's own weight initialisation."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, purpose))
        yield
