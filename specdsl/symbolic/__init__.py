"""What a model has as expressions in its own parameters, and what has to hold for them."""

from specdsl.symbolic.model import Formula, Symbolic, SymbolicLayer, symbolic

__all__ = ["Formula", "Symbolic", "SymbolicLayer", "symbolic"]
