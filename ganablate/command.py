"""All commands of `ganablate`."""

from ganablate import data, doctor, home, keep, make, models, read, watch
from ganablate.examples import EXAMPLES
from ganablate.options import app

__all__ = ["app", "data", "doctor", "home", "keep", "make", "models", "read", "watch"]

for command in app.registered_commands:
    command.name = str(command.name or getattr(command.callback, "__name__", ""))
    command.epilog = "\n\n".join(["Examples:", *EXAMPLES[command.name]])
app.registered_commands.sort(key=lambda command: list(EXAMPLES).index(str(command.name)))
