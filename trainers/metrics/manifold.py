"""Scores of generated features by their nearest neighbours: precision, recall, density, coverage and AuthPct.

Distances are taken in float64 and rounded to float32, squared and then as roots. Those of the package prdc, which
scikit-learn takes, are too: the same pairs are nearer than others, and distances that differ by the rounding of float64
alone are ties. Equal rows are at 0; distances of others err by at most some 1e-7 of their norms, which is what the last
bits of float32 features are worth.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from trainers.heartbeat import heartbeat
from trainers.metrics.sampled import Sampled
from trainers.names import COVERAGE_NEIGHBOURS, MANIFOLD_NEIGHBOURS

BLOCK = 1_000  # rows and columns of distances at a time: some 60 MB at 2,048 features
LARGEST = torch.finfo(torch.float32).max / 4  # squared norm up to which all squared distances are finite in float32


class Points(NamedTuple):
    """Features with what their distances need."""

    features: Tensor  # [n, d]
    squares: Tensor  # squared norms [n], float64
    identity: Tensor  # [n], the same for equal rows and for no others

    def part(self, rows: slice) -> "Points":
        return Points(*(value[rows] for value in self))


def manifold(sampled: Sampled) -> dict[str, float]:
    """The scores of generated features and as many real ones, or all."""
    return manifold_scores(sampled.real.drawn(len(sampled.features)), sampled.features)


def manifold_scores(real: Tensor, fake: Tensor) -> dict[str, float]:
    """How generated features lie among real ones; `real` [n, d] and `fake` [m, d] on one device.

    - precision, recall: share of the generated points within the closed ball of some real point, and of the real points
      within that of some generated one; a ball reaches to its point's third nearest other (Kynkaanniemi et al. 2019,
      eq. 1 and 2; in prdc these balls are open, which differs at ties alone).
    - density, coverage: real balls that a generated point is within, on average and divided by 5, and share of the real
      balls that some generated point is within; open balls up to the fifth nearest other (Naeem et al. 2020, open as in
      their package prdc; of real points that occur six times these are empty).
    - auth_pct: generated points, in percent, that are farther from their nearest real point, of the training set, than
      this is from its own nearest other (Alaa et al. 2022, as in Stein et al. 2023). Of equally near ones one counts.

    Raises ValueError where there are fewer points than balls need, where a feature is not finite, or where norms are
    9e18 or more, whose distances float32 does not hold.
    """
    needs = COVERAGE_NEIGHBOURS + 1, MANIFOLD_NEIGHBOURS + 1
    if len(real) < needs[0] or len(fake) < needs[1]:
        least = f"{needs[0]} real and {needs[1]} generated features, not {len(real):,} and {len(fake):,}"
        raise ValueError(f"precision, recall, density and coverage need at least {least}")
    x, y = _points(real), _points(fake)
    real_radii, fake_radii = _neighbours(x, COVERAGE_NEIGHBOURS), _neighbours(y, MANIFOLD_NEIGHBOURS)
    is_precise, is_authentic = torch.zeros(2, len(fake), dtype=torch.bool, device=fake.device)
    is_recalled, is_covered = torch.zeros(2, len(real), dtype=torch.bool, device=real.device)
    within = torch.zeros((), dtype=torch.int64, device=real.device)  # pairs of a real ball and a point that is in it
    nearest = torch.full_like(y.squares, torch.inf, dtype=torch.float32)
    for i in _blocks(len(real)):
        for j in _blocks(len(fake)):
            heartbeat()
            distances = _distances(x.part(i), y.part(j))
            is_precise[j] |= (distances <= real_radii[i, MANIFOLD_NEIGHBOURS - 1, None]).any(0)
            is_recalled[i] |= (distances <= fake_radii[j, -1]).any(1)
            is_within = distances < real_radii[i, -1:]
            within += is_within.sum()
            is_covered[i] |= is_within.any(1)
            least_distance, index = distances.min(0)
            is_nearer = least_distance < nearest[j]
            is_authentic[j] = torch.where(is_nearer, real_radii[i, 0][index] < least_distance, is_authentic[j])
            nearest[j] = nearest[j].minimum(least_distance)
    return {
        "precision": _share(is_precise),
        "recall": _share(is_recalled),
        "density": float(within) / (COVERAGE_NEIGHBOURS * len(fake)),
        "coverage": _share(is_covered),
        "auth_pct": 100 * _share(is_authentic),
    }


def _share(flags: Tensor) -> float:
    return float(flags.sum()) / len(flags)


def _blocks(n: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]


def _points(features: Tensor) -> Points:
    squares = features.new_empty(len(features), dtype=torch.float64)  # parts of it would keep freed memory in pieces
    identity = []
    for part, block in zip(squares.split(BLOCK), features.split(BLOCK), strict=True):
        heartbeat()
        part.copy_(block.double().square().sum(1))
        rows = (block + 0.0).cpu().numpy()  # -0 becomes 0, which it equals
        identity += [hash(row.tobytes()) for row in rows]  # by chance two of 1e5 rows share one in 1 case of 1e9
    points = Points(features, squares, torch.tensor(identity, device=features.device))
    if not (points.squares < LARGEST).all():  # NaN is not less
        raise ValueError("precision, recall, density and coverage need finite features, of norms below 9e18")
    return points


def _neighbours(points: Points, count: int) -> Tensor:
    """The distances of each point to its nearest others, ascending: [n, count]. Each block serves its rows and its
    columns."""
    nearest = points.squares.new_full((len(points.squares), count + 1), torch.inf, dtype=torch.float32)
    blocks = _blocks(len(nearest))
    for first, i in enumerate(blocks):
        for j in blocks[first:]:
            heartbeat()
            distances = _distances(points.part(i), points.part(j))
            nearest[i] = _smallest(nearest[i], distances)
            if i != j:
                nearest[j] = _smallest(nearest[j], distances.T)
    return nearest[:, 1:]  # the first is the point itself


def _smallest(known: Tensor, distances: Tensor) -> Tensor:
    """The k least of each row of the known [n, k] and the new [n, m], ascending."""
    return torch.cat([known, distances], 1).topk(known.shape[1], largest=False).values


def _distances(x: Points, y: Points) -> Tensor:
    """Euclidean distances of all pairs, [n, m] in float32."""
    squares = torch.addmm(y.squares, x.features.double(), y.features.double().T, alpha=-2)
    squares += x.squares[:, None]
    squares.masked_fill_(x.identity[:, None] == y.identity, 0)  # which rounding would leave near 0
    return squares.clamp_min_(0).float().double().sqrt_().float()  # a root in float32 is often off by its last bit
