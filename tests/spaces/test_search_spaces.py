"""Spaces vary what acts, within bounds, and every draw makes a Config."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from spaces import RECIPES, SPACES

optuna.logging.set_verbosity(optuna.logging.ERROR)
COOP = {"n_coop", "eta", "langevin_steps", "langevin_noise"}
ALPHAS = {"aw_alpha1", "aw_alpha2"}


def draw(space, base, seed):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    trial = study.ask()
    return space(trial, base), trial


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_space_varies_only_what_acts_in_its_base(recipe):
    base = RECIPES[recipe]
    varied, _ = draw(SPACES["all"], base, 0)
    expected = {"lr", "r1_gamma"} | ({"lr_g"} if base.lr_g else set())
    expected |= COOP if base.n_coop else set()
    expected |= ALPHAS if base.aw != "off" else set()
    assert set(varied) == expected
    assert set(varied) == {name for part in ("optimizer", "coopinit", "aw") for name in draw(SPACES[part], base, 0)[0]}


@given(st.integers(0, 2**31), st.sampled_from(sorted(RECIPES)))
def test_every_draw_makes_a_config_within_bounds(seed, recipe):
    base = RECIPES[recipe]
    overrides, trial = draw(SPACES["all"], base, seed)
    config = base.replace(**overrides)
    assert config.n_coop <= base.n_images // 4
    assert bool(config.n_coop) == bool(base.n_coop)
    assert config.aw_alpha1 <= config.aw_alpha2 <= 1
    assert config.r1_gamma == 0 or config.r1_gamma >= 1e-3
    if base.lr_g:
        assert config.lr_g / config.lr == pytest.approx(base.lr_g / base.lr)
    # what Optuna drew is enough to make the same Config again
    assert base.replace(**SPACES["all"](FixedTrial(trial.params), base)) == config


def test_ranges_do_not_depend_on_other_samples():
    base = RECIPES["ring8_coop_aw"]
    ranges = [draw(SPACES["all"], base, seed)[1].distributions for seed in range(5)]
    assert all(found == ranges[0] for found in ranges)


def test_n_coop_stays_where_it_is_the_method_or_does_not_act():
    base = RECIPES["ring8_coop"]
    assert "n_coop" not in draw(SPACES["coopinit"], base.replace(coop="joint"), 0)[0]
    assert "n_coop" not in draw(SPACES["coopinit"], base.replace(n_coop=base.n_images), 0)[0]
    assert "langevin_noise" not in draw(SPACES["coopinit"], base.replace(langevin_noise=0), 0)[0]
