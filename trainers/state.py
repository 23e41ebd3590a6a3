"""What a training run consists of between two steps: networks, optimisers, counts, running statistics."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from trainers.augment import augment, next_p
from trainers.compilation import Compilation
from trainers.config import Config
from trainers.data.dataset import Dataset
from trainers.data.load import load_dataset
from trainers.data.sampler import Sampler
from trainers.losses import Loss
from trainers.names import BACKBONES, LOSSES
from trainers.networks.layers import Generator
from trainers.spectral import held, normalize
from trainers.streams import seeded, stream
from trainers.user_code import called, resolve

MAX_LOGIT = 1e4  # a mean |D(x)| beyond it counts as diverged
PLAIN = ("images", "steps", "seconds", "diverged_at", "ada_p", "signs")  # what a checkpoint holds of a State as it is
PARTS = ("generator", "discriminator", "average", "opt_g", "opt_d")  # and by a state_dict of its own


class Statistics:
    """Running means of step statistics with a memory of about 100 steps, whatever the evaluation schedule is. A
    statistic that no step reported for MEMORY steps is dropped, as the cooperative losses are after the switch."""

    MEMORY: float = 100
    DECAY = 1 - 1 / MEMORY
    GAIN = 1 - DECAY

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.weights: dict[str, float] = {}
        self.ages: dict[str, int] = {}  # steps since the last value

    def update(self, values: dict[str, Tensor]) -> None:
        """Take one step's 0-d tensors in; nothing leaves the device."""
        self.ages = {name: age + 1 for name, age in self.ages.items()} | dict.fromkeys(values, 0)
        for name in [name for name, age in self.ages.items() if age >= self.MEMORY]:
            del self.sums[name], self.weights[name], self.ages[name]
        for name in values:
            self.weights[name] = self.DECAY * self.weights.get(name, 0.0) + self.GAIN
        taken = torch.stack(list(values.values()))
        zero = torch.zeros_like(taken[0]) if values.keys() - self.sums else taken[0]
        sums = self.DECAY * torch.stack([self.sums.get(name, zero) for name in values]) + self.GAIN * taken
        self.sums |= zip(values, sums.unbind(), strict=True)

    def means(self) -> dict[str, float]:
        return {name: float(total) / self.weights[name] for name, total in self.sums.items()}


class Averages(Statistics):
    """Plain means over all that was ever taken in."""

    MEMORY = math.inf
    DECAY = GAIN = 1.0


