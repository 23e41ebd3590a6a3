"""The signals that end training in order: with a checkpoint, from which the same command goes on."""

import signal


def stopping_signals() -> list[signal.Signals]:
    """Ctrl-C, SIGTERM, and SIGHUP, which a closed terminal sends, unless it is ignored, as after `nohup`."""
    hangup = [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]


def noted_signals() -> list[int]:
    """Those of the stopping signals that came since this was called, as they come; they do nothing else any more."""
    came: list[int] = []
    for number in stopping_signals():
        signal.signal(number, lambda number, _: came.append(number))
    return came
