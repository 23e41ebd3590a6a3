"""Cost of an aw-loss step: a training step of `dcgan` with aw-loss over one without, on one core.

python benchmarks/aw_step.py

The two run in turn, A B A B ..., so that a drift of the machine's speed touches both; the ratio is of medians. Beside
it stand D's update alone, and a D update written with one joint backward pass, which is what a GAN without this
project would do. Exits with 1 if a step with aw-loss costs more than 1.10 times one without.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch

from trainers.adversarial import adversarial_step, discriminator_update
from trainers.config import Config
from trainers.state import State, update

ROUNDS, STEPS = 60, 10
LIMIT = 1.10


def joint_update(state: State, real: torch.Tensor, labels: torch.Tensor) -> None:
    """One D update with a single backward pass through the summed loss."""
    with torch.no_grad():
        fake = state.generate("z", labels)
    loss = state.loss.real(state.discriminator(real, labels)) + state.loss.fake(state.discriminator(fake, labels))
    update(state.opt_d, state.discriminator, torch.autograd.grad(loss, list(state.discriminator.parameters())))


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call of STEPS actions."""
    started = time.perf_counter()
    for _ in range(STEPS):
        action()
    return (time.perf_counter() - started) / STEPS


def make_actions(width: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    config = Config(backbone_options={"width": width})
    plain = State(config, torch.device("cpu"))
    aw = State(config.replace(aw="normalized"), torch.device("cpu"))
    real, labels = plain.real_batch()
    return {
        "step, off": lambda: adversarial_step(plain),
        "step, aw": lambda: adversarial_step(aw),
        "D update, one backward": lambda: joint_update(plain, real, labels),
        "D update, off": lambda: discriminator_update(plain, real, labels, None),
        "D update, aw": lambda: discriminator_update(aw, real, labels, None),
    }


def main() -> None:
    """Print milliseconds and ratios for widths 16, 32 and 64."""
    torch.set_num_threads(1)
    print(f"python {sys.version.split()[0]}, torch {torch.__version__}, 1 thread, digits 16x16, batch 64")
    worst = 0.0
    for width in (16, 32, 64):
        actions = make_actions(width)
        times: dict[str, list[float]] = {name: [] for name in actions}
        for round_ in range(ROUNDS + 3):
            for name, action in actions.items():
                elapsed = seconds(action)
                if round_ >= 3:
                    times[name].append(elapsed)
        medians = {name: 1e3 * statistics.median(values) for name, values in times.items()}
        worst = max(worst, medians["step, aw"] / medians["step, off"])
        shown = ", ".join(f"{name} {ms:.2f} ms" for name, ms in medians.items())
        print(f"width {width}: {shown}")
        print(
            f"  aw / off: step {medians['step, aw'] / medians['step, off']:.3f}, "
            f"D update {medians['D update, aw'] / medians['D update, off']:.3f}; "
            f"off / one backward: D update {medians['D update, off'] / medians['D update, one backward']:.3f}"
        )
    sys.exit(worst > LIMIT)


if __name__ == "__main__":
    main()
