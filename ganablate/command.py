"""All commands of `ganablate`."""

from ganablate import keep, make, models, read
from ganablate.options import app

__all__ = ["app", "keep", "make", "models", "read"]
# fmt: off
ORDER = (
    "list", "plan", "run", "score", "search", "report", "why", "claims", "ui", "sample", "export", "train", "import",
    "clean",
)
# fmt: on

# as help lists them: in the order in which they are met
app.registered_commands.sort(key=lambda command: ORDER.index(command.name or getattr(command.callback, "__name__", "")))
