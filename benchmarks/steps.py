"""What a training step takes beside other ways to write it, on one core, or on a GPU where there is one.

python benchmarks/steps.py [--all] [ROW ...]

Each line is a ratio of two kinds of step that run in turn in one process, A B, B A, A B, ...: the median of 40 pairs
(of 12 where there is no limit, which --all adds) and its 95% interval, by order statistics. So a drift of the machine's
speed touches both. Times are those of this process's core, whatever else runs beside it, or on a GPU those of the
clock.

- own / plainest: a whole step of this project beside the plainest loop's, which launches.py has.
- aw / off; aw / two backwards: a step with aw-loss beside one without it, and beside the form that is published with
  aw-loss, which goes back twice through the plainest loop's D and copies each gradient.
- cooperative / floor: beside what CoopInit's step cannot do without, a chain of 10 gradients and the two updates.
- channels last, compiled: own steps with these fields beside own steps without them.
- one pass: the plainest loop's D on real and fake data in one batch, where no batch norm forbids it.

Then the peak memory of a step of StyleGAN2 at CoopInit's scale 1/4, above networks and data, in a process of its
own. Images are random ones of 32x32x3. Exits with 1 if a ratio's whole interval is above its limit.
"""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch asks

import torch
from evaluation import peak
from launches import DEVICE, ROWS, config_of, own, plain_state, plain_update_of_g, plainest
from torch import Tensor
from torch.nn.utils.parametrize import cached

from trainers.adversarial import adversarial_step
from trainers.awloss import aw_weights
from trainers.config import Config
from trainers.coopinit import cooperative_step
from trainers.state import State

PAIRS, FEWER = 40, 12  # for what has a limit; for what is looked at
LIMITS = {"own / plainest": 1.03, "aw / off": 1.03, "aw / two backwards": 1.0, "cooperative / floor": 1.05}
# Large enough that arithmetic counts as at the papers' sizes: what aw-loss adds to a D update falls with the batch.
SIZES: dict[str, dict[str, Any]] = {
    "dcgan": {"batch_size": 64, "backbone_options": {"width": 32}},
    "sngan": {"batch_size": 4, "backbone_options": {"g_width": 64, "d_width": 64}},
    "stylegan2": {"batch_size": 64, "backbone_options": {"g_scale": 1 / 32, "d_scale": 1 / 32, "max_channels": 512}},
}
Step = Callable[[], object]


def seconds(step: Step) -> float:
    """Of this process's core; on a GPU of the clock, until the GPU has done it."""
    clock = time.process_time if DEVICE.type == "cpu" else time.perf_counter
    started = clock()
    step()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def lowest_rank(n: int) -> int:
    """How many of n sorted values lie below the 95% interval of their median, and as many above."""
    shares = (sum(math.comb(n, k) for k in range(rank + 1)) / 2**n for rank in range(n))  # P(at most rank are below)
    return sum(share <= 0.025 for share in shares) - 1


def compare(row: str, name: str, one: Step, other: Step) -> bool:
    """Print the ratio of two kinds of step; whether it is within its limit, if it has one."""
    for step in (one, other, one, other):
        step()
    times, pairs = [], PAIRS if name in LIMITS else FEWER
    for index in range(pairs):
        first, second = (one, other) if index % 2 == 0 else (other, one)
        taken = seconds(first), seconds(second)
        times.append(taken if index % 2 == 0 else taken[::-1])
    ratios = sorted(mine / theirs for mine, theirs in times)
    rank = lowest_rank(pairs)
    low, high = ratios[rank], ratios[-1 - rank]
    limit = LIMITS.get(name)
    milliseconds = 1e3 * statistics.median(theirs for _, theirs in times)
    allowed = f"  at most {limit:.2f}" if limit else ""
    print(f"{row:14}{name:24}{statistics.median(ratios):7.3f}  [{low:.3f}, {high:.3f}]", end="")
    print(f"{milliseconds:9.1f} ms{allowed}", flush=True)
    return limit is None or low <= limit


def two_backwards(config: Config) -> Step:
    """A step of the plainest loop with aw-loss as its authors' code has it: two backward passes, each gradient copied,
    norms and angle of the joined copies, read back to the host."""
    state = plain_state(config)
    bounds = {name: getattr(config, f"aw_{name}") for name in ("alpha1", "alpha2", "delta", "epsilon")}

    def copied(loss: Tensor) -> list[Tensor]:
        state.opt_d.zero_grad()
        loss.backward(retain_graph=True)
        return [p.grad.clone() for p in state.discriminator.parameters() if p.grad is not None]

    def step() -> None:
        for _ in range(config.n_critic):
            real, labels = state.real_batch()
            with torch.no_grad():
                fake = state.generator(state.generator_input("z", len(real)), labels)
            logits = state.discriminator(real, labels), state.discriminator(fake, labels)
            grads = copied(state.loss.real(logits[0])), copied(state.loss.fake(logits[1]))
            scores = (each.detach().sigmoid().mean() for each in logits)
            w_real, w_fake, *_ = aw_weights(*grads, *scores, **bounds, normalized=True)
            weights = float(w_real), float(w_fake)
            for parameter, r, f in zip(state.discriminator.parameters(), *grads, strict=True):
                parameter.grad = weights[0] * r + weights[1] * f
            state.opt_d.step()
        plain_update_of_g(state, labels)

    return step


