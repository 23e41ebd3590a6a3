"""All commands of `ganablate`."""

from ganablate import keep, make, read
from ganablate.options import app

__all__ = ["app", "keep", "make", "read"]
ORDER = ("list", "plan", "run", "score", "search", "report", "why", "claims", "ui", "train", "import", "clean")

# as help lists them: in the order in which they are met
app.registered_commands.sort(key=lambda command: ORDER.index(command.name or getattr(command.callback, "__name__", "")))
