"""The device that a process trains on, its share of it, and the errors after which it is of no use to another run."""

import gc
import math
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

# cuBLAS, which reads it once a process, then sums in one order; torch refuses deterministic algorithms without it
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
DRIVER = Path("/proc/driver/nvidia/version")  # on Linux

# what torch, cuDNN and Triton say once a kernel failed: from then on every call of the process does
BROKEN = re.compile(r"CUDA (driver )?error:|cuDNN error:|Triton Error \[CUDA\]:")
LONGEST = 300  # letters of what they say


def chosen_device() -> torch.device:
    """What training runs on: the first GPU that the process sees or, where there is none, the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def memory(device: torch.device) -> float:
    """Bytes of a GPU's memory that this process may take; a CPU's have no such bound."""
    if device.type != "cuda":
        return math.inf
    total = torch.cuda.get_device_properties(device).total_memory
    return total * torch.cuda.get_per_process_memory_fraction(device)


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was told: only then does a clock tell how long that took."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def arithmetic(device: torch.device, *, tf32: bool, deterministic: bool) -> Iterator[None]:
    """Within it, products of 32-bit floats on CUDA are TensorFloat-32 ones or, as after it, not, where torch's own
    default has convolutions on; and if `deterministic`, its algorithms are, or an operation that has none raises
    RuntimeError. A CPU's are in any case."""
    deterministic = deterministic and device.type != "cpu"
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        if deterministic:  # asked for alone: it imports the compiler
            torch.backends.cudnn.deterministic = True
            torch.use_deterministic_algorithms(True)
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        if deterministic:
            torch.backends.cudnn.deterministic = False
            torch.use_deterministic_algorithms(False)


def made_with(device: torch.device) -> dict[str, str]:
    """What numbers depend on beside a Config, by the names of PROVENANCE: torch and the device, of a GPU also cuDNN and
    the driver."""
    if device.type != "cuda":
        return {"torch": torch.__version__, "device": platform.machine()}
    known = {"torch": torch.__version__, "device": torch.cuda.get_device_name(device)}
    if torch.backends.cudnn.is_available():
        known["cudnn"] = str(torch.backends.cudnn.version())
    driver = re.search(r"\d+\.[\d.]+", DRIVER.read_text()) if DRIVER.exists() else None
    return known | ({"driver": driver[0]} if driver else {})


def take_share(share: float) -> None:
    """Keep this process to its share, in 0..1, of its GPU's memory, and free what the run before this one left there.
    Raises RuntimeError where it should have a GPU and torch sees none, or CUDA does not start."""
    if share and not torch.cuda.is_available():
        raise RuntimeError(
            f"its GPU cannot be used: torch {torch.__version__} sees none there; --gpus-per-trial 0 trains on the CPU"
        )
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(share or 1.0)


def gpu_lost(error: BaseException, share: float) -> str | None:
    """What an error, or one that it came of, says, if the run should go on in a fresh process: CUDA is broken in this
    one, or a shared GPU (0 < share < 1) had no memory left, which a neighbour may have had; else None."""
    for cause in _chain(error):
        is_memory = isinstance(cause, torch.OutOfMemoryError) and 0 < share < 1
        if is_memory or (isinstance(cause, RuntimeError) and BROKEN.match(str(cause))):
            return f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"[:LONGEST]
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
