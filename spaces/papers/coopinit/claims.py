"""CoopInit's claims."""

from spaces.claims import EQUIVALENT, HIGHER, NOT_WORSE, Claim, Part, by_column, contrasts, covers, gains
from spaces.papers.coopinit.studies import JOINT, LEARNING_RATES, SCALES

BASE, COOP = "StyleGAN2", "StyleGAN2 + CoopInit"
BASE_0, COOP_0 = f"{BASE} (gamma=0.00)", f"{COOP} (gamma=0.00)"
BASE_1, COOP_1 = f"{BASE} (gamma=0.01)", f"{COOP} (gamma=0.01)"
ADA, COOP_ADA = "StyleGAN2-ADA (gamma=0.01)", "StyleGAN2-ADA + CoopInit (gamma=0.01)"
HINGE, COOP_HINGE = "StyleGAN2-Hinge", "StyleGAN2-Hinge + CoopInit"
RATES = LOW, MIDDLE, HIGH = tuple(LEARNING_RATES)
SIZES = ("50K", "20K", "10K")
T5, T6, T7, T8, T12 = (f"coopinit-table{n}" for n in (5, 6, 7, 8, 12))
LIMITED = ("coopinit-table10", "coopinit-table11")
F6, F7, F8 = (f"coopinit-fig{n}" for n in (6, 7, 8))
T_PAIRS = (("5", "10"), ("15", "10"), ("5", "15"))

