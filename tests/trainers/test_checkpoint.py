"""A damaged checkpoint is found, and costs no more than the training since the one before it."""

import json
import random

import pytest
import torch

from trainers import loop
from trainers.checkpoint import CHECKPOINTS, load_checkpoint, save_checkpoint
from trainers.loop import train

CPU = torch.device("cpu")
TIMES = {"seconds", "eval_seconds", "logged_at"}


def content_of(seed):
    rng = torch.Generator().manual_seed(seed)
    state = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.randn(7, generator=rng)}}}
    rows = [{"images": 0, "fid": 1.5, "state": "running", "seconds": 0.0, "eval_seconds": 0.5, "logged_at": 1.0}]
    return {"generator": {"weight": torch.randn(5, 3, generator=rng)}, "opt_g": state, "images": 5, "rows": rows}


def same(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


def test_the_latest_of_two_is_loaded(tmp_path):
    assert load_checkpoint(tmp_path, CPU) == {}
    for seed in range(3):
        save_checkpoint(tmp_path, content_of(seed))
        assert same(load_checkpoint(tmp_path, CPU), content_of(seed))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(CHECKPOINTS)


@pytest.mark.long
@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_every_flipped_byte_is_found(tmp_path, step):
    """Each byte of a checkpoint, with one random bit the other way: the one before is loaded."""
    save_checkpoint(tmp_path, content_of(0))
    save_checkpoint(tmp_path, content_of(1))
    path = tmp_path / CHECKPOINTS[0]
    whole = path.read_bytes()
    rng = random.Random(0)
    for place in range(0, len(whole), step):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << rng.randrange(8)]) + whole[place + 1 :])
        assert same(load_checkpoint(tmp_path, CPU), content_of(0)), place


def test_a_truncated_checkpoint_is_found(tmp_path, caplog):
    save_checkpoint(tmp_path, content_of(0))
    save_checkpoint(tmp_path, content_of(1))
    path = tmp_path / CHECKPOINTS[0]
    whole = path.read_bytes()
    for length in [0, 1, *random.Random(0).sample(range(2, len(whole)), 50)]:
        path.write_bytes(whole[:length])
        assert same(load_checkpoint(tmp_path, CPU), content_of(0))
    assert f"{path} is damaged; going on from what was before it" in caplog.text


def numbers(rows):
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


@pytest.mark.parametrize("damaged", [1, 2])
def test_a_run_goes_on_behind_damaged_checkpoints(tiny_points, tmp_path, monkeypatch, damaged):
    """Bit-identical, no row made twice, from the checkpoint before or, where both are damaged, from the beginning."""
    config = tiny_points.replace(eval_every=128)
    whole = list(train(config, tmp_path / "whole"))
    run = train(config, tmp_path / "cut")
    first = [next(run) for _ in range(3)]
    run.close()
    for name in CHECKPOINTS[:damaged]:
        path = tmp_path / "cut" / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    evaluations = []
    monkeypatch.setattr(loop, "evaluate", lambda *a, _of=loop.evaluate: evaluations.append(0) or _of(*a))
    rows = list(train(config, tmp_path / "cut"))
    assert rows[:3] == first  # with their times
    assert numbers(rows) == numbers(whole)
    assert len(evaluations) == 2  # those at 384 and 512 images
    assert [json.loads(line) for line in (tmp_path / "cut" / "rows.jsonl").open()] == rows


def test_a_checkpoint_of_another_version_is_told(tiny_points, tmp_path):
    next(iter(train(tiny_points, tmp_path)))
    saved = load_checkpoint(tmp_path, CPU)
    del saved["steps"]
    save_checkpoint(tmp_path, saved)
    with pytest.raises(ValueError, match=r"'steps'.*remove its checkpoint files"):
        list(train(tiny_points, tmp_path))
