"""The JSON Schemas of what `results` and `compare` write as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def results_schema() -> dict[str, Any]:
    """The schema of what `results --format json` writes."""
    from specdsl.backends.schemas import schema_of
    from specdsl.results.data import ResultsData

    return schema_of("results", ResultsData)


def compare_schema() -> dict[str, Any]:
    """The schema of what `compare --format json` writes."""
    from specdsl.backends.schemas import schema_of
    from specdsl.results.data import ComparisonData

    return schema_of("compare", ComparisonData)


SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {"results": results_schema, "compare": compare_schema}
"""The documents by name."""
