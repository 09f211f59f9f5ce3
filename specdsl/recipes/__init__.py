"""What a spec declares of data and training, as values: light, without numpy and without any framework."""

from specdsl.recipes.augmentation import OPERATIONS, Operation, Pipeline, Uniform, Views
from specdsl.recipes.optimizers import OPTIMIZERS, Optimizer
from specdsl.recipes.sources import SOURCES, Cifar10, Folder, Gtsrb, Mnist, Npz, Sinc, Source, Synthetic
from specdsl.recipes.training import DataRecipe, TrainRecipe, Validation, default_data

__all__ = [
    "OPERATIONS",
    "OPTIMIZERS",
    "SOURCES",
    "Cifar10",
    "DataRecipe",
    "Folder",
    "Gtsrb",
    "Mnist",
    "Npz",
    "Operation",
    "Optimizer",
    "Pipeline",
    "Sinc",
    "Source",
    "Synthetic",
    "TrainRecipe",
    "Uniform",
    "Validation",
    "Views",
    "default_data",
]
