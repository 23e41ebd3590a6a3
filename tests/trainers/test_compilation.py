"""Each run of a process is compiled, whatever was compiled before it; where the compiler gives up is told."""

import pytest
import torch
from torch import nn

from trainers import heartbeat
from trainers.compilation import Compilation
from trainers.heartbeat import heartbeats
from trainers.loop import train

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("default")]  # of the compiler's own
GAVE_UP = "torch.compile gave up on"


@pytest.fixture
def compiled(monkeypatch, tiny_images, tmp_path, caplog):
    """Trains twice in one process, keeping so many variants of a piece of code, which are traced and left as they are.
    Gives the last row, the frames that were compiled and left uncompiled, and what was logged, of each run."""
    compile_ = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self: compile_(self, backend="eager"))

    def runs(limit):
        for index in range(2):
            caplog.clear()
            with torch._dynamo.config.patch(recompile_limit=limit), caplog.at_level("INFO", "trainers.compilation"):
                *_, row = train(tiny_images.replace(compile=True), tmp_path / f"{limit}-{index}")
            frames = torch._dynamo.utils.counters["frames"]
            yield row["loss_g"], (frames["ok"], frames["total"] - frames["ok"]), caplog.text

    return runs


def test_a_second_run_in_a_process_is_compiled_too(compiled):
    """With room for one: the compiler's limit is that of a process."""
    (first, made, told), (second, made_again, told_again) = compiled(limit=4)
    assert made == made_again == (6, 0)
    assert first == second
    for text in (told, told_again):
        assert "torch.compile made 6 variants of the networks so far" in text
        assert GAVE_UP not in text


@pytest.mark.slow
def test_what_runs_uncompiled_is_told(compiled):
    for _, (made, uncompiled), told in compiled(limit=2):
        assert 0 < made < 6
        assert f"{GAVE_UP} {uncompiled} pieces of the networks" in told
        assert uncompiled > 0


def test_every_graph_that_is_compiled_is_a_sign_of_life(monkeypatch):
    """Also in a second run."""
    monkeypatch.setattr(heartbeat, "EVERY", 0.0)
    signs = []
    with heartbeats(lambda: signs.append(1)):
        for _ in range(2):
            Compilation()
            before = len(signs)
            torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2))
            assert len(signs) > before
