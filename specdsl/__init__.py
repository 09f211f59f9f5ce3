"""specdsl: neural networks as short texts, analysed, drawn, compiled to Keras and trained."""

from specdsl.api import Graph, Spec, load, loads
from specdsl.diagnostics import Diagnostic, SpecError
from specdsl.version import __version__

__all__ = ["Diagnostic", "Graph", "Spec", "SpecError", "__version__", "load", "loads"]
