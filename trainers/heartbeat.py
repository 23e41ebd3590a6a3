"""Signs of life of what takes long: a step, a part of an evaluation, of decoding or of compiling.

Whoever makes runs says by `heartbeats` where they go; elsewhere they go nowhere.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

EVERY = 1.0  # seconds between two that are passed on
_SINKS: list[tuple[Callable[[], None], list[float]]] = []  # where they go, and when the next one may


def heartbeat(*_: Any) -> None:
    """Show a sign of life; at most one a second is passed on."""
    for sink, due in _SINKS:
        if time.monotonic() >= due[0]:
            due[0] = time.monotonic() + EVERY
            sink()


@contextmanager
def heartbeats(sink: Callable[[], None]) -> Iterator[None]:
    """Within it each sign of life of this process is one of the sink's too."""
    entry = sink, [0.0]
    _SINKS.append(entry)
    try:
        heartbeat()
        yield
    finally:
        _SINKS.remove(entry)
