"""How to mend what cannot be read, told from what stands before and behind the place."""

from __future__ import annotations

import re
from collections.abc import Set
from typing import NamedTuple

from specdsl.diagnostics import did_you_mean

IN_FILES = {"BLOCK", "MODEL", "TRAIN"}
"""What stands in a file and in no braces."""

_STATEMENTS = ("input", "output", "let", "layer", "repeat", "for", "if", "expect", "shortcut", "branch")
STARTING = {*_STATEMENTS, "from", "block", "model", "data", "train", "experiment"}
"""The words that definitions and statements begin with."""

_KEYWORDS = STARTING | {
    "import",
    "with",
    "else",
    "and",
    "via",
    "as",
    "in",
    "after",
    "before",
    "replace",
    "remove",
    "set",
}
_BODIES = {
    "model",
    "block",
    "repeat",
    "for",
    "if",
    "else",
    "train",
    "experiment",
    "data",
    "shortcut",
    "branch",
    "via",
} | {
    "after",
    "before",
    "replace",
}
"""The words before a body."""

_EDITS = {"add": "after", "append": "after", "change": "set", "delete": "remove", "drop": "remove", "insert": "after"}
"""Edits by other words."""

_FORMS = {
    "model": "a model is written `model name { ... }`",
    "block": "a block is written `block name(parameters) { ... }`",
    "data": "data is written `data name = gtsrb(size=32) { ... }`",
    "train": "a training recipe is written `train name { ... }`",
    "experiment": "an experiment is written `experiment name { models = [a, b] }`",
    "let": "a value is named with `let name = ...`",
    "layer": "a shared layer is written `layer name = Dense(3)`",
    "input": "an input is written `input name: (28, 28, 3)`",
    "output": "the outputs are named: `output a, b`",
    "for": "a loop is written `for name in values { ... }`",
}
_IMPORT = 'layers need no import; other files do: `from "blocks.spec" import name`'
_WORDS = {
    "class": _FORMS["model"],
    "def": _FORMS["block"],
    "elif": "it is written 'else if' here",
    "import": _IMPORT,
    "include": _IMPORT,
    "in": "`==` compares, and 'or' joins: `x == 1 or x == 2`",
    "is": "`==` compares",
    "return": "the result is what the last step leaves; a model can name others: `output a, b`",
    "while": "the loops are `repeat times { ... }` and `for name in values { ... }`",
}
_COMMENT = "a comment begins with '#'"
_JOINED = "steps are joined by `->`"
_SIGNS = {
    "//": _COMMENT,
    "/*": _COMMENT,
    "&": "it is written 'and' here",
    "|": "it is written 'or' here",
    "!": "it is written 'not' here",
    "^": "it is written '**' here",
    "\u2013": "it is written '-' here",
    "\u2014": "it is written '-' here",
    "\u00d7": "it is written '*' here",
    "\u2212": "it is written '-' here",
    "\u2264": "it is written '<=' here",
    "\u2265": "it is written '>=' here",
    "\u2260": "it is written '!=' here",
    "\u201c": 'strings stand in plain quotes: "',
    "\u201d": 'strings stand in plain quotes: "',
    "\u2018": "strings stand in plain quotes: '",
    "\u2019": "strings stand in plain quotes: '",
    "\u2192": _JOINED,
    "?": "a choice is written `a if condition else b`",
    "\\": "a step goes on in the next line inside ( ) and [ ], and where that line begins with `->`",
    '"""': f"a description stands at the head of a file, a model or a block; {_COMMENT}",
    "'''": 'a description stands in three double quotes: """',
}
"""What other languages and word processors write, and what stands for it here."""


WORD = re.compile(r"""\w+|->|[=<>!*/&|]{1,2}|\"{3}|'{3}|.""", re.DOTALL)
"""What a message quotes of the place."""

SWALLOWED = re.compile(
    r"(?:->|[-+*/%=<>]|\b(?:and|or|not|as|in|expect|repeat|if))[ \t]*(?:#[^\n]*)?(?P<break>\n)\s*"
    rf"(?:{'|'.join(sorted(STARTING))})\s+\Z"
)
"""A line that is not finished, and the first word of the line below, read as what it lacks."""

_ASSIGNED = re.compile(r",[ \t\w,]*=(?!=)")
"""More names, and what they would be given in another language."""

_NUMBER = re.compile(r"(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[kMG]?(?![\w.])")


