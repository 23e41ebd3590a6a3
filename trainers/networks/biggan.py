"""BigGAN's pair for images of 32x32 and 64x64 (16x16 by a smaller start).

Brock, Donahue, Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019; the author's
public code ajbrock/BigGAN-PyTorch (BigGAN.py, layers.py), of which the defaults here are the CIFAR settings
(scripts/launch_cifar_ema.sh): width 64, every batch norm with class embeddings of its own, no attention, N(0, 0.02)
weights. Spectral norm is the Config's: the public code has it in all convolutions and linear layers of both networks
(those of G's batch norms included) and in D's embedding, and in no embedding of G.
"""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt
from torch import nn

from trainers.config import Config
from trainers.networks.layers import ResidualDiscriminator, ResidualGenerator, image_side
from trainers.streams import seeded

# By side of the images. Channels in widths: of G before and after each block, of D after each block; and how many
# blocks of D halve the side, the first ones.
G_CHANNELS = {16: (4, 4, 4, 4), 32: (4, 4, 4, 4), 64: (16, 16, 8, 4, 2)}
D_CHANNELS = {16: (4, 4, 4, 4), 32: (4, 4, 4, 4), 64: (1, 2, 4, 8, 16)}
D_HALVINGS = {16: 2, 32: 2, 64: 4}
# Where attention in D is put: the sides of its feature maps by the public code's table, which at 32x32 calls the last
# three 16 too, though they are 8x8. So attention = 16 follows every block there, and 8 none.
D_ATTENTION = {16: (8, 8, 8, 8), 32: (16, 16, 16, 16), 64: (32, 16, 8, 4, 4)}


def initialize(network: nn.Module, init: str) -> None:
    """All weights N(0, 0.02) or orthogonal, those of embeddings and conditional batch norms too."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            if init == "ortho":
                nn.init.orthogonal_(module.weight)
            else:
                nn.init.normal_(module.weight, std=0.02)


def check_options(side: int, n_classes: int, latent: int, shared_dim: int, hierarchical: bool, attention: int) -> None:
    """Raises ValueError, in one sentence, for options that do not fit together."""
    if shared_dim and not n_classes:
        raise ValueError(
            f"shared_dim = {shared_dim} embeds classes, and there are none; it must be 0 unless conditional"
        )
    if hierarchical and not shared_dim:
        raise ValueError("hierarchical = True needs a shared embedding; set shared_dim, to 128 say")
    pieces = len(G_CHANNELS[side])
    if hierarchical and latent % pieces:
        raise ValueError(
            f"latent = {latent} should be a multiple of {pieces} at {side}x{side} with hierarchical = True"
        )
    sides = {side >> halvings for halvings in range(pieces - 1)}.union(D_ATTENTION[side])
    if attention not in (0, *sides):
        allowed = ", ".join(map(str, sorted(sides)))
        raise ValueError(f"attention = {attention} should be 0 (off) or the side of a feature map: {allowed}")


def build(
    config: Config,
    shape: tuple[int, ...],
    n_classes: int,
    *,
    g_width: PositiveInt = 64,
    d_width: PositiveInt = 64,
    latent: PositiveInt = 128,
    shared_dim: NonNegativeInt = 0,
    hierarchical: bool = False,
    attention: NonNegativeInt = 0,
    init: Literal["N02", "ortho"] = "N02",
) -> tuple[ResidualGenerator, ResidualDiscriminator]:
    """z of `latent` dimensions; at 32x32 every block has 4 g_width or 4 d_width channels, at 64x64 G goes from 16 to 2
    widths and D from 1 to 16.

    `shared_dim` > 0: one class embedding of so many dimensions serves all batch norms of G through linear layers; 0:
    each has its own (the public CIFAR settings). `hierarchical`: each block gets a piece of z too. `attention`: the
    side of the feature maps that get self-attention, 0: none (the public code's default is 64, which at 64x64 acts in
    G alone; of D see D_ATTENTION). `init`: of all weights. The public code has no n_classes = 0. Raises ValueError
    unless shape is (C, R, R) with R 16, 32 or 64, and for options that do not fit together.
    """
    side = image_side(config, shape, G_CHANNELS.__contains__, "of side 16, 32 or 64")
    check_options(side, n_classes, latent, shared_dim, hierarchical, attention)
    with seeded(config.seed, "init of G"):
        channels = [n * g_width for n in G_CHANNELS[side]]
        generator = ResidualGenerator(
            shape, latent, channels, n_classes, shared_dim=shared_dim, hierarchical=hierarchical, attention=attention
        )
        initialize(generator, init)
    with seeded(config.seed, "init of D"):
        channels = [n * d_width for n in D_CHANNELS[side]]
        attended = [index for index, place in enumerate(D_ATTENTION[side]) if place == attention]
        discriminator = ResidualDiscriminator(
            shape[0], channels, D_HALVINGS[side], n_classes, narrow=False, bias=True, attended=attended
        )
        initialize(discriminator, init)
    return generator, discriminator
