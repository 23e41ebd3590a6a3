"""The signals that end training in order: with a checkpoint, from which the same command goes on."""

import signal


def stopping_signals() -> list[signal.Signals]:
    """Ctrl-C, SIGTERM, and SIGHUP, which a closed terminal sends, unless it is ignored, as after `nohup`."""
    hangup = [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]
