"""Signs of life: each part of what takes long gives one, and they cost nothing."""

import pytest

from trainers import heartbeat
from trainers.heartbeat import heartbeats
from trainers.loop import train


@pytest.fixture
def signs(monkeypatch):
    """All signs of life, none held back."""
    monkeypatch.setattr(heartbeat, "EVERY", 0.0)
    found = []
    with heartbeats(lambda: found.append(1)):
        yield found


def test_every_step_and_every_part_of_an_evaluation_is_one(signs, tiny_points, tmp_path):
    config = tiny_points.replace(eval_samples=1_000)
    for _ in train(config, tmp_path):
        pass
    steps, evaluations = config.n_images // config.batch_size, config.n_images // config.eval_every + 1
    assert len(signs) > steps + evaluations


def test_so_is_every_block_of_decoding(signs, tmp_path, monkeypatch):
    import numpy as np
    from PIL import Image

    from trainers.data import decode
    from trainers.data.load import load_dataset

    monkeypatch.setenv("GANABLATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(decode, "BLOCK", 16 * 16)
    (tmp_path / "photos").mkdir()
    for n in range(5):
        Image.fromarray(np.full((16, 16), n, np.uint8)).save(tmp_path / "photos" / f"{n}.png")
    before = len(signs)
    from trainers.config import Config

    load_dataset(Config(dataset=f"folder:{tmp_path / 'photos'}", features="raw"))
    assert len(signs) - before >= 5


def test_at_most_one_a_second_is_passed_on():
    found = []
    with heartbeats(lambda: found.append(1)):
        for _ in range(1_000):
            heartbeat.heartbeat()
    assert len(found) == 1
    heartbeat.heartbeat()
    assert len(found) == 1
