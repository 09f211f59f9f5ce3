"""From syntax tree to graph: names, blocks, variants and shapes."""

from specdsl.resolve.program import Program
from specdsl.resolve.scope import Limits

__all__ = ["Limits", "Program"]
