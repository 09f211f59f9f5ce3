"""Text to syntax tree. Every mistake becomes a diagnostic here, and reading goes on behind it."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lark import Lark, Token, UnexpectedInput, UnexpectedToken

from specdsl.diagnostics import Diagnostic, Slug, SpecError
from specdsl.source import Source, Span
from specdsl.syntax import recovery, tree
from specdsl.syntax.builder import Builder

MOST_SYNTAX_ERRORS = 20
LARGEST_TEXT = 16 * 1024 * 1024
"""Characters of a spec at most."""

GRAMMAR = Path(__file__).with_name("grammar.lark")

_WORDS = {
    "NAME": "a name", "NUMBER": "a number", "STRING": "a string", "DOCSTRING": "a docstring", "SEP": "the end of the step",
    "LPAR": "'('", "RPAR": "')'", "LSQB": "'['", "RSQB": "']'", "LBRACE": "'{'", "RBRACE": "'}'", "COMMA": "','",
    "EQUAL": "'='", "COLON": "':'", "DOT": "'.'", "ARROW": "'->'", "$END": "the end of the file",
    "PLACE": "'after', 'before', 'replace'",
}  # fmt: skip
_OPERATORS = {"OR", "AND", "NOT", "COMPARATOR", "SIGN", "SCALE", "POWER", "IF"}
_VALUES = {"NUMBER", "STRING", "TRUE", "FALSE", "NONE", "NAME", "LPAR", "LSQB", "SIGN", "NOT"}


@dataclass(frozen=True)
class Parsed:
    """A tree, and what could not be read of its text.

    Attributes:
        spec: the tree, with a hole for each step that could not be read.
        diagnostics: the syntax errors.
        lost_names: every word in the unreadable parts, which may have been a definition.
    """

    spec: tree.Spec
    diagnostics: tuple[Diagnostic, ...]
    lost_names: frozenset[str]


def parse(source: Source) -> tree.Spec:
    """The syntax tree of a text.

    Raises:
        SpecError: the text is no spec; with one diagnostic for each step that cannot be read.
    """
    parsed = parse_all(source)
    if parsed.diagnostics:
        raise SpecError(parsed.diagnostics)
    return parsed.spec


def parse_all(source: Source) -> Parsed:
    """The syntax tree of a text with holes where it cannot be read, and what is wrong there.

    Raises:
        SpecError: nothing of the text can be read, or it is too large.
    """
    if len(source.text) > LARGEST_TEXT:
        message = f"{source.name} has {len(source.text):,} characters; a spec has at most {LARGEST_TEXT:,}"
        raise SpecError([Diagnostic(Slug.LIMIT, message)])
    if bad := re.search(r"[\x00-\x08\x0b\x0e-\x1f\x7f]", source.text):
        span = Span(source, bad.start(), bad.end())
        raise SpecError([Diagnostic(Slug.SYNTAX, f"the control character {bad[0]!r} cannot stand in a spec", span)])
    diagnostics: list[Diagnostic] = []
    lost: set[str] = set()
    text = source.text
    while True:
        try:
            return Parsed(_read(source, text), tuple(diagnostics), frozenset(lost))
        except UnexpectedInput as error:
            offset = _offset(error, text)
            broken = recovery.damage(text, offset)
            diagnostics.append(_diagnostic(source, error, offset, broken))
            gone = text[broken.start : broken.end]
            if not gone or len(diagnostics) >= MOST_SYNTAX_ERRORS:
                raise SpecError(diagnostics) from None
            lost.update(re.findall(r"[^\W\d]\w*", gone))
            text = recovery.blank(text, broken)


def _read(source: Source, text: str) -> tree.Spec:
    parser, builder = _parser()
    builder.source = source
    collecting = gc.isenabled()
    gc.disable()  # a parse makes many objects and no cycles: the collector would only walk them again and again
    try:
        spec = parser.parse(text)
    except RecursionError:
        message = f"{source.name} nests brackets too deeply to be read"
        raise SpecError([Diagnostic(Slug.LIMIT, message)]) from None
    finally:
        if collecting:
            gc.enable()
    assert isinstance(spec, tree.Spec)
    return spec


@cache
def _parser() -> tuple[Lark, Builder]:
    builder = Builder()
    parser = Lark(
        GRAMMAR.read_text(encoding="utf-8"),
        start="spec",
        parser="lalr",
        lexer="contextual",
        maybe_placeholders=False,
        keep_all_tokens=True,
        postlex=_Brackets(),
        transformer=builder,
        cache=_cache_file() or False,
    )
    return parser, builder


class _Brackets:
    """Lets lines run on inside round and square brackets: a separator there is mere space."""

    always_accept = ()

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        depth = 0
        for token in stream:
            if token.type in ("LPAR", "LSQB"):
                depth += 1
            elif token.type in ("RPAR", "RSQB"):
                depth -= 1
            elif token.type == "SEP" and depth > 0:
                continue
            yield token


def _cache_file() -> str | None:
    """Where Lark keeps the tables that it makes from the grammar; None where no such place can be written.

    Lark itself checks that the tables fit the grammar, its own version and Python's.
    """
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "specdsl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder / "grammar.cache") if os.access(folder, os.W_OK) else None


def _offset(error: UnexpectedInput, text: str) -> int:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return len(text)
    offset = error.pos_in_stream
    return len(text) if offset is None else offset


def _diagnostic(source: Source, error: UnexpectedInput, offset: int, broken: recovery.Damage) -> Diagnostic:
    if broken.unclosed is not None:
        bracket = source.text[broken.unclosed]
        return Diagnostic(Slug.SYNTAX, f"this '{bracket}' is never closed", Span(source, broken.unclosed, broken.unclosed + 1))
    if broken.stray is not None:
        bracket = source.text[broken.stray]
        return Diagnostic(Slug.SYNTAX, f"this '{bracket}' closes nothing", Span(source, broken.stray, broken.stray + 1))
    rest = source.text[offset:]
    if rest.startswith(('"', "'")):
        quote = '"""' if rest.startswith('"""') else rest[0]
        if not (isinstance(error, UnexpectedToken) and error.token.type in ("STRING", "DOCSTRING")):
            return Diagnostic(Slug.SYNTAX, "this string is never closed", Span(source, offset, offset + len(quote)))
    token = error.token if isinstance(error, UnexpectedToken) else None
    if token is not None and token.type in ("SEP", "$END"):
        found = "the end of the line" if token.type == "SEP" and token[0] == "\n" else "the end of the file"
        found = "';'" if token.type == "SEP" and token[0] == ";" else found
        length = 1
    else:
        word = re.match(r"\w+|->|[=<>!*/]{1,2}|.", rest, re.DOTALL)
        length = word.end() if word else 1
        found = f"'{rest[:length]}'"
    expected = _expected(error)
    message = f"unexpected {found}" + (f"; expected {expected}" if expected else "")
    return Diagnostic(Slug.SYNTAX, message, Span(source, offset, offset + length), help=_help(rest, source.text[:offset]))


def _expected(error: UnexpectedInput) -> str:
    """What could have stood there, in words; nothing when almost anything could."""
    accepted = set(getattr(error, "accepts", None) or getattr(error, "allowed", None) or ()) - {"HOLE", "SPACE", "COMMENT"}
    words = []
    if len(accepted & _VALUES) >= 6:
        accepted -= _VALUES | {"STRING", "DOCSTRING"}
        words.append("a value")
    if len(accepted & _OPERATORS) >= 3:
        accepted -= _OPERATORS
    words += sorted(_WORDS.get(terminal, f"'{terminal.lower()}'") for terminal in accepted)
    if len(words) > 7:
        return ""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _help(rest: str, before: str) -> str | None:
    line = before[before.rfind("\n") + 1 :].strip()
    first = line.split(maxsplit=1)[0] if line else ""
    if rest.startswith("=") and not rest.startswith("==") and re.fullmatch(r"\w+", line):
        return f"a value is named with `let {line} = ...`, the result of a step with `... as {line}`"
    if rest.startswith(":") and first in {"model", "block", "repeat", "for", "if", "else", "train", "data", "shortcut"}:
        return "a body stands in braces: `{ ... }`"
    if rest.startswith(",") and first not in {"output"}:
        return "steps are separated by a new line or by ';'"
    if rest[:1] in "\r\n" and first in {"model", "block", "repeat", "for", "if", "train", "data", "shortcut"}:
        return "the opening brace stands on the same line"
    return None
