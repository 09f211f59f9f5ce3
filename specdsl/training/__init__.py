"""Training: trials of a model under a recipe, with a folder that holds what came of it."""

from specdsl.runs.layout import default_folder
from specdsl.training.checks import check_fit
from specdsl.training.comparison import compare
from specdsl.training.runner import RunSummary, TrialSummary, run

__all__ = ["RunSummary", "TrialSummary", "check_fit", "compare", "default_folder", "run"]
