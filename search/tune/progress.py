"""What `run` and `search` show while trials go on: a line for each that ended and, on a terminal, below them a line of
counts and time left and, where the screen has room, a line a cell."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Column, Table
from rich.text import Text

from search.plan import Job
from trainers.messages import clock, printable
from trainers.names import METRICS
from trainers.run_state import RunState

ROOMY = (100, 24), (80, 30)  # columns and lines of terminals on which cells have lines of their own
BAR = 20  # letters, at most a quarter of the screen
STARTING = "Starting: networks are built once, the store is asked, and Ray begins."


def starting(console: Console) -> AbstractContextManager[Any]:
    """Within it a terminal shows what is waited for."""
    if not console.is_terminal:
        return nullcontext()
    spinner, has_errors = Spinner("dots", STARTING), sys.stderr.isatty()
    return Live(spinner, console=console, transient=True, redirect_stderr=has_errors, refresh_per_second=5)


def say(console: Console, text: str) -> None:
    """Print lines as they are: broken between words on a terminal, and nowhere off it."""
    for line in text.split("\n"):
        plain = Text(printable(line))  # in which neither [] nor :x: mean anything
        console.print(plain, highlight=False, soft_wrap=not console.is_terminal)


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
        self.started = math.nan  # when the first run reported, on a clock that only goes on
        self.over_at: float | None = None  # on the same clock, by the images a second since then, all together
        self.lock = threading.Lock()  # what is drawn is read by a thread of its own
        self.live = Live(get_renderable=self._drawn, console=console, redirect_stderr=sys.stderr.isatty())

    def __enter__(self) -> SweepProgress:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self.lock:  # the line of counts stays
            self.cells, self.over_at = {}, None
            self.running.clear()
        self.live.stop()

    def update(self, job: Job, images: int, value: float) -> None:
        """A run reported an evaluation."""
        name = label(job)
        with self.lock:
            self.started = time.monotonic() if math.isnan(self.started) else self.started
            self.running[name] = job, value
            self.first.setdefault(name, images)
            self.latest[name] = images
            self._estimate()

    def end(self, job: Job, state: str, value: float) -> None:
        """A run ended."""
        name = label(job)
        with self.lock:
            self.running.pop(name, None)
            self.first.setdefault(name, job.cell.config.n_images)  # one without an evaluation made none
            self.latest[name] = job.cell.config.n_images
            self.states[name] = state
            self.ended[job.cell.label] += 1
            self._estimate()
        self.say(", ".join(filter(None, (f"{name}: {state}", _told(job, value)))))

    def say(self, line: str) -> None:
        """Print a line, above what is drawn where there is some."""
        say(self.console, printable(line))

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
            (width, height) = self.console.size
            bar = ProgressBar(total=self.images, completed=shown, width=min(BAR, width // 4))
            line.add_row(bar, Text(self._counts()))
            is_roomy = any(width >= columns and height >= lines for columns, lines in ROOMY)
            return Group("", self._cell_lines(height), line) if is_roomy else line

    def _counts(self) -> str:
        """Runs by state, and the time left."""
        states = Counter(state.partition(":")[0] for state in self.states.values())
        parts = [f"{states.pop(RunState.DONE, 0)}/{self.runs} done"]
        parts += [f"{count} {state}" for state, count in states.items()]
        parts += [f"{len(self.running)} running"] if self.running else []
        parts += ["starting workers"] if not self.latest else []
        left = (self.over_at or 0.0) - time.monotonic()
        return " · ".join([*parts, f"{clock(left)} left"] if left > 0 else parts)

    def _cell_lines(self, height: int) -> RenderableType:
        """A line a cell, as many as half of the screen has room for, those that run first."""
        tables = (self._table(height // part) for part in range(2, height))  # a label may need lines
        return next((table for table in tables if len(self.console.render_lines(table)) <= height // 2), Text())

    def _table(self, most: int) -> Table:
        """At most so many lines of cells: runs that ended, how far the others are, latest values."""
        lines = Table.grid(Column(overflow="fold"), *(Column(no_wrap=True) for _ in range(3)), padding=(0, 2))
        runs: dict[str, list[Job]] = {}
        for job, _ in self.running.values():
            runs.setdefault(job.cell.label, []).append(job)
        labels = list(dict.fromkeys([*self.cells, *runs]))
        most -= len(labels) > most  # for the line that counts the others
        chosen = sorted(labels, key=lambda name: (name not in runs, self.ended[name] == self.cells.get(name)))[:most]
        for name in (name for name in labels if name in chosen):
            shares = [self.latest[label(job)] / job.cell.config.n_images for job in runs.get(name, [])]
            far = "–".join(dict.fromkeys(f"{share:.0%}" for share in (min(shares), max(shares)))) if shares else ""
            values = [_told(job, self.running[label(job)][1]) for job in runs.get(name, [])][-1:]
            ended = f"{self.ended[name]}/{self.cells[name]}" if name in self.cells else ""
            lines.add_row(*(Text(text) for text in (printable(name), ended, far, *(values or [""]))))
        if len(labels) > most:
            lines.add_row(Text(f"and {len(labels) - most} more"))
        return lines


def _told(job: Job, value: float) -> str:
    """A value and what it is; "" for NaN."""
    return "" if math.isnan(value) else f"{METRICS[f'{job.cell.config.metric}_final'].label} {value:.4g}"


def label(job: Job) -> str:
    """Row, column and seed of a run in words."""
    return printable(f"{job.cell.label}, seed {job.seed}")
