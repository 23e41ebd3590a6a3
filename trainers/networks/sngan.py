"""SN-GAN's residual pair for images of 32x32 and 48x48 (16x16 by a smaller start).

Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, and Miyato,
Koyama, "cGANs with Projection Discriminator", ICLR 2018.

32x32 is the authors' public code (pfnet-research/sngan_projection: gen_models/resnet_32.py, dis_models/snresnet_32.py)
with its weights and batch norm epsilon; its CIFAR-10 configs have widths 256 and 128 and z of 128 dimensions. 48x48 is
the paper's table for STL-10, which the public code leaves out; GongXinyuu/sngan.pytorch (models/sngan_stl10.py) and
kwotsin/mimicry (sngan_48.py) agree on it but for the bias of D's linear layer, which is left out here as at 32x32.
Spectral norm is the Config's `spectral_norm`.
"""

from typing import Annotated

from pydantic import Field, PositiveInt
from torch import nn

from trainers.config import Config
from trainers.networks.layers import DownBlock, ResidualDiscriminator, ResidualGenerator, UpBlock, image_side
from trainers.streams import seeded

EPSILON = 2e-5  # of batch norm: Chainer's default
# By side of the images. Channels of G before and after each block, in quarters of its width; of D after each block, in
# halves of its width; and how many blocks of D halve the side, the first ones.
G_CHANNELS = {16: (4, 4, 4, 4), 32: (4, 4, 4, 4), 48: (8, 4, 2, 1)}
D_CHANNELS = {16: (2, 2, 2, 2), 32: (2, 2, 2, 2), 48: (1, 2, 4, 8, 16)}
D_HALVINGS = {16: 2, 32: 2, 48: 4}


def initialize(module: nn.Module) -> None:
    """Glorot's uniform weights, of gain sqrt 2 in the 3x3 convolutions of the blocks and 1 elsewhere; no offsets. For
    `apply`, which visits a module after its children. Conditional batch norm has made its own."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, UpBlock | DownBlock):
        nn.init.xavier_uniform_(module.conv1.weight, 2**0.5)
        nn.init.xavier_uniform_(module.conv2.weight, 2**0.5)
    elif isinstance(module, ResidualDiscriminator) and module.embedding is not None:
        nn.init.xavier_uniform_(module.embedding.weight)


def build(
    config: Config,
    shape: tuple[int, ...],
    n_classes: int,
    *,
    g_width: Annotated[int, Field(gt=0, multiple_of=4)] = 256,
    d_width: Annotated[int, Field(gt=0, multiple_of=2)] = 128,
    latent: PositiveInt = 128,
) -> tuple[ResidualGenerator, ResidualDiscriminator]:
    """z of `latent` dimensions; channels of G and D at 32x32: `g_width` and `d_width` in every block.

    At 48x48 the same options make G of 2, 1, 1/2, 1/4 g_width, starting at 6x6, and D of 1/2, 1, 2, 4, 8 d_width: 512
    to 64 and 64 to 1,024 by default. 16x16 is 32x32 from a start of 2x2. Raises ValueError for other shapes.
    """
    side = image_side(config, shape, G_CHANNELS.__contains__, "of side 16, 32 or 48")
    with seeded(config.seed, "init of G"):
        channels = [n * g_width // 4 for n in G_CHANNELS[side]]
        generator = ResidualGenerator(shape, latent, channels, n_classes, eps=EPSILON)
        generator.apply(initialize)
    with seeded(config.seed, "init of D"):
        channels = [n * d_width // 2 for n in D_CHANNELS[side]]
        discriminator = ResidualDiscriminator(shape[0], channels, D_HALVINGS[side], n_classes, narrow=True, bias=False)
        discriminator.apply(initialize)
    return generator, discriminator
