"""Text to syntax tree. Every mistake becomes a diagnostic here, and reading goes on behind it."""

from __future__ import annotations

import gc
import os
import re
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from zlib import crc32

from lark import Lark, Token, UnexpectedInput, UnexpectedToken

from specdsl.cache import cache_folder
from specdsl.diagnostics import Diagnostic, Slug, SpecError
from specdsl.limits import Limits
from specdsl.source import Source, Span
from specdsl.syntax import recovery, tree
from specdsl.syntax.builder import Builder
from specdsl.syntax.lexer import SpecLexer
from specdsl.syntax.reading import too_long

MOST_SYNTAX_ERRORS = 20
MOST_READ_AGAIN = 200_000
"""Characters that are read again at most: each mistake makes one more reading of what stands before it."""

GRAMMAR = Path(__file__).with_name("grammar.lark")

_WORDS = {
    "NAME": "a name", "NUMBER": "a number", "STRING": "a string", "DOCSTRING": "a docstring",
    "SEP": "the end of the step",
    "LPAR": "'('", "RPAR": "')'", "LSQB": "'['", "RSQB": "']'", "LBRACE": "'{'", "RBRACE": "'}'", "COMMA": "','",
    "EQUAL": "'='", "COLON": "':'", "DOT": "'.'", "ARROW": "'->'", "$END": "the end of the file",
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


def parse(source: Source, limits: Limits | None = None) -> tree.Spec:
    """The syntax tree of a text.

    Raises:
        SpecError: the text is no spec; with one diagnostic for each step that cannot be read.
    """
    parsed = parse_all(source, limits)
    if parsed.diagnostics:
        raise SpecError(parsed.diagnostics)
    return parsed.spec


def parse_all(source: Source, limits: Limits | None = None) -> Parsed:
    """The syntax tree of a text with holes where it cannot be read, and what is wrong there.

    Raises:
        SpecError: nothing of the text can be read, or it is too large.
    """
    _check_size(source, limits or Limits())
    if bad := re.search(r"[\x00-\x08\x0b\x0e-\x1f\x7f]", source.text):
        span = Span(source, bad.start(), bad.end())
        raise SpecError([Diagnostic(Slug.SYNTAX, f"the control character {bad[0]!r} cannot stand in a spec", span)])
    diagnostics: list[Diagnostic] = []
    lost: set[str] = set()
    text = source.text
    reread = 0
    while True:
        try:
            return Parsed(_read(source, text), tuple(diagnostics), frozenset(lost))
        except UnexpectedInput as error:
            offset = _offset(error, text)
            broken = recovery.damage(text, offset)
            before = _before(error, text, offset)
            if before is not None and broken.unclosed is None:
                offset = before
                broken = recovery.damage(text, offset)
            if broken.unclosed is not None and source.text[broken.unclosed] == "{":  # all that follows is in doubt
                diagnostics = [known for known in diagnostics if known.span and known.span.start < broken.unclosed]
            diagnostics.append(_diagnostic(source, error, offset, broken))
            gone = text[broken.start : broken.end]
            reread += offset
            if not gone or len(diagnostics) >= MOST_SYNTAX_ERRORS or reread > MOST_READ_AGAIN:
                raise SpecError(diagnostics) from None
            lost.update(re.findall(r"[^\W\d]\w*", gone))
            text = recovery.blank(text, broken)


_WORD = (
    r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:""")?'
    r'|"(?:[^"\\\n]++|\\.)*+"?|\'(?:[^\'\\\n]++|\\.)*+\'?|#[^\n]*+|\w++|[^\w\s"\'#]'
)
"""A word, number or sign, or a comment; it is compiled for large texts alone."""


def _check_size(source: Source, limits: Limits) -> None:
    """Refuse a text that would take too long to read.

    Raises:
        SpecError: it has too many characters, or too many words.
    """
    if len(source.text) > limits.characters:
        raise SpecError([too_long(source.name, limits)])
    if len(source.text) <= limits.words:
        return
    words = (word for word in re.finditer(_WORD, source.text, re.DOTALL) if not word[0].startswith("#"))
    if (extra := next(islice(words, limits.words, None), None)) is not None:
        message = f"{source.name} has more than {limits.words:,} words, numbers and signs"
        raise SpecError([Diagnostic(Slug.LIMIT, message, Span(source, *extra.span()), help=limits.raising("words"))])


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
    grammar = GRAMMAR.read_text(encoding="utf-8")
    parser = Lark(
        grammar,
        start="spec",
        parser="lalr",
        lexer=SpecLexer,
        maybe_placeholders=False,
        keep_all_tokens=True,
        transformer=builder,
        cache=_cache_file(grammar) or False,
    )
    return parser, builder


def _cache_file(grammar: str) -> str | None:
    """Where Lark keeps the tables that it makes from a grammar; None where no such place can be written.

    Lark itself checks that the tables fit the grammar, its own version and Python's. Each grammar has its own file,
    so that two versions of specdsl, used in turn, do not each write over the tables of the other.
    """
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder / f"grammar-{crc32(grammar.encode()):08x}.cache") if os.access(folder, os.W_OK) else None


def _offset(error: UnexpectedInput, text: str) -> int:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return len(text)
    offset = error.pos_in_stream
    return len(text) if offset is None else offset


def _before(error: UnexpectedInput, text: str, offset: int) -> int | None:
    """The end of the line above a mistake, where that line is what is not finished: `let a = 3 +`; None elsewhere."""
    from specdsl.syntax import hints  # after a mistake alone

    if swallowed := hints.SWALLOWED.search(text, 0, offset):
        return swallowed.start("break")
    history = getattr(error, "token_history", None)
    last = history[-1] if history else None
    if last is None and isinstance(error, UnexpectedToken) and error.interactive_parser is not None:
        stack = error.interactive_parser.parser_state.value_stack
        last = stack[-1] if stack and isinstance(stack[-1], Token) else None
    if last is None or last.type in ("SEP", "LBRACE", "RBRACE", "HOLE") or last.end_pos is None:
        return None
    end = last.end_pos
    newline = text.find("\n", end, offset)
    return newline if newline >= 0 else None


def _diagnostic(source: Source, error: UnexpectedInput, offset: int, broken: recovery.Damage) -> Diagnostic:
    from specdsl.syntax import hints  # after a mistake alone

    if broken.unclosed is not None:
        bracket = source.text[broken.unclosed]
        return Diagnostic(
            Slug.SYNTAX, f"this '{bracket}' is never closed", Span(source, broken.unclosed, broken.unclosed + 1)
        )
    if broken.stray is not None:
        bracket = source.text[broken.stray]
        return Diagnostic(Slug.SYNTAX, f"this '{bracket}' closes nothing", Span(source, broken.stray, broken.stray + 1))
    rest = source.text[offset:]
    if rest.startswith(('"', "'")):
        quote = '"""' if rest.startswith('"""') else rest[0]
        if not (isinstance(error, UnexpectedToken) and error.token.type in ("STRING", "DOCSTRING")):
            return Diagnostic(Slug.SYNTAX, "this string is never closed", Span(source, offset, offset + len(quote)))
    if rest[:1] in ("", "\n"):
        found = "end of the line" if rest else "end" if source.hidden else "end of the file"
        length = 1
    else:
        length = len(hints.WORD.match(rest)[0])  # type: ignore[index]
        found = _quoted(rest[:length])
    accepted = set(getattr(error, "accepts", None) or getattr(error, "allowed", None) or ())
    if source.hidden:  # a value alone, of which the head of a step is not shown: no other step can follow
        accepted -= {"SEP", *hints.IN_FILES}
    place = hints.Place(source.text[:offset], rest, accepted)
    slip = hints.misspelled(place)
    if slip:
        wrong, meant = slip
        start = source.text.rindex(wrong, 0, offset)
        return Diagnostic(Slug.SYNTAX, f"unexpected '{wrong}'", Span(source, start, start + len(wrong)), help=meant)
    # Else `accepted` speaks of the line below, or of what could lengthen a value that is complete.
    known = not (rest.startswith("\n") and "SEP" in accepted) and not (source.hidden and rest)
    expected = _expected(accepted) if known else ""
    message = f"unexpected {found}" + (f"; expected {expected}" if expected else "")
    return Diagnostic(Slug.SYNTAX, message, Span(source, offset, offset + length), help=hints.hint(place))


def _quoted(word: str) -> str:
    """What stands at a place, in quotes; what cannot be seen by its name."""
    if len(word) == 1 and not word.isprintable():
        import unicodedata

        return f"'\\u{ord(word):04x}' ({unicodedata.name(word, 'no character').lower()})"
    return f'"{word}"' if "'" in word else f"'{word}'"


def _expected(accepted: set[str]) -> str:
    """What could have stood at a place, in words; nothing when almost anything could."""
    accepted = accepted - {"HOLE", "SPACE", "COMMENT"}
    complete = accepted & {"SEP", "COMMA", "RPAR", "RSQB"} or accepted >= {"LSQB", "LBRACE"}
    if complete:  # a value is: what could lengthen it is no news
        accepted -= {"LSQB", "LPAR"}
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
