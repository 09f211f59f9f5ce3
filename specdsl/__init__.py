"""specdsl: neural networks as short texts, analysed, drawn, compiled to Keras and trained."""

from typing import TYPE_CHECKING

from specdsl.version import __version__

if TYPE_CHECKING:
    from specdsl.api import Graph, Limits, Spec, import_keras, load, load_results, load_run, loads
    from specdsl.diagnostics import Diagnostic, SpecError

__all__ = [
    "Diagnostic",
    "Graph",
    "Limits",
    "Spec",
    "SpecError",
    "__version__",
    "import_keras",
    "load",
    "load_results",
    "load_run",
    "loads",
]


def __dir__() -> list[str]:
    """The public names too, which completion asks for before anybody has used them."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    """The public names, from where they live, when they are first asked for: `specdsl --help` needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module 'specdsl' has no attribute '{name}'")
    from specdsl import api

    return getattr(api, name)
