"""Makes digits.npz (scikit-learn's digits as they are) and digit_net.npz (DigitNet's weights and test accuracy).

python benchmarks/make_assets.py        needs scikit-learn; about a minute on one core
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from trainers.data.digits import digits
from trainers.data.sampler import Sampler
from trainers.features import DigitNet
from trainers.streams import seeded, stream

HERE = Path(__file__).parent.parent / "trainers" / "assets"
SEED, STEPS, BATCH = 0, 3_000, 100


def main() -> None:
    """Write both files, and print the accuracy."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    np.savez_compressed(HERE / "digits.npz", images=bunch.images.astype(np.uint8), labels=bunch.target.astype(np.uint8))
    torch.set_num_threads(1)
    net, accuracy = train()
    weights = {name: weight.numpy() for name, weight in net.state_dict().items()}
    np.savez_compressed(HERE / "digit_net.npz", test_accuracy=np.float64(accuracy), **weights)
    print(f"test accuracy on 797 held-out digits: {accuracy:.4f}")


def train() -> tuple[DigitNet, float]:
    """DigitNet trained on 1,000 digits with small random shifts, rotations and scalings; accuracy on the other 797."""
    data = digits()
    sampler = Sampler(data, 1_000, SEED, torch.device("cpu"))
    with seeded(SEED, "digit net"):
        net = DigitNet()
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        x, labels = sampler.batch(step * BATCH, BATCH)
        optimizer.zero_grad()
        cross_entropy(net(moved(x, stream(SEED, "move", step))), labels).backward()
        optimizer.step()
        schedule.step()
    held_out = torch.ones(len(data.labels), dtype=torch.bool)
    held_out[sampler.indices] = False
    with torch.no_grad():
        guesses = net(data.scaled(held_out.nonzero()[:, 0])).argmax(1)
    return net, float((guesses == data.labels[held_out]).double().mean())


def moved(x: Tensor, rng: torch.Generator) -> Tensor:
    """Each image [N, 1, R, R] rotated by about 6 degrees, scaled by 8% and shifted by 8% of its side, at random."""
    n = len(x)
    angle, scale = 0.1 * torch.randn(n, generator=rng), 1 + 0.08 * torch.randn(n, generator=rng)
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 1] = scale * angle.cos(), -scale * angle.sin()
    matrix[:, 1, 0], matrix[:, 1, 1] = scale * angle.sin(), scale * angle.cos()
    matrix[:, :, 2] = 0.16 * torch.randn(n, 2, generator=rng)
    return grid_sample(x + 1, affine_grid(matrix, list(x.shape), align_corners=False), align_corners=False) - 1


if __name__ == "__main__":
    main()
