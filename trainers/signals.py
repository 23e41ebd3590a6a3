"""The signals that end training in order: with a checkpoint, from which the same command goes on."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


def stopping_signals() -> list[signal.Signals]:
    """Ctrl-C, SIGTERM, and SIGHUP, which a closed terminal sends, unless it is ignored, as after `nohup`."""
    hangup = [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Within it the stopping signals do nothing but to be noted in this list, as they come."""
    came: list[int] = []
    former = {number: signal.signal(number, lambda number, _: came.append(number)) for number in stopping_signals()}
    try:
        yield came
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