# fmt: off
CLAIMS = [
    Claim("C1", "CoopInit < base under NS, hinge and WAS-GP each", "table 5",
          by_column(T5, (COOP, BASE), ("NS", "Hinge", "WAS-GP")),
          contrasts("quick", "+ CoopInit", "GAN"), covered="one loss of three"),
    Claim("C2", "the gain is larger for NS and hinge than for WAS-GP", "table 5",
          gains(T5, (COOP, BASE), ("NS", "Hinge"), "WAS-GP")),
    Claim("C3", "hinge + CoopInit < NS + R1", "table 5", contrasts(T5, (COOP, "Hinge"), (BASE, "NS (R1 gamma=0.01)"))),
    Claim("C4", "CoopInit < R1, R1 + SN, R1 + zCR, WGAN-GP", "table 6",
          contrasts(T6, "CoopInit", "R1", "R1 + SN", "R1 + zCR", "WGAN-GP")),
    Claim("C5", "CoopInit < base at each lr, for each gamma", "table 7",
          by_column(T7, (COOP_0, BASE_0), RATES) + by_column(T7, (COOP_1, BASE_1), RATES)),
    Claim("C6", "R1 helps the base and hurts CoopInit", "table 7",
          by_column(T7, (BASE_1, BASE_0), RATES) + by_column(T7, (COOP_1, COOP_0), RATES, claimed=HIGHER)),
    Claim("C7", "with gamma 0 a higher lr hurts the base and helps CoopInit", "table 7",
          contrasts(T7, (BASE_0, HIGH), (BASE_0, LOW), claimed=HIGHER) + contrasts(T7, (COOP_0, HIGH), (COOP_0, LOW))),
    Claim("C8", "hinge at lr .003: less oscillation, fastest to a given FID", "figure 6 left",
          contrasts(F6, (COOP_HINGE, HIGH), (HINGE, HIGH), metric="oscillation")
          + contrasts(F6, (COOP_HINGE, HIGH), (COOP_HINGE, LOW), (COOP_HINGE, MIDDLE),
                      *((HINGE, rate) for rate in RATES), metric="images_to_target")),
    Claim("C9", "CoopInit (gamma 0) < base at every gamma", "figure 6 right",
          contrasts(F6, ("StyleGAN2-NS + CoopInit", "gamma=0.00"),
                    *(("StyleGAN2-NS", f"gamma={gamma}") for gamma in ("0.00", "0.01", "0.10", "1.00")))),
    Claim("C10", "CoopInit < base for Res, Skip, Orig, Cond each", "table 8",
          by_column(T8, (COOP_0, BASE_1), ("Res", "Skip", "Orig", "Orig + Cond"))),
    Claim("C11", "best D: Orig for the base, Skip for CoopInit", "table 8",
          contrasts(T8, (BASE_1, "Orig"), (BASE_1, "Res"), (BASE_1, "Skip"))
          + contrasts(T8, (COOP_0, "Skip"), (COOP_0, "Res"), (COOP_0, "Orig"))),
    Claim("C12", "labels help the base and hurt CoopInit", "table 8",
          contrasts(T8, (BASE_1, "Orig + Cond"), (BASE_1, "Orig"))
          + contrasts(T8, (COOP_0, "Orig + Cond"), (COOP_0, "Orig"), claimed=HIGHER)),
    Claim("C13", "CoopInit < base at each capacity and each D scale", "figure 7, table 9",
          (*(part for s in SCALES for part in contrasts(F7, f"{COOP} s={s} (gamma=0)", f"{BASE} s={s} (gamma=0)")),
           *by_column("coopinit-table9", (COOP, BASE), [f"D scale {scale}" for scale in SCALES]))),
    Claim("C14", "CoopInit < base at 50, 20 and 10K images without ADA", "tables 10, 11",
          tuple(part for table in LIMITED for part in by_column(table, (COOP_0, BASE_1), SIZES))),
    Claim("C15", "the gain is smaller with ADA", "tables 10, 11",
          tuple(Part(table, ((COOP_ADA, size), (BASE_1, size)), ((ADA, size), (COOP_0, size)), HIGHER)
                for table in LIMITED for size in SIZES)),
    Claim("C16", "N_coop: the middle (.75M) < smaller and < larger (the middle chosen on other seeds)", "figure 8",
          contrasts(F8, "N_coop=0.75M", "N_coop=0.25M", "N_coop=1.5M", "N_coop=3M"),
          contrasts("digits-ncoop", "N_coop=12800", "N_coop=3200", "N_coop=51200")),
    Claim("C17", "fewer images to the base's final FID; FID continuous at the switch", "figure 8",
          contrasts(F8, "N_coop=0.75M", BASE, metric="images_to_target")
          + contrasts(F8, "N_coop=0.75M", claimed=NOT_WORSE, metric="jump")),
    Claim("C18", "eta .5 is worse than 1.0; 5.0 equals 1.0", "table 12",
          contrasts(T12, ("eta (T=10)", "0.5"), ("eta (T=10)", "1.0"), claimed=HIGHER)
          + contrasts(T12, ("eta (T=10)", "5.0"), ("eta (T=10)", "1.0"), claimed=EQUIVALENT),
          contrasts("digits-eta", "eta=0.05", "eta=0.1", claimed=HIGHER)
          + contrasts("digits-eta", "eta=0.5", "eta=0.1", claimed=EQUIVALENT)),
    Claim("C19", "T = 5, 10, 15 are equivalent", "table 12",
          tuple(part for a, b in T_PAIRS
                for part in contrasts(T12, ("T (eta=1.0)", a), ("T (eta=1.0)", b), claimed=EQUIVALENT)),
          tuple(part for a, b in T_PAIRS
                for part in contrasts("digits-T", f"T={a}", f"T={b}", claimed=EQUIVALENT))),
    Claim("C20", "the joint objective is worse than the base and than CoopInit", "section 3.1",
          contrasts("coopinit-joint", JOINT, BASE, COOP, claimed=HIGHER), setting_told=False),
    Claim("C21", "pure cooperative training is worse than CoopInit", "table 1",
          contrasts("coopinit-table1", ("CoopNets", "unconditional"),
                    ("StyleGAN2 w/o ADA + CoopInit (gamma=0.00)", "unconditional"), claimed=HIGHER)),
    Claim("C22", "P(all modes covered): CoopInit > GAN", "figure 1",
          small=covers("ring", "+ CoopInit", "GAN"), setting_told=False,
          readings={"Unrolled GAN's notebook": covers("coopinit-fig1", "+ CoopInit", "GAN"),
                    "its paper's ring, a deeper D": covers("ring-deep", "+ CoopInit", "GAN")}),
    Claim("C23", "the gain without labels is larger than with labels", "table 3",
          gains("coopinit-table3", (COOP, BASE), ["32x32"], "32x32 conditional")),
    Claim("C24", "CUT + CoopInit < CUT", "table 4",
          by_column("coopinit-table4", ("CUT + CoopInit", "CUT"), ("cat2dog", "horse2zebra")),
          contrasts("translation", "CUT + CoopInit", "CUT"), covered="one task of two"),
    Claim("C25", "WAS without penalty fails to converge", "appendix C",
          contrasts("coopinit-was", "WAS", "WAS-GP", claimed=HIGHER, metric="unconverged", kind="share")),
    # No small study stands in: their cooperative stages are 13% of a run and more, the paper's 3%.
    Claim("C26", "wall time at most 1.1 x the base's", "abstract, section 3.1",
          contrasts(T5, (COOP, "NS"), (BASE, "NS"), claimed=NOT_WORSE, metric="seconds")),
]
