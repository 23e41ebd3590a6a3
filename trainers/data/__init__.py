"""Data sets: one file a source.

A data set is a function without arguments that gives a Dataset, or an ImageSource of images that are decoded once;
`DATASETS` in trainers/names.py names them.
"""

from typing import TYPE_CHECKING

from trainers.lazy import exports

if TYPE_CHECKING:
    from trainers.data.dataset import Dataset, Pair
    from trainers.data.load import load_dataset

__all__ = ["Dataset", "Pair", "load_dataset"]
__getattr__ = exports(
    __name__,
    {"Dataset": "trainers.data.dataset", "Pair": "trainers.data.dataset", "load_dataset": "trainers.data.load"},
)
