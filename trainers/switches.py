"""When a Config's fields act. A field whose switch is off is no part of what a run is: `Config.acting` has it at rest.

A field's switch is the metadata of the field, like its range; what has none always acts.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Switch(NamedTuple):
    """Where a field acts; elsewhere it rests at its default, or at `rest`."""

    acts: Callable[[Any], object]  # of a Config
    rest: Any = None  # where the default itself is refused


def _adversarial(config: Any) -> bool:
    """Whether there is an adversarial step: CoopNets (n_coop = n_images) has none."""
    return -(-config.coop_images // config.batch_size) * config.batch_size < config.n_images


def _adapts(config: Any) -> bool:
    return config.ada != "off" and config.ada_p is None and _adversarial(config)


def _zcr(config: Any) -> bool:
    return bool(config.zcr_d or config.zcr_g) and _adversarial(config)


def _weighs(config: Any) -> bool:
    return {config.aw, config.probe} & {"normalized", "unnormalized"} != set() and _adversarial(config)


def _augments(config: Any) -> bool:
    return _adversarial(config) or config.ada_coop or config.ada_langevin


def _learns_lazily(config: Any) -> bool:
    """Lazy R1 lowers D's learning rate in every stage, even where it never comes to act itself."""
    return _adversarial(config) or config.r1_interval > 1


BACKGROUND = Switch(lambda c: c.is_at_path)  # torchvision's images have no transparent pixels
COOP = Switch(lambda c: c.n_coop)
COOP_SIZE = Switch(lambda c: c.coop == "init", rest=1)  # joint: at every step, however large n_coop is
COOP_STAGE = Switch(lambda c: c.coop_images)
STAGES = Switch(lambda c: c.coop_images and _adversarial(c))
NOISY_CHAIN = Switch(lambda c: c.n_coop and c.langevin_noise and c.langevin_steps > 1)
ADVERSARIAL = Switch(_adversarial)
OTHER_LR = Switch(lambda c: c.lr_g not in (None, c.lr))
OTHER_BETA2 = Switch(lambda c: c.beta2_g not in (None, c.beta2))
OTHER_BATCH = Switch(lambda c: c.batch_size_g not in (None, c.batch_size) and _adversarial(c))
AVERAGE = Switch(lambda c: c.ema_halflife)
AW = Switch(_weighs)
R1 = Switch(_learns_lazily)
R1_ON = Switch(lambda c: c.r1_gamma or c.r1_lazy_rates == "always")
LAZY_RATES = Switch(lambda c: not c.r1_gamma and c.r1_interval > 1)
ZCR = Switch(_zcr)
NCE = Switch(lambda c: c.nce_weight)
NCE_COOP = Switch(lambda c: c.nce_weight and c.coop_images)
ADA = Switch(_augments)
ADA_ON = Switch(lambda c: c.ada != "off")
ADA_ADAPTS = Switch(_adapts)
ADA_COOP = Switch(lambda c: c.ada != "off" and c.n_coop)
OTHER_FEATURES = Switch(lambda c: c.features not in ("auto", c.data_source.features))
