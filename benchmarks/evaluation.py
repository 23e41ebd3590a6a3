"""What an evaluation costs beside what it cannot do without, on one core, or on a GPU where there is one.

python benchmarks/evaluation.py

Each line is a ratio of medians of two ways that run in turn, A B A B ..., so that a drift of the machine's speed
touches both: in seconds of this process's core, whatever else runs beside it, or on a GPU of the clock.

- The Frechet distance from moments at hand, beside torch-fidelity's, the real side's root cached as `evaluate` has it.
- A whole evaluation of 5,000 samples on lite0, beside making them and the net's own passes, on ready inputs.
- KID and inception score of 10,000 samples, beside torch-fidelity's.

Then the peak memory of an evaluation of 50,000 samples on 2,048 features, above networks and data, in a process of its
own; a net of one layer stands for Inception. Exits with 1 if a Frechet distance or the whole evaluation is too slow.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy asks

import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from trainers.config import Config
from trainers.data.dataset import Dataset
from trainers.features import LITE0_PART, FeatureNet, lite0_network
from trainers.metrics import BATCH
from trainers.metrics.evaluate import evaluate
from trainers.metrics.frechet import Moments, frechet_distance, symmetric_root
from trainers.metrics.inception import inception_score, kid
from trainers.metrics.reference import Reference
from trainers.metrics.sampled import Sampled
from trainers.names import FEATURES
from trainers.networks.dcgan import build
from trainers.networks.layers import Generator

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LIMITS = {"Frechet distance at 64": 1.0, "Frechet distance at 2,048": 0.25, "evaluation on lite0": 1.1}
WIDE = 2_048  # Inception's features
CLASSES = 1_008  # and logits


def seconds(action: Callable[[], object]) -> float:
    """Of this process's core; on a GPU of the clock, until the GPU has done it."""
    clock = time.process_time if DEVICE.type == "cpu" else time.perf_counter
    started = clock()
    action()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def compare(name: str, ours: Callable[[], object], other: Callable[[], object], beside: str, rounds: int) -> bool:
    """Print the ratio of the medians of two actions that run in turn; whether it is within its limit, if it has one."""
    times = [(seconds(ours), seconds(other)) for _ in range(rounds)]
    mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    limit = LIMITS.get(name)
    allowed = f" (at most {limit:g})" if limit else ""
    ratio = f"ratio {mine / theirs:.3f}{allowed}, {rounds} pairs"
    print(f"{name}: {mine:.3g} s, {beside} {theirs:.3g} s, {ratio}", flush=True)
    return limit is None or mine / theirs <= limit


def features(seed: int, n: int, d: int) -> Tensor:
    """Correlated ones above 0, as a net's: [n, d]."""
    rng = torch.Generator().manual_seed(seed)
    mixed = torch.randn(n, d, generator=rng) @ torch.randn(d, d, generator=rng).mul_(torch.rand(d, generator=rng) ** 4)
    return mixed.div_(d**0.5).add_(0.3).relu_()


def frechet(d: int, rounds: int) -> bool:
    """The distance from moments at d features."""
    real, fake = features(1, 5_000, d), features(2, 5_000, d)
    moments = Moments(), Moments()
    for of, taken in zip(moments, (real, fake), strict=True):
        of.update(taken.to(DEVICE))
    mean, covariance = moments[0].mean, moments[0].covariance
    root = symmetric_root(covariance)
    known = [fid_features_to_statistics(taken) for taken in (real, fake)]

    def ours() -> float:
        return frechet_distance(mean, covariance, moments[1].mean, moments[1].covariance, root1=root)

    def theirs() -> float:
        return float(fid_statistics_to_metric(*known, verbose=False)["frechet_inception_distance"])

    assert abs(ours() / theirs() - 1) < 1e-5
    return compare(f"Frechet distance at {d:,}", ours, theirs, "torch-fidelity's", rounds)


