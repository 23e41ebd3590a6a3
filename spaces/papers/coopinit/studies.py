"""CoopInit's tables and figures as studies, by the labels of published.csv.

FID is the best of all evaluations (section 5.2), of 50,000 samples (5.1) against the whole training set (5.4); the
paper does not say of how many runs, except for tables 10 and 11 (the mean of three), nor whether IS is a best too.
Section 5.4, tables 5 and 7 to 12 that is, trains StyleGAN2 at capacity s = 1/4 (512, 512, 256 and 128 channels at 4 to
32 pixels) for 25 million images, 100 million with ADA, with R1 at every update; whether G's Adam has the correction of
lazy regularization it does not tell, and here it has not. What the text leaves open is ours and said so. GPU hours are
estimates for one H100, evaluations included.
"""

from dataclasses import replace

from spaces.recipes import BIGGAN, CAT2DOG, COOP, CUT_COOP, RING8, STYLEGAN2, STYLEGAN2_ADA, STYLEGAN2_COOP, lazy
from spaces.study import POINT_METRICS, Overrides, Study, diff

SCALES = {"1/16": 1 / 16, "1/8": 1 / 8, "1/4": 1 / 4, "1/2": 1 / 2, "1/1": 1.0}
LEARNING_RATES: dict[str, Overrides] = {f"lr={lr:.4f}": {"lr": lr} for lr in (0.002, 0.0025, 0.003)}
NO_R1: Overrides = {"r1_gamma": 0.0}
JOINT = "joint cooperative + adversarial objective"
WAS: Overrides = {"loss": "wasserstein", "lr": 0.003}
WAS_GP: Overrides = {**WAS, "gp_weight": 10.0}

# Outside section 5.4: all channels, R1 lazy, and by the paragraph on limited data lr 0.003 (tables 1 and 6).
FULL = lazy(STYLEGAN2.replace(backbone_options={"g_scale": 1.0, "d_scale": 1.0}))
CIFAR = lazy(FULL.replace(lr=0.003))
ADA = diff(CIFAR, lazy(STYLEGAN2_ADA.replace(lr=0.003)))
WIDE: Overrides = {"backbone_options": {"g_scale": 2.0, "d_scale": 2.0, "max_channels": 1024}}
# StyleGAN2-ADA's setting for 256x256 (`paper256`), which CoopInit does not give.
FFHQ = FULL.replace(
    dataset="folder:ffhq",
    resolution=256,
    backbone_options={"mapping_layers": 8, "d_architecture": "resnet", "mbstd_group": 8},
    r1_gamma=1.0,
    ema_halflife=20_000,
    ema_ramp=0.0,
)
IMAGENET = FULL.replace(dataset="folder:imagenet", resolution=32)

BASE_NOTE = "Paper: StyleGAN2 of capacity 1/4, 25 million images, R1 not lazy, best FID of 50,000 samples"
COOP_NOTE = "CoopInit here: Langevin noise of 0.005, not equation 4's sqrt(2 eta), and Adam starts anew at the switch."
BASE_HOURS = "About 6 GPU hours a run, estimated."


def _pair(gamma: float, coop_gamma: float) -> dict[str, Overrides]:
    """Base and CoopInit as rows that tell their gamma."""
    return {
        f"StyleGAN2 (gamma={gamma:.2f})": {"r1_gamma": gamma},
        f"StyleGAN2 + CoopInit (gamma={coop_gamma:.2f})": {**COOP, "r1_gamma": coop_gamma},
    }


def _limited(table: str, dataset: str) -> Study:
    """Tables 10 and 11: fewer training images, with and without ADA."""
    ada: Overrides = {"ada": "bgc", "n_images": 100_000_000}
    return Study(
        f"coopinit-{table}",
        STYLEGAN2.replace(dataset=dataset, lr=0.003),
        rows={
            **_pair(0.01, 0.0),
            "StyleGAN2-ADA (gamma=0.01)": ada,
            "StyleGAN2-ADA + CoopInit (gamma=0.01)": {**ada, **COOP},
        },
        columns={"50K": {}, "20K": {"n_train": 20_000}, "10K": {"n_train": 10_000}},
        published=f"coopinit/{table}",
        note=f"{BASE_NOTE} against all 50,000, the mean over three runs; 100 million images with ADA, which is off in "
        "the cooperative stage; lr 0.003. About 6 GPU hours a run, 24 with ADA, estimated.",
    )


