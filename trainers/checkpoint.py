"""Checkpoints of a run: two are kept, so that a damaged one costs no more than an evaluation's training."""

from __future__ import annotations

import io
import logging
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
from trainers.files import tensor_bytes, write_atomically
from trainers.run_folder import check_evaluation

logger = logging.getLogger(__name__)
CHECKPOINTS = ("checkpoint.pt", "checkpoint_before.pt")  # the latest, and the one before it
DIGEST = sha256().digest_size


def save_checkpoint(run_dir: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint: SHA-256 of torch.save's bytes, then the bytes; the previous checkpoint is kept."""
    held = tensor_bytes(content)
    latest, before = (run_dir / name for name in CHECKPOINTS)
    aside = latest.with_name("checkpoint_next.pt")
    write_atomically(aside, lambda file: file.writelines([sha256(held).digest(), held]))
    if latest.exists():
        latest.replace(before)
    aside.replace(latest)


def load_checkpoint(run_dir: Path, device: torch.device) -> dict[str, Any]:
    """The latest checkpoint that is whole; {} if there is none. Raises anything if someone else made it."""
    import torch

    for name in CHECKPOINTS:
        path = run_dir / name
        if not path.exists():
            continue
        digest, content = (held := path.read_bytes())[:DIGEST], held[DIGEST:]
        if sha256(content).digest() == digest:
            saved: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            for number, evaluation in enumerate(saved["rows"], 1):
                check_evaluation(evaluation, f"{path}, row {number}")
            return saved
        logger.warning("%s is damaged; going on from what was before it", path)
    return {}


def drop_checkpoints(run_dir: Path) -> None:
    """Remove what an ended run does not go on from."""
    for name in (*CHECKPOINTS, "checkpoint_next.pt"):
        (run_dir / name).unlink(missing_ok=True)
