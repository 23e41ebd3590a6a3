"""Studies by name."""

from spaces.papers import PAPERS
from spaces.recipes import (
    AUTOGAN,
    AW,
    BIGGAN,
    COOP,
    CUT_DIGITS_COOP,
    DCGAN,
    DIGITS_COOP,
    POINTS_COOP,
    RING_COOP,
    SNGAN,
    STYLEGAN2,
    STYLEGAN2_COOP,
)
from spaces.study import POINT_METRICS, Overrides, Study, diff

BACKBONES = {"DCGAN": DCGAN, "SN-GAN": SNGAN, "AutoGAN": AUTOGAN, "BigGAN": BIGGAN, "StyleGAN2": STYLEGAN2}


RING_STAGE = {"n_coop": 2_000 * 128, "n_images": 2_000 * 128, "eval_every": 100 * 128}


def _methods(coop: Overrides) -> dict[str, Overrides]:
    """The four rows of every method study; `coop` switches CoopInit on."""
    return {"GAN": {}, "+ CoopInit": coop, "+ aw-loss": AW, "+ both": {**coop, **AW}}


def _digits(name: str, method: Overrides, settings: dict[str, Overrides], stands_for: str) -> Study:
    """Settings of a method low, at its default and high, small enough for many seeds."""
    note = f"A small stand-in for {stands_for}: a low value, the recipe's and a high one."
    rows = {label: {**method, **setting} for label, setting in settings.items()}
    return Study(f"digits-{name}", "digits_gan", rows, seeds=10, note=f"{note} About a minute of a core a run.")


STUDIES: dict[str, Study] = {
    study.name: study
    for study in [
        # DCGAN on 16x16 digits, three to five minutes on two cores: what a newcomer runs first.
        Study("quick", "digits_gan", rows=_methods(DIGITS_COOP), seeds=2),
        # The 8-Gaussian ring of Unrolled GAN's notebook, about 35 minutes on two cores.
        Study("ring", "ring8_gan", rows=_methods(POINTS_COOP), metrics=POINT_METRICS),
        Study(
            "ring-paper",
            "ring8_paper_gan",
            rows=_methods(RING_COOP),
            columns={"Unrolled GAN": {}, "aw paper": {"dataset_options": {"radius": 1.0, "std": 0.01}}},
            seeds=20,
            metrics=(*POINT_METRICS, "class_logit_min_final", "class_logit_spread_final"),
            note="Papers: eight Gaussians, of radius 2 and std 0.02 in Unrolled GAN's appendix, whose networks, gain, "
            "lr and loss these are; on the unit circle in the aw paper (section 5.3), whose GAN is as in Unrolled GAN. "
            "Ours: the std of 0.01 on the unit circle, batches of 128, 10,000 steps, and all of CoopInit (1,000 steps, "
            "eta 0.3, noise 0.01).",
        ),
        Study(
            "ring-deep",
            "ring8_deep_gan",
            rows=_methods(RING_COOP),
            seeds=20,
            metrics=POINT_METRICS,
            note="The ring of Unrolled GAN's appendix with what is ours: a discriminator of two layers, an lr of 1e-3, "
            "3,000 steps of 128, of which CoopInit takes 1,000 (eta 0.3, noise 0.01). About a minute of a core a run.",
        ),
        Study(
            "ring-eta",
            "ring8_deep_coop",
            rows={f"eta={eta:g}": {**RING_STAGE, "eta": eta} for eta in (0.1, 0.3, 1.0)},
            seeds=6,
            metrics=POINT_METRICS,
            note="The cooperative stage of ring-deep alone, at twice its length, by the recipe's eta of 0.3, a lower "
            "one and a higher one. A minute or two of a core a run.",
        ),
        Study(
            "digits-wide",
            "digits_wide_gan",
            rows={"GAN": {}, "+ aw-loss": AW},
            seeds=20,
            note="A wider DCGAN than quick's, 3,000 steps of 64, at an lr of 2e-4 without decay: of four settings that "
            "were tried on other seeds, the one in which aw-loss looked best. Four minutes of a core a run.",
        ),
        # DCGAN on CIFAR-10 or, by --set dataset=folder:PATH, on a user's own images.
        Study("images", "images_gan", rows={"GAN": {}, "+ both": {**DIGITS_COOP, **AW}}, seeds=2),
        # The papers' GANs on CIFAR-10, days on a GPU; narrow and short by --set and --budget.
        *(Study(name, f"{name}_cifar10", rows=_methods(COOP)) for name in ("dcgan", "sngan", "autogan", "biggan")),
        Study("stylegan2", "stylegan2_cifar10", rows=_methods(STYLEGAN2_COOP)),
        Study(
            "coop-x-aw",
            "stylegan2_cifar10",
            rows=_methods(STYLEGAN2_COOP),
            columns={label: diff(STYLEGAN2, recipe) for label, recipe in BACKBONES.items()},
            note="Both methods crossed on each backbone, which neither paper does, by the protocol of both; these are "
            "the runs of dcgan, sngan, autogan, biggan and stylegan2. Under aw the adversarial gradient shrinks, "
            "so an equal R1 acts more strongly: StyleGAN2's gamma is to be searched anew before its column is "
            "read. There R1 is off with CoopInit, as in its paper; BigGAN is conditional; the lr of BigGAN and "
            "StyleGAN2 does not decay under aw either; and n_coop is 15% of DCGAN's images, 3 to 5% elsewhere. "
            "About 1 (DCGAN), 2 (SN-GAN, AutoGAN), 8 (BigGAN) and 6 (StyleGAN2) GPU hours a run, estimated.",
        ),
        *(study for paper in PAPERS.values() for study in paper.studies),
        # The recipe's eta is a tenth of the paper's, and so are the values beside it.
        _digits("eta", DIGITS_COOP, {f"eta={x}": {"eta": x} for x in (0.05, 0.1, 0.5)}, "eta of CoopInit's table 12"),
        _digits("T", DIGITS_COOP, {f"T={x}": {"langevin_steps": x} for x in (5, 10, 15)}, "T of that table"),
        _digits(
            "ncoop", DIGITS_COOP, {f"N_coop={x}": {"n_coop": x} for x in (3_200, 12_800, 51_200)}, "CoopInit's figure 8"
        ),
        _digits(
            "alphas",
            AW,
            {
                f"alpha1={alpha1}, alpha2={alpha2}": {"aw_alpha1": alpha1, "aw_alpha2": alpha2}
                for alpha1, alpha2 in ((0.25, 0.75), (0.5, 0.75), (0.75, 0.75), (0.5, 0.5), (0.5, 0.95))
            },
            "appendix B of the aw paper, one alpha at a time",
        ),
        # Unpaired translation of digits to outlines at 16x16, as CoopInit's table 4 has of cats to dogs, no download:
        # a minute or two a run on one core.
        Study("translation", "cut_digits", rows={"CUT": {}, "CUT + CoopInit": CUT_DIGITS_COOP}),
    ]
}
