"""Training: trials of a model under a recipe, with a folder that holds what came of it."""

from specdsl.training.candidates import check_wanted
from specdsl.training.checks import check_fit, check_recipe
from specdsl.training.plans import Plan
from specdsl.training.runner import run, run_all
from specdsl.training.ways import Wanted, Way

__all__ = ["Plan", "Wanted", "Way", "check_fit", "check_recipe", "check_wanted", "run", "run_all"]
