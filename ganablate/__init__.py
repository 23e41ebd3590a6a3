"""Hyper-parameter searches and ablation studies of GAN training: the command `ganablate`."""

from typing import TYPE_CHECKING

from trainers.lazy import exports

if TYPE_CHECKING:
    from ganablate.__main__ import main

__all__ = ["main"]
__getattr__ = exports(__name__, {"main": "ganablate.__main__"})
