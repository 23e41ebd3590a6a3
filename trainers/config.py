"""Config: everything that decides the outcome of one training run.

Field names are those of the two papers where they have one: CoopInit (Zhao, Xie, Li, AAAI 2023, arXiv 2303.11649)
and aw-loss (Zadorozhnyy, Cheng, Ye, CVPR 2021, arXiv 2012.03149). This module imports no torch, so that listing,
planning and validating are quick.
"""

import hashlib
import json
import math
from functools import cache, cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from trainers import switches
from trainers.checks import check_fit, check_name
from trainers.messages import first_error
from trainers.names import (
    BACKBONES,
    DATASETS,
    DataSource,
    ImageForm,
    Regularizer,
    Score,
    data_source,
    scores_of,
    short_name,
    spelled_options,
)

TINY_IMAGES = 2_048  # budget of Config.tiny
Weight = Annotated[float, Field(ge=0)]


class Config(BaseModel):
    """One training run. Frozen and checked: a mistake raises ValueError with one sentence that names the field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
    _data: str | None = PrivateAttr(None)  # what image files hold, see `with_data`

    dataset: str = "digits"
    """Data set: a name in DATASETS, `folder:PATH` or `zip:PATH` of images (relative to the working directory; folders
    at the top or a dataset.json label them), `pair:PATH` of a folder with trainA, trainB, testA and testB, for
    translation from A to B, or `module:object`."""
    dataset_options: dict[str, bool | int | float | str] = {}
    """What only this data set knows (the radius of a ring, say); checked against the options of its function."""
    resolution: int | None = Field(None, ge=1)
    """Side in pixels that image files are resized to (Lanczos); None: they stay as they are, and are of equal size."""
    center_crop: bool = True
    """True: the shorter side is resized to `resolution` and the centre cropped; False: stretched to a square."""
    background: Annotated[str, switches.BACKGROUND] = "white"
    """What transparent pixels of image files are laid over: a name in COLOURS, or a colour as #ff8000."""
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
    """Real images, and those that are translated, are flipped left to right at random, before D and G see them."""
    data_noise: float = Field(0.0, ge=0)
    """Uniform noise from 0 to this added to real data, in data units; SN-GAN's images have 1/128."""
    loss: Annotated[str, switches.ADVERSARIAL] = "nonsaturating"
    """Adversarial loss: a name in LOSSES or `module:object`."""

    lr: float = Field(2e-4, gt=0)
    """Adam's learning rate, of D and of G."""
    lr_g: Annotated[float | None, switches.OTHER_LR] = Field(None, gt=0)
    """G's learning rate where it differs; None: `lr`."""
    lr_decay: Literal["none", "linear", "second_half"] = "none"
    """Linear: the learning rates fall to 0 over n_images; second_half: over the second half of them (CUT)."""
    beta1: float = Field(0.5, ge=0, lt=1)
    """Adam's first decay rate."""
    beta2: float = Field(0.999, ge=0, lt=1)
    """Adam's second decay rate."""
    beta2_g: Annotated[float | None, switches.OTHER_BETA2] = Field(None, ge=0, lt=1)
    """That of G where it differs; None: `beta2`."""
    batch_size: int = Field(64, ge=1)
    """Real examples in one D update."""
    batch_size_g: Annotated[int | None, switches.OTHER_BATCH] = Field(None, ge=1)
    """Samples in one adversarial update of G; None: as many as real examples."""
    n_critic: Annotated[int, switches.ADVERSARIAL] = Field(1, ge=1)
    """D updates before each G update of the adversarial stage."""
    ema_halflife: float = Field(0.0, ge=0)
    """Half-life of the average of G's weights, in images; 0: G itself is evaluated."""
    ema_ramp: Annotated[float, switches.AVERAGE] = Field(0.0, ge=0)
    """The half-life is at most this share of the images shown so far (StyleGAN2-ADA: 0.05); 0: no such bound."""
    ema_start: Annotated[int, switches.AVERAGE] = Field(0, ge=0)
    """Images up to which the average is G itself."""

    n_images: int = Field(96_000, ge=1)
    """Budget: real images shown to D in the whole run."""
    n_coop: Annotated[int, switches.COOP_SIZE] = Field(0, ge=0)
    """CoopInit's N_coop: images of the cooperative stage (Algorithm 2); 0: off, n_images: CoopNets."""
    coop: Literal["init", "joint"] = "init"
    """Joint: both objectives are summed at every step, with weight 1, as long as n_coop > 0 (CoopInit section 3.1)."""
    coop_optimizer: Annotated[Literal["keep", "fresh"], switches.STAGES] = "keep"
    """Whether Adam's moments run on at the switch of stages or start anew; the paper does not say."""
    eta: Annotated[float, switches.COOP] = Field(1.0, gt=0)
    """Langevin step size (CoopInit equation 4), on the gradient of the summed logits; too large a one shows in
    `langevin_curvature`, which is to stay below 1."""
    langevin_steps: Annotated[int, switches.COOP] = Field(10, ge=1)
    """Langevin steps T."""
    langevin_noise: Annotated[float, switches.COOP] = Field(0.005, ge=0)
    """Standard deviation of the Langevin noise in data units. Equation 4 read literally is sqrt(2 eta), which drowns
    images in [-1, 1]; the first author's public code (YangNaruto/ProEBM) uses 0.005 to 0.015."""
    langevin_noise_ramp: Annotated[bool, switches.NOISY_CHAIN] = False
    """The noise falls linearly to 0 along the chain."""

    aw: Annotated[Literal["off", "normalized", "unnormalized"], switches.ADVERSARIAL] = "off"
    """aw-loss: weighs the real and the fake gradient of D at every step (Algorithm 1)."""
    aw_alpha1: Annotated[float, switches.AW] = Field(0.5, ge=0, le=1)
    """Real score below which the real loss is favoured."""
    aw_alpha2: Annotated[float, switches.AW] = Field(0.75, ge=0, le=1)
    """Real score above which the fake loss is favoured."""
    aw_delta: Annotated[float, switches.AW] = Field(0.05, ge=0, le=1)
    """Margin by which the real score may lie below the fake score."""
    aw_epsilon: Annotated[float, switches.AW] = Field(0.05, ge=0)
    """Constant added to both weights."""
    probe: Annotated[Literal["none", "off", "normalized", "unnormalized"], switches.ADVERSARIAL] = "none"
    """At every adversarial update of D, what a step with this `aw` would do from there (aw-loss sections 5.1 and 5.2):
    shares of obtuse angles between its gradient and those of the real and the fake loss, and of vanished gradients, the
    cases of Algorithm 1, and mean logits of the batch before and after it, averaged over the run. Not trained on."""

    r1_gamma: Annotated[
        Weight, Regularizer("trainers.regularizers:r1", interval="r1_interval", second_order=True), switches.R1
    ] = 0.0
    """Weight gamma of R1, gamma/2 E|grad D(x)|^2 on real data (Mescheder et al. 2018); 0: off."""
    r1_interval: Annotated[int, switches.R1_ON] = Field(1, ge=1)
    """1: R1 is added to every D update. k > 1: lazy R1 (Karras et al. 2020, "Analyzing and improving", appendix B), an
    update of its own after each k-th, weighed by k, with D's learning rate times c and Adam's betas to the power of c,
    c = k / (k + 1)."""
    r1_lazy_rates: Annotated[Literal["with_r1", "always"], switches.LAZY_RATES] = "with_r1"
    """Always: D has the rate and betas of lazy R1 at r1_gamma = 0 too, as in NVlabs/stylegan2-ada-pytorch."""
    gp_weight: Annotated[
        Weight, Regularizer("trainers.regularizers:gradient_penalty", second_order=True), switches.ADVERSARIAL
    ] = 0.0
    """Weight lambda of WGAN-GP's gradient penalty (Gulrajani et al. 2017); 0: off."""
    zcr_d: Annotated[Weight, Regularizer("trainers.regularizers:zcr_discriminator"), switches.ADVERSARIAL] = 0.0
    """Weight of zCR in D (Zhao et al. 2020, "Improved consistency regularization"): its logits of G(z) and of G(z +
    noise) should be alike; 0: off. StyleGAN2-ADA's comparison has 0.2."""
    zcr_g: Annotated[Weight, Regularizer("trainers.regularizers:zcr_generator", "generator"), switches.ADVERSARIAL] = (
        0.0
    )
    """Weight of zCR in G: G(z) and G(z + noise) should differ; 0: off. StyleGAN2-ADA's comparison has 0.02."""
    zcr_noise: Annotated[float, switches.ZCR] = Field(0.1, ge=0)
    """Standard deviation of zCR's noise on z."""

    nce_weight: Annotated[
        Weight, Regularizer("trainers.regularizers:patch_nce", "generator", coop="nce_coop", translates=True)
    ] = 0.0
    """Weight of PatchNCE in G (CUT, Park et al. 2020, equation 3), with `nce_identity` the mean of two; 0: off."""
    nce_identity: Annotated[bool, switches.NCE] = True
    """PatchNCE also between images of domain B and what G makes of them (CUT's equation 5)."""
    nce_layers: Annotated[tuple[Annotated[int, Field(ge=0, lt=1_000)], ...], switches.NCE] = (0, 4, 8, 12, 16)
    """Layers of G whose features PatchNCE compares, counted from 0, the padded image."""
    nce_patches: Annotated[int, switches.NCE] = Field(256, ge=2)
    """Places of a layer that PatchNCE draws; a layer with fewer gives all it has."""
    nce_temperature: Annotated[float, switches.NCE] = Field(0.07, gt=0)
    """Temperature tau that divides PatchNCE's cosines."""
    nce_coop: Annotated[bool, switches.NCE_COOP] = True
    """PatchNCE is on in the cooperative stage too; the CoopInit paper does not say."""

    penalty_d: Annotated[dict[str, Weight], switches.ADVERSARIAL] = {}
    """Regularizers of your own by `module:object`, functions trainers.regularizers.Batch -> 0-d tensor, and the weights
    by which they are added to D's loss, after aw-loss, in each adversarial update."""
    penalty_g: Annotated[dict[str, Weight], switches.ADVERSARIAL] = {}
    """The same of G's loss."""

    ada: Annotated[Literal["off", "bg", "bgc"], switches.ADA] = "off"
    """ADA (Karras et al. 2020, "Limited data") of everything that D sees: blits and geometry, or these and colours."""
    ada_p: Annotated[float | None, switches.ADA_ON] = Field(None, ge=0, le=1)
    """Probability of each augmentation; None: it adapts, from 0."""
    ada_target: Annotated[float, switches.ADA_ADAPTS] = Field(0.6, ge=-1, le=1)
    """Mean sign of D's logits of real images that the probability is steered to."""
    ada_interval: Annotated[int, switches.ADA_ADAPTS] = Field(4, ge=1)
    """D updates between two moves of the probability."""
    ada_images: Annotated[int, switches.ADA_ADAPTS] = Field(500_000, ge=1)
    """Images in which the probability can go from 0 to 1."""
    ada_coop: Annotated[bool, switches.ADA_COOP] = False
    """D sees augmented images in the cooperative objective too."""
    ada_langevin: Annotated[bool, switches.ADA_COOP] = False
    """The Langevin chains run on augmented images too."""
    eval_every: int = Field(9_600, ge=1)
    """Images between two evaluations, which are at 0, eval_every, ..., n_images."""
    eval_samples: int = Field(10_000, ge=2)
    """Generated samples of one evaluation; of a pair, each image of test A is translated once, and at most so many."""
    features: Annotated[str, switches.OTHER_FEATURES] = "auto"
    """Feature net of scores: a name in FEATURES or `module:object`; auto: a built-in set's own, raw for points."""

    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """Of training: 32-bit floats, these with TensorFloat-32 products on CUDA, or bfloat16 by autocast; scores: fp32."""
    deterministic: bool = False
    """The same bits each time on a GPU too, at a cost there. As the machine, it is no part of `cell_key`."""
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
            raise ValueError(first_error(error, type(self).model_fields)) from None

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_as_number(cls, value: Any, info: Any) -> Any:
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is not bool:
            raise ValueError("should be a number or a name, not true or false")
        return value

    @field_validator("dataset_options")
    @classmethod
    def _spelled_once(cls, value: dict[str, Any]) -> dict[str, Any]:
        """2 and 2.0 would be two cells of one training."""
        return {name: int(x) if isinstance(x, float) and x.is_integer() else x for name, x in value.items()}

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
        check_name(info.field_name, value)
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_fit(self)
        return self

    @cached_property
    def cell_key(self) -> str:
        """The name of this Config without its seed: 16 hex digits of SHA-256 over the fields that act and differ from
        their defaults, as sorted JSON. A field added later keeps every key, so long as its default means 'as before'.
        Image files are in it by their content. Raises ValueError where that is not known, see `data_digest`."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]

    @property
    def identity(self) -> dict[str, Any]:
        """What `cell_key` is made of. Raises ValueError as it does."""
        fields = self.acting().non_defaults()
        fields.pop("deterministic", None)
        if self.is_at_path:  # the decoded pixels tell their form
            fields = {name: value for name, value in fields.items() if name not in ImageForm._fields}
            fields["dataset"] = self.data_digest or f"unknown: {self.data_spelling}"
        return fields

    def non_defaults(self) -> dict[str, Any]:
        """The fields that differ from their defaults, the seed left out."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"seed"})

    @classmethod
    @cache
    def field_switches(cls) -> dict[str, switches.Switch]:
        """When fields act, by their names; what is not here always does."""
        fields = cls.model_fields.items()
        return {name: each for name, field in fields for each in field.metadata if isinstance(each, switches.Switch)}

    def acting(self) -> Self:
        """This Config with each field at rest whose switch is off: what is trained, and what `cell_key` names."""
        off = {name: switch.rest for name, switch in self.field_switches().items() if not switch.acts(self)}
        defaults = {name: type(self).model_fields[name].default for name in off}
        rest = {name: defaults[name] if value is None else value for name, value in off.items()}
        moved = {name: value for name, value in rest.items() if getattr(self, name) != value}
        return self.replace(**moved).acting() if moved else self  # a switch may itself have come to rest

    @property
    def is_at_path(self) -> bool:
        """Whether the data are image files of the user's own."""
        return self.data_source.origin == "path"

    @property
    def data_name(self) -> str:
        """The data set in a table or a protocol, with its options: of image files the name of the folder or archive,
        never its path."""
        return f"{short_name(self.dataset)}{spelled_options(self.dataset_options)}"

    @property
    def data_spelling(self) -> str:
        """The data as they were asked for: name or path, options, resolution, crop, background, and whether labels
        count."""
        form = f"{spelled_options(self.dataset_options)}{self.image_form.spelled}"
        return f"{self.dataset}{form}{' with labels' if self.conditional else ''}"

    @property
    def image_form(self) -> ImageForm:
        """How image files are decoded."""
        return ImageForm(*(getattr(self, name) for name in ImageForm._fields))

    @property
    def data_digest(self) -> str:
        """What a user's own image files hold, decoded as this Config says; "" where `with_data` said that nobody knows.
        Raises ValueError if neither `with_data` nor the cache tells."""
        if self._data is None:
            from trainers.data.sources import known_digest

            self._data = known_digest(self.dataset, self.image_form, self.conditional)
            if self._data is None:
                raise ValueError(f"dataset = {self.dataset!r}: its images were not decoded here yet")
        return self._data

    def with_data(self, digest: str | None) -> Self:
        """This Config, which knows the digest of its image files; other data sets are known by their names."""
        known = type(self)(**self.model_dump())
        known._data = digest if self.is_at_path else None
        return known

    def replace(self, /, **overrides: Any) -> Self:
        """This Config with some fields changed, checked anew. Of the same backbone's, or data set's, options only those
        given change; another one starts from its own. Raises ValueError."""
        for owner in ("backbone", "dataset"):
            field, before = f"{owner}_options", getattr(self, owner)
            options = overrides.get(field, {})
            if isinstance(options, dict) and overrides.get(owner, before) == before:
                options = {**getattr(self, field), **options}
            overrides[field] = options
        changed = type(self)(**{**self.model_dump(), **overrides})
        if changed.data_spelling == self.data_spelling:
            changed._data = self._data
        return changed

    def scaled(self, factor: float) -> Self:
        """This Config with every budget in images (n_coop, n_images, eval_every, ema_start) scaled by factor > 0 and
        rounded, to 1 at the least; evaluation samples stay, since the FID's bias depends on them. Raises ValueError."""
        budgets = {name: getattr(self, name) for name in ("n_coop", "n_images", "eval_every", "ema_start")}
        if not (factor > 0 and math.isfinite(factor * max(budgets.values()))):
            raise ValueError(f"budget = {factor} should be greater than 0 and leave every budget finite")
        return self.replace(**{name: max(1, round(n * factor)) if n else 0 for name, n in budgets.items()})

    def tiny(self) -> Self:
        """This Config as a matter of seconds, by one rule for all: few images, narrow networks, an embedded data set in
        place of image files; one of a user's module stays. Raises ValueError."""
        share = TINY_IMAGES / self.n_images
        bounded = {
            "n_coop": max(1, round(self.n_coop * share)) if self.n_coop else 0,
            "ema_halflife": self.ema_halflife * share,
            "ema_start": round(self.ema_start * share),
            "nce_patches": min(self.nce_patches, 16),
            "batch_size_g": self.batch_size_g and min(self.batch_size_g, 32),
        }
        return self.replace(**bounded, **self.tiny_fields)

    @property
    def tiny_fields(self) -> dict[str, Any]:
        """What `tiny` puts in place of fields, whatever they were."""
        fields: dict[str, Any] = {"n_images": TINY_IMAGES, "batch_size": 32}
        fields |= {"eval_every": TINY_IMAGES // 4, "eval_samples": 500}
        if self.backbone in BACKBONES:
            fields["backbone_options"] = dict(BACKBONES[self.backbone].narrow)
        if self.data_source.is_image_files:
            fields["dataset"] = next(
                name for name, row in DATASETS.items() if row.origin == "embedded" and row.kind == self.data_source.kind
            )
            fields |= {"features": "auto", "n_train": None, **ImageForm()._asdict()}
        return fields

    @classmethod
    @cache
    def regularizers(cls) -> dict[str, Regularizer]:
        """The regularizers by the fields that hold their weights; a field of a subclass counts like ours."""
        fields = cls.model_fields.items()
        return {name: row for name, field in fields for row in field.metadata if isinstance(row, Regularizer)}

    @property
    def active_regularizers(self) -> dict[str, Regularizer]:
        """Those whose weight is not 0."""
        return {name: row for name, row in self.regularizers().items() if getattr(self, name)}

    @property
    def coop_images(self) -> int:
        """Images of the cooperative stage; 0 without one, as in the joint objective."""
        return self.n_coop if self.coop == "init" else 0

    @property
    def changes_stage(self) -> bool:
        """Whether the run starts cooperative and goes on adversarial."""
        return 0 < self.coop_images < self.n_images

    def stage_at(self, images: int) -> Literal["cooperative", "switch", "adversarial"]:
        """The stage of the step after so many images (Algorithm 2): ceil(n_coop / batch_size) steps are cooperative;
        "switch" is the first adversarial one after these."""
        if images < self.coop_images:
            return "cooperative"
        return "switch" if self.coop_images and images < self.coop_images + self.batch_size else "adversarial"

    @property
    def scores(self) -> dict[str, Score]:
        """What an evaluation says of the run that tables can show, by key."""
        return scores_of(self.feature_net, points=self.has_points, probe=self.probe != "none")

    @property
    def metric_keys(self) -> tuple[str, ...]:
        """Keys of the scores of samples, first the one that runs are judged by: for 2-D points the energy distance,
        since Frechet distance sees only their mean and covariance."""
        scores = [(key, score) for key, score in self.scores.items() if score.is_of_samples]
        return tuple(name for key, score in scores for name in (key, *score.also))

    @property
    def evaluation_keys(self) -> tuple[str, ...]:
        """`metric_keys` and what else an evaluation tells of D that METRICS names."""
        return (*self.metric_keys, *(key for key, score in self.scores.items() if not score.is_of_samples))

    @property
    def metric(self) -> str:
        """Key of the score that runs are judged by."""
        return self.metric_keys[0]

    @property
    def data_source(self) -> DataSource:
        """What is known of the data set by its name."""
        return data_source(self.dataset)

    @property
    def feature_net(self) -> str:
        """The feature net that `features` stands for."""
        return (self.data_source.features or "") if self.features == "auto" else self.features

    @property
    def has_points(self) -> bool:
        """Whether the data are 2-D points by name; a user's module may have some too."""
        return self.data_source.kind == "points"

    @property
    def is_paired(self) -> bool:
        """Whether the data set is a pair of domains to translate between; a user's module may have one too."""
        return self.data_source.kind == "pair"

    @property
    def protocol(self) -> str:
        """What the scores of samples depend on beside the model, in words."""
        texts = [score.protocol(self) for score in self.scores.values() if score.is_of_samples]
        return "; ".join(filter(None, texts))
