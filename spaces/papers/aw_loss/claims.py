"""aw-loss's claims."""

from __future__ import annotations

import math

from spaces.claims import EQUIVALENT, LESS, MORE, NOT_WORSE, Claim, by_column, contrast, covers

ANGLES, SCORES, ALPHAS, NORMS = "aw-fig4", "aw-fig5", "aw-alphas", "aw-normalisation"
REAL, FAKE = "step_real_obtuse", "step_fake_obtuse"  # shares of the steps in which an angle is above 90 degrees
SMALL = contrast("quick", "+ aw-loss", "GAN")

CLAIMS = [
    Claim(
        "A1",
        "aw < base: SN-GAN and AutoGAN on three data sets",
        "tables 1-3",
        tuple(
            contrast(f"aw-table{n}", f"aw-{backbone}", backbone)
            for n in (1, 2, 3)
            for backbone in ("SN-GAN", "AutoGAN")
        ),
        (SMALL,),
        covered="one backbone and data set of six",
    ),
    Claim(
        "A2",
        "aw < base, class-conditional",
        "table 4",
        tuple(
            part
            for backbone in ("SN-GAN", "BigGAN")
            for part in by_column("aw-table4", f"aw-{backbone}", backbone, ["cifar10", "cifar100"])
        ),
    ),
    Claim(
        "A3",
        "fewer epochs to the base's best",
        "figure 3",
        tuple(
            contrast("aw-fig3", ("aw-AutoGAN", data), ("AutoGAN", data), metric="images_to_best")
            for data in ("cifar10", "stl10", "cifar100")
        ),
        (SMALL._replace(metric="images_to_best"),),
        covered="one data set of three",
    ),
    Claim(
        "A4",
        "original loss: real and fake gradients above 90 degrees in nearly all steps; step-real above 90 more often "
        "than step-fake",
        "section 5.1",
        (
            contrast(ANGLES, "original", claimed=(0.9, math.inf), metric="real_fake_obtuse", kind="difference"),
            contrast(ANGLES, "original", claimed=MORE, metric=f"{REAL} - {FAKE}", kind="difference"),
        ),
    ),
    Claim(
        "A5",
        "aw: step-real and step-fake above 90 less often; case 1 most frequent",
        "section 5.1",
        (
            *(contrast(ANGLES, "aw-loss", "original", LESS, metric=side, kind="difference") for side in (REAL, FAKE)),
            *(
                contrast(ANGLES, "aw-loss", claimed=MORE, metric=f"aw_case_1 - aw_case_{case}", kind="difference")
                for case in (2, 3, 4, 5)
            ),
        ),
    ),
    Claim(
        "A6",
        "the real score after a step is higher with aw",
        "section 5.2",
        (contrast(SCORES, "DCGAN aw-loss", "DCGAN original loss", MORE, metric="logit_real_after", kind="difference"),),
    ),
    Claim(
        "A7",
        "the gap after a step is larger with aw",
        "section 5.2",
        (contrast(SCORES, "DCGAN aw-loss", "DCGAN original loss", MORE, metric="gap_after", kind="difference"),),
    ),
    Claim(
        "A8",
        "P(8 of 8 modes): aw > GAN",
        "section 5.3",
        (covers("aw-fig6", "aw-GAN", "GAN"),),
        (covers("ring", "+ aw-loss", "GAN"),),
    ),
    Claim(
        "A9",
        "with aw the lowest class logit is higher and the spread smaller",
        "section 5.3",
        (
            contrast("aw-fig6", "aw-GAN", "GAN", MORE, metric="class_logit_min", kind="difference"),
            contrast("aw-fig6", "aw-GAN", "GAN", LESS, metric="class_logit_spread", kind="difference"),
        ),
    ),
    Claim(
        "A10",
        "alpha .5 / .75 are not inferior to others",
        "appendix B",
        tuple(
            contrast(ALPHAS, ("alpha1=0.5", "alpha2=0.75"), (f"alpha1={alpha1}", f"alpha2={alpha2}"), NOT_WORSE)
            for alpha1 in ("0.25", "0.5", "0.75")
            for alpha2 in ("0.5", "0.75", "0.95")
            if (alpha1, alpha2) not in (("0.5", "0.75"), ("0.75", "0.5"))
        ),
        tuple(
            contrast("digits-alphas", "alpha1=0.5, alpha2=0.75", f"alpha1={alpha1}, alpha2={alpha2}", NOT_WORSE)
            for alpha1, alpha2 in (("0.25", "0.75"), ("0.75", "0.75"), ("0.5", "0.5"), ("0.5", "0.95"))
        ),
        setting_told=False,
    ),
    Claim(
        "A11",
        "normalised is faster; un-normalised ends equivalent",
        "section 3, appendix B",
        tuple(
            part
            for normalised, un in ((("aw, normalised", of), ("aw, un-normalised", of)) for of in ("SN-GAN", "AutoGAN"))
            for part in (
                contrast(NORMS, normalised, un, metric="images_to_target"),
                contrast(NORMS, un, normalised, EQUIVALENT),
            )
        ),
        setting_told=False,
    ),
    Claim(
        "A12",
        "an aw step costs at most 1.1 x a plain one",
        "section 3",
        (contrast("aw-table1", "aw-SN-GAN", "SN-GAN", NOT_WORSE, metric="seconds"),),
        (SMALL._replace(claimed=NOT_WORSE, metric="seconds"),),
    ),
]
