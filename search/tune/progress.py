"""What `run` and `search` show while trials go on: runs done, the best value so far, time left."""

from __future__ import annotations

import math
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from search.plan import Job
from trainers.messages import clock, printable
from trainers.names import METRICS


class SweepProgress:
    """A bar over all images of the runs to make; off a terminal, one line for each run that ends."""

    def __init__(self, runs: int, images: int, console: Console) -> None:
        self.runs, self.images, self.console = runs, images, console
        self.first: dict[str, int] = {}  # images of a run at its first evaluation here
        self.latest: dict[str, int] = {}
        self.best, self.best_text = math.inf, ""
        self.running: set[str] = set()
        self.states: dict[str, str] = {}  # of the runs that ended
        self.started = time.monotonic()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("images", total=images, detail="starting workers")

    def __enter__(self) -> SweepProgress:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def update(self, job: Job, images: int, value: float) -> None:
        """A run reported an evaluation."""
        name = label(job)
        self.running.add(name)
        self.first.setdefault(name, images)
        self.latest[name] = images
        if math.isfinite(value) and value < self.best:
            self.best, self.best_text = value, f"best {_metric(job)} {value:.4g} ({name})"
        self._refresh()

    def end(self, job: Job, state: str, value: float) -> None:
        """A run ended."""
        name = label(job)
        self.running.discard(name)
        self.latest[name] = job.cell.config.n_images
        if not self.console.is_terminal:
            shown = "" if math.isnan(value) else f", {_metric(job)} {value:.4g}"
            self.say(f"{name}: {state}{shown}")
        self.states[name] = state
        self._refresh()

    def say(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    @property
    def done(self) -> int:
        """Runs that ended."""
        return len(self.states)

    def _refresh(self) -> None:
        """Show the images so far, and the time left by the images a second since the start, all trials together."""
        shown = sum(self.latest.values())
        made = shown - sum(self.first.values())
        left = (self.images - shown) * (time.monotonic() - self.started) / made if made > 0 else 0.0
        parts = [f"{self.done}/{self.runs} done", f"{len(self.running)} running", self.best_text]
        parts += [f"{clock(left)} left"] if left else []
        self.progress.update(self.task, completed=shown, detail=" · ".join(filter(None, parts)))


def _metric(job: Job) -> str:
    return METRICS[f"{job.cell.config.metric}_final"].label


def label(job: Job) -> str:
    """Row, column and seed of a run in words."""
    return printable(f"{job.cell.label}, seed {job.seed}")
