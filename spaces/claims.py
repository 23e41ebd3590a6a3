"""The ledger: each claim of the two papers as contrasts on studies. What the verdicts are, the store decides.

A part of a claim says that a ratio (or a difference) of means over seeds lies in a range: below 1 where the claim reads
A < B, and lower is better unless said. A claim holds only if each of its parts does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

Label = tuple[str, str]  # row and column of a study
LOWER, HIGHER = (0.0, 1.0), (1.0, math.inf)
EQUIVALENT, NOT_WORSE = (1 / 1.1, 1.1), (0.0, 1.1)  # a margin of 10%
LESS, MORE = (-math.inf, 0.0), (0.0, math.inf)  # of a difference


class Part(NamedTuple):
    """A contrast: the cells of `over` against those of `under`, by a metric, and the range claimed of it.

    `kind` is what is compared: ratio of geometric means (two cells a side: a ratio of ratios), difference of means, or
    share of the runs whose metric is at least `reaches`, where `over` is claimed to have the larger one. `metric` is a
    name in METRICS, a measure of reports.claims, a key of a run's rows (its last value: `seconds` are those of training
    without the evaluations), or two keys with a minus between.
    """

    study: str
    over: tuple[Label, ...]
    under: tuple[Label, ...] = ()
    claimed: tuple[float, float] = LOWER
    metric: str = "fid_final"
    kind: Literal["ratio", "difference", "share"] = "ratio"
    reaches: float = 1.0


@dataclass(frozen=True)
class Claim:
    """A claim, where its paper states it, its parts, and parts of a small study that stand in until those are run.

    `covered` tells which of the claim's cases the small study has, if it lacks some: it can then speak against the
    claim, not for it. With `setting_told` false the paper does not say on what, so that no run is at its scale.
    """

    id: str
    text: str
    place: str
    parts: tuple[Part, ...]
    small: tuple[Part, ...] = ()
    covered: str = ""
    setting_told: bool = True

    @property
    def paper(self) -> str:
        """CoopInit's claims begin with C, aw-loss's with A."""
        return {"C": "coopinit", "A": "aw-loss"}[self.id[0]]


def _part(study: str, over: Label | str, under: Label | str, claimed: tuple[float, float] = LOWER, **more: str) -> Part:
    """One cell against another; a text is a row of a study without columns."""
    first, second = ((side, "") if isinstance(side, str) else side for side in (over, under))
    return Part(study, (first,), (second,), claimed, **more)  # type: ignore[arg-type]


def _rows(study: str, over: str, under: str, columns: list[str], claimed: tuple[float, float] = LOWER) -> list[Part]:
    """One row against another in each of some columns."""
    return [_part(study, (over, column), (under, column), claimed) for column in columns]


def _gain(study: str, rows: tuple[str, str], here: str, there: str, claimed: tuple[float, float] = LOWER) -> Part:
    """The ratio of the first row to the second in column `here` against that in column `there`."""
    return Part(study, ((rows[0], here), (rows[1], there)), ((rows[1], here), (rows[0], there)), claimed)


def _covers(study: str, over: str, under: str) -> Part:
    """All eight modes are likelier to be covered."""
    return Part(study, ((over, ""),), ((under, ""),), HIGHER, "modes_final", "share", 8)


BASE, COOP = "StyleGAN2", "StyleGAN2 + CoopInit"
BASE_0, COOP_0 = f"{BASE} (gamma=0.00)", f"{COOP} (gamma=0.00)"
BASE_1, COOP_1 = f"{BASE} (gamma=0.01)", f"{COOP} (gamma=0.01)"
ADA, COOP_ADA = "StyleGAN2-ADA (gamma=0.01)", "StyleGAN2-ADA + CoopInit (gamma=0.01)"
HINGE, COOP_HINGE = "StyleGAN2-Hinge", "StyleGAN2-Hinge + CoopInit"
RATES = ["lr=0.0020", "lr=0.0025", "lr=0.0030"]
SIZES = ["50K", "20K", "10K"]
SCALES = ["1/16", "1/8", "1/4", "1/2", "1/1"]
JOINT = "joint cooperative + adversarial objective"
T5, T7, T8 = "coopinit-table5", "coopinit-table7", "coopinit-table8"
F6, F8, T12 = "coopinit-fig6", "coopinit-fig8", "coopinit-table12"
SMALL_COOP = _part("quick", "+ CoopInit", "GAN")
SMALL_AW = _part("quick", "+ aw-loss", "GAN")
DEFAULT_ALPHAS = "alpha1=0.5, alpha2=0.75"

COOPINIT = [
    Claim(
        "C1",
        "CoopInit < base under NS, hinge and WAS-GP each",
        "table 5",
        (*_rows(T5, COOP, BASE, ["NS", "Hinge", "WAS-GP"]),),
        (SMALL_COOP,),
        covered="one loss of three",
    ),
    Claim(
        "C2",
        "the gain is larger for NS and hinge than for WAS-GP",
        "table 5",
        tuple(_gain(T5, (COOP, BASE), loss, "WAS-GP") for loss in ("NS", "Hinge")),
    ),
    Claim("C3", "hinge + CoopInit < NS + R1", "table 5", (_part(T5, (COOP, "Hinge"), (BASE, "NS (R1 gamma=0.01)")),)),
    Claim(
        "C4",
        "CoopInit < R1, R1 + SN, R1 + zCR, WGAN-GP",
        "table 6",
        tuple(_part("coopinit-table6", "CoopInit", row) for row in ("R1", "R1 + SN", "R1 + zCR", "WGAN-GP")),
    ),
    Claim(
        "C5",
        "CoopInit < base at each lr, for each gamma",
        "table 7",
        (*_rows(T7, COOP_0, BASE_0, RATES), *_rows(T7, COOP_1, BASE_1, RATES)),
    ),
    Claim(
        "C6",
        "R1 helps the base and hurts CoopInit",
        "table 7",
        (*_rows(T7, BASE_1, BASE_0, RATES), *_rows(T7, COOP_1, COOP_0, RATES, HIGHER)),
    ),
    Claim(
        "C7",
        "with gamma 0 a higher lr hurts the base and helps CoopInit",
        "table 7",
        (
            _part(T7, (BASE_0, RATES[2]), (BASE_0, RATES[0]), HIGHER),
            _part(T7, (COOP_0, RATES[2]), (COOP_0, RATES[0])),
        ),
    ),
    Claim(
        "C8",
        "hinge at lr .003: less oscillation, fastest to a given FID",
        "figure 6 left",
        (
            _part(F6, (COOP_HINGE, RATES[2]), (HINGE, RATES[2]), metric="oscillation"),
            *(
                _part(F6, (COOP_HINGE, RATES[2]), other, metric="images_to_target")
                for other in [(COOP_HINGE, RATES[0]), (COOP_HINGE, RATES[1]), *((HINGE, rate) for rate in RATES)]
            ),
        ),
    ),
    Claim(
        "C9",
        "CoopInit (gamma 0) < base at every gamma",
        "figure 6 right",
        tuple(
            _part(F6, ("StyleGAN2-NS + CoopInit", "gamma=0.00"), ("StyleGAN2-NS", f"gamma={gamma}"))
            for gamma in ("0.00", "0.01", "0.10", "1.00")
        ),
    ),
    Claim(
        "C10",
        "CoopInit < base for Res, Skip, Orig, Cond each",
        "table 8",
        (*_rows(T8, COOP_0, BASE_1, ["Res", "Skip", "Orig", "Orig + Cond"]),),
    ),
    Claim(
        "C11",
        "best D: Orig for the base, Skip for CoopInit",
        "table 8",
        (
            *(_part(T8, (BASE_1, "Orig"), (BASE_1, other)) for other in ("Res", "Skip")),
            *(_part(T8, (COOP_0, "Skip"), (COOP_0, other)) for other in ("Res", "Orig")),
        ),
    ),
    Claim(
        "C12",
        "labels help the base and hurt CoopInit",
        "table 8",
        (
            _part(T8, (BASE_1, "Orig + Cond"), (BASE_1, "Orig")),
            _part(T8, (COOP_0, "Orig + Cond"), (COOP_0, "Orig"), HIGHER),
        ),
    ),
    Claim(
        "C13",
        "CoopInit < base at each capacity and each D scale",
        "figure 7, table 9",
        (
            *(_part("coopinit-fig7", f"{COOP} s={s} (gamma=0)", f"{BASE} s={s} (gamma=0)") for s in SCALES),
            *_rows("coopinit-table9", COOP, BASE, [f"D scale {scale}" for scale in SCALES]),
        ),
    ),
    Claim(
        "C14",
        "CoopInit < base at 50, 20 and 10K images without ADA",
        "tables 10, 11",
        tuple(part for t in ("coopinit-table10", "coopinit-table11") for part in _rows(t, COOP_0, BASE_1, SIZES)),
    ),
    Claim(
        "C15",
        "the gain is smaller with ADA",
        "tables 10, 11",
        tuple(
            Part(table, ((COOP_ADA, size), (BASE_1, size)), ((ADA, size), (COOP_0, size)), HIGHER)
            for table in ("coopinit-table10", "coopinit-table11")
            for size in SIZES
        ),
    ),
    Claim(
        "C16",
        "N_coop: the middle (.75M) < smaller and < larger (the middle chosen on other seeds)",
        "figure 8",
        tuple(_part(F8, "N_coop=0.75M", f"N_coop={millions}M") for millions in ("0.25", "1.5", "3")),
        tuple(_part("digits-ncoop", "N_coop=12800", f"N_coop={images}") for images in ("3200", "51200")),
    ),
    Claim(
        "C17",
        "fewer images to the base's final FID; FID continuous at the switch",
        "figure 8",
        (
            _part(F8, "N_coop=0.75M", BASE, metric="images_to_target"),
            Part(F8, (("N_coop=0.75M", ""),), (), NOT_WORSE, "jump"),
        ),
    ),
    Claim(
        "C18",
        "eta .5 is worse than 1.0; 5.0 equals 1.0",
        "table 12",
        (
            _part(T12, ("eta (T=10)", "0.5"), ("eta (T=10)", "1.0"), HIGHER),
            _part(T12, ("eta (T=10)", "5.0"), ("eta (T=10)", "1.0"), EQUIVALENT),
        ),
        (
            _part("digits-eta", "eta=0.05", "eta=0.1", HIGHER),
            _part("digits-eta", "eta=0.5", "eta=0.1", EQUIVALENT),
        ),
    ),
    Claim(
        "C19",
        "T = 5, 10, 15 are equivalent",
        "table 12",
        tuple(
            _part(T12, ("T (eta=1.0)", a), ("T (eta=1.0)", b), EQUIVALENT)
            for a, b in (("5", "10"), ("15", "10"), ("5", "15"))
        ),
        tuple(_part("digits-T", f"T={a}", f"T={b}", EQUIVALENT) for a, b in (("5", "10"), ("15", "10"), ("5", "15"))),
    ),
    Claim(
        "C20",
        "the joint objective is worse than the base and than CoopInit",
        "section 3.1",
        tuple(_part("coopinit-joint", JOINT, row, HIGHER) for row in (BASE, COOP)),
        setting_told=False,
    ),
    Claim(
        "C21",
        "pure cooperative training is worse than CoopInit",
        "table 1",
        (
            _part(
                "coopinit-table1",
                ("CoopNets", "unconditional"),
                ("StyleGAN2 w/o ADA + CoopInit (gamma=0.00)", "unconditional"),
                HIGHER,
            ),
        ),
    ),
    Claim(
        "C22",
        "P(all modes covered): CoopInit > GAN",
        "figure 1",
        (_covers("coopinit-fig1", "+ CoopInit", "GAN"),),
        (_covers("ring", "+ CoopInit", "GAN"),),
        setting_told=False,
    ),
    Claim(
        "C23",
        "the gain without labels is larger than with labels",
        "table 3",
        (_gain("coopinit-table3", (COOP, BASE), "32x32", "32x32 conditional"),),
    ),
    Claim(
        "C24",
        "CUT + CoopInit < CUT",
        "table 4",
        (*_rows("coopinit-table4", "CUT + CoopInit", "CUT", ["cat2dog", "horse2zebra"]),),
        (_part("translation", "CUT + CoopInit", "CUT"),),
        covered="one task of two",
    ),
    Claim(
        "C25",
        "WAS without penalty fails to converge",
        "appendix C",
        (Part("coopinit-was", (("WAS", ""),), (("WAS-GP", ""),), HIGHER, "unconverged", "share"),),
    ),
    # No small study stands in: their cooperative stages are 13% of a run and more, the paper's 3%.
    Claim(
        "C26",
        "wall time at most 1.1 x the base's",
        "abstract, section 3.1",
        (_part(T5, (COOP, "NS"), (BASE, "NS"), NOT_WORSE, metric="seconds"),),
    ),
]

ANGLES, SCORES, ALPHAS, NORMS = "aw-fig4", "aw-fig5", "aw-alphas", "aw-normalisation"
REAL, FAKE = "step_real_obtuse", "step_fake_obtuse"  # shares of the steps in which an angle is above 90 degrees

AW_LOSS = [
    Claim(
        "A1",
        "aw < base: SN-GAN and AutoGAN on three data sets",
        "tables 1-3",
        tuple(
            _part(f"aw-table{n}", f"aw-{backbone}", backbone) for n in (1, 2, 3) for backbone in ("SN-GAN", "AutoGAN")
        ),
        (SMALL_AW,),
        covered="one backbone and data set of six",
    ),
    Claim(
        "A2",
        "aw < base, class-conditional",
        "table 4",
        tuple(
            part
            for backbone in ("SN-GAN", "BigGAN")
            for part in _rows("aw-table4", f"aw-{backbone}", backbone, ["cifar10", "cifar100"])
        ),
    ),
    Claim(
        "A3",
        "fewer epochs to the base's best",
        "figure 3",
        tuple(
            _part("aw-fig3", ("aw-AutoGAN", data), ("AutoGAN", data), metric="images_to_best")
            for data in ("cifar10", "stl10", "cifar100")
        ),
        (SMALL_AW._replace(metric="images_to_best"),),
        covered="one data set of three",
    ),
    Claim(
        "A4",
        "original loss: real and fake gradients above 90 degrees in nearly all steps; step-real above 90 more often "
        "than step-fake",
        "section 5.1",
        (
            Part(ANGLES, (("original", ""),), (), (0.9, math.inf), "real_fake_obtuse", "difference"),
            Part(ANGLES, (("original", ""),), (), MORE, f"{REAL} - {FAKE}", "difference"),
        ),
    ),
    Claim(
        "A5",
        "aw: step-real and step-fake above 90 less often; case 1 most frequent",
        "section 5.1",
        (
            *(
                Part(ANGLES, (("aw-loss", ""),), (("original", ""),), LESS, metric, "difference")
                for metric in (REAL, FAKE)
            ),
            *(
                Part(ANGLES, (("aw-loss", ""),), (), MORE, f"aw_case_1 - aw_case_{case}", "difference")
                for case in (2, 3, 4, 5)
            ),
        ),
    ),
    Claim(
        "A6",
        "the real score after a step is higher with aw",
        "section 5.2",
        (_part(SCORES, "DCGAN aw-loss", "DCGAN original loss", MORE, metric="logit_real_after", kind="difference"),),
    ),
    Claim(
        "A7",
        "the gap after a step is larger with aw",
        "section 5.2",
        (_part(SCORES, "DCGAN aw-loss", "DCGAN original loss", MORE, metric="gap_after", kind="difference"),),
    ),
    Claim(
        "A8",
        "P(8 of 8 modes): aw > GAN",
        "section 5.3",
        (_covers("aw-fig6", "aw-GAN", "GAN"),),
        (_covers("ring", "+ aw-loss", "GAN"),),
    ),
    Claim(
        "A9",
        "with aw the lowest class logit is higher and the spread smaller",
        "section 5.3",
        (
            _part("aw-fig6", "aw-GAN", "GAN", MORE, metric="class_logit_min", kind="difference"),
            _part("aw-fig6", "aw-GAN", "GAN", LESS, metric="class_logit_spread", kind="difference"),
        ),
    ),
    Claim(
        "A10",
        "alpha .5 / .75 are not inferior to others",
        "appendix B",
        tuple(
            _part(ALPHAS, ("alpha1=0.5", "alpha2=0.75"), (f"alpha1={alpha1}", f"alpha2={alpha2}"), NOT_WORSE)
            for alpha1 in ("0.25", "0.5", "0.75")
            for alpha2 in ("0.5", "0.75", "0.95")
            if (alpha1, alpha2) not in (("0.5", "0.75"), ("0.75", "0.5"))
        ),
        tuple(
            _part("digits-alphas", DEFAULT_ALPHAS, f"alpha1={alpha1}, alpha2={alpha2}", NOT_WORSE)
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
            for backbone in ("SN-GAN", "AutoGAN")
            for part in (
                _part(
                    NORMS,
                    ("aw, normalised", backbone),
                    ("aw, un-normalised", backbone),
                    metric="images_to_target",
                ),
                _part(NORMS, ("aw, un-normalised", backbone), ("aw, normalised", backbone), EQUIVALENT),
            )
        ),
        setting_told=False,
    ),
    Claim(
        "A12",
        "an aw step costs at most 1.1 x a plain one",
        "section 3",
        (_part("aw-table1", "aw-SN-GAN", "SN-GAN", NOT_WORSE, metric="seconds"),),
        (SMALL_AW._replace(claimed=NOT_WORSE, metric="seconds"),),
    ),
]

CLAIMS: dict[str, Claim] = {claim.id: claim for claim in [*COOPINIT, *AW_LOSS]}
