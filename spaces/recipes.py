"""Recipes: named Configs, each with the four combinations of CoopInit and aw-loss."""

from typing import Any

from trainers.config import Config

# Unrolled GAN's notebook (poolio/unrolled_gan): batch 512, saturating minimax, 25,000 steps. The cooperative stage of
# 2,000 steps is ours, as are eta and the noise: a step size does not carry over from one backbone to another.
RING8 = Config(
    dataset="ring8",
    backbone="mlp",
    loss="minimax",
    lr=1e-4,
    lr_g=1e-3,
    batch_size=512,
    n_images=25_000 * 512,
    eta=0.1,
    langevin_noise=0.02,
    eval_every=1_000 * 512,
)
GRID25 = RING8.replace(dataset="grid25")
POINTS_COOP = {"n_coop": 2_000 * 512, "coop_optimizer": "fresh"}

# The ring of Unrolled GAN's paper (Metz, Poole, Pfau, Sohl-Dickstein, ICLR 2017, appendix A), which is not that of its
# notebook: radius 2, std 0.02; ReLU, G of two layers, D of one that sees x / 4, gain 0.8; lr 1e-4 of both. Batches of
# 128, 10,000 steps, and all of CoopInit (1,000 steps, eta, noise) are ours.
RING8_PAPER = Config(
    dataset="ring8",
    dataset_options={"radius": 2.0, "std": 0.02},
    backbone="mlp",
    backbone_options={"activation": "relu", "d_depth": 1, "g_gain": 0.8, "d_gain": 0.8, "d_input_scale": 0.25},
    loss="minimax",
    lr=1e-4,
    batch_size=128,
    n_images=10_000 * 128,
    eta=0.3,
    langevin_noise=0.01,
    eval_every=1_000 * 128,
)
# A variation of ours, in which a GAN can learn the ring within seconds: D of two layers, and ten times the lr.
RING8_DEEP = RING8_PAPER.replace(backbone_options={"d_depth": 2}, lr=1e-3, n_images=3_000 * 128, eval_every=300 * 128)
RING_COOP = {"n_coop": 1_000 * 128, "coop_optimizer": "fresh"}

# 1,500 steps of 64, of which 200 are cooperative. Adam starts anew at the switch: the cooperative gradients are much
# larger than aw-loss's weighed ones, and moments of theirs that live on hold D still for the next thousand steps.
DIGITS = Config(
    dataset="digits",
    backbone="dcgan",
    backbone_options={"width": 24},
    lr=5e-4,
    lr_decay="linear",
    batch_size=64,
    n_images=1_500 * 64,
    ema_halflife=3_000,
    eta=0.1,
    eval_every=150 * 64,
    eval_samples=5_000,
)
DIGITS_COOP = {"n_coop": 200 * 64, "coop_optimizer": "fresh"}
# Wider, twice as long, at a lower lr that does not decay.
DIGITS_WIDE = DIGITS.replace(
    backbone_options={"width": 32}, lr=2e-4, lr_decay="none", n_images=3_000 * 64, eval_every=300 * 64
)

# CIFAR-10, or images of the user's own by dataset=folder:PATH or zip:PATH: 3,000 steps of 64, of which 200 cooperative.
IMAGES = DIGITS.replace(
    dataset="cifar10",
    resolution=32,
    features="lite0",
    backbone_options={"width": 32},
    lr=2e-4,
    n_images=3_000 * 64,
    eval_every=600 * 64,
)

AW = {"aw": "normalized"}


def lazy(config: Config) -> Config:
    """As NVlabs/stylegan2-ada-pytorch regularizes: R1 at each 16th update of D, and the Adam of both networks corrected
    for an update more every so often (Karras et al. 2020, "Analyzing and improving", appendix B), whether R1 has a
    weight or not; G's every 4th is for path lengths, which `cifar` leaves out."""
    of_g = 4 / 5
    return config.replace(r1_interval=16, r1_lazy_rates="always", lr_g=config.lr * of_g, beta2_g=config.beta2**of_g)


# The papers' GANs, by their protocol: FID of 50,000 samples against the whole training set on Inception features, every
# five epochs of CIFAR-10. CoopInit's own n_coop, eta and T; a spectrally normalized D may need another eta.
_PROTOCOL = Config(
    dataset="cifar10", features="inception", eval_samples=50_000, eval_every=250_000, loss="hinge", n_images=25_000_000
)
COOP = {"n_coop": 750_000, "coop_optimizer": "fresh"}

