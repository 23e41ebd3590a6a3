"""Laws of made-up studies, in arrays: logarithms of scores, of equal mean."""

import numpy as np

STD = 0.27


def spreads(name, rows):
    """Of each row: equal, or four to one with the first row the quiet or the noisy one."""
    other = {"equal": 1.0, "quiet first": 4.0, "noisy first": 0.25}[name]
    return STD * np.array([1.0] + [other] * (rows - 1))


def studies(rng, count, rows, n, r, name):
    """[count, rows, n] logarithms with this correlation over seeds."""
    shared, own = rng.normal(size=(count, 1, n)), rng.normal(size=(count, rows, n))
    return spreads(name, rows)[:, None] * (np.sqrt(r) * shared + np.sqrt(1 - r) * own)


LAWS = [
    (n, r, name, paired)
    for n in (3, 5, 10)
    for r in (0.0, 0.5, 0.8)
    for name in ("equal", "quiet first", "noisy first")
    for paired in (True, False)
    if paired or r == 0
]
