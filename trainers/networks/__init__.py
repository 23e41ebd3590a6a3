"""Backbones, one file each.

`module:object` names a function `build(config, shape, n_classes, *, options...) -> (generator, discriminator)`.

The generator has `sample_source(n, rng)`, which draws the n inputs it starts from (noise, or images of domain A of a
pair), and `G(source, labels) -> x` with x [N, *shape]. `D(x, labels)` gives logits whose first dimension is N.
`n_classes` is 0 unless the Config is conditional; labels come in any case. The keyword-only parameters of `build` are
the backbone's own options (`Config.backbone_options`), their defaults written there and nowhere else.

For PatchNCE (`Config.nce_weight`) a generator also has `encode(x)`, a list of features [N, C, H, W] of images
x, and as many `projections` of [N, S, C], modules of its own; it is called on real images without labels.
"""

BACKBONES = {
    "mlp": "trainers.networks.mlp:build",
    "dcgan": "trainers.networks.dcgan:build",
    "sngan": "trainers.networks.sngan:build",
    "autogan": "trainers.networks.autogan:build",
    "biggan": "trainers.networks.biggan:build",
    "stylegan2": "trainers.networks.stylegan2:build",
    "cut": "trainers.networks.cut:build",
}

CONDITIONAL = ("sngan", "biggan", "stylegan2")  # which can be built with classes
TRANSLATORS = ("cut",)  # which start from images of domain A of a pair, all others from noise
NARROW = {  # options of Config.tiny
    "mlp": {"width": 16},
    "dcgan": {"width": 8},
    "sngan": {"g_width": 8, "d_width": 8},
    "autogan": {"g_width": 8, "d_width": 8},
    "biggan": {"g_width": 2, "d_width": 2, "latent": 16, "attention": 0},  # what fits depends on the side of the images
    "stylegan2": {"latent": 16, "max_channels": 8},
    "cut": {"width": 4, "d_width": 8, "blocks": 5, "d_layers": 2, "projection": 16},
}
