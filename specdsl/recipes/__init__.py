"""What a spec declares of data and training, as values: light, without numpy and without any framework."""

from specdsl.recipes.augmentation import OPERATIONS, Operation, Pipeline, Uniform, Views
from specdsl.recipes.optimizers import OPTIMIZERS, Optimizer
from specdsl.recipes.sources import SOURCES, Gtsrb, Source, Synthetic
from specdsl.recipes.training import DataRecipe, TrainRecipe, Validation, default_data

__all__ = [
    "OPERATIONS",
    "OPTIMIZERS",
    "SOURCES",
    "DataRecipe",
    "Gtsrb",
    "Operation",
    "Optimizer",
    "Pipeline",
    "Source",
    "Synthetic",
    "TrainRecipe",
    "Uniform",
    "Validation",
    "Views",
    "default_data",
]
