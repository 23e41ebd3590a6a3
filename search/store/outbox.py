"""Uploads what run folders hold to the store, and keeps what the store does not take until it does.

The run folder comes first: a store that is away, or refuses, costs nothing but delay. Uploads are idempotent, so that
this process or another may repeat them.
"""

import logging
import time
from collections.abc import Callable

from search.store import Store

logger = logging.getLogger(__name__)

PAUSE = 1.0, 30.0  # seconds until the next try: after the first failure, and at the most
PATIENCE = 20.0  # seconds that the last tries go on for when there is nothing else to do


class Outbox:
    """What waits to be uploaded, by name, in the order in which it came."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.waiting: dict[str, Callable[[], object]] = {}
        self._pause, self._next_try = PAUSE[0], 0.0

    def submit(self, name: str, upload: Callable[[], object]) -> None:
        """Try now; if the store is away, queue it, in place of an entry of the same name."""
        self.waiting[name] = upload
        self.flush()

    def flush(self) -> None:
        """Upload all that waits, unless the last try failed a moment ago. An exception of the store never gets out."""
        if not self.waiting or time.monotonic() < self._next_try:
            return
        errors = []
        for name, upload in list(self.waiting.items()):
            try:
                upload()
            except Exception as error:  # whatever a server, a database or a network may answer
                errors.append(f"{name}: {type(error).__name__}")
                try:
                    self.store.probe()
                except ValueError:  # it is away
                    break
            else:
                del self.waiting[name]
        self._report(errors)

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
        self._next_try = time.monotonic() + self._pause if errors else 0.0
        self._pause = min(2 * self._pause, PAUSE[1]) if errors else PAUSE[0]

    def close(self) -> list[str]:
        """Try for a while longer; what still waits then, by name."""
        deadline = time.monotonic() + PATIENCE
        self._next_try = 0.0
        self.flush()
        while self.waiting and time.monotonic() < deadline:
            time.sleep(0.5)
            self.flush()
        return list(self.waiting)
