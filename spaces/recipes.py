"""Recipes: named Configs, each data set with the four combinations of CoopInit and aw-loss."""

from __future__ import annotations

from typing import Any

from trainers.config import Config

# Unrolled GAN's notebook (poolio/unrolled_gan): batch 512, saturating minimax, 25,000 steps. The cooperative stage of
# 2,000 steps is ours, as are eta and the noise: a step size does not carry over from one backbone to another.
RING8 = Config(
    dataset="ring8",
    backbone="mlp",
    loss="minimax",
    lr=1e-4,
    lr_g=1e-3,
    batch_size=512,
    n_images=25_000 * 512,
    eta=0.1,
    langevin_noise=0.02,
    eval_every=1_000 * 512,
)
GRID25 = RING8.replace(dataset="grid25")
POINTS_COOP = {"n_coop": 2_000 * 512, "coop_optimizer": "fresh"}

# 1,500 steps of 64, of which 200 are cooperative. Adam starts anew at the switch: the cooperative gradients are much
# larger than aw-loss's weighed ones, and moments of theirs that live on hold D still for the next thousand steps.
DIGITS = Config(
    dataset="digits",
    backbone="dcgan",
    backbone_options={"width": 24},
    lr=5e-4,
    lr_decay="linear",
    batch_size=64,
    n_images=1_500 * 64,
    ema_halflife=3_000,
    eta=0.1,
    eval_every=150 * 64,
    eval_samples=5_000,
)
DIGITS_COOP = {"n_coop": 200 * 64, "coop_optimizer": "fresh"}

# CIFAR-10, or images of the user's own by dataset=folder:PATH or zip:PATH: 3,000 steps of 64, of which 200 cooperative.
IMAGES = DIGITS.replace(
    dataset="cifar10",
    resolution=32,
    features="lite0",
    backbone_options={"width": 32},
    lr=2e-4,
    n_images=3_000 * 64,
    eval_every=600 * 64,
)

AW = {"aw": "normalized"}


def _crossed(name: str, base: Config, coop: dict[str, Any]) -> dict[str, Config]:
    """The plain recipe and its three variants, by name."""
    return {
        f"{name}_gan": base,
        f"{name}_coop": base.replace(**coop),
        f"{name}_aw": base.replace(**AW),
        f"{name}_coop_aw": base.replace(**coop, **AW),
    }


RECIPES: dict[str, Config] = {
    **_crossed("ring8", RING8, POINTS_COOP),
    **_crossed("grid25", GRID25, POINTS_COOP),
    **_crossed("digits", DIGITS, DIGITS_COOP),
    **_crossed("images", IMAGES, DIGITS_COOP),
}
