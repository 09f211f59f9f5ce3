"""What a spec declares of data and training, as values: light, without numpy and without any framework."""

from specdsl.recipes.augmentation import OPERATIONS, Operation, Pipeline, Uniform, Views
from specdsl.recipes.data import DataRecipe, Validation, default_data
from specdsl.recipes.losses import LOSSES, Loss
from specdsl.recipes.metrics import METRICS, Metric
from specdsl.recipes.optimizers import OPTIMIZERS, Optimizer
from specdsl.recipes.rates import RATE_SCHEDULES, RateSchedule
from specdsl.recipes.schedules import SCHEDULES, Schedule
from specdsl.recipes.sources import SOURCES, Cifar10, Folder, Gtsrb, Mnist, Npz, Sinc, Source, Synthetic
from specdsl.recipes.training import TrainRecipe

__all__ = [
    "LOSSES",
    "METRICS",
    "OPERATIONS",
    "OPTIMIZERS",
    "RATE_SCHEDULES",
    "SCHEDULES",
    "SOURCES",
    "Cifar10",
    "DataRecipe",
    "Folder",
    "Gtsrb",
    "Loss",
    "Metric",
    "Mnist",
    "Npz",
    "Operation",
    "Optimizer",
    "Pipeline",
    "RateSchedule",
    "Schedule",
    "Sinc",
    "Source",
    "Synthetic",
    "TrainRecipe",
    "Uniform",
    "Validation",
    "Views",
    "default_data",
]
