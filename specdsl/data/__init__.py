"""Images to train on: loading, drawing, splitting. Needs numpy and nothing else."""

from specdsl.data.dataset import DataError, DataSet, Images, split
from specdsl.data.load import load

__all__ = ["DataError", "DataSet", "Images", "load", "split"]
