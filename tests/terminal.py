"""A terminal of some size in memory: what was printed on it can be read from it."""

import pyte


class Terminal:
    """Is written to as sys.stdout is, and heeds what moves the cursor."""

    encoding = "utf-8"

    def __init__(self, columns, lines):
        self.screen = pyte.HistoryScreen(columns, lines, history=1_000)
        self.screen.set_mode(pyte.modes.LNM)  # a new line begins at the left, which is the kernel's work
        self.stream = pyte.Stream(self.screen)

    def write(self, text):
        self.stream.feed(text)

    def flush(self):
        pass

    def isatty(self):
        return True

    @property
    def lines(self):
        """All lines, those that have left the screen too, without the empty ones at the end."""
        rolled = ["".join(line[x].data for x in range(self.screen.columns)) for line in self.screen.history.top]
        return "\n".join(line.rstrip() for line in [*rolled, *self.screen.display]).rstrip("\n").split("\n")
