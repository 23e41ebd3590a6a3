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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryFile
from typing import Any

from trainers.config import Config
from trainers.lazy import hurry
from trainers.namesakes import HOME
from trainers.user_code import has_run_files, load_object


def unpatched(function: str, *arguments: Any) -> Any:
    """What the function `module:name` of ours returns: called in a fresh process if files of the user's were run in
    this one, else here. Raises ValueError as it does, and if that process dies."""
    return apart(function, *arguments) if has_run_files() else load_object(function)(*arguments)


def apart(function: str, *arguments: Any) -> Any:
    """What the function `module:name` of ours returns, called in a fresh process. Raises ValueError as it does, and if
    that process dies."""
    with _asked(function, arguments) as answered:
        return answered()


@contextmanager
def beside(function: str, *arguments: Any) -> Iterator[Callable[[], Any]]:
    """Within it a fresh process finds what the function `module:name` of ours, which needs torch, returns, while this
    one does something else; what is yielded waits for that and returns it, or raises ValueError as `apart` does.

    Where torch is here already, and no file of the user's was run, it is called in this process when it is asked for.
    """
    if "torch" in sys.modules and not has_run_files():
        yield partial(load_object(function), *arguments)
        return
    with _asked(function, arguments) as answered:
        yield answered


@contextmanager
def _asked(function: str, arguments: tuple[Any, ...]) -> Iterator[Callable[[], Any]]:
    """A process that was asked, which ends with this context, and what waits for its answer."""
    with TemporaryFile() as question:
        question.write(_packed([function, arguments, logging.getLogger("trainers").level]))
        question.seek(0)
        child = subprocess.Popen([sys.executable, "-c", _code()], stdin=question, stdout=subprocess.PIPE)
    with child:  # which waits for its end
        try:
            yield partial(_answered, child)
        finally:
            child.kill()


def _code() -> str:
    """What that process runs: it has our module path, and finds our packages though a user's folder be first on it."""
    return f"""
import sys
sys.path[:] = {sys.path!r}
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
spec = PathFinder.find_spec("trainers", [{str(HOME)!r}])
sys.modules["trainers"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["trainers"])
from trainers.apart import answer
answer()
"""


def _answered(child: subprocess.Popen[bytes]) -> Any:
    """What the process found. Raises ValueError."""
    content, _ = child.communicate()
    if not content:
        raise ValueError(f"code of your own ended the process that checks it (exit status {child.returncode})")
    result, refusal = _unpacked(content)
    if refusal is not None:
        raise ValueError(refusal)
    return result


def answer() -> None:
    """Call what the standard input asks for; the answer goes to what was the standard output, prints to the errors."""
    hurry()
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
