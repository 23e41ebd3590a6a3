"""Backbones, one file each.

`module:object` names a function `build(config, shape, n_classes, *, options...) -> (generator, discriminator)`.

The generator has `sample_source(n, rng)`, which draws the n inputs it starts from (noise, or images of domain A of a
pair), and `G(source, labels) -> x` with x [N, *shape]. `D(x, labels)` gives logits whose first dimension is N.
`n_classes` is 0 unless the Config is conditional; labels come in any case. The keyword-only parameters of `build` are
the backbone's own options (`Config.backbone_options`), their defaults written there and nowhere else.

For PatchNCE (`Config.nce_weight`) a generator also has `encode(x)`, a list of features [N, C, H, W] of images
x, and as many `projections` of [N, S, C], modules of its own; it is called on real images without labels.
"""