def cooperative_floor(config: Config) -> Step:
    """Algorithm 1 of CoopInit in plain torch, without statistics: D's weights are frozen and divided once a chain."""
    state = plain_state(config)
    generator, discriminator = state.generator, state.discriminator

    def step() -> None:
        real, labels = state.real_batch()
        start = generator(state.generator_input("z", len(real)), labels)
        x, rng = start.detach(), state.rng("langevin")
        discriminator.requires_grad_(False)
        with cached():
            for _ in range(config.langevin_steps):
                x.requires_grad_(True)
                (grad,) = torch.autograd.grad(discriminator(x, labels).sum(), x)
                x = x.detach() + config.eta * grad
                x = x + config.langevin_noise * torch.randn(x.shape, generator=rng, device=x.device)
        x = x.clamp(-1, 1)
        discriminator.requires_grad_(True)
        state.opt_d.zero_grad()
        (discriminator(x, labels).mean() - discriminator(real, labels).mean()).backward()
        state.opt_d.step()
        state.opt_g.zero_grad()
        (x - start).flatten(1).square().sum(1).mean().backward()
        state.opt_g.step()

    return step


def one_pass(config: Config) -> Step:
    """The plainest loop with one pass of D a D update, on real and fake data together."""
    state = plain_state(config)

    def step() -> None:
        for _ in range(config.n_critic):
            real, labels = state.real_batch()
            with torch.no_grad():
                fake = state.generator(state.generator_input("z", len(real)), labels)
            logits = state.discriminator(torch.cat([real, fake]), labels.repeat(2)).tensor_split(2)
            state.opt_d.zero_grad()
            (state.loss.real(logits[0]) + state.loss.fake(logits[1])).backward()
            state.opt_d.step()
        plain_update_of_g(state, labels)

    return step


def compare_all(row: str, *, unlimited: bool) -> bool:
    """Print the ratios of a row, or those that have a limit; whether these are within it."""
    config = config_of(row).replace(**SIZES[row.partition(" ")[0]])
    off = own(config, adversarial_step)
    fine = [compare(row, "own / plainest", off, plainest(config))]
    if config.r1_gamma:
        return all(fine)
    aw = own(config.replace(aw="normalized"), adversarial_step)
    coop = own(config.replace(n_coop=config.n_images), cooperative_step)
    fine.append(compare(row, "aw / off", aw, off))
    fine.append(compare(row, "aw / two backwards", aw, two_backwards(config)))
    fine.append(compare(row, "cooperative / floor", coop, cooperative_floor(config)))
    if not unlimited:
        return all(fine)
    compare(row, "channels last / own", own(config.replace(channels_last=True), adversarial_step), off)
    compare(row, "compiled / own", own(config.replace(compile=True), adversarial_step), off)
    if config.backbone != "dcgan":
        compare(row, "one pass / plainest", one_pass(config), plainest(config))
    return all(fine)


def memory() -> None:
    """Print the peak of a step of StyleGAN2 at 1/4 with R1, batch 16, above networks, optimisers and data."""
    config = config_of("stylegan2 1/4 R1").replace(batch_size=16)
    state = State(config, DEVICE)
    for optimizer, network in ((state.opt_d, state.discriminator), (state.opt_g, state.generator)):
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad()
    before = peak()
    adversarial_step(state)
    held = sum(p.nbytes for network in (state.generator, state.discriminator) for p in network.parameters())
    print(
        f"peak memory of a step of StyleGAN2 at 1/4 with R1, batch {config.batch_size}, above networks, optimisers and "
        f"data: {(peak() - before) / 1e6:.0f} MB; weights {held / 1e6:.0f} MB, with moments {3 * held / 1e6:.0f} MB"
    )


def main() -> None:
    """Print it all."""
    torch.set_num_threads(1)
    if sys.argv[1:] == ["memory"]:
        memory()
        return
    on = torch.cuda.get_device_name(DEVICE) if DEVICE.type == "cuda" else "1 thread"
    print(f"python {sys.version.split()[0]}, torch {torch.__version__}, {on}; median ratios\n")
    rows = [word for word in sys.argv[1:] if word != "--all"]
    rows = rows or [row for row in ROWS if row.removesuffix(" R1") in SIZES]
    fine = [compare_all(row, unlimited="--all" in sys.argv) for row in rows]
    subprocess.run([sys.executable, __file__, "memory"], check=True)
    sys.exit(not all(fine))


if __name__ == "__main__":
    main()
