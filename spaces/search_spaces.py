"""Search spaces by name: functions `space(trial, base: Config) -> overrides` of an Optuna trial.

A space varies only the fields that act in its base: CoopInit's where the base has it on, the alphas where aw is on.
Ranges lie around the base's own values, since a step size or a learning rate does not carry over from one backbone to
another, and do not depend on other samples: alpha2 is drawn as alpha1 plus a gap.
"""

from collections.abc import Callable
from typing import Any

from trainers.config import Config

Space = Callable[[Any, Config], dict[str, Any]]

COOP_SHARE = 4  # n_coop is at most this part of n_images, so that all trials can be compared soon after it


def optimizer(trial: Any, base: Config) -> dict[str, Any]:
    """lr within a factor of ten (G's in the base's ratio), and r1_gamma from 0.001 to 10 or off.

    R1 is off in the lower half of the log range: one number without a condition, as Gaussian processes and CMA-ES need
    it.
    """
    lr = trial.suggest_float("lr", base.lr / 10, base.lr * 10, log=True)
    gamma = trial.suggest_float("r1_gamma", 1e-7, 10, log=True)
    overrides = {"lr": lr, "r1_gamma": gamma if gamma >= 1e-3 else 0.0}
    return overrides if base.lr_g is None else {**overrides, "lr_g": lr * (base.lr_g / base.lr)}


def coopinit(trial: Any, base: Config) -> dict[str, Any]:
    """n_coop from 1% to 25% of n_images, eta and the noise within a factor of ten, 2 to 32 Langevin steps.

    n_coop stays as it is where it does not act or is the method itself: in the joint objective and in CoopNets.
    """
    if base.n_coop == 0:
        return {}
    overrides: dict[str, Any] = {
        "eta": trial.suggest_float("eta", base.eta / 10, base.eta * 10, log=True),
        "langevin_steps": trial.suggest_int("langevin_steps", 2, 32, log=True),
    }
    if base.langevin_noise > 0:
        noise = base.langevin_noise
        overrides["langevin_noise"] = trial.suggest_float("langevin_noise", noise / 10, noise * 10, log=True)
    if base.changes_stage:
        least = max(1, base.n_images // 100)
        most = max(least, base.n_images // COOP_SHARE)
        overrides["n_coop"] = trial.suggest_int("n_coop", least, most, log=True)
    return overrides


def aw(trial: Any, base: Config) -> dict[str, Any]:
    """aw_alpha1 from 0.1 to 0.6, and aw_alpha2 up to 0.4 above it."""
    if base.aw == "off":
        return {}
    alpha1 = trial.suggest_float("aw_alpha1", 0.1, 0.6)
    return {"aw_alpha1": alpha1, "aw_alpha2": alpha1 + trial.suggest_float("aw_gap", 0.0, 0.4)}


def everything(trial: Any, base: Config) -> dict[str, Any]:
    """The fields of the three other spaces together."""
    return {**optimizer(trial, base), **coopinit(trial, base), **aw(trial, base)}


SPACES: dict[str, Space] = {"all": everything, "optimizer": optimizer, "coopinit": coopinit, "aw": aw}
