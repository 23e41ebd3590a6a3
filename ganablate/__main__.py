"""The entry point: what a user did wrong, or lacks, is a sentence."""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

from ganablate.command import app

USAGE: Any = typer.BadParameter.__base__  # what typer raises for a command line that it cannot read
# what the extra `all` installs, and `list` and `train` do without
EXTRA = ("ray", "mlflow", "optuna", "cmaes", "sqlalchemy", "pandas", "pyarrow", "matplotlib", "rich", "safetensors")


def main() -> None:
    """Entry point: a user's mistake, a file that cannot be used or a missing extra is one sentence and exit code 2."""
    from ganablate.complete import join_words
    from trainers.lazy import hurry
    from trainers.messages import printable, spare_letters
    from trainers.user_code import is_users

    hurry()
    join_words()
    spare_letters()
    os.environ["MPLBACKEND"] = "Agg"  # figures are files
    handler = logging.lastResort  # it alone asks what sys.stderr is by now: while runs are shown, a way above them
    assert handler is not None
    handler.setLevel(logging.NOTSET)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[handler])
    logging.getLogger("trainers").setLevel(logging.INFO)
    sys.path.append(str(Path.cwd()))  # where a user's own modules are found, after ours
    try:
        sys.exit(app(standalone_mode=False))
    except USAGE as error:
        message = error.format_message()  # there is none where help was printed
        if unknown := re.fullmatch(r"No such command '(.+?)'\..*", message, re.DOTALL):
            from spaces.find import other_kind

            clause = other_kind("command", unknown[1]).rstrip("; ")
            message = f"{message} {clause[:1].upper()}{clause[1:]}".rstrip()
    except ModuleNotFoundError as error:
        if error.name not in EXTRA or any(is_users(file) for file, *_ in traceback.extract_tb(error.__traceback__)):
            raise
        missing = ", ".join(name for name in EXTRA if find_spec(name) is None)
        message = f"`{sys.argv[1]}` needs the extra `all` (missing: {missing}); pip install 'ganablate[all]'"
    except ValueError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    if message:
        print(f"ganablate: {printable(message)}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
