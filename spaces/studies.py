"""Studies by name."""

from __future__ import annotations

from spaces.recipes import AW, DIGITS_COOP, POINTS_COOP
from spaces.study import Study

POINT_METRICS = ("energy_distance_final", "modes_final", "high_quality_final")

STUDIES: dict[str, Study] = {
    study.name: study
    for study in [
        # DCGAN on 16x16 digits, three to four minutes on two cores: what a newcomer runs first.
        Study(
            "quick",
            "digits_gan",
            rows={"GAN": {}, "+ CoopInit": DIGITS_COOP, "+ aw-loss": AW, "+ both": {**DIGITS_COOP, **AW}},
            seeds=2,
        ),
        # The 8-Gaussian ring of the aw paper's section 5.3, about 25 minutes on two cores.
        Study(
            "ring",
            "ring8_gan",
            rows={"GAN": {}, "+ CoopInit": POINTS_COOP, "+ aw-loss": AW, "+ both": {**POINTS_COOP, **AW}},
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
    ]
}
