"""What `run` and `search` show while trials go on: runs done, the best value so far, time left."""

from __future__ import annotations

import math
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from search.plan import Job
from trainers.messages import printable
from trainers.names import METRICS


class SweepProgress:
    """A bar over all images of the runs to make; off a terminal, one line for each run that ends."""

    def __init__(self, runs: int, images: int, console: Console) -> None:
        self.console = console
        self.total = images
        self.first: dict[str, int] = {}  # images that a run had when this driver took it up
        self.latest: dict[str, int] = {}
        self.best: tuple[float, str] | None = None
        self.running: set[str] = set()
        self.runs = runs
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
        self.task = self.progress.add_task("images", total=self.total, detail="starting workers")

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
        self._consider(job, value)
        self._refresh()

    def end(self, job: Job, state: str, value: float) -> None:
        """A run ended."""
        name = label(job)
        self.running.discard(name)
        self.latest[name] = job.cell.config.n_images
        if not self.console.is_terminal:
            shown = "" if math.isnan(value) else f", {self._metric(job)} {value:.4g}"
            self.console.print(f"{name}: {state}{shown}", highlight=False, soft_wrap=True, markup=False)
        self.states[name] = state
        self._refresh()

    @property
    def done(self) -> int:
        """Runs that ended."""
        return len(self.states)

    def _consider(self, job: Job, value: float) -> None:
        if math.isfinite(value) and (self.best is None or value < self.best[0]):
            self.best = (value, f"best {self._metric(job)} {value:.4g} ({label(job)})")

    def _metric(self, job: Job) -> str:
        return METRICS[f"{job.cell.config.metric}_final"].label

    def seconds_left(self) -> float | None:
        """By the images a second since the start, all trials together; None before the first."""
        made = sum(self.latest[name] - self.first.get(name, 0) for name in self.latest)
        left = self.total - sum(self.latest.values())
        elapsed = time.monotonic() - self.started
        return left * elapsed / made if made > 0 else None

    def _refresh(self) -> None:
        left = self.seconds_left()
        parts = [
            f"{self.done}/{self.runs} done",
            f"{len(self.running)} running",
            self.best[1] if self.best else "",
            f"{clock(left)} left" if left else "",
        ]
        self.progress.update(self.task, completed=sum(self.latest.values()), detail=" · ".join(filter(None, parts)))


def label(job: Job) -> str:
    """Row, column and seed of a run in words."""
    return printable(f"{job.cell.label}, seed {job.seed}")


def clock(seconds: float) -> str:
    """A duration as h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
