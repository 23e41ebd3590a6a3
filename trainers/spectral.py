"""Spectral norm: weights over their largest singular value, those of all layers of a network at once.

Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative Adversarial Networks", ICLR 2018. The power
iteration, its start and the names in checkpoints are those of torch.nn.utils.parametrizations.spectral_norm, which
launches some four times as much: it goes from layer to layer, and derives by autograd what has a closed form.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.parametrize import ParametrizationList, register_parametrization

EPSILON = 1e-12  # guards a division by zero
WARM_UP = 15  # power iterations before the first pass


class SpectralNorm(nn.Module):
    """Parametrization: a weight divided by the estimate u . weight v of its largest singular value, seen as a matrix
    with a row for each index along `dim`. A pass of a network in training betters u and v by one power iteration."""

    def __init__(self, weight: Tensor, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.ready: Tensor | None = None  # the divided weight, for the length of one pass of the network
        self.held: Tensor | None = None  # for that of `held`
        with torch.no_grad():
            matrix = self.matrix(weight)
            u, v = (nn.functional.normalize(matrix.new_empty(n).normal_(), dim=0) for n in matrix.shape)
            for _ in range(WARM_UP):
                u = nn.functional.normalize(matrix @ v, dim=0, eps=EPSILON)
                v = nn.functional.normalize(matrix.T @ u, dim=0, eps=EPSILON)
        self._u, self._v = nn.Buffer(u), nn.Buffer(v)

    def matrix(self, weight: Tensor) -> Tensor:
        """[rows, columns] of a weight of any shape."""
        return weight.movedim(self.dim, 0).flatten(1)

    def forward(self, weight: Tensor) -> Tensor:
        for divided in (self.held, self.ready):
            if divided is not None:
                return divided
        return divide([self], [weight], iterate=self.training)[0]  # the layer is used outside its network's forward

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


def normalize(network: nn.Module, *, embeddings: bool) -> None:
    """Put spectral norm, of a random start, on the weights of all convolutions and linear layers, and of embeddings."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, *((nn.Embedding,) if embeddings else ()))
    for module in [module for module in network.modules() if isinstance(module, kinds)]:
        rows = 1 if isinstance(module, nn.ConvTranspose2d) else 0
        register_parametrization(module, "weight", SpectralNorm(module.weight, rows))
    # not compiled, which would not see that `_owners` is cached; said here, since to say it imports the compiler
    network.register_forward_pre_hook(torch.compiler.disable(_before_pass))
    network.register_forward_hook(_after_pass, always_call=True)


@contextmanager
def held(network: nn.Module) -> Iterator[None]:
    """Within it the divided weights are what they are now, without a gradient: passes neither iterate nor divide."""
    norms = _norms(network)
    with torch.no_grad():
        for norm, weight in zip(norms, _divided(norms, iterate=False), strict=True):
            norm.held = weight
    try:
        yield
    finally:
        for norm in norms:
            norm.held = None


def _before_pass(network: nn.Module, inputs: Any) -> None:
    norms = _norms(network)
    if any(norm.held is None for norm in norms):
        for norm, weight in zip(norms, _divided(norms, iterate=network.training), strict=True):
            norm.ready = weight


def _after_pass(network: nn.Module, inputs: Any, outputs: Any) -> None:
    for norm in _norms(network):
        norm.ready = None


def _norms(network: nn.Module) -> dict[SpectralNorm, ParametrizationList]:
    """The spectral norms of a network, each with the parametrizations of its weight, the last of which it is."""
    lists = [module for module in network.modules() if isinstance(module, ParametrizationList)]
    return {last: each for each in lists if isinstance(last := each[-1], SpectralNorm)}


def _divided(norms: dict[SpectralNorm, ParametrizationList], *, iterate: bool) -> list[Tensor]:
    weights = []
    for parametrizations in norms.values():
        weight = parametrizations.original
        for parametrization in list(parametrizations)[:-1]:  # an equalized learning rate
            weight = parametrization(weight)
        weights.append(weight)
    return divide(list(norms), weights, iterate=iterate)


def divide(norms: Sequence[SpectralNorm], weights: Sequence[Tensor], *, iterate: bool) -> list[Tensor]:
    """The weights over their estimated singular values, after one power iteration if `iterate`; in 32 bits even where
    networks compute in fewer."""
    if not norms:
        return []
    with torch.no_grad(), torch.autocast(weights[0].device.type, enabled=False):
        matrices = [norm.matrix(weight) for norm, weight in zip(norms, weights, strict=True)]
        us: list[Tensor] = [norm._u for norm in norms]
        vs: list[Tensor] = [norm._v for norm in norms]
        if iterate:
            us, vs, sigmas = _iterated(matrices, vs)
            torch._foreach_copy_([*(norm._u for norm in norms), *(norm._v for norm in norms)], [*us, *vs])
        else:
            sigmas = torch.stack([torch.dot(u, m @ v) for u, m, v in zip(us, matrices, vs, strict=True)])
    parts = zip(weights, sigmas.unbind(), us, vs, norms, strict=True)
    return [_Divided.apply(weight, sigma, u, v, norm.dim) for weight, sigma, u, v, norm in parts]


def _iterated(matrices: Sequence[Tensor], vs: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """u and v of each matrix after one power iteration, and u . matrix v of all."""
    us = [matrix @ v for matrix, v in zip(matrices, vs, strict=True)]
    vectors = [*us, *(matrix.T @ u for matrix, u in zip(matrices, us, strict=True))]
    lengths = torch.stack(torch._foreach_norm(vectors))
    bounded = lengths.clamp_min(EPSILON)
    sizes = tuple(map(len, vectors))
    units = (torch.cat(vectors) / bounded[_owners(sizes, bounded.device)]).split(sizes)
    n = len(matrices)
    return list(units[:n]), list(units[n:]), lengths[n:] / bounded[:n]


@cache
def _owners(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Of each number of vectors of these sizes, one behind the other, which vector it belongs to."""
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)).to(device)


class _Divided(torch.autograd.Function):
    """weight / sigma, of sigma = u . weight v for constant u and v, whose derivative is u v^T."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, sigma: Tensor, u: Tensor, v: Tensor, dim: int) -> Tensor:
        divided = weight / sigma
        ctx.save_for_backward(divided, sigma, u, v)
        ctx.dim = dim
        return divided

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        divided, sigma, u, v = ctx.saved_tensors
        along = torch.dot(grad.reshape(-1), divided.reshape(-1))
        turned = grad.movedim(ctx.dim, 0)
        matrix = torch.addr(turned.flatten(1), along * u, v, alpha=-1) / sigma
        return matrix.view(turned.shape).movedim(0, ctx.dim), None, None, None, None