class Place(NamedTuple):
    """Where a text cannot be read.

    Attributes:
        before: the text up to there.
        rest: the text from there on.
        accepted: the terminals that could have stood there.
    """

    before: str
    rest: str
    accepted: Set[str]

    @property
    def line(self) -> str:
        """What stands of the step before the place."""
        return self.before[max(map(self.before.rfind, "\n;{}")) + 1 :].strip()

    @property
    def first(self) -> str:
        """The word that the step begins with."""
        return re.match(r"\S*", self.line)[0]  # type: ignore[index]

    @property
    def word(self) -> str:
        """The word at the place, if one begins there."""
        return re.match(r"\w*", self.rest)[0]  # type: ignore[index]

    @property
    def opening(self) -> str:
        """The character at the place."""
        return self.rest[:1]

    @property
    def ends_step(self) -> bool:
        """Whether a step could have ended there, or gone on with `->`."""
        return "ARROW" in self.accepted and self.first not in {"if", "expect", "let", "repeat", "for"}


def misspelled(place: Place) -> tuple[str, str] | None:
    """The word that alone stands before the place and that is a slip for a word of the language, with a hint."""
    line = place.line
    qualified = place.opening == "."
    meant = qualified or line in _KEYWORDS | _WORDS.keys() | {"or", "not"}
    if meant or place.opening == "=" or not place.ends_step or not re.fullmatch(r"\w+", line):
        return None
    found = did_you_mean(line, _STATEMENTS)
    return (line, found) if found else None


def hint(place: Place) -> str | None:
    """How to mend a mistake; None where that cannot be told."""
    found = next((found for rule in _RULES if (found := rule(place))), None)
    if found:
        return found
    known = sorted({terminal.lower() for terminal in place.accepted} & _KEYWORDS)
    found = did_you_mean(place.word, known) if place.word else None
    if found or not place.rest.strip():
        return found
    if place.accepted >= {"REMOVE", "SET"}:
        return "the edits are `after`, `before`, `replace`, `remove` and `set`"
    return "a step stands in the braces of a model or a block" if place.accepted >= IN_FILES else None


def _elsewhere(place: Place) -> str | None:
    """What is written otherwise in other languages."""
    before, rest, accepted = place.before, place.rest, place.accepted
    if place.ends_step and re.match(r"=>|>>|\||[-\u2013\u2014] *>|\u2192", rest):
        return _JOINED
    if place.ends_step and rest.startswith("+"):
        return "`[a, b] -> Add` adds tensors; `shortcut add { ... }` adds what enters a body to what leaves it"
    for sign, meant in _SIGNS.items():
        if rest.startswith(sign):
            return meant
    if place.line == "from":
        return _IMPORT
    if place.first == "from" and not place.ends_step:
        return 'the names are listed, and stay as they are: `from "blocks.spec" import a, b`'
    if place.word == "for" and "COMMA" in accepted:
        return "`for` is a loop around steps; it makes no lists"
    if place.word in ("if", "for") and place.ends_step:
        return f"`{place.word}` stands before a body: `{place.word} ... {{ ... }}`"
    if re.match(r",\d\d\d(?!\d)", rest) and before[-1:].isdigit() and "SEP" in accepted:
        return "thousands are parted by '_': 1_000"
    if re.match(r"\.?\d|\.\s", rest) and (before[-1:].isdigit() or not _NUMBER.match(rest)):
        return "numbers are written like 32, 0.5, 1e-3, 1_000, 10k, 1.5M or 2G"
    if place.opening in ("'", '"') and before[-1:].isalpha():
        return "a string has no letters before its quotes"
    return _WORDS.get(place.word) or _WORDS.get(place.first)


def _gathering(place: Place) -> str | None:
    """How several tensors enter a layer."""
    if place.line.startswith("["):
        return "`[a, b]` gathers tensors by the names that `... as name` gives"
    if place.opening in ("(", "[") and (not place.line or place.line.endswith("->")):
        return "a chain may begin with tensors by their names: `[a, b] -> Add`"
    return None


