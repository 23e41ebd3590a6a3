"""Measures of a run's evaluations, against known answers."""

import math

import pytest

from reports.measurements import MEASURES
from trainers.config import Config


def test_measures():
    config = Config(n_images=1_000, n_coop=300, eval_every=100)
    series = [(0, 100.0), (200, 50.0), (300, 40.0), (400, 44.0), (600, 20.0), (800, 10.0), (1000, 20.0)]
    assert MEASURES["images_to_target"](series, config, 40.0) == 300
    assert MEASURES["images_to_target"](series, config, 5.0) == math.inf
    assert MEASURES["jump"](series, config, math.nan) == pytest.approx(1.1)
    assert MEASURES["oscillation"](series, config, math.nan) == pytest.approx(math.log(2))
    assert MEASURES["unconverged"](series, config, math.nan) == 0
    assert MEASURES["unconverged"]([(0, 100.0), (1000, 60.0)], config, math.nan) == 1
    assert math.isnan(MEASURES["jump"](series, config.replace(n_coop=0), math.nan))
    steps = config.replace(n_images=1_000_000, n_coop=75_000, batch_size=64, eval_every=25_000)
    series = [(50_048, 50.0), (75_008, 40.0), (100_032, 400.0)]  # whole steps; the second ends the stage
    assert MEASURES["jump"](series, steps, math.nan) == pytest.approx(10)
