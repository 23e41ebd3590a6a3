"""CoopInit's claims."""

from __future__ import annotations

from spaces.claims import EQUIVALENT, HIGHER, NOT_WORSE, Claim, Part, by_column, contrast, covers, gain
from spaces.papers.coopinit.studies import JOINT, LEARNING_RATES, SCALES

BASE, COOP = "StyleGAN2", "StyleGAN2 + CoopInit"
BASE_0, COOP_0 = f"{BASE} (gamma=0.00)", f"{COOP} (gamma=0.00)"
BASE_1, COOP_1 = f"{BASE} (gamma=0.01)", f"{COOP} (gamma=0.01)"
ADA, COOP_ADA = "StyleGAN2-ADA (gamma=0.01)", "StyleGAN2-ADA + CoopInit (gamma=0.01)"
HINGE, COOP_HINGE = "StyleGAN2-Hinge", "StyleGAN2-Hinge + CoopInit"
RATES = list(LEARNING_RATES)
SIZES = ["50K", "20K", "10K"]
T5, T7, T8 = "coopinit-table5", "coopinit-table7", "coopinit-table8"
F6, F8, T12 = "coopinit-fig6", "coopinit-fig8", "coopinit-table12"
LIMITED = ("coopinit-table10", "coopinit-table11")
PAIRS_OF_T = [("5", "10"), ("15", "10"), ("5", "15")]