def images() -> Dataset:
    """Noise of CIFAR-10's shape."""
    pixels = torch.randint(0, 256, (10_000, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Dataset(pixels, torch.zeros(len(pixels), dtype=torch.int64), 1, stored_digest="noise")


def generator_of(config: Config, data: Dataset) -> Generator:
    """One of DCGAN's."""
    generator, _ = build(config, data.shape, data.n_classes, width=32)
    return generator.to(DEVICE)


def lite0(rounds: int) -> bool:
    """A whole evaluation of 5,000 samples of a small DCGAN, which makes them in a fraction of the time."""
    config, data = Config(dataset="cifar10", features="lite0", eval_samples=5_000), images()
    generator = generator_of(config, data)
    net = lite0_network()[0].to(DEVICE)
    ready = torch.randn(BATCH, 3, 64, 64, device=DEVICE).contiguous(memory_format=torch.channels_last)
    rng = torch.Generator(DEVICE).manual_seed(0)

    @torch.no_grad()
    def floor() -> None:
        for _ in range(config.eval_samples // BATCH):
            generator.eval()(generator.sample_source(BATCH, rng))
            for part in LITE0_PART.of(ready):
                net(part)

    def whole() -> dict[str, float]:
        return evaluate(config, data, generator, DEVICE)

    whole()  # takes the real side
    return compare("evaluation on lite0", whole, floor, "samples and the net's own passes", rounds)


def kernel_distance(rounds: int) -> None:
    """KID and inception score of 10,000 samples on 2,048 features."""
    fake, real = features(1, 10_000, WIDE), features(2, 10_000, WIDE)
    weights = 0.05 * torch.randn(WIDE, CLASSES, generator=torch.Generator().manual_seed(3))
    weights_there = weights.to(DEVICE)
    net = FeatureNet(lambda x: x, "none", logits=lambda found: found @ weights_there)
    none = torch.empty(0)
    there = Reference(none, none, none, real.to(DEVICE), torch.arange(len(real)))
    sampled = Sampled(images(), net, there, Moments(), fake.to(DEVICE), none)

    def their_kid() -> object:
        return kid_features_to_metric(fake, real, kid_subsets=100, kid_subset_size=1_000, verbose=False)

    compare("KID", lambda: kid(sampled), their_kid, "torch-fidelity's", rounds)
    compare(
        "inception score",
        lambda: inception_score(sampled),
        lambda: isc_features_to_metric(fake @ weights, splits=10),
        "torch-fidelity's",
        rounds,
    )


def one_layer() -> FeatureNet:
    """2,048 features and their logits, as Inception has."""
    rng = torch.Generator().manual_seed(0)
    body, head = torch.randn(3 * 32 * 32, WIDE, generator=rng) / 55, torch.randn(WIDE, CLASSES, generator=rng) / 45
    body, head = body.to(DEVICE), head.to(DEVICE)
    return FeatureNet(lambda x: (x.flatten(1) @ body).relu(), "none", slow=True, logits=lambda found: found @ head)


def peak() -> int:
    """Bytes at the highest, so far: of the process, or of its GPU."""
    if DEVICE.type == "cuda":
        return torch.cuda.max_memory_allocated()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def memory(samples: int) -> None:
    """Print the peak of an evaluation on 2,048 features above that of a small one."""
    FEATURES["inception"] = FEATURES["inception"]._replace(build=f"{__name__}:one_layer")
    config, data = Config(dataset="cifar10", features="inception", eval_samples=BATCH), images()
    generator = generator_of(config, data)
    with torch.no_grad():
        generator(generator.sample_source(2 * BATCH, torch.Generator(DEVICE).manual_seed(0)))
    before = peak()
    evaluate(config.replace(eval_samples=samples), data, generator, DEVICE)
    kept, real = (4 * n * WIDE / 1e6 for n in (samples, len(data.examples)))
    print(
        f"peak memory of an evaluation of {samples:,} samples on {WIDE:,} features, above networks and data: "
        f"{(peak() - before) / 1e6:.0f} MB, of which features {kept:.0f} MB and real ones {real:.0f} MB"
    )


def main() -> None:
    """Print it all."""
    torch.set_num_threads(1)
    on = torch.cuda.get_device_name(DEVICE) if DEVICE.type == "cuda" else "1 thread"
    with tempfile.TemporaryDirectory() as cache:
        os.environ["GANABLATE_CACHE"] = cache
        if sys.argv[1:] == ["memory"]:
            memory(50_000)
            return
        print(f"python {sys.version.split()[0]}, torch {torch.__version__}, {on}", flush=True)
        held = [frechet(64, 200), frechet(WIDE, 3), lite0(3)]
        kernel_distance(2)
        subprocess.run([sys.executable, __file__, "memory"], check=True)
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
