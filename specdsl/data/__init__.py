"""Examples to train on: loading, drawing, splitting. Needs numpy and nothing else."""

from specdsl.data.dataset import DataError, DataSet, Examples, split
from specdsl.data.load import load

__all__ = ["DataError", "DataSet", "Examples", "load", "split"]