# Miyato et al. 2018 and pfnet-research/sngan_projection: 50,000 updates of G, five of D to each.
SNGAN = _PROTOCOL.replace(
    backbone="sngan",
    spectral_norm="d",
    lr_decay="linear",
    beta1=0.0,
    beta2=0.9,
    batch_size_g=128,
    n_critic=5,
    n_images=16_000_000,
    data_noise=1 / 128,
)
# Gong et al. 2019 and VITA-Group/AutoGAN, whose average of G decays by 0.999 a step of 5 x 64 images. Its scripts keep
# the learning rate; the aw paper's linear decay is on in all rows, so that they are fair. Here and below, the ramp is
# ours: without it, the average of a run at a small budget is still the untrained generator.
AUTOGAN = SNGAN.replace(backbone="autogan", data_noise=0.0, ema_halflife=221_700, ema_ramp=0.05)
# Brock et al. 2019 and ajbrock/BigGAN-PyTorch's launch_cifar_ema: 500 epochs, decay 0.9999 a step of 4 x 50 images.
BIGGAN = _PROTOCOL.replace(
    backbone="biggan",
    conditional=True,
    spectral_norm="both",
    beta1=0.0,
    batch_size=50,
    n_critic=4,
    ema_halflife=1_386_000,
    ema_ramp=0.1,
    ema_start=200_000,
)
# Karras et al. 2020 and NVlabs/stylegan2-ada-pytorch's `cifar`, with R1 at every update and the widths of CoopInit's
# ablations (section 5.4), which drop R1 with CoopInit unless there is ADA, and do not tell whether G's Adam has the
# correction of lazy regularization. With ADA: all channels, 100 million images, and lazy R1, as published.
STYLEGAN2 = _PROTOCOL.replace(
    backbone="stylegan2",
    backbone_options={"g_scale": 0.25, "d_scale": 0.25},
    loss="nonsaturating",
    lr=0.0025,
    beta1=0.0,
    beta2=0.99,
    r1_gamma=0.01,
    ema_halflife=500_000,
    ema_ramp=0.05,
)
STYLEGAN2_COOP = {**COOP, "r1_gamma": 0.0}
STYLEGAN2_ADA = lazy(
    STYLEGAN2.replace(ada="bgc", n_images=100_000_000, backbone_options={"g_scale": 1.0, "d_scale": 1.0})
)
# Section 5.1 of the aw paper: the angles between D's gradients in 50 iterations, hinge loss.
DCGAN = _PROTOCOL.replace(backbone="dcgan", lr_decay="linear", n_images=5_000_000)
# Park et al. 2020 and taesungp/contrastive-unpaired-translation: batches of 1, 200 epochs of the larger domain and 200
# more with a falling rate; where it enlarges to 286 and crops 256 at random, images here are 256 from the start. G's
# least squares is half of the public code's, so that half its weight of 1 is the same balance. Images at
# pair:horse2zebra (1,067 and 1,334 of ImageNet) and pair:cat2dog (about 5,000 each of AFHQ), or where --set
# dataset=pair:PATH says. CoopInit's paper names none of its budgets for CUT: n_coop is 12 epochs of the larger domain
# of horse2zebra here, 3% of its images as in section 5.4, and as many images for the other.
CUT = Config(
    dataset="pair:horse2zebra",
    resolution=256,
    center_crop=False,
    mirror=True,
    features="inception",
    backbone="cut",
    loss="least_squares",
    nce_weight=0.5,
    lr_decay="second_half",
    batch_size=1,
    n_images=400 * 1_334,
    eval_every=20 * 1_334,
)
CUT_COOP = {"n_coop": 16_000, "coop_optimizer": "fresh"}
CAT2DOG = {"dataset": "pair:cat2dog", "n_images": 400 * 5_000, "eval_every": 20 * 5_000}
# Digits to outlines: 1,000 steps of 8, a minute or two on a core, of which 50 are cooperative.
CUT_DIGITS = Config(
    dataset="digits_outlines",
    backbone="cut",
    backbone_options={"width": 8, "d_width": 8, "blocks": 3, "d_layers": 2, "projection": 32},
    loss="least_squares",
    nce_weight=0.5,
    nce_layers=(0, 4, 8, 12),
    nce_patches=32,
    lr=1e-3,
    lr_decay="second_half",
    batch_size=8,
    n_images=8_000,
    eval_every=1_000,
)
CUT_DIGITS_COOP = {"n_coop": 400, "coop_optimizer": "fresh"}
STL10 = {"dataset": "stl10", "resolution": 48}  # 105,000 images, unlabelled ones included
CIFAR100 = {"dataset": "cifar100"}


def _crossed(name: str, base: Config, coop: dict[str, Any], plain: str = "_gan") -> dict[str, Config]:
    """A recipe, whose name ends in `plain`, and its three variants, by name."""
    return {
        f"{name}{plain}": base,
        f"{name}_coop": base.replace(**coop),
        f"{name}_aw": base.replace(**AW),
        f"{name}_coop_aw": base.replace(**coop, **AW),
    }


RECIPES: dict[str, Config] = {
    **_crossed("ring8", RING8, POINTS_COOP),
    **_crossed("grid25", GRID25, POINTS_COOP),
    **_crossed("ring8_paper", RING8_PAPER, RING_COOP),
    **_crossed("ring8_deep", RING8_DEEP, RING_COOP),
    **_crossed("digits", DIGITS, DIGITS_COOP),
    **_crossed("digits_wide", DIGITS_WIDE, DIGITS_COOP),
    **_crossed("images", IMAGES, DIGITS_COOP),
    **_crossed("dcgan_cifar10", DCGAN, COOP, plain=""),
    **_crossed("sngan_cifar10", SNGAN, COOP, plain=""),
    **_crossed("sngan_cifar100", SNGAN.replace(**CIFAR100), COOP, plain=""),
    **_crossed("sngan_stl10", SNGAN.replace(**STL10), COOP, plain=""),
    **_crossed("autogan_cifar10", AUTOGAN, COOP, plain=""),
    **_crossed("autogan_stl10", AUTOGAN.replace(**STL10), COOP, plain=""),
    **_crossed("biggan_cifar10", BIGGAN, COOP, plain=""),
    **_crossed("biggan_cifar100", BIGGAN.replace(**CIFAR100), COOP, plain=""),
    **_crossed("stylegan2_cifar10", STYLEGAN2, STYLEGAN2_COOP, plain=""),
    **_crossed("stylegan2_ada_cifar10", STYLEGAN2_ADA, COOP, plain=""),
    **_crossed("cut_horse2zebra", CUT, CUT_COOP, plain=""),
    **_crossed("cut_cat2dog", CUT.replace(**CAT2DOG), CUT_COOP, plain=""),
    **_crossed("cut_digits", CUT_DIGITS, CUT_DIGITS_COOP, plain=""),
}
