"""The text of a spec and its tree: grammar, parser, formatter."""

from specdsl.syntax.parser import Parsed, parse, parse_all
from specdsl.syntax.reading import read

__all__ = ["Parsed", "parse", "parse_all", "read"]
