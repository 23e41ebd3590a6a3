"""aw-loss's tables and figures as studies, by the labels of published.csv.

IS and FID are the best of an evaluation of 50,000 samples every 5 epochs, with the hinge loss (section 4). The learning
rate decays linearly in all rows of the tables, since aw-loss takes that (section 3) and the rows should be fair; the
figures of section 5 name no decay and have none here. GPU hours are
estimates for one H100, evaluations included.
"""

from spaces.recipes import AUTOGAN, AW, BIGGAN, CIFAR100, DCGAN, RING8, SNGAN, STL10
from spaces.study import POINT_METRICS, Overrides, Study, diff
from trainers.config import Config

PAPER_METRICS = ("fid_final", "fid_best", "is_final", "is_best")
TO_AUTOGAN = diff(SNGAN, AUTOGAN.replace(n_images=15_000_000))  # 300 epochs
CONDITIONAL = SNGAN.replace(conditional=True)
TO_BIGGAN = diff(CONDITIONAL, BIGGAN.replace(n_images=50_000_000, lr_decay="linear"))  # 1,000 epochs
STL10_BUDGET = {**STL10, "eval_every": 5 * 105_000}  # its epochs are 105,000 images
STL10_AUTOGAN = {**STL10_BUDGET, "n_images": 300 * 105_000}
FIRST_EPOCH = DCGAN.replace(n_images=50_000, eval_every=50_000, lr_decay="none")
ORIGINAL = {"probe": "off"}  # the step that is looked at has the original loss
EPOCHS = "IS and FID of 50,000 samples every 5 epochs, best reported"


def _unconditional(table: str, base: Config, autogan: Overrides, hours: int) -> Study:
    """Tables 1 to 3: SN-GAN and AutoGAN on one data set."""
    return Study(
        f"aw-{table}",
        base,
        rows={"SN-GAN": {}, "aw-SN-GAN": AW, "AutoGAN": autogan, "aw-AutoGAN": {**autogan, **AW}},
        metrics=PAPER_METRICS,
        published=f"aw-loss/{table}",
        note=f"Paper: SN-GAN 320 epochs, AutoGAN 300, {EPOCHS}. About {hours} GPU hours a run, estimated.",
    )


STUDIES = [
    _unconditional("table1", SNGAN, TO_AUTOGAN, 2),
    _unconditional(
        "table2",
        SNGAN.replace(**STL10_BUDGET, n_images=320 * 105_000),
        {**TO_AUTOGAN, "n_images": STL10_AUTOGAN["n_images"]},
        11,
    ),
    _unconditional("table3", SNGAN.replace(**CIFAR100), TO_AUTOGAN, 2),
    Study(
        "aw-table4",
        CONDITIONAL,
        rows={"SN-GAN": {}, "aw-SN-GAN": AW, "BigGAN": TO_BIGGAN, "aw-BigGAN": {**TO_BIGGAN, **AW}},
        columns={"cifar10": {}, "cifar100": CIFAR100},
        metrics=PAPER_METRICS,
        published="aw-loss/table4",
        note=f"Paper: SN-GAN 320 epochs, BigGAN 1,000, {EPOCHS}. About 2 GPU hours a run, 16 for BigGAN, estimated.",
    ),
    # The runs of tables 1 to 3, of which the figure shows the first 40 epochs.
    Study(
        "aw-fig3",
        AUTOGAN.replace(n_images=15_000_000),
        rows={"AutoGAN": {}, "aw-AutoGAN": AW},
        columns={"cifar10": {}, "stl10": STL10_AUTOGAN, "cifar100": CIFAR100},
        metrics=PAPER_METRICS,
        note=f"Paper: the first 40 epochs of AutoGAN, {EPOCHS}: 2 million images of the runs of aw-table1 to 3, 4.2 of "
        "STL-10. About 2 GPU hours a run, 11 on STL-10, estimated.",
    ),
    Study(
        "aw-fig4",
        FIRST_EPOCH,
        rows={
            "original": ORIGINAL,
            "aw-loss": {**AW, "probe": "normalized"},
            "aw-loss (epsilon=0)": {**AW, "probe": "normalized", "aw_epsilon": 0.0},
        },
        seeds=5,
        metrics=("real_fake_obtuse_final", "step_real_obtuse_final", "step_fake_obtuse_final"),
        note="Paper: angles between the gradients of D's step, real and fake loss in 50 iterations of the first epoch "
        "of DCGAN on CIFAR-10, hinge loss; no fractions are published. Here the share of steps of the whole first "
        "epoch in which an angle is above 90 degrees, a vanished gradient being orthogonal to all; the runs' rows have "
        "histograms of the angles (angle_real_fake_120: nearest to 120 degrees), the shares of vanished gradients "
        "(fake_vanished) and of the five cases (aw_case_1). Minutes of a GPU a run, estimated, most of them for the "
        "FID.",
    ),
    # Both rows train with the original loss, and from each of its states try one step with either.
    Study(
        "aw-fig5",
        FIRST_EPOCH,
        rows={"DCGAN original loss": ORIGINAL, "DCGAN aw-loss": {"probe": "normalized"}},
        seeds=5,
        metrics=("logit_real_before_final", "logit_real_after_final", "gap_before_final", "gap_after_final"),
        published="aw-loss/section5.2",
        note="Paper: mean logits of the batch before and after one step of D, DCGAN on CIFAR-10, hinge loss, averaged "
        "over an epoch; both steps start from the run with the original loss. The optimiser of the step is not told: "
        "the runs' rows also have those of a fresh Adam (gap_after_fresh) and of SGD (gap_after_sgd). Minutes of a GPU "
        "a run, estimated, most of them for the FID.",
    ),
    Study(
        "aw-fig6",
        RING8,
        rows={"GAN": {}, "aw-GAN": AW},
        seeds=20,
        metrics=(*POINT_METRICS, "class_logit_min_final", "class_logit_spread_final"),
        note="Paper: eight Gaussians on the unit circle, plain GAN as in Unrolled GAN, cross-entropy loss, samples and "
        "mean logits of the classes every 5,000 steps; neither budget nor decay of the learning rate told (section 3 "
        "has one). Here Unrolled GAN's notebook, 25,000 steps, and "
        "D's lowest mean logit of a class and highest less lowest; the runs' rows have all (class_logit_00). "
        "About 5 minutes of one CPU core a run.",
    ),
    # Appendix B's own values could not be found: these lie around the defaults 0.5 and 0.75.
    Study(
        "aw-alphas",
        SNGAN.replace(**AW),
        rows={f"alpha1={alpha}": {"aw_alpha1": alpha} for alpha in (0.25, 0.5, 0.75)},
        columns={f"alpha2={alpha}": {"aw_alpha2": alpha} for alpha in (0.5, 0.75, 0.95)},
        only={"alpha1=0.75": ["alpha2=0.75", "alpha2=0.95"]},
        metrics=PAPER_METRICS,
        note=f"Paper: appendix B, whose numbers are not at hand. Here aw-SN-GAN on CIFAR-10, 320 epochs, {EPOCHS}. "
        "About 2 GPU hours a run, estimated.",
    ),
    Study(
        "aw-normalisation",
        SNGAN,
        rows={"original": {}, "aw, normalised": AW, "aw, un-normalised": {"aw": "unnormalized"}},
        columns={"SN-GAN": {}, "AutoGAN": TO_AUTOGAN},
        metrics=PAPER_METRICS,
        note=f"Paper: section 3 and appendix B, whose numbers are not at hand. Here SN-GAN 320 epochs, AutoGAN 300, "
        f"{EPOCHS}. About 2 GPU hours a run, estimated.",
    ),
]
