"""Early stopping: which rows a rule may stop at, and that a rule fed again decides again the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.optimize.stopping import EarlyStopper, grace_period
from spaces import RECIPES, SPACES, Search
from trainers.config import Config

BASE = Config(n_images=2_000, eval_every=100, n_coop=100)


def search(scheduler, base=BASE):
    return Search("r", base, "all", SPACES["all"], scheduler=scheduler)


def test_the_grace_period_is_the_first_evaluation_after_the_bound_of_n_coop():
    assert grace_period(BASE) == 600
    assert grace_period(BASE.replace(n_images=2_100)) == 600
    assert grace_period(BASE.replace(n_images=2_399)) == 600
    assert grace_period(BASE.replace(n_images=2_400)) == 700
    ring = RECIPES["ring8_coop"]
    assert grace_period(ring) == 7 * ring.eval_every


def run(stopper, number, values, until=2_000):
    """Rows of one trial at 0, 100, ... until it is stopped; returns the images of its last row."""
    for images, value in zip(range(0, until + 1, 100), values, strict=False):
        if stopper.stops(number, images, value, BASE):
            return images
    return until


def test_asha_keeps_the_best_third_at_each_rung():
    """Rungs at 600 and 1,800; by hand: a trial goes on if it is not below the 2/3 quantile of those before it."""
    stopper = EarlyStopper(search("asha"))
    ends = [run(stopper, number, [float(level)] * 21) for number, level in enumerate([5, 6, 4, 3, 7, 4.5])]
    # 5 is the first; 6 is worse than 5; 4 and 3 are the best so far; 7 and then 4.5 lie outside the best third
    assert ends == [2_000, 600, 2_000, 2_000, 600, 600]


def test_median_stops_what_is_worse_than_the_median_of_the_others():
    stopper = EarlyStopper(search("median"))
    levels = [1.0, 2.0, 3.0, 2.5, 1.5]
    ends = [run(stopper, number, [level] * 21) for number, level in enumerate(levels)]
    assert ends == [2_000, 2_000, 2_000, 600, 2_000]


def test_hyperband_gives_brackets_later_first_rungs():
    stopper = EarlyStopper(search("hyperband"))
    assert len(stopper.rules) == 2
    # even trials may end at 600, odd ones only at 1,800
    ends = [run(stopper, number, [float(number)] * 21) for number in range(6)]
    assert ends == [2_000, 2_000, 600, 1_800, 600, 1_800]


def test_none_stops_nothing():
    stopper = EarlyStopper(search("none"))
    assert [run(stopper, n, [float(n)] * 21) for n in range(5)] == [2_000] * 5


def test_a_cooperative_stage_is_never_cut():
    """Even where a space gives more than the bound."""
    late, whole = BASE.replace(n_coop=1_500), BASE.replace(n_coop=2_000)
    for scheduler in ("asha", "median"):
        stopper = EarlyStopper(search(scheduler))
        for number in range(3):
            run(stopper, number, [1.0] * 21)
        assert [i for i in range(0, 2_000, 100) if stopper.stops(3, i, 9.0, late)] == [
            1_500,
            1_600,
            1_700,
            1_800,
            1_900,
        ]
        # what has no other stage is compared all the same, and so is the joint objective, which has no stage
        assert next(i for i in range(0, 2_000, 100) if stopper.stops(4, i, 9.0, whole)) == 600
        assert next(i for i in range(0, 2_000, 100) if stopper.stops(5, i, 9.0, late.replace(coop="joint"))) == 600


def test_a_trial_that_is_known_to_have_gone_on_is_not_stopped_there():
    for scheduler in ("asha", "median"):
        stopper = EarlyStopper(search(scheduler))
        for number in range(3):
            run(stopper, number, [1.0] * 21)
        assert [stopper.stops(3, images, 9.0, BASE, went_on=True) for images in (600, 700, 800)] == [False] * 3
        assert stopper.stops(3, 700, 9.0, BASE) is False


@given(
    st.lists(st.lists(st.floats(0, 10), min_size=20, max_size=20), min_size=1, max_size=8),
    st.sampled_from(["asha", "hyperband", "median"]),
    st.randoms(use_true_random=False),
)
def test_rows_fed_again_in_their_order_are_decided_alike(trials, scheduler, random):
    """As a new driver does it; and a row that comes again is decided as before."""
    first = EarlyStopper(search(scheduler))
    alive, position, order = list(range(len(trials))), [0] * len(trials), []
    while alive:
        number = random.choice(alive)
        images, value = position[number] * 100, trials[number][position[number]]
        position[number] += 1
        order.append((number, images, value, first.stops(number, images, value, BASE)))
        if order[-1][3] or position[number] == 20:
            alive.remove(number)
    again = EarlyStopper(search(scheduler))
    assert [again.stops(*row[:3], BASE) for row in order] == [row[3] for row in order]
    assert [first.stops(*row[:3], BASE) for row in order] == [row[3] for row in order]


def test_a_rule_without_a_rung_is_refused():
    with pytest.raises(ValueError, match="eval_every = 2000 leaves asha no evaluation"):
        EarlyStopper(search("asha", BASE.replace(eval_every=2_000)))
    assert EarlyStopper(search("none", BASE.replace(eval_every=2_000))).rules == []
