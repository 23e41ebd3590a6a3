"""What `run` and `search` show while trials go on: a line for each that ended and, on a terminal, below them a line of
counts and time left and, where the screen has room, a line a cell."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Mapping

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from search.plan import Job
from trainers.messages import clock, printable
from trainers.names import METRICS
from trainers.run_state import RunState

ROOMY = (100, 30)  # columns or lines of a terminal from which on cells have lines of their own
BAR = 20  # letters


class SweepProgress:
    """The runs to make, and all images of theirs. `cells` says how many of them each cell has, by its label; trials of
    a search, of which none is known before it is proposed, have a line while they run."""

    def __init__(self, runs: int, images: int, console: Console, cells: Mapping[str, int] | None = None) -> None:
        self.runs, self.images, self.console, self.cells = runs, images, console, dict(cells or {})
        self.first: dict[str, int] = {}  # images of a run at its first evaluation here
        self.latest: dict[str, int] = {}
        self.running: dict[str, tuple[Job, float]] = {}  # with the latest value
        self.states: dict[str, str] = {}  # of the runs that ended
        self.ended: Counter[str] = Counter()  # runs by their cells' labels
        self.started = time.monotonic()
        self.over_at: float | None = None  # on the same clock, by the images a second since the start, all together
        self.lock = threading.Lock()  # what is drawn is read by a thread of its own
        self.live = Live(get_renderable=self._drawn, console=console)

    def __enter__(self) -> SweepProgress:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self.lock:  # the line of counts stays
            self.cells = {}
            self.running.clear()
        self.live.stop()

    def update(self, job: Job, images: int, value: float) -> None:
        """A run reported an evaluation."""
        name = label(job)
        with self.lock:
            self.running[name] = job, value
            self.first.setdefault(name, images)
            self.latest[name] = images
            self._estimate()

    def end(self, job: Job, state: str, value: float) -> None:
        """A run ended."""
        name = label(job)
        with self.lock:
            self.running.pop(name, None)
            self.latest[name] = job.cell.config.n_images
            self.states[name] = state
            self.ended[job.cell.label] += 1
            self._estimate()
        self.say(", ".join(filter(None, (f"{name}: {state}", _told(job, value)))))

    def say(self, line: str) -> None:
        """Print a line, above what is drawn where there is some."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    @property
    def done(self) -> int:
        """Runs that ended."""
        return len(self.states)

    def _estimate(self) -> None:
        shown, now = sum(self.latest.values()), time.monotonic()
        made = shown - sum(self.first.values())
        self.over_at = now + (self.images - shown) * (now - self.started) / made if made > 0 else None

    def _drawn(self) -> RenderableType:
        """What is below the lines of the runs that ended."""
        with self.lock:
            line = Table.grid(Column(), Column(overflow="fold"), padding=(0, 1))
            shown = sum(self.latest.values())
            line.add_row(ProgressBar(total=self.images, completed=shown, width=BAR), Text(self._counts()))
            is_roomy = self.console.width >= ROOMY[0] or self.console.height >= ROOMY[1]
            return Group(self._cell_lines(self.console.height // 2), line) if is_roomy else line

    def _counts(self) -> str:
        """Runs by state, and the time left."""
        states = Counter(state.partition(":")[0] for state in self.states.values())
        parts = [f"{states.pop(RunState.DONE, 0)}/{self.runs} done"]
        parts += [f"{count} {state}" for state, count in states.items()]
        parts += [f"{len(self.running)} running"] if self.running else []
        parts += ["starting workers"] if not self.latest else []
        left = (self.over_at or 0.0) - time.monotonic()
        return " · ".join([*parts, f"{clock(left)} left"] if self.running and left > 0 else parts)

    def _cell_lines(self, most: int) -> Table:
        """A line a cell: runs that ended, how far the others are, latest values. Of too many, those that run first."""
        lines = Table.grid(Column(overflow="fold"), *(Column(no_wrap=True) for _ in range(3)), padding=(0, 2))
        runs: dict[str, list[Job]] = {}
        for job, _ in self.running.values():
            runs.setdefault(job.cell.label, []).append(job)
        labels = list(dict.fromkeys([*self.cells, *runs]))
        chosen = sorted(labels, key=lambda name: (name not in runs, self.ended[name] == self.cells.get(name)))[:most]
        for name in (name for name in labels if name in chosen):
            shares = [f"{self.latest[label(job)] / job.cell.config.n_images:.0%}" for job in runs.get(name, [])]
            values = [_told(job, self.running[label(job)][1]) for job in runs.get(name, [])][-1:]
            ended = f"{self.ended[name]}/{self.cells[name]}" if name in self.cells else ""
            lines.add_row(*(Text(text) for text in (printable(name), ended, " ".join(shares), *(values or [""]))))
        if len(labels) > most:
            lines.add_row(Text(f"and {len(labels) - most} more"))
        return lines


def _told(job: Job, value: float) -> str:
    """A value and what it is; "" for NaN."""
    return "" if math.isnan(value) else f"{METRICS[f'{job.cell.config.metric}_final'].label} {value:.4g}"


def label(job: Job) -> str:
    """Row, column and seed of a run in words."""
    return printable(f"{job.cell.label}, seed {job.seed}")
