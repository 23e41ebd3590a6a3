"""Which errors of a GPU a run goes on from in another process, and a process's share of its memory; no GPU needed."""

import math
import os
import platform
from types import SimpleNamespace

import pytest
import torch

from trainers import gpu
from trainers.gpu import arithmetic, chosen_device, gpu_lost, made_with, memory, synchronize, take_share
from trainers.run_folder import PROVENANCE
from trainers.user_code import guard_user_code

LOST = [
    "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported",
    "CUDA error: device-side assert triggered",
    "CUDA error: uncorrectable ECC error encountered",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`",
    "CUDA driver error: unspecified launch failure",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "Triton Error [CUDA]: an illegal memory access was encountered",
]


@pytest.mark.parametrize("text", LOST)
@pytest.mark.parametrize("kind", [RuntimeError, torch.AcceleratorError])
def test_an_error_of_cuda_stays(kind, text):
    assert gpu_lost(kind(text), 1.0) == f"{kind.__name__}: {text.splitlines()[0]}"


def test_an_error_of_cuda_is_found_behind_what_code_of_the_users_own_made_of_it():
    with pytest.raises(ValueError) as wrapped, guard_user_code("backbone", "mine:build", []):
        raise RuntimeError(LOST[0])
    assert gpu_lost(wrapped.value, 1.0).startswith("RuntimeError: CUDA error: an illegal memory")


@pytest.mark.parametrize("error", [RuntimeError("shapes"), ValueError("CUDA error: mine"), SystemExit(1), OSError(28)])
def test_other_errors_are_the_runs_own(error):
    assert gpu_lost(error, 1.0) is None


def test_memory_may_be_a_neighbours_where_a_gpu_is_shared():
    full = torch.cuda.OutOfMemoryError("CUDA out of memory.")
    assert gpu_lost(full, 0.5) == "OutOfMemoryError: CUDA out of memory."
    assert gpu_lost(full, 1.0) is None


def test_a_share_is_that_of_the_present_trial(monkeypatch):
    done = []
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: done.append("emptied"))
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", done.append)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    take_share(0.0)
    with pytest.raises(RuntimeError, match=r"sees none there; --gpus-per-trial 0"):
        take_share(0.5)
    assert done == []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    take_share(0.5)
    take_share(1.0)
    assert done == ["emptied", 0.5, "emptied", 1.0]


@pytest.mark.parametrize(("there", "kind"), [(True, "cuda"), (False, "cpu")])
def test_a_gpu_is_taken_where_there_is_one(there, kind, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert chosen_device().type == kind


def test_memory_is_the_share_of_it(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda device: SimpleNamespace(total_memory=80))
    monkeypatch.setattr("torch.cuda.get_per_process_memory_fraction", lambda device: 0.5)
    assert memory(torch.device("cuda")) == 40
    assert memory(torch.device("cpu")) == math.inf


def test_a_gpu_is_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr("torch.cuda.synchronize", waited.append)
    for kind in ("cpu", "cuda"):
        synchronize(torch.device(kind))
    assert waited == [torch.device("cuda")]


@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_arithmetic_is_as_asked_within_alone(device, tf32, deterministic):
    """A CPU's stays as it is: its numbers are the same in any case."""

    def flags():
        cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        return cuda.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, torch.are_deterministic_algorithms_enabled()

    is_set = deterministic and device == "cuda"
    with arithmetic(torch.device(device), tf32=tf32, deterministic=deterministic):
        assert flags() == (tf32, tf32, is_set, is_set)
    assert flags() == (False, False, False, False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_what_numbers_depend_on_is_known(monkeypatch, tmp_path):
    assert made_with(torch.device("cpu")) == {"torch": torch.__version__, "device": platform.machine()}
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "H100")
    monkeypatch.setattr("torch.backends.cudnn.is_available", lambda: True)
    monkeypatch.setattr("torch.backends.cudnn.version", lambda: 92400)
    monkeypatch.setattr(gpu, "DRIVER", tmp_path / "version")
    known = {"torch": torch.__version__, "device": "H100", "cudnn": "92400"}
    assert made_with(torch.device("cuda")) == known
    gpu.DRIVER.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27\nGCC version: 12.2.0\n"
    )
    assert made_with(torch.device("cuda")) == known | {"driver": "580.65.06"}
    assert made_with(torch.device("cuda")).keys() <= set(PROVENANCE)
