"""When each running trial last showed a sign of life, by the clock of this machine."""

import time

from search.store.folders import RunFolders


class Watch:
    """The trials that run, and since when each is silent."""

    def __init__(self, folders: RunFolders) -> None:
        self.folders = folders
        self._seen: dict[str, tuple[str, float]] = {}  # the latest sign, and when it was seen first

    def begin(self, run_id: str) -> None:
        """A trial has got its worker."""
        self._seen[run_id] = "", time.monotonic()

    def end(self, run_id: str) -> None:
        """A trial has ended."""
        self._seen.pop(run_id, None)

    def silences(self) -> dict[str, tuple[float, str]]:
        """Seconds since each trial's latest sign of life was new here, and its worker in words."""
        now, found = time.monotonic(), {}
        for run_id, (seen, since) in self._seen.items():
            sign = self.folders.sign_of_life(run_id)
            if sign and sign != seen:
                self._seen[run_id] = seen, since = sign, now
            found[run_id] = now - since, seen.partition(" at ")[0] or "a worker that has not begun"
        return found
