"""Kernel launches of one training step, beside those of the plainest loop of the same networks.

python benchmarks/launches.py [BACKBONE ...]

A GPU is fed by one CPU core, and where images are small that core is the limit: each operation costs it some 5
microseconds, whatever its size. They can be counted without a GPU. Views and bare allocations count 0, an operation on
a list of tensors 1 for every 64 of them, any other one 1. What brings a batch of data to the device is left out: two
gathers, their joined indices, and three that make floats of bytes.

The plainest loop is written here, with what a published one has: one backward pass through the summed loss, fused
Adam, torch's spectral norm; no statistics, no average of G, no method of this project.
The steps are whole: statistics, divergence watch, average of G. Networks are narrow, images 32x32x3 random ones (of
`mlp` points, of `cut` a pair of digits and outlines).
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils._python_dispatch import TorchDispatchMode

from trainers.adversarial import adversarial_step
from trainers.config import Config
from trainers.coopinit import cooperative_step
from trainers.data import Dataset
from trainers.gpu import chosen_device
from trainers.names import BACKBONES
from trainers.state import State

DEVICE = chosen_device()
LIST = 64  # tensors that one launch of an operation on a list takes
MOST_ADDED = {"off": 16, "aw": 40}  # a D update, to the plainest loop
MOST = {"stylegan2 1/4 R1": 1_800}  # a step
ROWS: dict[str, dict[str, Any]] = {
    "mlp": {},
    "dcgan": {},
    "sngan": {"spectral_norm": "d", "n_critic": 5, "loss": "hinge"},
    "autogan": {"spectral_norm": "d", "n_critic": 5, "loss": "hinge"},
    "biggan": {"spectral_norm": "both", "n_critic": 4, "loss": "hinge", "conditional": True},
    "stylegan2": {},
    "stylegan2 R1": {"r1_gamma": 0.01},
    "stylegan2 1/4": {},
    "stylegan2 1/4 R1": {"r1_gamma": 0.01},
    "cut": {"loss": "least_squares"},
}


class Launches(TorchDispatchMode):
    """Counts, by operation, what would be launched within it."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func._schema.name
        is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        if name.startswith(("aten::_foreach", "aten::_fused")):
            self.counts[name] += math.ceil(len(args[0]) / LIST)
        elif name.startswith("aten::") and not is_view and name != "aten::_unsafe_view" and "empty" not in name:
            self.counts[name] += 1
        return out


def pictures() -> Dataset:
    """Random images."""
    images = torch.randint(0, 256, (64, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return Dataset(images, torch.arange(64) % 10, 10)


def config_of(row: str, **fields: Any) -> Config:
    """Of a row of the table, with these fields too."""
    backbone = row.partition(" ")[0]
    options = {"g_scale": 0.25, "d_scale": 0.25} if "1/4" in row else dict(BACKBONES[backbone].narrow)
    return Config(
        dataset={"mlp": "ring8", "cut": "digits_outlines"}.get(backbone, "launches:pictures"),
        features="raw",
        backbone=backbone,
        backbone_options=options,
        batch_size=8,
        ema_halflife=1_000,
        eta=0.1,
        langevin_steps=10,
        **ROWS[row],
        **fields,
    )


def make_state(config: Config) -> State:
    """Its batch of data is at hand: no launch is spent on it."""
    state = State(config, DEVICE)
    batch = state.sampler.batch(0, config.batch_size)
    vars(state.sampler)["batch"] = lambda start, n: batch
    return state


def plain_state(config: Config) -> State:
    """Networks and optimisers of a plain loop, with torch's spectral norm."""
    state = make_state(config.replace(spectral_norm="off"))
    for name, network in (("both", state.generator), ("d", state.discriminator)):
        kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, *([nn.Embedding] if name == "d" else []))
        layers = [module for module in network.modules() if isinstance(module, kinds)]
        for layer in layers if config.spectral_norm in (name, "both") else []:
            spectral_norm(layer)
    return state


def plainest(config: Config) -> Callable[[], object]:
    """A step of the plainest loop."""
    state = plain_state(config)

    def step() -> None:
        for _ in range(config.n_critic):
            real, labels = state.real_batch()
            with torch.no_grad():
                fake = state.generator(state.generator_input("z", len(real)), labels)
            loss = state.loss.real(state.discriminator(real, labels))
            loss = loss + state.loss.fake(state.discriminator(fake, labels))
            if config.r1_gamma:
                loss = loss + 0.5 * config.r1_gamma * slope(state, real, labels)
            state.opt_d.zero_grad()
            loss.backward()
            state.opt_d.step()
        plain_update_of_g(state, labels)

    return step


def plain_update_of_g(state: State, labels: Tensor) -> None:
    """As published loops have it: D's gradients are taken with G's, and thrown away."""
    fake = state.generator(state.generator_input("z of G", len(labels)), labels)
    loss = state.loss.generator(state.discriminator(fake, labels))
    state.opt_g.zero_grad()
    loss.backward()
    state.opt_g.step()


def slope(state: State, real: Tensor, labels: Tensor) -> Tensor:
    """Mean squared norm of D's gradient, as a published loop has it."""
    real = real.detach().requires_grad_(True)
    (grad,) = torch.autograd.grad(state.discriminator(real, labels).sum(), real, create_graph=True)
    return grad.square().sum((1, 2, 3)).mean()


def own(config: Config, step: Callable[[State], dict[str, Tensor]]) -> Callable[[], object]:
    """A step of this project, with all that follows it in the loop."""
    state = make_state(config)

    def whole() -> None:
        shown = state.images
        statistics = step(state)
        state.update_average(state.images - shown)
        state.watch(statistics)

    return whole


def count(step: Callable[[], object]) -> Counter[str]:
    """Launches of the third step, once all is warm."""
    step()
    step()
    with Launches() as launches:
        step()
    return launches.counts


def main() -> None:
    """Print the table; exit with 1 if a step has more than it may."""
    print(f"torch {torch.__version__}; launches a step, and what a D update adds to the plainest loop's\n")
    print(f"{'':18}{'plainest':>9}{'off':>7}{'aw':>7}{'coop':>7}{'off adds':>10}{'aw adds':>9}")
    failed = []
    for row in sys.argv[1:] or ROWS:
        config = config_of(row)
        coop = {"n_coop": config.n_images, "r1_gamma": 0.0}
        steps = {
            "plainest": plainest(config),
            "off": own(config, adversarial_step),
            "aw": own(config.replace(aw="normalized"), adversarial_step),
            "coop": own(config.replace(**coop), cooperative_step),
        }
        counts = {name: count(step).total() for name, step in steps.items()}
        adds = {name: (counts[name] - counts["plainest"]) / config.n_critic for name in ("off", "aw")}
        print(f"{row:18}{counts['plainest']:9,}{counts['off']:7,}{counts['aw']:7,}{counts['coop']:7,}", end="")
        print(f"{adds['off']:+10.1f}{adds['aw']:+9.1f}")
        failed += [f"{row}: {name} adds {adds[name]:+.1f}" for name in adds if adds[name] > MOST_ADDED[name]]
        failed += [f"{row}: {counts['off']:,}"] if counts["off"] > MOST.get(row, math.inf) else []
    print("\nall within the limits" if not failed else "\nmore than there may be: " + "; ".join(failed))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
