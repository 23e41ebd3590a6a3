"""What two backbones share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Generator(nn.Module):
    """Base of the generators that start from z ~ N(0, I): source [n, latent]."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    def sample_source(self, n: int, rng: torch.Generator) -> Tensor:
        """n inputs of the generator from a random stream, on the stream's device."""
        return torch.randn(n, self.latent, generator=rng, device=rng.device)