def _definition(place: Place) -> str | None:
    """How definitions, values and arguments are written."""
    line, rest, accepted = place.line, place.rest, place.accepted
    if line in _FORMS and accepted == {"NAME"}:
        return _FORMS[line]
    if re.match(r"let\s+\w+$", line) and place.opening == "(":
        return "`let` names values; the result of a step is named with `... as name`"
    if named := re.fullmatch(r"let\s+(\w+)", line):
        return f"a value is named with `let {named[1]} = ...`"
    if place.first == "input" and place.opening in ("'", '"') and "SEP" in accepted:
        return "a data type stands without quotes: `input words: (none,) int32`"
    if re.match(r"=(?!=)", rest) and re.fullmatch(r"\w+", line) and "ARROW" in accepted:
        return f"a value is named with `let {line} = ...`, the result of a step with `... as {line}`"
    if accepted >= IN_FILES and (named := re.match(r"(\w+)\s*=(?!=)", rest)):
        return f"a value is named with `let {named[1]} = ...`"
    if place.opening == "=" and "COMPARATOR" in accepted and place.first in {"expect", "if"}:
        return "`==` compares"
    if accepted == {"EQUAL"} and place.first == "layer":
        return _FORMS["layer"]
    if accepted == {"EQUAL"} and line and place.first not in ("let", "set"):
        return "a setting is given as `name = value`"
    if place.first == "for" and place.opening == "," and accepted == {"IN"}:
        return "one name stands here; `pair[0]` is the first item of a pair"
    if place.opening == ":" and accepted >= {"EQUAL", "RPAR"}:
        return "an argument is given as `name=value`"
    if re.match(r"[\w\"'(\[]", rest) and "COMMA" in accepted and accepted & {"RPAR", "RSQB"}:
        return "values are separated by ','"
    return None


def _naming(place: Place) -> str | None:
    """How the results of steps are named."""
    if place.line == "as":
        return "`as name` stands on the line of its step"
    if place.line.endswith(" as") and place.opening in ("'", '"'):
        return "a name stands without quotes"
    if place.line.endswith(" as") and place.opening in ("(", "["):
        return "names stand without brackets: `as a, b`"
    if place.first == "input" and place.line.endswith(" as"):
        return "a data type stands behind the shape without `as`: `input words: (none,) int32`"
    if place.line.endswith(" as") and not place.opening.isalpha():
        return "a name begins with a letter"
    if place.opening == "," and place.line.isidentifier() and _ASSIGNED.match(place.rest):
        return f"several results are named behind their step: `... as {place.line}, b`"
    if re.search(r"\sas\s+\w+$", place.line):
        if place.opening == "(":
            return "arguments stand before the name: `Dense(3) as name`"
        if place.opening == "-":
            return "a name holds letters, digits and underscores"
    return None


def _edit(place: Place) -> str | None:
    """How variants are written."""
    if place.opening == "{" and "WITH" in place.accepted:
        return "edits stand behind `with`: `model name = base with { ... }`"
    if place.accepted >= {"REMOVE", "SET"} and place.word in _EDITS:
        return f"did you mean '{_EDITS[place.word]}'?"
    if "ARROW" in place.accepted or "LBRACE" in place.accepted:
        return None
    if place.first == "set":
        return "an argument is set with `set Class.argument = value`"
    if place.first in ("after", "before", "replace", "remove"):
        return "one selector stands here: `Class`, `name`, `Class[0]` or `Class(argument=value)`"
    return None


def _step(place: Place) -> str | None:
    """How steps and bodies are written."""
    first, word, opening, accepted = place.first, place.word, place.opening, place.accepted
    if opening == "{" and first in {"shortcut", "branch"} and "NAME" in accepted:
        return f"a {first} says how it joins: `{first} add {{ ... }}`"
    if "LBRACE" in accepted and first in _BODIES and (opening in ("", "\r", "\n", ":", "(") or word):
        return "a body stands in braces: `{ ... }`"
    if place.ends_step:
        if opening in ("[", "{") and place.before[-1:].isalnum():
            return "arguments stand in round brackets: `( ... )`"
        if opening == "(":
            return "a layer is applied by the place where it stands: `x -> Dense(3)`"
        if opening == ".":
            return "the name of a layer stands alone, without a module before it"
        if place.line in ("model", "block", "train", "experiment", "data", "from"):
            return f"a `{place.line}` stands in a file, outside all braces"
        if word == "and" and re.search(r"\bshortcut\b[^\n]*\}\s*$", place.before[-200:]):
            return "a shortcut has one body; `branch add { ... } and { ... }` has several"
        if word in ("else", "via", "and"):
            return f"`{word}` follows the closing brace of what it belongs to"
        if word:
            return f"{_JOINED}, or stand on lines of their own"
    if "SEP" in accepted and place.line and (word or opening in (",", "(")):
        return "steps are separated by a new line or by ';'"
    return None


_RULES = (_naming, _elsewhere, _gathering, _definition, _edit, _step)