class State:
    """A run between two steps. `images` counts the real images shown to D so far, `steps` the steps (one G update
    each). Raises ValueError if the data set, the backbone and the backbone's options do not fit together."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.data: Dataset = load_dataset(config)
        _check_scored(config, self.data)
        self.sampler = Sampler(self.data, config.n_train, config.seed, device)
        self.loss: Loss = resolve(LOSSES, config.loss, Loss)
        self.generator, self.discriminator = build_networks(config, *self.data.form)
        for network in (self.generator, self.discriminator):
            network.to(device)
            network.to(memory_format=torch.channels_last if config.channels_last else torch.preserve_format)
        self.average = copy.deepcopy(self.generator) if config.ema_halflife else None
        self.compilation = Compilation(self.generator, self.discriminator) if config.compile else None
        self.ada_p = torch.tensor(config.ada_p or 0.0, device=device)
        self.signs = torch.zeros(2, device=device)  # sum and count of the signs of D(real) since ada_p last moved
        self.images = 0
        self.steps = 0
        self.seconds = 0.0  # of training, evaluations left out
        self.statistics = Statistics()
        self.probed = Averages()
        self.diverged_at = torch.tensor(-1, device=device)  # images; stays there so that no step waits for the host

    @cached_property
    def opt_d(self) -> torch.optim.Adam:
        """D's Adam, made when it is first asked for: to import what torch's first optimizer does takes a check of a
        Config longer than all else."""
        beta1, beta2 = self.config.beta1, self.config.beta2
        betas = (beta1**self._lazy_share, beta2**self._lazy_share)
        return torch.optim.Adam(self.discriminator.parameters(), self._rates[0], betas, fused=True)

    @cached_property
    def opt_g(self) -> torch.optim.Adam:
        """G's Adam."""
        betas = (self.config.beta1, self.config.beta2 if self.config.beta2_g is None else self.config.beta2_g)
        return torch.optim.Adam(self.generator.parameters(), self._rates[1], betas, fused=True)

    def fresh_optimizers(self) -> None:
        """Adam for D and G, without moments."""
        for name in ("opt_d", "opt_g"):
            vars(self).pop(name, None)
        self.set_learning_rates()  # which makes them: by its first step a batch more will have been shown

    @property
    def _lazy_share(self) -> float:
        """StyleGAN2's c: k + 1 updates of D take the place of k where a regularizer has one of its own after every
        k-th."""
        rows = [row for row in self.config.active_regularizers.values() if row.of == "discriminator"]
        fields = {row.interval for row in rows if row.interval}
        fields |= {"r1_interval"} if self.config.r1_lazy_rates == "always" else set()
        intervals = [getattr(self.config, field) for field in fields]
        return math.prod((k / (k + 1) for k in intervals if k > 1), start=1.0)

    @property
    def _rates(self) -> tuple[float, float]:
        """D's and G's learning rate at this moment; the clock counts images and runs through both stages."""
        left = 1 - self.images / self.config.n_images
        share = {"none": 1.0, "linear": left, "second_half": min(1.0, 2 * left)}[self.config.lr_decay]
        return self.config.lr * share * self._lazy_share, (self.config.lr_g or self.config.lr) * share

    def set_learning_rates(self) -> None:
        """The rates of the step to come."""
        for optimizer, rate in zip((self.opt_d, self.opt_g), self._rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate

    @property
    def evaluated_generator(self) -> Generator:
        """The generator that is evaluated: the running average where there is one."""
        return self.average or self.generator

    def real_batch(self) -> tuple[Tensor, Tensor]:
        """Real data [N, *shape] and labels [N] of the next D update; counts them as shown."""
        real, labels = self.sampler.batch(self.images, self.config.batch_size)
        self.images += self.config.batch_size
        if self.config.mirror:
            flipped = torch.rand(len(real), 1, 1, 1, generator=self.rng("mirror"), device=self.device) < 0.5
            real = torch.where(flipped, real.flip(-1), real)
        if self.config.data_noise:
            noise = torch.rand(real.shape, generator=self.rng("data noise"), device=self.device)
            real = real + self.config.data_noise * noise
        return real, labels

    def labels_of_g(self, labels: Tensor) -> Tensor:
        """Labels of G's update: of D's last real batch or, if `batch_size_g` differs, drawn from those of the data."""
        n = self.config.batch_size_g or len(labels)
        if n == len(labels):
            return labels
        rng = stream(self.config.seed, "labels of G", self.images)
        return self.sampler.labels_at(torch.randint(len(self.data.labels), (n,), generator=rng))

    def rng(self, purpose: str) -> torch.Generator:
        """Generator of one purpose, keyed by the image count, which differs for every D update."""
        return stream(self.config.seed, purpose, self.images, self.device)

    def generator_input(self, purpose: str, n: int) -> Tensor:
        """n inputs of G, noise or images of domain A: those of this purpose and moment."""
        return self.generator.sample_source(n, self.rng(purpose))

    def generate(self, purpose: str, labels: Tensor, *, perturbed: bool = False) -> Tensor:
        """G's samples [N, *shape] for the labels, from the source of this purpose and moment; the graph is kept.
        `perturbed`: from the same source with zCR's noise."""
        inputs = self.generator_input(purpose, len(labels))
        if perturbed:
            z = inputs[:, : getattr(self.generator, "latent", None)]  # not the per-layer noise of some generators
            noise = torch.randn(z.shape, generator=self.rng(f"zcr of {purpose}"), device=self.device)
            inputs = torch.cat([z + self.config.zcr_noise * noise, inputs[:, z.shape[1] :]], dim=1)
        with self.autocast():
            fake: Tensor = self.generator(inputs, labels)
        return fake.float()

    def critic(
        self, purpose: str, labels: Tensor, *, augmented: bool = True, network: nn.Module | None = None
    ) -> Callable[[Tensor], Tensor]:
        """D, or another network in its place, on data of these labels: x [N, *shape] -> logits. Behind ADA, where that
        is on and `augmented`, with the random stream of this purpose and moment, which goes on from call to call."""
        rng, discriminator = self.rng(purpose), network or self.discriminator

        def critic(x: Tensor) -> Tensor:
            if augmented and self.config.ada != "off":
                x = augment(x, self.ada_p, rng, pipe=self.config.ada)
            with self.autocast():
                logits: Tensor = discriminator(x, labels)
            return logits.float()

        return critic

    def autocast(self) -> torch.autocast:
        """Within it the networks compute in bfloat16, if the Config says so."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def steer_augmentation(self, real_logits: Tensor) -> None:
        """ADA's controller: move the probability once in `ada_interval` D updates."""
        config = self.config
        if config.ada == "off" or config.ada_p is not None:
            return
        self.signs = self.signs + torch.stack([real_logits.sign().sum(), torch.ones_like(real_logits).sum()])
        if self.images // config.batch_size % config.ada_interval == 0:
            shown, mean_sign = config.ada_interval * config.batch_size, self.signs[0] / self.signs[1]
            self.ada_p = next_p(self.ada_p, mean_sign, target=config.ada_target, images=shown, full=config.ada_images)
            self.signs = torch.zeros_like(self.signs)

    def update_average(self, images: int) -> None:
        """Move the running average of G by a step that showed so many images; buffers are copied."""
        if self.average is None:
            return
        config = self.config
        halflife = min(config.ema_halflife, config.ema_ramp * self.images or math.inf)
        decay = 0.5 ** (images / halflife) if self.images > config.ema_start else 0.0
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1 - decay)
            copy_each(self.average.buffers(), self.generator.buffers())

    def watch(self, statistics: dict[str, Tensor]) -> None:
        """Take a step's statistics in, and note the image count at the first that is not finite or too large."""
        self.statistics.update(statistics)
        of_logits = [value.float() for name, value in statistics.items() if name.startswith("logit")]
        others = [value.float() for name, value in statistics.items() if not name.startswith("logit")]
        sizes = torch.stack([*of_logits, *others]).abs()
        fine = sizes[: len(of_logits)].amax() <= MAX_LOGIT  # the largest of numbers is NaN if one of them is
        if others:
            fine = fine & (sizes[len(of_logits) :].amax() <= torch.finfo(sizes.dtype).max)
        self.diverged_at = torch.where(fine | (self.diverged_at >= 0), self.diverged_at, self.images)

    def has_finite_parameters(self) -> bool:
        return all(bool(p.isfinite().all()) for net in (self.generator, self.discriminator) for p in net.parameters())

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors and plain values."""
        return {
            **{name: getattr(self, name) for name in PLAIN},
            **{name: None if (part := getattr(self, name)) is None else part.state_dict() for name in PARTS},
            "statistics": vars(self.statistics),
            "probed": vars(self.probed),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from what state_dict gave."""
        for name in PLAIN:
            setattr(self, name, saved[name])
        for name in PARTS:
            if (part := getattr(self, name)) is not None:
                part.load_state_dict(saved[name])
        vars(self.statistics).update(saved["statistics"])
        vars(self.probed).update(saved.get("probed", {}))  # checkpoints of earlier versions have none


