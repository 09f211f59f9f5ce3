"""Many values for a model's parameters: what comes of each, and which are the best."""

from specdsl.sweeps.domains import Domain, domain
from specdsl.sweeps.sweep import Row, Sweep, Text, sweep

__all__ = ["Domain", "Row", "Sweep", "Text", "domain", "sweep"]
