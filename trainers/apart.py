"""A function of ours called in a process of its own, where nothing is of what a user's file may have patched here.

Arguments and results are Configs and what JSON has.
"""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from typing import Any

from trainers.config import Config
from trainers.user_code import has_run_files, load_object


def unpatched(function: str, *arguments: Any) -> Any:
    """What the function `module:name` of ours returns: called in a fresh process if files of the user's were run in
    this one, else here. Raises ValueError as it does, and if that process dies."""
    return apart(function, *arguments) if has_run_files() else load_object(function)(*arguments)


def apart(function: str, *arguments: Any) -> Any:
    """What the function `module:name` of ours returns, called in a fresh process. Raises ValueError as it does, and if
    that process dies."""
    child = f"import sys; sys.path[:] = {sys.path!r}; from trainers.apart import answer; answer()"
    asked = _packed([function, arguments, logging.getLogger("trainers").level])
    done = subprocess.run([sys.executable, "-c", child], input=asked, stdout=subprocess.PIPE, check=False)
    if not done.stdout:
        raise ValueError(f"code of your own ended the process that checks it (exit status {done.returncode})")
    result, refusal = _unpacked(done.stdout)
    if refusal is not None:
        raise ValueError(refusal)
    return result


def answer() -> None:
    """Call what the standard input asks for; the answer goes to what was the standard output, prints to the errors."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asked ends this process
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    function, arguments, level = _unpacked(sys.stdin.buffer.read())
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("trainers").setLevel(level)
    result, refusal = None, None
    try:
        result = load_object(function)(*arguments)
    except ValueError as error:
        refusal = str(error)
    with contextlib.suppress(BrokenPipeError):  # who asked is no more
        out.write(_packed([result, refusal]))
        out.close()


def _packed(value: Any) -> bytes:
    return json.dumps(value, default=_pack).encode()


def _pack(value: Any) -> dict[str, Any]:
    if not isinstance(value, Config):
        raise TypeError(f"a {type(value).__name__} cannot be sent to another process")
    return {"Config": value.model_dump(mode="json"), "data": value.data_digest if value.is_at_path else None}


def _unpacked(content: bytes) -> Any:
    return json.loads(content, object_hook=_unpack)


def _unpack(held: dict[str, Any]) -> Any:
    return Config(**held["Config"]).with_data(held["data"]) if held.keys() == {"Config", "data"} else held
