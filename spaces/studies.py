"""Studies by name."""

from __future__ import annotations

from spaces.recipes import AW, COOP, DIGITS_COOP, POINTS_COOP, STYLEGAN2_COOP
from spaces.study import Overrides, Study

POINT_METRICS = ("energy_distance_final", "modes_final", "high_quality_final")


def _methods(coop: Overrides) -> dict[str, Overrides]:
    """The four rows of every method study; `coop` switches CoopInit on."""
    return {"GAN": {}, "+ CoopInit": coop, "+ aw-loss": AW, "+ both": {**coop, **AW}}


STUDIES: dict[str, Study] = {
    study.name: study
    for study in [
        # DCGAN on 16x16 digits, three to four minutes on two cores: what a newcomer runs first.
        Study(
            "quick",
            "digits_gan",
            rows=_methods(DIGITS_COOP),
            seeds=2,
        ),
        # The 8-Gaussian ring of the aw paper's section 5.3, about 25 minutes on two cores.
        Study(
            "ring",
            "ring8_gan",
            rows=_methods(POINTS_COOP),
            seeds=3,
            metrics=POINT_METRICS,
        ),
        # DCGAN on CIFAR-10 or, by --set dataset=folder:PATH, on a user's own images.
        Study(
            "images",
            "images_gan",
            rows={"GAN": {}, "+ both": {**DIGITS_COOP, **AW}},
            seeds=2,
        ),
        # The papers' GANs on CIFAR-10, days on a GPU; narrow and short by --set and --budget.
        Study("dcgan", "dcgan_cifar10", rows=_methods(COOP)),
        Study("sngan", "sngan_cifar10", rows=_methods(COOP)),
        Study("autogan", "autogan_cifar10", rows=_methods(COOP)),
        Study("biggan", "biggan_cifar10", rows=_methods(COOP)),
        Study("stylegan2", "stylegan2_cifar10", rows=_methods(STYLEGAN2_COOP)),
    ]
}
