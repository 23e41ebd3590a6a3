"""What a sweep costs beside its training: wall time over that of two plain processes that make the same runs.

python benchmarks/sweeps.py [--repeats N] [RUNSxSECONDS[:tune] ...]   (default 16x6:tune 8x20:tune 8x60)

Two runs go at a time, a thread each, of the digits' DCGAN with five evaluations. A plain process imports torch once and
makes half of the runs one after the other by trainers.loop.train, files included. `ganablate run` finds a store that
exists. With `:tune` also plain Ray Tune with its MLflow callback. The floor of what uses Ray Tune is as many runs of it
that import nothing and do nothing, two at a time in two processes, and then the plain ones. Each repeat makes the kinds
in turn, so that what else the machine does meets all of them; printed are medians and, of each kind, its ratio to the
plain processes of the same repeat.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from trainers.config import Config
from trainers.loop import train

CASES = ("16x6:tune", "8x20:tune", "8x60")
BASE = Config(n_images=64, eval_every=64, eval_samples=500)
PACE_OF = 6_400  # images by which the machine's pace is measured
HOME = Path(__file__).resolve().parents[1]

STUDY = """from spaces import Study
from trainers.config import Config

STUDY = Study("sweep", Config(**{fields}), rows={{"GAN": {{}}, "+ aw": {{"aw": "normalized"}}}}, seeds={seeds})
"""
PLAIN = """import sys
from pathlib import Path
from trainers.config import Config
from trainers.loop import train

base = Config(**{fields})
for seed in range({seeds}):
    list(train(base.replace(seed=seed, aw=sys.argv[1]), Path(sys.argv[2], sys.argv[1], str(seed))))
"""
TUNE = """import sys
from pathlib import Path
from ray import init, tune
from ray.air.integrations.mlflow import MLflowLoggerCallback

def run(trial):
    from trainers.config import Config
    from trainers.loop import train

    config = Config(**{fields}).replace(**trial)
    for row in train(config, Path(sys.argv[1], config.aw, str(config.seed)).absolute()):
        tune.report({{name: row[name] for name in ("images", "fid")}})

init(num_cpus=2, include_dashboard=False)
space = {{"aw": tune.grid_search(["off", "normalized"]), "seed": tune.grid_search(list(range({seeds})))}}
logger = MLflowLoggerCallback(tracking_uri="sqlite:///tune.db", experiment_name="sweep")
place = tune.RunConfig(storage_path=str(Path("results").absolute()), callbacks=[logger], verbose=0)
results = tune.Tuner(run, param_space=space, run_config=place).fit()
assert not results.errors
"""
FLOOR = """import sys
from pathlib import Path
from ray import init, tune

class Nothing(tune.Trainable):
    def step(self):
        return {{"fid": 1.0, "done": True}}

    def reset_config(self, new_config):
        return True

init(num_cpus=2, include_dashboard=False, log_to_driver=False)
kept = tune.CheckpointConfig(checkpoint_at_end=False)
place = tune.RunConfig(storage_path=str(Path(sys.argv[1]).absolute()), verbose=0, checkpoint_config=kept)
again = tune.TuneConfig(reuse_actors=True)
space = {{"seed": tune.grid_search(list(range({seeds}))), "aw": tune.grid_search(["off", "normalized"])}}
assert not tune.Tuner(Nothing, param_space=space, run_config=place, tune_config=again).fit().errors
"""


def of_seconds(seconds: float) -> Config:
    """A Config whose runs take about so long, two at a time."""
    with tempfile.TemporaryDirectory() as folder:
        config = BASE.replace(n_images=PACE_OF, eval_every=PACE_OF)
        *_, last = train(config, folder)
    steps = round(seconds / last["seconds"] * PACE_OF / BASE.batch_size)
    images = max(4, steps // 4 * 4) * BASE.batch_size
    return BASE.replace(n_images=images, eval_every=images // 4)


def commands(config: Config, runs: int, folder: Path) -> dict[str, list[list[str]]]:
    """The commands of each kind, those of one beside each other; writes their scripts."""
    fields = {"fields": config.non_defaults(), "seeds": runs // 2}
    for name, text in (("study", STUDY), ("plain", PLAIN), ("plain_tune", TUNE), ("floor", FLOOR)):
        (folder / f"{name}.py").write_text(text.format(**fields))
    place, python = str(time.monotonic_ns()), sys.executable
    return {
        "plain": [[python, "plain.py", aw, f"plain-{place}"] for aw in ("off", "normalized")],
        "ganablate": [[python, "-m", "ganablate", "run", "study.py", "--storage", place]],
        "tune": [[python, "plain_tune.py", f"tune-{place}"]],
        "floor": [[python, "floor.py", f"floor-{place}"]],
    }


def seconds_of(asked: list[list[str]], folder: Path) -> float:
    """Wall time of commands beside each other."""
    env = {**os.environ, "PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1", "GANABLATE_CACHE": str(folder / "cache")}
    started = time.monotonic()
    with (folder / "log").open("ab") as log:
        running = [subprocess.Popen(c, cwd=folder, env=env, stdout=log, stderr=log) for c in asked]
        if any(process.wait() for process in running):
            sys.exit(f"{asked} failed:\n{(folder / 'log').read_text()[-2000:]}")
    return time.monotonic() - started


def measure(case: str, repeats: int) -> None:
    """Print a line of a case."""
    size, _, also = case.partition(":")
    runs, seconds = (int(part) for part in size.split("x"))
    config = of_seconds(seconds)
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for _ in range(repeats):
            asked = commands(config, runs, folder)
            storage = asked["ganablate"][0][-1]
            train_one = [*asked["ganablate"][0], "--tiny", "--seeds", "1"]
            seconds_of([train_one], folder)  # the store exists
            assert (folder / storage / "mlflow.db").exists()
            for kind in ("plain", "ganablate", "floor", *([also] if also else [])):
                times.setdefault(kind, []).append(seconds_of(asked[kind], folder))
            times["floor"][-1] += times["plain"][-1]
    plain = times.pop("plain")
    line = f"{runs} runs of {median(plain) / runs * 2:.1f} s: two plain processes {median(plain):.1f} s"
    for kind, taken in times.items():
        ratios = sorted(t / p for t, p in zip(taken, plain, strict=True))
        line += f"; {kind} {median(taken):.1f} s, ratio {median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
    print(line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for each in options.cases:
        measure(each, options.repeats)
