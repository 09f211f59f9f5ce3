"""Many values for a model's parameters: what comes of each, which are the best, which is the largest that fits."""

from specdsl.sweeps.domains import Domain, domain
from specdsl.sweeps.solving import Budget, Solution, solve
from specdsl.sweeps.sweep import Row, Sweep, Text, sweep

__all__ = ["Budget", "Domain", "Row", "Solution", "Sweep", "Text", "domain", "solve", "sweep"]
