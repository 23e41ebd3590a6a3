"""Config: everything that decides the outcome of one training run.

Field names are those of the two papers where they have one: CoopInit (Zhao, Xie, Li, AAAI 2023, arXiv 2303.11649)
and aw-loss (Zadorozhnyy, Cheng, Ye, CVPR 2021, arXiv 2012.03149). This module imports no torch, so that listing,
planning and validating are quick.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trainers.messages import choose, sentence
from trainers.names import (
    DATASETS,
    EMBEDDED,
    FEATURE_METRICS,
    FEATURES,
    FILES,
    INPUT_RESIZES,
    KID_REAL,
    KID_SUBSET,
    KID_SUBSETS,
    LOSSES,
    MODE_RADIUS,
    PAIRS,
    POINT_DATASETS,
    POINT_PROBES,
    REFERENCES,
    SCORE_SPLITS,
    STEP_PROBES,
    TORCHVISION,
)
from trainers.networks import BACKBONES, CONDITIONAL, NARROW, TRANSLATORS

TINY_FIELDS = ("dataset", "resolution", "center_crop", "n_images", "eval_every", "eval_samples")  # set by tiny
TINY_IMAGES = 2_048  # budget of Config.tiny


class Config(BaseModel):
    """One training run. Frozen and checked: a mistake raises ValueError with one sentence that names the field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    dataset: str = "digits"
    """Data set: a name in DATASETS, `folder:PATH` or `zip:PATH` of images (relative to the working directory; folders
    at the top are classes), `pair:PATH` of a folder with trainA, trainB, testA and testB, for translation from A to B,
    or `module:object`."""
    resolution: int | None = Field(None, ge=1)
    """Side in pixels that images of a folder, a zip, a pair or torchvision are resized to (Lanczos); None: they stay as
    they are, and must be of equal size."""
    center_crop: bool = True
    """True: the shorter side is resized to `resolution` and the centre cropped; False: stretched to a square."""
    n_train: int | None = Field(None, ge=1)
    """Training examples used (of a pair: of train B), a seeded subset nested in every larger one; None: all."""
    backbone: str = "dcgan"
    """Pair of networks: a name in BACKBONES or `module:object`."""
    backbone_options: dict[str, bool | int | float | str] = {}
    """What only this backbone knows (its width, say); checked against the options of its `build`."""
    conditional: bool = False
    """G and D see the classes of the data set; False: the backbone is built without classes."""
    spectral_norm: Literal["off", "d", "both"] = "off"
    """Weights of D, or of D and G, divided by their largest singular value (Miyato et al. 2018): of all convolutions
    and linear layers, and of D's embeddings."""
    mirror: bool = False
    """Real images, and those that are translated, are turned left to right at random, before D and G see them."""
    data_noise: float = Field(0.0, ge=0)
    """Uniform noise from 0 to this added to real data, in data units; SN-GAN's images have 1/128."""
    loss: str = "nonsaturating"
    """Adversarial loss: a name in LOSSES or `module:object`."""

    lr: float = Field(2e-4, gt=0)
    """Adam's learning rate, of D and of G."""
    lr_g: float | None = Field(None, gt=0)
    """G's learning rate where it differs; None: `lr`."""
    lr_decay: Literal["none", "linear", "second_half"] = "none"
    """Linear: the learning rates fall to 0 over n_images; second_half: over the second half of them (CUT)."""
    beta1: float = Field(0.5, ge=0, lt=1)
    """Adam's first decay rate."""
    beta2: float = Field(0.999, ge=0, lt=1)
    """Adam's second decay rate."""
    batch_size: int = Field(64, ge=1)
    """Real examples in one D update."""
    batch_size_g: int | None = Field(None, ge=1)
    """Samples in one adversarial update of G; None: as many as real examples."""
    n_critic: int = Field(1, ge=1)
    """D updates before each G update of the adversarial stage."""
    ema_halflife: float = Field(0.0, ge=0)
    """Half-life of the average of G's weights, in images; 0: G itself is evaluated."""
    ema_ramp: float = Field(0.0, ge=0)
    """The half-life is at most this share of the images shown so far (StyleGAN2-ADA: 0.05); 0: no such bound."""
    ema_start: int = Field(0, ge=0)
    """Images up to which the average is G itself."""

    n_images: int = Field(96_000, ge=1)
    """Budget: real images shown to D in the whole run."""
    n_coop: int = Field(0, ge=0)
    """CoopInit's N_coop: images of the cooperative stage (Algorithm 2); 0: off, n_images: CoopNets."""
    coop: Literal["init", "joint"] = "init"
    """Joint: both objectives are summed at every step, with weight 1, as long as n_coop > 0 (CoopInit section 3.1)."""
    coop_optimizer: Literal["keep", "fresh"] = "keep"
    """Whether Adam's moments run on at the switch of stages or start anew; the paper does not say."""
    eta: float = Field(1.0, gt=0)
    """Langevin step size (CoopInit equation 4), on the gradient of the summed logits."""
    langevin_steps: int = Field(10, ge=1)
    """Langevin steps T."""
    langevin_noise: float = Field(0.005, ge=0)
    """Standard deviation of the Langevin noise in data units. Equation 4 read literally is sqrt(2 eta), which drowns
    images in [-1, 1]; the first author's public code (YangNaruto/ProEBM) uses 0.005 to 0.015."""
    langevin_noise_ramp: bool = False
    """The noise falls linearly to 0 along the chain."""

    aw: Literal["off", "normalized", "unnormalized"] = "off"
    """aw-loss: weighs the real and the fake gradient of D at every step (Algorithm 1)."""
    aw_alpha1: float = Field(0.5, ge=0, le=1)
    """Real score below which the real loss is favoured."""
    aw_alpha2: float = Field(0.75, ge=0, le=1)
    """Real score above which the fake loss is favoured."""
    aw_delta: float = Field(0.05, ge=0, le=1)
    """Margin by which the real score may lie below the fake score."""
    aw_epsilon: float = Field(0.05, ge=0)
    """Constant added to both weights."""
    probe: Literal["none", "off", "normalized", "unnormalized"] = "none"
    """At every adversarial update of D, what a step with this `aw` would do from there (aw-loss sections 5.1 and 5.2):
    shares of obtuse angles between its gradient and those of the real and the fake loss, and of vanished gradients, the
    cases of Algorithm 1, and mean logits of the batch before and after it, all averaged over the run so far. Training
    is the same whatever is probed."""

    r1_gamma: float = Field(0.0, ge=0)
    """Weight gamma of R1, gamma/2 E|grad D(x)|^2 on real data (Mescheder et al. 2018); 0: off."""
    r1_interval: int = Field(1, ge=1)
    """1: R1 is added to every D update. k > 1: lazy R1 (Karras et al. 2020, "Analyzing and improving", appendix B), an
    update of its own after each k-th, weighed by k, with D's learning rate times c and Adam's betas to the power of c,
    c = k / (k + 1)."""
    gp_weight: float = Field(0.0, ge=0)
    """Weight lambda of WGAN-GP's gradient penalty (Gulrajani et al. 2017); 0: off."""
    zcr_d: float = Field(0.0, ge=0)
    """Weight of zCR in D (Zhao et al. 2020, "Improved consistency regularization"): its logits of G(z) and of G(z +
    noise) should be alike; 0: off. StyleGAN2-ADA's comparison has 0.2."""
    zcr_g: float = Field(0.0, ge=0)
    """Weight of zCR in G: G(z) and G(z + noise) should differ; 0: off. StyleGAN2-ADA's comparison has 0.02."""
    zcr_noise: float = Field(0.1, ge=0)
    """Standard deviation of zCR's noise on z."""

    nce_weight: float = Field(0.0, ge=0)
    """Weight of PatchNCE in G (CUT, Park et al. 2020, equation 3), with `nce_identity` of the mean of its two terms; 0:
    off."""
    nce_identity: bool = True
    """PatchNCE also between images of domain B and what G makes of them (CUT's equation 4)."""
    nce_layers: tuple[Annotated[int, Field(ge=0, lt=1_000)], ...] = (0, 4, 8, 12, 16)
    """Layers of G whose features PatchNCE compares, counted from 0, the padded image."""
    nce_patches: int = Field(256, ge=2)
    """Places of a layer that PatchNCE draws; a layer with fewer gives all it has."""
    nce_temperature: float = Field(0.07, gt=0)
    """Temperature tau that divides PatchNCE's cosines."""
    nce_coop: bool = True
    """PatchNCE is on in the cooperative stage too; the CoopInit paper does not say."""

    ada: Literal["off", "bg", "bgc"] = "off"
    """Discriminator augmentation (ADA, Karras et al. 2020, "Limited data") of everything that D sees: blits and
    geometry, or these and colours."""
    ada_p: float | None = Field(None, ge=0, le=1)
    """Probability of each augmentation; None: it adapts, from 0."""
    ada_target: float = Field(0.6, ge=-1, le=1)
    """Mean sign of D's logits of real images that the probability is steered to."""
    ada_interval: int = Field(4, ge=1)
    """D updates between two moves of the probability."""
    ada_images: int = Field(500_000, ge=1)
    """Images in which the probability can go from 0 to 1."""
    ada_coop: bool = False
    """D sees augmented images in the cooperative objective too."""
    ada_langevin: bool = False
    """The Langevin chains run on augmented images too."""

    eval_every: int = Field(9_600, ge=1)
    """Images between two evaluations; rows stand at 0, eval_every, ..., n_images."""
    eval_samples: int = Field(10_000, ge=2)
    """Generated samples of one evaluation; of a pair, each image of test A is translated once, and at most so many."""
    features: str = "auto"
    """Feature net of the Frechet distance: a name in FEATURES or `module:object`; auto: the one of a built-in data
    set, raw for points."""

    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """Of training: 32-bit floats, the same with TensorFloat-32 products on CUDA, or bfloat16 by autocast. Samples are
    scored in fp32."""
    channels_last: bool = False
    """Convolutions store their channels last, which is faster on most GPUs."""
    compile: bool = False
    """The networks are compiled by torch.compile; it has no second derivatives, so neither R1 nor gradient penalty."""
    threads: int = Field(1, ge=1)
    """CPU threads of torch; sums, and so the last bits of every number, depend on it."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of every random stream of the run."""

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ValueError(sentence(error, type(self).model_fields)) from None

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_as_number(cls, value: Any, info: Any) -> Any:
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is not bool:
            raise ValueError("should be a number or a name, not true or false")
        return value

    @field_validator("*")
    @classmethod
    def _in_64_bits(cls, value: Any) -> Any:
        for number in value.values() if isinstance(value, dict) else [value]:
            if isinstance(number, int) and abs(number) >= 2**63:
                raise ValueError("should be less than 2**63")
        return value

    @field_validator("dataset", "backbone", "loss", "features")
    @classmethod
    def _known(cls, value: str, info: Any) -> str:
        table = {
            "dataset": DATASETS,
            "backbone": BACKBONES,
            "loss": LOSSES,
            "features": {"auto": "", **FEATURES},
        }[info.field_name]
        if value not in table and ":" not in value:
            raise ValueError(choose(value, table))
        if value in FILES:
            raise ValueError(f"should name a path, as {value}photos")
        return value

    @field_validator("nce_layers")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or list(value) != sorted(set(value)):
            raise ValueError("should be one or more layers in ascending order, as [0,4,8]")
        return value

    @model_validator(mode="after")
    def _translation_fits(self) -> Self:
        translates = self.backbone in TRANSLATORS
        if self.backbone in BACKBONES and self.holds_pair and not translates:
            raise ValueError(
                f"backbone = {self.backbone!r} starts from noise, and {self.dataset} is a pair of domains to translate "
                f"between; use {', '.join(TRANSLATORS)}"
            )
        if translates and (self.dataset in DATASETS or self.dataset.startswith(FILES)) and not self.holds_pair:
            raise ValueError(
                f"backbone = {self.backbone!r} translates images, and dataset = {self.dataset!r} has no domain A; use "
                f"pair:PATH or {', '.join(PAIRS)}"
            )
        if self.nce_weight and self.backbone in BACKBONES and not translates:
            raise ValueError(
                f"nce_weight = {self.nce_weight} compares an image with its translation, which backbone = "
                f"{self.backbone!r} does not make; use {', '.join(TRANSLATORS)}"
            )
        return self

    @model_validator(mode="after")
    def _fields_fit(self) -> Self:
        if self.n_coop > self.n_images:
            raise ValueError(f"n_coop = {self.n_coop} is more than n_images = {self.n_images}; it must be at most that")
        if self.coop == "joint" and self.n_coop == 0:
            raise ValueError("coop = 'joint' does nothing while n_coop is 0; set n_coop to 1 or more")
        if self.aw_alpha1 > self.aw_alpha2:
            raise ValueError(
                f"aw_alpha1 = {self.aw_alpha1} is more than aw_alpha2 = {self.aw_alpha2}; it must be at most that"
            )
        if self.resolution is not None and not self.holds_image_files:
            raise ValueError(
                f"resolution = {self.resolution} does nothing for dataset = {self.dataset!r}; it resizes folder:PATH, "
                f"zip:PATH, pair:PATH, {', '.join(TORCHVISION)}"
            )
        if not self.center_crop and self.resolution is None:
            raise ValueError("center_crop = False does nothing without a resolution; set resolution too")
        if self.dataset not in EMBEDDED and self.features == "auto":
            raise ValueError(
                f"features = 'auto' is for {', '.join(EMBEDDED)}; name a feature net for dataset = {self.dataset!r}: "
                f"features=lite0 for natural images"
            )
        if self.dataset in POINT_DATASETS and self.backbone in BACKBONES and self.backbone != "mlp":
            raise ValueError(
                f"backbone = {self.backbone!r} needs images, and {self.dataset} holds 2-D points; use 'mlp'"
            )
        if self.dataset in POINT_DATASETS and (self.ada != "off" or self.mirror):
            field = "mirror" if self.mirror else "ada"
            raise ValueError(f"{field} = {getattr(self, field)!r} needs images, and {self.dataset} holds 2-D points")
        if self.conditional and self.backbone in BACKBONES and self.backbone not in CONDITIONAL:
            raise ValueError(
                f"conditional = True: backbone {self.backbone!r} takes no classes; {', '.join(CONDITIONAL)} do"
            )
        if self.compile and (self.r1_gamma or self.gp_weight):
            needs = "r1_gamma" if self.r1_gamma else "gp_weight"
            raise ValueError(f"compile = True has no second derivatives, which {needs} needs; leave one of them off")
        if self.dataset in POINT_DATASETS and self.features not in ("auto", "raw"):
            raise ValueError(f"features = {self.features!r} needs images, and {self.dataset} holds 2-D points; use raw")
        if "inception_score" in self.row_metrics and self.eval_samples < SCORE_SPLITS:
            raise ValueError(
                f"eval_samples = {self.eval_samples} is too few for the inception score of features = "
                f"{self.features!r}, the mean over {SCORE_SPLITS} parts; it must be at least {SCORE_SPLITS}"
            )
        return self

    @property
    def cell_key(self) -> str:
        """The name of this Config without its seed: 16 hex digits of SHA-256 over the fields that differ from their
        defaults, as sorted JSON. A field added later keeps every key, so long as its default means 'as before'."""
        fields = json.dumps(self.changed(), sort_keys=True, allow_nan=False)
        return hashlib.sha256(fields.encode()).hexdigest()[:16]

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults, the seed left out."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"seed"})

    def replace(self, /, **overrides: Any) -> Config:
        """This Config with some fields changed, checked anew. Of the same backbone's options only those given change;
        another backbone starts from its own. Raises ValueError.
        """
        options = overrides.get("backbone_options", {})
        if isinstance(options, dict) and overrides.get("backbone", self.backbone) == self.backbone:
            options = {**self.backbone_options, **options}
        overrides["backbone_options"] = options
        return Config(**{**self.model_dump(), **overrides})

    def scaled(self, factor: float) -> Config:
        """This Config with every budget in images (n_coop, n_images, eval_every, ema_start) scaled by factor > 0 and
        rounded, to 1 at the least; evaluation samples stay, since the FID's bias depends on them. Raises ValueError."""
        budgets = {name: getattr(self, name) for name in ("n_coop", "n_images", "eval_every", "ema_start")}
        if not (factor > 0 and math.isfinite(factor * max(budgets.values()))):
            raise ValueError(f"budget = {factor} should be greater than 0 and leave every budget finite")
        return self.replace(**{name: max(1, round(n * factor)) if n else 0 for name, n in budgets.items()})

    def tiny(self) -> Config:
        """This Config as a matter of seconds, by one rule for all. Raises ValueError.

        2,048 images in batches of 32 and n_coop in proportion, four evaluations of 500 samples, narrow
        networks, digits in place of image files and torchvision's data sets (digits and their outlines in that of a
        pair); a data set of a user's module stays.
        """
        share = TINY_IMAGES / self.n_images
        overrides: dict[str, Any] = {
            "n_images": TINY_IMAGES,
            "n_coop": max(1, round(self.n_coop * share)) if self.n_coop else 0,
            "ema_halflife": self.ema_halflife * share,
            "ema_start": round(self.ema_start * share),
            "batch_size": 32,
            "nce_patches": min(self.nce_patches, 16),
            "batch_size_g": self.batch_size_g and min(self.batch_size_g, 32),
            "eval_every": TINY_IMAGES // 4,
            "eval_samples": 500,
        }
        if self.backbone in NARROW:
            overrides["backbone_options"] = NARROW[self.backbone]
        if self.holds_image_files:
            overrides |= {"dataset": PAIRS[0] if self.holds_pair else "digits", "features": "auto", "n_train": None}
            overrides |= {"resolution": None, "center_crop": True}
        return self.replace(**overrides)

    @property
    def row_metrics(self) -> tuple[str, ...]:
        """Keys of the metrics that a row of train() carries, first the one that runs are judged by: for 2-D points the
        energy distance, since Frechet distance sees only their mean and covariance."""
        if self.dataset in POINT_DATASETS:
            return ("energy_distance", "modes", "high_quality", "fid")
        return FEATURE_METRICS.get(self.feature_net, ("fid",))

    @property
    def row_keys(self) -> tuple[str, ...]:
        """`row_metrics` and what else a row tells of D that METRICS names."""
        points = POINT_PROBES if self.dataset in POINT_DATASETS else ()
        return (*self.row_metrics, *points, *(STEP_PROBES if self.probe != "none" else ()))

    @property
    def metric(self) -> str:
        """Key of the row value that runs are judged by."""
        return self.row_metrics[0]

    @property
    def feature_net(self) -> str:
        """The feature net that `features` stands for."""
        if self.features != "auto":
            return self.features
        return "raw" if self.dataset in POINT_DATASETS else "digits"

    @property
    def holds_image_files(self) -> bool:
        """Whether the data set is of image files, or torchvision's, which `resolution` can resize."""
        return self.dataset.startswith(FILES) or self.dataset in TORCHVISION

    @property
    def holds_pair(self) -> bool:
        """Whether the data set is a pair of domains to translate between; a user's module may have one too."""
        return self.dataset.startswith("pair:") or self.dataset in PAIRS

    @property
    def own_names(self) -> list[str]:
        """The fields that name a `module:object` of the user's own."""
        names = (self.dataset, self.backbone, self.loss, self.features)
        return sorted({name for name in names if ":" in name and not name.startswith(FILES)})

    @property
    def protocol(self) -> str:
        """What a metric's value depends on beside the model, in words."""
        samples = f"{self.eval_samples:,} generated"
        reference = f"all {REFERENCES[self.dataset]:,}" if self.dataset in REFERENCES else "all"
        fit = "centre crop" if self.center_crop else "stretched"
        size = f" at {self.resolution}x{self.resolution} (Lanczos, {fit})" if self.resolution else ""
        resize = INPUT_RESIZES.get(self.feature_net, "no resize")
        frechet = f"{samples} samples against {reference} training examples of {self.dataset}{size}, {resize}"
        if self.holds_pair:
            most = f"translations of test A, each image once and at most {self.eval_samples:,},"
            frechet = f"{most} against {reference} of test B of {self.dataset}{size}, {resize}"
        if self.dataset in POINT_DATASETS:
            return (
                f"energy distance of {samples} points and 10,000 fresh ones of {self.dataset}; a mode is covered by 1% "
                f"of the generated within {MODE_RADIUS:g} of its standard deviations, high quality is within that of "
                f"any mode; Frechet distance on {self.feature_net} features, {frechet}"
            )
        beside = ""
        if "kid" in self.row_metrics:
            beside = (
                f"; IS is the mean over {SCORE_SPLITS} parts; KID is the mean over {KID_SUBSETS} subsets of at most "
                f"{min(KID_SUBSET, self.eval_samples):,} a side, out of at most {KID_REAL:,} "
                f"{'images of test B' if self.holds_pair else 'training examples'}"
            )
        return f"FID on {self.feature_net} features, {frechet}{beside}"
