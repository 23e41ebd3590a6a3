"""What is imported late, and how it is imported fast."""

import atexit
import gc
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

RARELY = 100_000  # objects made and not removed, after which Python looks for garbage; 700 are the default


def exports(package: str, modules: dict[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__`: the names in `modules`, each from its own module."""

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(modules[name]), name)

    return get


@contextmanager
def imports() -> Iterator[None]:
    """Within it nothing is looked through for garbage: large imports, which make none, take a third less."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def hurry() -> None:
    """Have this process look for garbage rarely while it goes, and not once more through all when it ends."""
    gc.set_threshold(RARELY)
    atexit.register(gc.freeze)
