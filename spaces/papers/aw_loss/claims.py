"""aw-loss's claims."""

import math

from spaces.claims import EQUIVALENT, LESS, MORE, NOT_WORSE, Claim, Label, Part, by_column, contrasts, covers

ANGLES, LOGITS, NORMS = "aw-fig4", "aw-fig5", "aw-normalisation"
REAL, FAKE = "step_real_obtuse", "step_fake_obtuse"  # shares of the steps in which an angle is above 90 degrees
NORMALISED, PLAIN = "aw, normalised", "aw, un-normalised"
AFTER = ("DCGAN aw-loss", "DCGAN original loss")  # a step of either

# Of section 5.3, whose GAN is "as in" Unrolled GAN, on the unit circle, where its notebook is and its paper is not.
RINGS: dict[str, tuple[str, Label | str, Label | str]] = {
    "Unrolled GAN's notebook": ("aw-fig6", "aw-GAN", "GAN"),
    "its paper": ("ring-paper", ("+ aw-loss", "Unrolled GAN"), ("GAN", "Unrolled GAN")),
    "its paper on the unit circle": ("ring-paper", ("+ aw-loss", "aw paper"), ("GAN", "aw paper")),
}
OPTIMISERS = {"copied Adam": "", "fresh Adam": "_fresh", "unit SGD": "_sgd"}  # of the step: section 5.2 names none


def _by_optimiser(metric: str) -> dict[str, tuple[Part, ...]]:
    """Either loss's step, by each optimiser."""
    return {
        name: contrasts(LOGITS, *AFTER, claimed=MORE, metric=f"{metric}{suffix}", kind="difference")
        for name, suffix in OPTIMISERS.items()
    }


def _by_class(study: str, treatment: Label | str, control: Label | str) -> tuple[Part, ...]:
    """The mean logits of the ring's classes: the lowest is higher, and they are less spread."""
    lowest = contrasts(study, treatment, control, claimed=MORE, metric="class_logit_min_final", kind="difference")
    return lowest + contrasts(
        study, treatment, control, claimed=LESS, metric="class_logit_spread_final", kind="difference"
    )


# fmt: off
CLAIMS = [
    Claim("A1", "aw < base: SN-GAN and AutoGAN on three data sets", "tables 1-3",
          tuple(part for table in ("aw-table1", "aw-table2", "aw-table3") for backbone in ("SN-GAN", "AutoGAN")
                for part in contrasts(table, f"aw-{backbone}", backbone)),
          contrasts("quick", "+ aw-loss", "GAN"), covered="one backbone and data set of six"),
    Claim("A2", "aw < base, class-conditional", "table 4",
          by_column("aw-table4", ("aw-SN-GAN", "SN-GAN"), ("cifar10", "cifar100"))
          + by_column("aw-table4", ("aw-BigGAN", "BigGAN"), ("cifar10", "cifar100"))),
    Claim("A3", "fewer epochs to the base's best", "figure 3",
          by_column("aw-fig3", ("aw-AutoGAN", "AutoGAN"), ("cifar10", "stl10", "cifar100"), metric="images_to_best"),
          contrasts("quick", "+ aw-loss", "GAN", metric="images_to_best"), covered="one data set of three"),
    Claim("A4", "original loss: real and fake gradients above 90 degrees in nearly all steps; "
          "step-real above 90 more often than step-fake", "section 5.1",
          contrasts(ANGLES, "original", claimed=(0.9, math.inf), metric="real_fake_obtuse", kind="difference")
          + contrasts(ANGLES, "original", claimed=MORE, metric=f"{REAL} - {FAKE}", kind="difference")),
    Claim("A5", "aw: step-real and step-fake above 90 less often; case 1 most frequent", "section 5.1",
          contrasts(ANGLES, "aw-loss", "original", claimed=LESS, metric=REAL, kind="difference")
          + contrasts(ANGLES, "aw-loss", "original", claimed=LESS, metric=FAKE, kind="difference")
          + tuple(part for case in (2, 3, 4, 5) for part in contrasts(
              ANGLES, "aw-loss", claimed=MORE, metric=f"aw_case_1 - aw_case_{case}", kind="difference"))),
    Claim("A6", "the real score after a step is higher with aw", "section 5.2",
          readings=_by_optimiser("logit_real_after")),
    Claim("A7", "the gap after a step is larger with aw", "section 5.2",
          readings=_by_optimiser("gap_after")),
    Claim("A8", "P(8 of 8 modes): aw > GAN", "section 5.3", small=covers("ring", "+ aw-loss", "GAN"),
          setting_told=False, readings={name: covers(*ring) for name, ring in RINGS.items()}),
    Claim("A9", "with aw the lowest class logit is higher and the spread smaller", "section 5.3",
          setting_told=False, readings={name: _by_class(*ring) for name, ring in RINGS.items()}),
    Claim("A10", "alpha .5 / .75 are not inferior to others", "appendix B",
          contrasts("aw-alphas", ("alpha1=0.5", "alpha2=0.75"),
                    *(("alpha1=0.25", f"alpha2={alpha2}") for alpha2 in ("0.5", "0.75", "0.95")),
                    *(("alpha1=0.5", f"alpha2={alpha2}") for alpha2 in ("0.5", "0.95")),
                    *(("alpha1=0.75", f"alpha2={alpha2}") for alpha2 in ("0.75", "0.95")), claimed=NOT_WORSE),
          contrasts("digits-alphas", "alpha1=0.5, alpha2=0.75", "alpha1=0.25, alpha2=0.75", "alpha1=0.75, alpha2=0.75",
                    "alpha1=0.5, alpha2=0.5", "alpha1=0.5, alpha2=0.95", claimed=NOT_WORSE),
          setting_told=False),
    Claim("A11", "normalised is faster; un-normalised ends equivalent", "section 3, appendix B",
          tuple(part for backbone in ("SN-GAN", "AutoGAN")
                for part in by_column(NORMS, (NORMALISED, PLAIN), [backbone], metric="images_to_target")
                + by_column(NORMS, (PLAIN, NORMALISED), [backbone], claimed=EQUIVALENT)),
          setting_told=False),
    Claim("A12", "an aw step costs at most 1.1 x a plain one", "section 3",
          contrasts("aw-table1", "aw-SN-GAN", "SN-GAN", claimed=NOT_WORSE, metric="seconds"),
          contrasts("quick", "+ aw-loss", "GAN", claimed=NOT_WORSE, metric="seconds")),
]
