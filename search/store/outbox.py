"""Sends what run folders hold to the store, in a thread of its own, and keeps what is not taken until it is.

The run folder comes first: a store that is away, slow, silent, or refuses, costs nothing but delay, and training waits
for none of it. Uploads are idempotent, so that this process or another may repeat them.
"""

import logging
import math
import time
from collections.abc import Callable
from threading import Condition, Thread

from search.store.connection import Store

logger = logging.getLogger(__name__)

PAUSE = 1.0, 30.0  # seconds until the next try: after the first failure, and at the most
PATIENCE = 20.0  # seconds without an answer, or of refusals, after which there is nothing to be waited for
SOON = 5.0  # seconds of waiting that need no explanation


class Outbox:
    """What waits to be uploaded, by name, in the order in which it came."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._waiting: dict[str, Callable[[], object]] = {}
        self._refused: dict[str, float] = {}  # since when an upload has failed
        self._pause = PAUSE[0]
        self._closing = self._closed = False
        self._changed = Condition()  # guards all of these
        Thread(target=self._work, daemon=True).start()

    def submit(self, name: str, upload: Callable[[], object]) -> None:
        """Queue an upload, in place of one of the same name. Returns at once."""
        with self._changed:
            self._waiting[name] = upload
            self._changed.notify_all()

    def _work(self) -> None:
        while uploads := self._all():
            errors = self._send(uploads)
            self._report(errors)
            if errors:
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, self._pause)
                time.sleep(min(PAUSE[0] / 2, 0.5) if self._closing else 0.0)

    def _all(self) -> list[tuple[str, Callable[[], object]]]:
        """What waits, as soon as something does; nothing once this is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return [] if self._closed else list(self._waiting.items())

    def _send(self, uploads: list[tuple[str, Callable[[], object]]]) -> list[str]:
        """Try each once, up to one that finds the store away; what failed. An exception of the store never gets out."""
        errors = []
        for name, upload in uploads:
            if self._closed:
                break
            try:
                upload()
            except Exception as error:  # whatever a server, a database or a network may answer
                errors.append(f"{name}: {type(error).__name__}")
                try:
                    self.store.probe()
                except ValueError:  # it is away
                    break
                with self._changed:
                    self._refused.setdefault(name, time.monotonic())
            else:
                with self._changed:
                    self._refused.pop(name, None)
                    if self._waiting[name] is upload:  # else there is more of it by now
                        del self._waiting[name]
                    self._changed.notify_all()
        return errors

    def _report(self, errors: list[str]) -> None:
        """Say when the store goes away and when it is back."""
        away = self._pause > PAUSE[0]
        if errors and not away:
            logger.warning(
                "the MLflow store %s does not take what it is sent (%s); training goes on, and evaluations wait in %s",
                self.store.address, errors[0], self.store.folders.root,
            )  # fmt: skip
        if away and not errors:
            logger.warning("the MLflow store %s answers again", self.store.address)
        self._pause = min(2 * self._pause, PAUSE[1]) if errors else PAUSE[0]

    def close(self, within: float = math.inf) -> list[str]:
        """Wait until all is taken, as long as the store takes some, and at most `within` seconds; what still waits
        then, by name, is sent no more."""
        started, told = time.monotonic(), within < PATIENCE
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            while self._waiting and not self._closed:
                if time.monotonic() >= started + within or self._is_hopeless(started):
                    break
                self._changed.wait(0.2)
                if not told and time.monotonic() > started + SOON:
                    told = True
                    logger.warning(
                        "all runs have ended; the MLflow store %s is still being sent them", self.store.address
                    )
            self._closed = True
            self._changed.notify_all()
            return list(self._waiting)

    def _is_hopeless(self, started: float) -> bool:
        """Whether the store has not answered for a while, or has refused for one all that waits."""
        past = time.monotonic() - PATIENCE
        is_silent = max(self.store.client.answered, started) < past
        return is_silent or all(max(self._refused.get(name, math.inf), started) < past for name in self._waiting)
