"""Search spaces by name: functions `space(trial, base: Config) -> overrides` of an Optuna trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainers.config import Config

SPACES: dict[str, Callable[[Any, Config], dict[str, Any]]] = {}
