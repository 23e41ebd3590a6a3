"""What is shown while runs are made: on small terminals, on large ones, and off them."""

import io
from collections import Counter

import pytest
from rich.console import Console

from search.plan import Job
from search.tune.progress import SweepProgress
from spaces import Cell
from trainers.run_state import RunState

CELLS = ["GAN", "+ CoopInit / a column of many words that says at length what it is", "+ aw"]


@pytest.fixture
def shown(tiny_points):
    """What a terminal of a size shows when, of two seeds a cell, one is done, one diverged and two run."""

    def lines(width, height, *, terminal=True, labels=CELLS):
        jobs = [Job(Cell(label, "", tiny_points), seed, RunState.MISSING, "r") for seed in range(2) for label in labels]
        console = Console(file=io.StringIO(), width=width, height=height, force_terminal=terminal, color_system=None)
        cells = Counter(job.cell.label for job in jobs)
        progress = SweepProgress(len(jobs), len(jobs) * 512, console, cells)
        progress.started -= 10
        for job, images in zip(jobs, (512, 512, 0, 256), strict=False):
            progress.update(job, images // 2, 3.0)
            progress.update(job, images, 1.5)
        progress.end(jobs[0], "done", 1.5)
        progress.end(jobs[1], "diverged", float("nan"))
        below = io.StringIO()
        Console(file=below, width=width, height=height).print(progress._drawn())
        return console.file.getvalue().splitlines(), below.getvalue().splitlines()

    return lines


def test_80_columns_have_one_line_that_nothing_is_cut_of(shown):
    above, (line,) = shown(80, 24)
    assert above[0] == "GAN, seed 0: done, energy distance 1.5"
    assert above[1].endswith("seed 1: diverged") or above[1].endswith("seed 0: diverged")
    assert "1/6 done · 1 diverged · 2 running · 0:" in line
    assert line.endswith(" left")
    assert "best" not in line
    assert all("…" not in each and "..." not in each for each in shown(40, 24)[1])


@pytest.mark.parametrize(("width", "height"), [(160, 50), (160, 24), (80, 50), (100, 24)])
def test_larger_screens_have_a_line_a_cell(shown, width, height):
    _, lines = shown(width, height)
    text = " ".join(" ".join(lines).split())
    assert "1/6 done" in lines[-1]
    assert lines[0].split() == ["GAN", "1/2", "50%", "energy", "distance", "1.5"]
    assert "0/2 0% energy distance 1.5" in text
    assert all(len(line) <= width for line in lines)
    assert "…" not in text
    assert all(word in text for word in CELLS[1].split())


def test_of_many_cells_those_that_run_are_seen(shown):
    _, lines = shown(160, 20, labels=[f"row {n}" for n in range(40)])
    assert len(lines) == 12
    assert {"row 2", "row 3"} <= {line[:5] for line in lines}
    assert lines[-2] == "and 30 more".ljust(len(lines[-2]))


def test_off_a_terminal_there_is_a_line_for_each_run_that_ends(tiny_points):
    console = Console(file=io.StringIO(), width=80)
    job = Job(Cell("GAN", "", tiny_points), 0, RunState.MISSING, "r")
    with SweepProgress(1, 512, console, {"GAN": 1}) as progress:
        progress.update(job, 512, 1.0)
        progress.end(job, "done", 1.0)
    assert console.file.getvalue() == "GAN, seed 0: done, energy distance 1\n"
