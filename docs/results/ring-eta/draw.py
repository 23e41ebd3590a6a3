"""Slope and curvature of Langevin chains while the cooperative stage goes on, from the run folders of `ring-eta`:
`python docs/results/ring-eta/draw.py runs` after `ganablate run ring-eta`, with `runs` where these are kept."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import ganablate as ga

HERE = Path(__file__).parent
PANELS = {"langevin_curvature": "step size × curvature", "langevin_slope": "slope of D"}


def statistics(storage: str) -> pd.DataFrame:
    """One line a run and evaluation: row, seed, steps, state, and the statistics of its chains."""
    parts = []
    for run in ga.load_runs("ring-eta", storage=storage).itertuples():
        rows = pd.read_json(Path(storage) / "trials" / run.run_id / "rows.jsonl", lines=True)
        rows.insert(0, "seed", run.seed)
        rows.insert(0, "row", run.row)
        parts.append(rows.assign(steps=rows["images"] // 128))
    return pd.concat(parts)[["row", "seed", "steps", "state", *PANELS]].dropna(subset=list(PANELS))


def draw(data: pd.DataFrame) -> None:
    """A panel a statistic, a line a seed."""
    _, axes = plt.subplots(1, len(PANELS), figsize=(9, 3.2), layout="constrained")
    for axis, (key, label) in zip(axes, PANELS.items(), strict=True):
        for index, (row, runs) in enumerate(data.groupby("row", sort=False)):
            for number, (_, run) in enumerate(runs.groupby("seed")):
                axis.plot(run["steps"], run[key], color=f"C{index}", linewidth=1, label=row if not number else None)
        axis.set(xlabel="cooperative steps", ylabel=label, yscale="log" if key == "langevin_slope" else "linear")
        axis.grid(alpha=0.3)
    for level in (1, 2):
        axes[0].axhline(level, color="0.3", linestyle="dotted", linewidth=1)
    axes[0].set_ylim(-0.2, 3)
    axes[0].legend()
    plt.savefig(HERE / "curvature.png", dpi=120)


if __name__ == "__main__":
    told = statistics(sys.argv[1])
    told.to_csv(HERE / "curvature.csv", index=False)
    draw(told)
