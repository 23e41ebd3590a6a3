"""Early stopping: which trials of a search end before their budget.

The rules are Ray Tune's own. A new driver rebuilds what they know by feeding them the stored rows in the order in which
these came; each row is decided once.
"""

from typing import NamedTuple

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from spaces import Search
from spaces.search_spaces import COOP_SHARE
from trainers.config import Config

REDUCTION = 3  # a rung lets the best third go on, and the next rung stands at three times its images


class Entry(NamedTuple):
    """A trial as Tune's rules know it: its name stays when the driver is started again."""

    trial_id: str


def grace_period(base: Config) -> int:
    """Images of the first evaluation at which no trial is in its cooperative stage, which takes n_images/4 at most."""
    return (base.n_images // COOP_SHARE // base.eval_every + 1) * base.eval_every


def rules(search: Search) -> list[FIFOScheduler]:
    """The rules of a search, among which trials take turns.

    asha: asynchronous successive halving (Li et al. 2020); hyperband: its brackets, each with a later first rung;
    median: stop what is worse than the median of the others' means so far (Golovin et al. 2017); none. Raises
    ValueError where evaluations are too few for a rule to act.
    """
    base, grace = search.base, grace_period(search.base)
    if search.scheduler == "none":
        return []
    if grace >= base.n_images:
        raise ValueError(
            f"eval_every = {base.eval_every} leaves {search.scheduler} no evaluation between a quarter and the whole "
            f"of n_images = {base.n_images}; make eval_every smaller, or use --scheduler none"
        )
    mode = "min" if search.lower_is_better else "max"
    if search.scheduler == "median":
        endless = float("inf")  # a trial that has too few others to be compared with is never paused for them
        return [MedianStoppingRule("images", "value", mode, grace, min_samples_required=3, min_time_slice=endless)]
    firsts = [grace]
    while search.scheduler == "hyperband" and firsts[-1] * REDUCTION < base.n_images:
        firsts.append(firsts[-1] * REDUCTION)
    return [ASHAScheduler("images", "value", mode, base.n_images, first, REDUCTION) for first in firsts]


class EarlyStopper:
    """Decides for each row of each trial, once."""

    def __init__(self, search: Search) -> None:
        self.rules = rules(search)
        self.decided: dict[tuple[int, int], bool] = {}
        self._entered: set[int] = set()
        self._out: set[int] = set()  # trials that a rule has given up, and that it may not be asked of again

    def stops(self, number: int, images: int, value: float, config: Config, *, went_on: bool = False) -> bool:
        """Whether trial `number` ends at this row: never before its cooperative stage is over, unless that is all.

        `went_on` says that it is known not to have ended there: a driver that is started again sees the rows of
        parallel trials in the order of the workers' clocks, in which a rule may find otherwise.
        """
        if (number, images) not in self.decided:
            if number not in self._out and self._gives_up(number, images, value):
                self._out.add(number)
            stage = config.coop_images if config.changes_stage else 0
            self.decided[number, images] = number in self._out and images >= stage and not went_on
        return self.decided[number, images]

    def _gives_up(self, number: int, images: int, value: float) -> bool:
        if not self.rules:
            return False
        rule, entry = self.rules[number % len(self.rules)], Entry(str(number))
        if number not in self._entered:
            self._entered.add(number)
            rule.on_trial_add(None, entry)
        return rule.on_trial_result(None, entry, {"images": images, "value": value}) == TrialScheduler.STOP
