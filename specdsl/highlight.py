"""The words of a spec by their kinds: a lexer for Pygments, which finds it under the names `spec` and `specdsl`.

It reads any text, right or wrong, so it asks no parser. A word such as `output` is a keyword where a step begins, and a
word such as `as` where a value has ended; elsewhere they are names, as they are for the parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from pygments.lexer import Lexer
from pygments.token import (
    Comment,
    Error,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Whitespace,
    _TokenType,
)

from specdsl.layers import NAMES
from specdsl.layers.objects import OBJECTS

HEADS = frozenset(
    (
        *(
            "from",
            "let",
            "block",
            "model",
            "data",
            "train",
            "experiment",
            "input",
            "layer",
            "output",
            "expect",
            "repeat",
            "for",
            "if",
        ),
        *("after", "before", "replace", "remove", "set"),
    )
)
"""What a step begins with."""

STRUCTURES = frozenset(("shortcut", "branch"))
"""What a link of a chain begins with."""

CONTINUATIONS = frozenset(("and", "via", "else"))
"""What a line begins with that goes on with the step above."""

INFIXES = frozenset(("as", "with", "in", "import", "if", "else", "via", "and", "or"))
"""What follows a value or a closing brace."""

CONSTANTS = frozenset(("true", "false", "none"))

_WORDS = re.compile(
    r"""(?P<comment>\#[^\n]*+)
    |(?P<docstring>\"{3}(?:[^"\\]++|\\.|"(?!""))*+\"{3})
    |(?P<string>"(?!"")(?:[^"\\\n]++|\\.)*+"|'(?:[^'\\\n]++|\\.)*+')
    |(?P<number>(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[kMG]?(?!\w))
    |(?P<name>[^\W\d]\w*+)
    |(?P<newline>\n)
    |(?P<space>[^\S\n]++)
    |(?P<operator>->|==|!=|<=|>=|//|\*\*|[-+*/%<>=])
    |(?P<punctuation>[()\[\]{},:;.])
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_FOLLOWING = re.compile(r"\s*(=(?!=)|\()?")
_DEFINED = {
    "block": Name.Function,
    "model": Name.Class,
    **dict.fromkeys(("let", "layer", "data", "train", "experiment", "input", "for", "as"), Name.Variable),
}
"""The kinds of names that are given behind these words."""


class SpecLexer(Lexer):  # type: ignore[misc]
    """The words of a spec, each with its kind."""

    name = "specdsl"
    aliases: ClassVar[list[str]] = ["spec", "specdsl"]
    filenames: ClassVar[list[str]] = ["*.spec"]
    url = ""

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """Each piece of a text with its offset and kind; together they are the text."""
        opened: list[str] = []  # brackets that are not closed yet
        begins, ended = True, False  # whether a step begins here; whether a value has ended here
        behind = ""  # the keyword before this word
        for match in _WORDS.finditer(text):
            value, kind = match[0], match.lastgroup or ""
            if kind == "newline" and not (opened and opened[-1] != "{"):
                begins, ended, behind = True, False, ""
            if kind in _PLAIN:
                yield match.start(), _PLAIN[kind], value
                continue
            if kind == "name":
                following = _FOLLOWING.match(text, match.end())
                sign = following[1] if following else None
                token = _word(value, begins, ended, behind, sign)
                keyword = token in (Keyword, Keyword.Namespace, Operator.Word)
                yield match.start(), token, value
                begins, ended, behind = False, not keyword, value if keyword else ""
                continue
            yield match.start(), _number(value) if kind == "number" else _SIGNS[kind], value
            if value in ("(", "[", "{"):
                opened.append(value)
            elif value in (")", "]", "}") and opened:
                opened.pop()
            begins = value in ("{", ";") and not (opened and opened[-1] != "{")
            ended = value in (")", "]", "}") or kind in ("number", "string")
            behind = value if value == "->" else ""


_PLAIN = {"comment": Comment.Single, "docstring": String.Doc, "newline": Whitespace, "space": Whitespace}
_SIGNS = {"string": String, "operator": Operator, "punctuation": Punctuation, "other": Error}


def _word(value: str, begins: bool, ended: bool, behind: str, sign: str | None) -> _TokenType:
    """The kind of a word.

    Args:
        value: the word.
        begins: whether a step begins with it.
        ended: whether a value has ended before it.
        behind: the keyword before it, or an arrow.
        sign: the `=` or `(` after it.
    """
    if ended:
        if value in ("and", "or"):
            return Operator.Word
        return Keyword if value in INFIXES else Keyword.Type
    if begins and sign != "=":
        if value in CONTINUATIONS or value in HEADS or value in STRUCTURES:
            return Keyword.Namespace if value == "from" else Keyword
    elif (behind == "->" and value in STRUCTURES) or (behind == "else" and value == "if"):
        return Keyword
    if behind in _DEFINED:
        return _DEFINED[behind]
    if value in CONSTANTS:
        return Keyword.Constant
    if value == "not":
        return Operator.Word
    if value in NAMES or value in OBJECTS:
        return Name.Builtin
    if sign == "=":
        return Name.Attribute
    return Name.Function if sign == "(" else Name


def _number(value: str) -> _TokenType:
    return Number.Float if re.search(r"[.eE]", value) else Number.Integer
