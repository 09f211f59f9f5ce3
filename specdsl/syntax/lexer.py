"""Text to tokens, by one regular expression for all words of the grammar.

A word such as `output` is a keyword only where the parser can take that keyword, and a newline separates steps only
where the parser can take a separator, outside round and square brackets. Lark's own contextual lexer does the former
with an expression for each of its states: compiling them took longer than reading a usual spec.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lark import Token, UnexpectedCharacters
from lark.common import LexerConf
from lark.lexer import Lexer, PatternStr

_OPENING, _CLOSING = ("LPAR", "LSQB"), ("RPAR", "RSQB")


class SpecLexer(Lexer):
    """A lexer for Lark that asks the parser what it can take."""

    __future_interface__ = 2  # hands the parser's state to `lex`

    def __init__(self, conf: LexerConf) -> None:
        words = [terminal for terminal in conf.terminals if terminal.pattern.value.isidentifier()]
        self._keywords = {word.pattern.value: word.name for word in words if isinstance(word.pattern, PatternStr)}
        others = [terminal for terminal in conf.terminals if terminal.name not in self._keywords.values()]
        others.sort(key=lambda terminal: (-terminal.priority, -terminal.pattern.max_width, terminal.name))
        self._match = re.compile("|".join(f"(?P<{one.name}>{one.pattern.to_regexp()})" for one in others)).match
        self._ignored = frozenset(conf.ignore)

    def lex(self, lexer_state: Any, parser_state: Any) -> Iterator[Token]:
        """The tokens of a text, each with its offsets.

        Raises:
            UnexpectedCharacters: no word begins here.
        """
        text: str = lexer_state.text.text
        match, keywords, ignored = self._match, self._keywords, self._ignored
        states = parser_state.parse_conf.parse_table.states
        offset, depth = 0, 0
        while offset < len(text):
            found = match(text, offset)
            if found is None:
                raise UnexpectedCharacters(text, offset, 0, 0, allowed=set(states[parser_state.position]))  # type: ignore[no-untyped-call]
            kind, value, start, offset = found.lastgroup or "", found[0], offset, found.end()
            if kind in ignored:
                continue
            if kind == "NAME":
                if value in keywords and keywords[value] in states[parser_state.position]:
                    kind = keywords[value]
            elif kind == "SEP":
                if depth or "SEP" not in states[parser_state.position]:
                    continue
            elif kind in _OPENING:
                depth += 1
            elif kind in _CLOSING:
                depth -= 1
            token = Token(kind, value, start_pos=start, end_pos=offset)
            lexer_state.last_token = token
            yield token
