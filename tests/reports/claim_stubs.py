"""What claims are tested on: made-up runs of the studies, by name, and a ledger that reads them."""

import numpy as np

from reports.ledger import Ledger

BASE, COOP = "StyleGAN2", "StyleGAN2 + CoopInit"
TABLE5 = {(COOP, "NS"): 6, (BASE, "NS"): 14, (COOP, "Hinge"): 5, (BASE, "Hinge"): 12}
TABLE5 |= {(COOP, "WAS-GP"): 9, (BASE, "WAS-GP"): 13, (BASE, "NS (R1 gamma=0.01)"): 9}


def seeds(mean, n=10, std=0.1, key=0):
    """[n] log-normal values with this geometric mean."""
    values = np.random.default_rng([key, int(mean * 100)]).normal(0, std, n)
    return list(mean * np.exp(values - values.mean()))


def cells_of(means, **options):
    return {label: seeds(mean, key=key, **options) for key, (label, mean) in enumerate(means.items())}


def ledger(evaluations=None, **varied):
    """Ten seeds a cell, unless they are varied; evaluations are those of StubResults."""
    return Ledger(evaluations or {}, lambda study: study.variant(**({"seeds": 10} | varied)))
