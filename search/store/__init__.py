"""What was run, kept in MLflow: an experiment a study or a search, a parent run a cell, a child run a seed.

A seed's run is known by its tags (cell_key, seed) over the whole store, whatever study made it.
"""

from typing import TYPE_CHECKING

from trainers.lazy import exports

if TYPE_CHECKING:
    from search.store.connection import Store
    from search.store.frames import load_runs

__all__ = ["Store", "load_runs"]
__getattr__ = exports(__name__, {"Store": "search.store.connection", "load_runs": "search.store.frames"})
