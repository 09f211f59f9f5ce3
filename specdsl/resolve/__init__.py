"""From syntax tree to graph: names, blocks, variants and shapes; and the recipes of data and training."""

from specdsl.diagnostics import Diagnostic
from specdsl.limits import Limits
from specdsl.resolve.data import data_recipe, source_called
from specdsl.resolve.experiments import Experiment, experiment, experiment_mistakes, experiments
from specdsl.resolve.imports import Importer
from specdsl.resolve.overrides import check_roots, overridden
from specdsl.resolve.program import Program
from specdsl.resolve.recipes import recipe_mistakes, train_recipe, training_steps

__all__ = [
    "Experiment",
    "Importer",
    "Limits",
    "Program",
    "all_mistakes",
    "check_roots",
    "data_recipe",
    "experiment",
    "experiments",
    "overridden",
    "source_called",
    "train_recipe",
    "training_steps",
]


def all_mistakes(program: Program) -> tuple[Diagnostic, ...]:
    """Everything wrong in a file: in its models and blocks, and in what it declares of data and training."""
    return (*program.mistakes(), *recipe_mistakes(program), *experiment_mistakes(program))