_STUDIES = [
    Study(
        "coopinit-table1",
        CIFAR,
        rows={
            "BigGAN": diff(CIFAR, BIGGAN),
            "BigGAN + CoopInit": diff(CIFAR, BIGGAN.replace(**COOP)),
            "CoopNets": {"n_coop": CIFAR.n_images, **NO_R1},
            "StyleGAN2 w/o ADA (gamma=0.01)": {},
            "StyleGAN2 w/o ADA + CoopInit (gamma=0.00)": STYLEGAN2_COOP,
            "StyleGAN2 w/ ADA": ADA,
            "StyleGAN2 w/ ADA + CoopInit": {**ADA, **COOP},
            "StyleGAN2 w/ ADA + CoopInit + tuning": {**ADA, **COOP, **WIDE},
        },
        columns={"conditional": {"conditional": True}, "unconditional": {}},
        only={
            "BigGAN": ["conditional"],
            "BigGAN + CoopInit": ["conditional"],
            "CoopNets": ["unconditional"],
            "StyleGAN2 w/o ADA (gamma=0.01)": ["unconditional"],
            "StyleGAN2 w/o ADA + CoopInit (gamma=0.00)": ["unconditional"],
            "StyleGAN2 w/ ADA + CoopInit": ["unconditional"],
        },
        metrics=("fid_final", "fid_best", "is_final", "is_best"),
        published="coopinit/table1",
        note="Paper: StyleGAN2-ADA's CIFAR-10 setting with all channels, lazy R1 and lr 0.003; 100 million images with "
        "ADA, 25 without; best FID of 50,000 samples. The public setting trains in 16 bits from 8x8 pixels up in both "
        "networks, clamped at 256; here in 32. Tuning is double width, all that the text says of it. CoopNets "
        "train our StyleGAN2 by Algorithm 1 to the end. About 8 GPU hours a run for BigGAN, 10 for StyleGAN2, 40 with "
        "ADA, 100 with double width and 100 for CoopNets' chains, estimated.",
    ),
    Study(
        "coopinit-table2",
        FFHQ,
        rows={"StyleGAN2": {}, "StyleGAN2 + CoopInit": STYLEGAN2_COOP},
        published="coopinit/table2",
        note="Paper: FFHQ, 70,000 images at 256x256, FID of 50,000 samples; no budget or setting told. Here 25 million "
        "images of StyleGAN2-ADA's setting for 256x256 (lazy R1 of gamma 1, 0 with CoopInit), less style mixing "
        "and path length regularization, of the images in folder ffhq or --set "
        "dataset=folder:PATH. About 80 GPU hours a run, estimated.",
    ),
    Study(
        "coopinit-table3",
        IMAGENET,
        rows={
            "StyleGAN2": {},
            "StyleGAN2 + CoopInit": STYLEGAN2_COOP,
            "BigGAN": diff(IMAGENET, BIGGAN.replace(dataset="folder:imagenet", resolution=64)),
            "BigGAN + CoopInit": diff(IMAGENET, BIGGAN.replace(dataset="folder:imagenet", resolution=64, **COOP)),
        },
        columns={
            "32x32": {},
            "32x32 conditional": {"conditional": True},
            "64x64 conditional": {"conditional": True, "resolution": 64},
        },
        only={
            "StyleGAN2": ["32x32", "32x32 conditional"],
            "StyleGAN2 + CoopInit": ["32x32", "32x32 conditional"],
            "BigGAN": ["64x64 conditional"],
            "BigGAN + CoopInit": ["64x64 conditional"],
        },
        published="coopinit/table3",
        note="Paper: ImageNet down-sampled, FID of 50,000 samples; no budget or setting told. Here 25 million images "
        "of StyleGAN2-ADA's CIFAR-10 setting (lazy R1 of gamma 0.01, 0 with CoopInit) and of BigGAN's, of the images "
        "in folder imagenet (a folder a class) or "
        "--set dataset=folder:PATH. About 10 GPU hours a run, 20 at 64x64, estimated.",
    ),
    Study(
        "coopinit-table4",
        "cut_horse2zebra",
        rows={"CUT": {}, "CUT + CoopInit": CUT_COOP},
        columns={"cat2dog": CAT2DOG, "horse2zebra": {}},
        published="coopinit/table4",
        note="Paper: CUT, of which it tells no setting, nor a budget of the cooperative stage. Here CUT's public "
        "setting: 256x256, 400 epochs, FID of the translated test images. Images at pair:cat2dog and "
        "pair:horse2zebra; no random crops of 286 here. About 30 (horse2zebra) and 110 GPU hours a run, estimated.",
    ),
    Study(
        "coopinit-table5",
        "stylegan2_cifar10",
        rows={"StyleGAN2": NO_R1, "StyleGAN2 + CoopInit": {**STYLEGAN2_COOP, "lr": 0.003}},
        columns={
            "NS": {},
            "NS (R1 gamma=0.01)": {"r1_gamma": 0.01, "lr": 0.003},
            "Hinge": {"loss": "hinge", "lr": 0.003},
            "WAS-GP": WAS_GP,
        },
        only={"StyleGAN2 + CoopInit": ["NS", "Hinge", "WAS-GP"]},
        published="coopinit/table5",
        note=f"{BASE_NOTE}; the best lr of a search: 0.003 by appendix C, but 0.0025 for the base's NS by table 7; the "
        f"penalty's weight is 10. Appendix C says 0.003 at the end of its words on hinge; it is read as of the whole "
        f"table. {BASE_HOURS}",
    ),
    # Appendix C, in one sentence: with the loss WAS, without penalty, CoopInit fails to converge.
    Study(
        "coopinit-was",
        "stylegan2_cifar10",
        rows={"WAS": {**STYLEGAN2_COOP, **WAS}, "WAS-GP": {**STYLEGAN2_COOP, **WAS_GP}},
        note=f"{BASE_NOTE}; WAS without penalty has no published value. {BASE_HOURS}",
    ),
    Study(
        "coopinit-table6",
        CIFAR,
        rows={
            "Base model": NO_R1,
            "R1": {},
            "R1 + SN": {"spectral_norm": "d"},
            "R1 + zCR": {"zcr_d": 0.2, "zcr_g": 0.02},
            "CoopInit": STYLEGAN2_COOP,
            "WGAN-GP": {**WAS_GP, **NO_R1},
        },
        published="coopinit/table6",
        note="Paper: StyleGAN2 with all channels, 25 million images, best FID of 50,000 samples; R1's 6.40 and "
        "CoopInit's 4.34 are those of table 1, so lr 0.003 and lazy R1 here in all rows. zCR's weights are "
        "StyleGAN2-ADA's. About 10 GPU hours a run, estimated.",
    ),
    Study(
        "coopinit-table7",
        "stylegan2_cifar10",
        rows={**_pair(0.0, 0.0), **_pair(0.01, 0.01)},
        columns=LEARNING_RATES,
        published="coopinit/table7",
        note=f"{BASE_NOTE}. {BASE_HOURS}",
    ),
    Study(
        "coopinit-table8",
        "stylegan2_cifar10",
        rows=_pair(0.01, 0.0),
        columns={
            "Res": {"backbone_options": {"d_architecture": "resnet"}},
            "Skip": {"backbone_options": {"d_architecture": "skip"}},
            "Orig": {},
            "Orig + Cond": {"conditional": True},
        },
        published="coopinit/table8",
        note=f"{BASE_NOTE}; lr 0.0025. Labels are seen by G too. {BASE_HOURS}",
    ),
    Study(
        "coopinit-table9",
        "stylegan2_cifar10",
        rows={"StyleGAN2": NO_R1, "StyleGAN2 + CoopInit": STYLEGAN2_COOP},
        columns={f"D scale {name}": {"backbone_options": {"d_scale": scale}} for name, scale in SCALES.items()},
        published="coopinit/table9",
        note=f"{BASE_NOTE}; lr 0.0025, G of scale 1/4. {BASE_HOURS}",
    ),
    _limited("table10", "cifar10"),
    _limited("table11", "cifar100"),
    Study(
        "coopinit-table12",
        STYLEGAN2.replace(**STYLEGAN2_COOP),
        rows={"eta (T=10)": {}, "T (eta=1.0)": {}},
        columns={
            **{str(eta): {"eta": eta} for eta in (0.5, 1.0, 5.0)},
            **{str(steps): {"langevin_steps": steps} for steps in (5, 10, 15)},
        },
        only={"eta (T=10)": ["0.5", "1.0", "5.0"], "T (eta=1.0)": ["5", "10", "15"]},
        published="coopinit/table12",
        note=f"{BASE_NOTE}; N_coop 0.75 million, gamma 0, lr 0.0025. {BASE_HOURS}",
    ),
    Study(
        "coopinit-fig1",
        RING8,
        rows={"GAN": {}, "+ CoopInit": {**COOP, "eta": 1.0, "langevin_noise": 0.005}},
        seeds=20,
        metrics=POINT_METRICS,
        note="Paper: 2-D data, not said which, nor the budget. Here the ring of Unrolled GAN's notebook and its 25,000 "
        "steps, with CoopInit's published eta, T and N_coop (study ring has settings of ours); 25 Gaussians by --set "
        "dataset=grid25. About 5 minutes of one CPU core a run.",
    ),
    # The values of gamma are ours: the text names 0.01 alone.
    Study(
        "coopinit-fig6",
        "stylegan2_cifar10",
        rows={
            "StyleGAN2-Hinge": {"loss": "hinge", **NO_R1},
            "StyleGAN2-Hinge + CoopInit": {"loss": "hinge", **STYLEGAN2_COOP},
            "StyleGAN2-NS": {},
            "StyleGAN2-NS + CoopInit": STYLEGAN2_COOP,
        },
        columns={**LEARNING_RATES, **{f"gamma={g:.2f}": {"r1_gamma": g} for g in (0.0, 0.01, 0.1, 1.0)}},
        only={
            "StyleGAN2-Hinge": list(LEARNING_RATES),
            "StyleGAN2-Hinge + CoopInit": list(LEARNING_RATES),
            "StyleGAN2-NS": ["gamma=0.00", "gamma=0.01", "gamma=0.10", "gamma=1.00"],
            "StyleGAN2-NS + CoopInit": ["gamma=0.00"],
        },
        note=f"{BASE_NOTE}. Learning curves: left, hinge loss over lr; right, NS over gamma at lr 0.0025. {BASE_HOURS}",
    ),
    Study(
        "coopinit-fig7",
        "stylegan2_cifar10",
        rows={
            **{
                f"StyleGAN2{plus} s={name} (gamma=0)": {
                    **(STYLEGAN2_COOP if plus else NO_R1),
                    "backbone_options": {"g_scale": scale, "d_scale": scale},
                }
                for plus in ("", " + CoopInit")
                for name, scale in SCALES.items()
            },
            "StyleGAN2 s=1/1 (gamma=0.01, lazy R1)": diff(STYLEGAN2, CIFAR),
        },
        published="coopinit/section5.4",
        note="Paper: learning curves of StyleGAN2 by capacity, G and D alike, at lr 0.0025; two values in the text of "
        "section 5.4, the lazy one being table 1's, here at its lr 0.003. The values of s are table 9's. About 6 to 10 "
        "GPU hours a run, estimated.",
    ),
    # The values of N_coop are ours but for 0.75 million.
    Study(
        "coopinit-fig8",
        "stylegan2_cifar10",
        rows={
            "StyleGAN2": NO_R1,
            **{
                f"N_coop={millions:g}M": {**STYLEGAN2_COOP, "n_coop": round(millions * 1e6)}
                for millions in (0.25, 0.75, 1.5, 3.0)
            },
        },
        note=f"{BASE_NOTE}; lr 0.0025, gamma 0. Learning curves over N_coop, evaluated every 0.25 million images. "
        f"{BASE_HOURS} N_coop / N_adv is 0.031 with 0.75 million; the text's bound of 3 is read as percent.",
    ),
    Study(
        "coopinit-joint",
        "stylegan2_cifar10",
        rows={"StyleGAN2": NO_R1, "StyleGAN2 + CoopInit": STYLEGAN2_COOP, JOINT: {**STYLEGAN2_COOP, "coop": "joint"}},
        published="coopinit/section3.1",
        note="Paper: both objectives at once, FID about 35 on CIFAR-10; no setting told. Here their sum, each of "
        "weight 1, on the base of section 5.4. About 6 GPU hours a run, 25 for the joint one, estimated.",
    ),
]
STUDIES = [replace(study, note=f"{study.note} {COOP_NOTE}") for study in _STUDIES]