def _check_scored(config: Config, data: Dataset) -> None:
    """Raise ValueError if samples cannot be scored against the data."""
    real = data if data.pair is None else data.pair.test_targets
    if len(real.examples) < 2:
        raise ValueError(
            f"dataset = {config.dataset!r} has one image: the Frechet distance to it needs two images or more"
        )


def build_networks(config: Config, shape: tuple[int, ...], n_classes: int) -> tuple[Generator, nn.Module]:
    """The generator and the discriminator of a Config, for data of this shape and so many classes. Raises ValueError
    for options that its `build` does not take, for a conditional Config of data without classes, and if a user's own
    `build` raises or returns no two modules."""
    if config.conditional and n_classes < 2:
        raise ValueError(f"conditional = True needs classes, and dataset = {config.dataset!r} has none, or only one")
    given = config, shape, n_classes if config.conditional else 0
    try:
        with seeded(config.seed, "init"):  # for a user's own networks; ours seed G and D apart
            networks = called("backbone", BACKBONES, config.backbone, config.backbone_options, *given)
    except (MemoryError, RuntimeError) as error:  # sizes that no memory can hold
        made = f"backbone {config.backbone!r} cannot be made with {config.backbone_options}"
        raise ValueError(f"{made}: {str(error).splitlines()[0][:200]}") from error
    if not (isinstance(networks, tuple) and [isinstance(n, nn.Module) for n in networks] == [True, True]):
        raise ValueError(f"backbone {config.backbone!r} should return (generator, discriminator), two torch modules")
    for name, network in zip(("both", "d"), networks, strict=True):
        if config.spectral_norm in (name, "both"):
            with seeded(config.seed, f"spectral norm {name}"):
                normalize(network, embeddings=name == "d")
    return networks


def update(optimizer: torch.optim.Optimizer, network: nn.Module, gradients: Sequence[Tensor]) -> None:
    """One optimiser step along the given gradients, one a parameter. Fused Adam reads parameter and gradient in their
    order in memory, which must be one: compiled networks and channels stored last give others."""
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        alike = gradient.stride() == parameter.stride()
        parameter.grad = gradient if alike else torch.empty_like(parameter).copy_(gradient)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def gradients(loss: Tensor, network: nn.Module) -> tuple[Tensor, ...]:
    """Gradients of a 0-d loss over all parameters of a network, zeros where the loss does not depend on one."""
    return torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True)


@torch.no_grad()
def copy_each(targets: Iterable[Tensor], sources: Iterable[Tensor]) -> None:
    """Copy each source over its target. All of one type go together: one launch on a GPU, which takes a list of several
    types one by one."""
    kinds: dict[torch.dtype, list[tuple[Tensor, Tensor]]] = {}
    for target, source in zip(targets, sources, strict=True):
        kinds.setdefault(target.dtype, []).append((target, source))
    for pairs in kinds.values():
        torch._foreach_copy_([target for target, _ in pairs], [source for _, source in pairs])


@contextmanager
def frozen(network: nn.Module) -> Iterator[nn.Module]:
    """Within it no parameter of the network takes a gradient, and spectral norm does not iterate; after it all buffers
    are as they were before."""
    buffers = list(network.buffers())
    before = [torch.empty_like(buffer) for buffer in buffers]
    copy_each(before, buffers)
    network.requires_grad_(False)
    try:
        with held(network):
            yield network
    finally:
        network.requires_grad_(True)
        copy_each(buffers, before)
