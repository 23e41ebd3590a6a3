"""What is shown while runs are made: on terminals of any size, and off them."""

import io
import logging
import re
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from terminal import Terminal

from search.plan import Job
from search.tune.progress import SweepProgress, starting
from spaces import Cell
from trainers.run_state import RunState

CELLS = ["GAN", "+ CoopInit / a column of many words that says at length what it is", "+ aw"]


@pytest.fixture
def shown(tiny_points):
    """What a terminal of a size shows when, of two seeds a cell, one is done, one diverged and two run."""

    def lines(width, height, *, labels=CELLS):
        jobs = [Job(Cell(label, "", tiny_points), seed, RunState.MISSING, "r") for seed in range(2) for label in labels]
        terminal = Terminal(width, height)
        console = Console(file=terminal, width=width, height=height, force_terminal=True)
        cells = Counter(job.cell.label for job in jobs)
        progress = SweepProgress(len(jobs), len(jobs) * 512, console, cells)
        progress.live.auto_refresh = False  # or it might be read while it is drawn
        progress.live.start()
        for job, images in zip(jobs, (512, 512, 0, 256), strict=False):
            progress.update(job, images // 2, 3.0)
            progress.started -= 10
            progress.update(job, images, 1.5)
        progress.end(jobs[0], "done", 1.5)
        progress.end(jobs[1], "diverged", float("nan"))
        progress.live.refresh()
        seen = terminal.lines
        with progress:
            pass
        return seen, terminal.lines

    return lines


def test_80_columns_have_one_line_that_nothing_is_cut_of(shown):
    lines, last = shown(80, 24)
    assert len(lines) == 4
    assert lines[0] == "GAN, seed 0: done, energy distance 1.5"
    assert " ".join(lines[1:3]) == f"{CELLS[1]}, seed 0: diverged"
    assert re.search(r" 1/6 done · 1 diverged · 2 running · \d+:\d\d left$", lines[3])
    assert "best" not in " ".join(lines)
    assert last == [*lines[:3], last[3]]
    assert last[3].endswith(" 1/6 done · 1 diverged")


@pytest.mark.parametrize(("width", "height"), [(160, 50), (160, 24), (80, 50), (100, 24)])
def test_larger_screens_have_a_line_a_cell(shown, width, height):
    lines, _ = shown(width, height)
    below = lines[lines.index(next(line for line in lines if line.endswith("diverged"))) + 1 :]
    assert below.pop(0) == ""
    text = " ".join(" ".join(below).split())
    assert "1/6 done" in below[-1]
    assert below[0].split() == ["GAN", "1/2", "50%", "energy", "distance", "1.5"]
    assert "0/2 0% energy distance 1.5" in text
    assert all(word in text for word in CELLS[1].split())


def test_of_many_cells_those_that_run_are_seen(shown):
    lines, _ = shown(160, 20, labels=[f"row {n}" for n in range(40)])
    assert sum("/2" in line for line in lines) == 0  # too few lines
    lines, _ = shown(160, 24, labels=[f"row {n}" for n in range(40)])
    below = lines[3:]
    assert len(below) == 13
    assert {"row 2", "row 3"} <= {line[:5] for line in below}
    assert below[-2] == "and 29 more"


WORDS = st.lists(st.text("ab Ä日本=", min_size=1, max_size=30), min_size=1, max_size=6).map(" ".join)
EVENTS = st.tuples(st.integers(0, 23), st.sampled_from(["report", "done", "diverged", "stopped", "failed: why"]))


@pytest.mark.long
@given(
    st.integers(40, 200), st.integers(12, 60), st.lists(WORDS, min_size=1, max_size=12, unique=True),
    st.lists(EVENTS, max_size=16), st.booleans(),
)  # fmt: skip
def test_on_any_terminal_nothing_is_cut_and_the_counts_are_right(width, height, labels, events, is_search):
    """Whatever happened to the runs: each that ended has its line, and below them stands one bar with counts."""
    from trainers.config import Config

    jobs = [Job(Cell(label, "", Config()), seed, RunState.MISSING, "r") for label in labels for seed in range(2)]
    terminal, running, ended = Terminal(width, height), set(), {}
    console = Console(file=terminal, width=width, height=height, force_terminal=True)
    cells = None if is_search else Counter(job.cell.label for job in jobs)
    progress = SweepProgress(len(jobs), sum(job.config.n_images for job in jobs), console, cells)
    progress.live.auto_refresh = False
    with progress:
        for number, event in events:
            job = jobs[number := number % len(jobs)]
            if event == "report" and number not in ended:
                progress.update(job, job.config.n_images // 2, 12.25)
                running.add(number)
            elif number not in ended:
                progress.end(job, event, 12.25)
                running.discard(number)
                ended[number] = event
        progress.live.refresh()
        lines, widest = terminal.lines, max(map(cell_len, terminal.lines))
    squeezed, bars = "".join("".join(lines).split()), [line for line in lines if "━" in line or "╸" in line]
    assert widest <= width
    assert "…" not in squeezed
    assert len(bars) == 1
    for number, state in ended.items():
        said = f"{jobs[number].cell.label}, seed {jobs[number].seed}: {state}"
        assert "".join(said.split()) in squeezed
    counts = Counter(state.partition(":")[0] for state in ended.values())
    below = "".join(squeezed.partition("━")[1:])
    assert f"{counts['done']}/{len(jobs)}done" in below
    assert all(f"·{count}{state}" in below for state, count in counts.items() if state != "done")
    assert (f"·{len(running)}running" in below) == bool(running)


def test_what_is_logged_stands_above_it(tiny_points, monkeypatch, capsys):
    """By whoever writes to what sys.stderr is at the time."""
    terminal = Terminal(80, 24)
    monkeypatch.setattr(sys, "stderr", Terminal(80, 24))
    console = Console(file=terminal, width=80, height=24, force_terminal=True)
    progress = SweepProgress(1, 512, console, {"GAN": 1})
    progress.live.auto_refresh = False
    with progress:
        logging.lastResort.emit(logging.makeLogRecord({"msg": "the store is away", "level": 30}))
        progress.live.refresh()
        assert terminal.lines[0] == "the store is away"
        assert "0/1 done" in terminal.lines[1]
    assert len(terminal.lines) == 2


def test_time_left_is_told_though_the_first_run_failed_at_once(tiny_points):
    console = Console(file=Terminal(80, 24), width=80, height=24, force_terminal=True)
    first, second = (Job(Cell("a:key:[b]", "", tiny_points), seed, RunState.MISSING, "r") for seed in range(2))
    progress = SweepProgress(4, 4 * 512, console)
    progress.end(first, "failed: Boom", float("nan"))
    assert progress.over_at is None
    progress.update(second, 128, 2.0)
    progress.started -= 10
    progress.update(second, 256, 1.5)
    assert progress.over_at - progress.started == pytest.approx(110, abs=5)  # 10 s were for 128 images, 1,280 are left
    assert console.file.lines[0] == "a:key:[b], seed 0: failed: Boom"


def test_off_a_terminal_there_is_a_line_for_each_run_that_ends(tiny_points):
    """However long, and nothing else."""
    console = Console(file=io.StringIO(), width=80)
    job = Job(Cell("GAN " * 40, "", tiny_points), 0, RunState.MISSING, "r")
    with starting(console):
        pass
    with SweepProgress(1, 512, console, {"GAN": 1}) as progress:
        progress.update(job, 512, 1.0)
        progress.end(job, "done", 1.0)
    assert console.file.getvalue() == f"{'GAN ' * 40}, seed 0: done, energy distance 1\n"
