"""What a worker makes of an error: the run's own, or the storage's, which ends the sweep in order."""

import errno
import os
import shutil
import sys
from types import SimpleNamespace

import pytest
import torch

from search.tune.worker import GPU_LOST, HALTED, train_trial
from trainers.files import MARK, storage_lost, storage_mark
from trainers.loop import digests
from trainers.run_folder import read_origin


@pytest.fixture
def trial(tmp_path, tiny_points, monkeypatch):
    """What the driver gives a worker, whose reports are `reported`."""
    monkeypatch.setenv("GANABLATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANABLATE_CODE_VERSION", "1")
    reported = []
    tune = SimpleNamespace(report=reported.append)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(tune=tune, get_gpu_ids=lambda: [3]))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2,3")
    return reported, {
        "run_id": "one",
        "folders": str(tmp_path / "runs" / "trials"),
        "object_store": None,
        "storage_mark": storage_mark(tmp_path / "runs"),
        "origin": {"store": "1", "address": "mlflow.db"},
        "config": tiny_points.model_dump(mode="json"),
        "data": None,
        "digests": digests(tiny_points),
        "code_version": "1",
        "folder": str(tmp_path),
        "path": [],
        "cache": str(tmp_path / "cache"),
        "gpus": 0.0,
    }


def raising(error, monkeypatch):
    def train(*_, **__):
        raise error
        yield

    monkeypatch.setattr("trainers.loop.train", train)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE])
def test_a_storage_that_cannot_be_written_ends_the_sweep_and_no_run(trial, number, monkeypatch, tmp_path):
    reported, asked = trial
    raising(OSError(number, os.strerror(number), str(tmp_path / "runs" / "trials" / "one" / "rows.jsonl")), monkeypatch)
    train_trial(asked)
    assert reported[-1]["state"] == HALTED
    assert str(tmp_path / "runs") in reported[-1]["error"] or "disk at" in reported[-1]["error"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT])
def test_a_file_of_the_users_own_is_the_runs_own_failure(trial, number, monkeypatch, tmp_path):
    reported, asked = trial
    raising(OSError(number, os.strerror(number), str(tmp_path / "mine.npy")), monkeypatch)
    train_trial(asked)
    assert reported[-1]["state"] == "failed"
    assert "mine.npy" in reported[-1]["error"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError("too much"), RuntimeError("odd")])
def test_what_user_code_raises_fails_the_run_with_its_reason(trial, error, monkeypatch):
    reported, asked = trial
    raising(error, monkeypatch)
    train_trial(asked)
    assert reported[-1]["state"] == "failed"
    assert reported[-1]["error"].startswith(type(error).__name__)


def test_a_trial_that_tune_stops_leaves_at_once(trial, monkeypatch):
    """By SystemExit out of its report, as Ray's session does; a second report would never be answered, so that the
    process could take no other trial."""
    reported, asked = trial

    def report(result):
        reported.append(result)
        sys.exit(0)

    monkeypatch.setattr(sys.modules["ray"].tune, "report", report)
    discarded = []
    monkeypatch.setattr("search.store.folders.RunFolders.discard_local", lambda _, run_id: discarded.append(run_id))
    with pytest.raises(SystemExit):
        train_trial(asked)
    assert discarded == ["one"]  # what lies on a node of which the object store has a copy
    assert [report["state"] for report in reported] == ["running"]


@pytest.mark.parametrize("gone", ["unmounted", "another"])
def test_a_storage_that_is_gone_or_another_makes_no_run(trial, gone, tmp_path):
    """An empty mount point has no mark, and another folder a mark of its own."""
    reported, asked = trial
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "runs").mkdir()
    if gone == "another":
        storage_mark(tmp_path / "runs")
    train_trial(asked)
    assert reported[-1]["state"] == HALTED
    assert "mount" in reported[-1]["error"]
    assert not (tmp_path / "runs" / "trials").exists()


def test_a_mark_is_made_once(tmp_path):
    mark = storage_mark(tmp_path / "runs")
    assert storage_mark(tmp_path / "runs") == mark == (tmp_path / "runs" / MARK).read_text()
    assert storage_lost(tmp_path / "runs", mark) is None
    shutil.move(tmp_path / "runs", tmp_path / "moved")
    assert storage_lost(tmp_path / "moved", mark) is None


ILLEGAL = "CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress' in https://docs"
FULL = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
REFUSED = RuntimeError("mat1 and mat2 shapes cannot be multiplied")


@pytest.mark.parametrize(
    ("error", "gpus", "state"),
    [
        (RuntimeError(ILLEGAL), 1, GPU_LOST),
        (torch.AcceleratorError(ILLEGAL), 0.5, GPU_LOST),
        (FULL, 0.5, GPU_LOST),
        (FULL, 1, "failed"),
        (REFUSED, 1, "failed"),
    ],
)
def test_a_process_that_lost_its_gpu_says_why_and_ends(trial, error, gpus, state, monkeypatch):
    reported, asked = trial
    ended = []
    monkeypatch.setattr("os._exit", ended.append)
    monkeypatch.setattr("trainers.gpu.take_share", lambda share: None)
    raising(error, monkeypatch)
    train_trial({**asked, "gpus": gpus})
    assert reported[-1]["state"] == state
    assert reported[-1]["error"] == f"{type(error).__name__}: {str(error).splitlines()[0]}"
    assert bool(ended) == (state == GPU_LOST)


def test_a_trial_sees_its_gpu_alone_or_none(trial, monkeypatch):
    """Also in a process that had another trial."""
    _, asked = trial
    raising(REFUSED, monkeypatch)
    for gpus, visible in ((0.0, ""), (0.5, "3"), (1.0, "3"), (0.0, "")):
        train_trial({**asked, "gpus": gpus})
        assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


def test_trains(trial, tmp_path):
    reported, asked = trial
    train_trial(asked)
    assert [report["state"] for report in reported] == ["running", "running", "done"]
    assert read_origin(tmp_path / "runs" / "trials" / "one") == asked["origin"]