CLAIMS = [
    Claim(
        "C1",
        "CoopInit < base under NS, hinge and WAS-GP each",
        "table 5",
        by_column(T5, COOP, BASE, ["NS", "Hinge", "WAS-GP"]),
        (contrast("quick", "+ CoopInit", "GAN"),),
        covered="one loss of three",
    ),
    Claim(
        "C2",
        "the gain is larger for NS and hinge than for WAS-GP",
        "table 5",
        tuple(gain(T5, (COOP, BASE), loss, "WAS-GP") for loss in ("NS", "Hinge")),
    ),
    Claim(
        "C3", "hinge + CoopInit < NS + R1", "table 5", (contrast(T5, (COOP, "Hinge"), (BASE, "NS (R1 gamma=0.01)")),)
    ),
    Claim(
        "C4",
        "CoopInit < R1, R1 + SN, R1 + zCR, WGAN-GP",
        "table 6",
        tuple(contrast("coopinit-table6", "CoopInit", row) for row in ("R1", "R1 + SN", "R1 + zCR", "WGAN-GP")),
    ),
    Claim(
        "C5",
        "CoopInit < base at each lr, for each gamma",
        "table 7",
        by_column(T7, COOP_0, BASE_0, RATES) + by_column(T7, COOP_1, BASE_1, RATES),
    ),
    Claim(
        "C6",
        "R1 helps the base and hurts CoopInit",
        "table 7",
        by_column(T7, BASE_1, BASE_0, RATES) + by_column(T7, COOP_1, COOP_0, RATES, HIGHER),
    ),
    Claim(
        "C7",
        "with gamma 0 a higher lr hurts the base and helps CoopInit",
        "table 7",
        (
            contrast(T7, (BASE_0, RATES[2]), (BASE_0, RATES[0]), HIGHER),
            contrast(T7, (COOP_0, RATES[2]), (COOP_0, RATES[0])),
        ),
    ),
    Claim(
        "C8",
        "hinge at lr .003: less oscillation, fastest to a given FID",
        "figure 6 left",
        (
            contrast(F6, (COOP_HINGE, RATES[2]), (HINGE, RATES[2]), metric="oscillation"),
            *(
                contrast(F6, (COOP_HINGE, RATES[2]), other, metric="images_to_target")
                for other in [(COOP_HINGE, RATES[0]), (COOP_HINGE, RATES[1]), *((HINGE, rate) for rate in RATES)]
            ),
        ),
    ),
    Claim(
        "C9",
        "CoopInit (gamma 0) < base at every gamma",
        "figure 6 right",
        tuple(
            contrast(F6, ("StyleGAN2-NS + CoopInit", "gamma=0.00"), ("StyleGAN2-NS", f"gamma={gamma}"))
            for gamma in ("0.00", "0.01", "0.10", "1.00")
        ),
    ),
    Claim(
        "C10",
        "CoopInit < base for Res, Skip, Orig, Cond each",
        "table 8",
        by_column(T8, COOP_0, BASE_1, ["Res", "Skip", "Orig", "Orig + Cond"]),
    ),
    Claim(
        "C11",
        "best D: Orig for the base, Skip for CoopInit",
        "table 8",
        (
            *(contrast(T8, (BASE_1, "Orig"), (BASE_1, other)) for other in ("Res", "Skip")),
            *(contrast(T8, (COOP_0, "Skip"), (COOP_0, other)) for other in ("Res", "Orig")),
        ),
    ),
    Claim(
        "C12",
        "labels help the base and hurt CoopInit",
        "table 8",
        (
            contrast(T8, (BASE_1, "Orig + Cond"), (BASE_1, "Orig")),
            contrast(T8, (COOP_0, "Orig + Cond"), (COOP_0, "Orig"), HIGHER),
        ),
    ),
    Claim(
        "C13",
        "CoopInit < base at each capacity and each D scale",
        "figure 7, table 9",
        (
            *(contrast("coopinit-fig7", f"{COOP} s={s} (gamma=0)", f"{BASE} s={s} (gamma=0)") for s in SCALES),
            *by_column("coopinit-table9", COOP, BASE, [f"D scale {scale}" for scale in SCALES]),
        ),
    ),
    Claim(
        "C14",
        "CoopInit < base at 50, 20 and 10K images without ADA",
        "tables 10, 11",
        tuple(part for table in LIMITED for part in by_column(table, COOP_0, BASE_1, SIZES)),
    ),
    Claim(
        "C15",
        "the gain is smaller with ADA",
        "tables 10, 11",
        tuple(
            Part(table, ((COOP_ADA, size), (BASE_1, size)), ((ADA, size), (COOP_0, size)), HIGHER)
            for table in LIMITED
            for size in SIZES
        ),
    ),
    Claim(
        "C16",
        "N_coop: the middle (.75M) < smaller and < larger (the middle chosen on other seeds)",
        "figure 8",
        tuple(contrast(F8, "N_coop=0.75M", f"N_coop={millions}M") for millions in ("0.25", "1.5", "3")),
        tuple(contrast("digits-ncoop", "N_coop=12800", f"N_coop={images}") for images in ("3200", "51200")),
    ),
    Claim(
        "C17",
        "fewer images to the base's final FID; FID continuous at the switch",
        "figure 8",
        (
            contrast(F8, "N_coop=0.75M", BASE, metric="images_to_target"),
            contrast(F8, "N_coop=0.75M", claimed=NOT_WORSE, metric="jump"),
        ),
    ),
    Claim(
        "C18",
        "eta .5 is worse than 1.0; 5.0 equals 1.0",
        "table 12",
        (
            contrast(T12, ("eta (T=10)", "0.5"), ("eta (T=10)", "1.0"), HIGHER),
            contrast(T12, ("eta (T=10)", "5.0"), ("eta (T=10)", "1.0"), EQUIVALENT),
        ),
        (
            contrast("digits-eta", "eta=0.05", "eta=0.1", HIGHER),
            contrast("digits-eta", "eta=0.5", "eta=0.1", EQUIVALENT),
        ),
    ),
    Claim(
        "C19",
        "T = 5, 10, 15 are equivalent",
        "table 12",
        tuple(contrast(T12, ("T (eta=1.0)", a), ("T (eta=1.0)", b), EQUIVALENT) for a, b in PAIRS_OF_T),
        tuple(contrast("digits-T", f"T={a}", f"T={b}", EQUIVALENT) for a, b in PAIRS_OF_T),
    ),
    Claim(
        "C20",
        "the joint objective is worse than the base and than CoopInit",
        "section 3.1",
        tuple(contrast("coopinit-joint", JOINT, row, HIGHER) for row in (BASE, COOP)),
        setting_told=False,
    ),
    Claim(
        "C21",
        "pure cooperative training is worse than CoopInit",
        "table 1",
        by_column(
            "coopinit-table1", "CoopNets", "StyleGAN2 w/o ADA + CoopInit (gamma=0.00)", ["unconditional"], HIGHER
        ),
    ),
    Claim(
        "C22",
        "P(all modes covered): CoopInit > GAN",
        "figure 1",
        (covers("coopinit-fig1", "+ CoopInit", "GAN"),),
        (covers("ring", "+ CoopInit", "GAN"),),
        setting_told=False,
    ),
    Claim(
        "C23",
        "the gain without labels is larger than with labels",
        "table 3",
        (gain("coopinit-table3", (COOP, BASE), "32x32", "32x32 conditional"),),
    ),
    Claim(
        "C24",
        "CUT + CoopInit < CUT",
        "table 4",
        by_column("coopinit-table4", "CUT + CoopInit", "CUT", ["cat2dog", "horse2zebra"]),
        (contrast("translation", "CUT + CoopInit", "CUT"),),
        covered="one task of two",
    ),
    Claim(
        "C25",
        "WAS without penalty fails to converge",
        "appendix C",
        (contrast("coopinit-was", "WAS", "WAS-GP", HIGHER, metric="unconverged", kind="share"),),
    ),
    # No small study stands in: their cooperative stages are 13% of a run and more, the paper's 3%.
    Claim(
        "C26",
        "wall time at most 1.1 x the base's",
        "abstract, section 3.1",
        (contrast(T5, (COOP, "NS"), (BASE, "NS"), NOT_WORSE, metric="seconds"),),
    ),
]
