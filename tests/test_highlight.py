"""Colours: every spec is taken to pieces without a mistake, and just as the parser takes it to pieces."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, String

from specdsl import highlight
from specdsl.cli.painting import paint
from specdsl.diagnostics import render
from specdsl.highlight import SpecLexer
from specdsl.layers import NAMES
from specdsl.source import Source
from specdsl.syntax.parser import _parser
from tests.strategies import mutated_texts
from tests.test_cli import terminal
from tests.test_corpus import mistakes
from tests.test_docs import blocks

ROOT = Path(__file__).parents[1]
GOOD = [*sorted((ROOT / "specs").rglob("*.spec")), *sorted((ROOT / "tests" / "corpus" / "ok").glob("*.spec"))]
ALL = [*GOOD, *sorted((ROOT / "tests" / "corpus" / "bad").glob("*.spec"))]
TEXTS = [path.read_text(encoding="utf-8") for path in ALL]
SPECS = [pytest.param(path.read_text(encoding="utf-8"), id=path.stem) for path in GOOD] + blocks("spec")


def pieces(text: str) -> list[tuple[int, object, str]]:
    return list(SpecLexer().get_tokens_unprocessed(text))


@pytest.mark.parametrize("text", SPECS)
def test_every_word_has_a_kind(text: str) -> None:
    """No piece of a good spec is an error, and together the pieces are the text."""
    found = pieces(text)
    assert [piece for piece in found if piece[1] is Error] == []
    assert "".join(value for _, _, value in found) == text
    offset = 0
    for start, _, value in found:
        assert start == offset
        offset += len(value)


@pytest.mark.parametrize("text", SPECS)
def test_words_are_what_the_parser_takes_them_for(text: str) -> None:
    """Keywords, names, numbers, strings, docstrings and operators stand where the parser finds them."""
    expected = {}
    for token in _parser()[0].parse_interactive(text).exhaust_lexer():
        if token.type in ("TRUE", "FALSE", "NONE"):
            expected[token.start_pos] = "constant"
        elif token.isidentifier():
            expected[token.start_pos] = "name" if token.type == "NAME" else "keyword"
        elif token.type in ("NUMBER", "STRING", "DOCSTRING"):
            expected[token.start_pos] = token.type.lower()
    found = {}
    for start, kind, value in pieces(text):
        if kind is Keyword.Constant:
            found[start] = "constant"
        elif kind in (Keyword, Keyword.Namespace, Operator.Word):
            found[start] = "keyword"
        elif kind in Name or kind is Keyword.Type:
            found[start] = "name"
        elif kind in Number:
            found[start] = "number"
        elif kind in String:
            found[start] = "docstring" if kind is String.Doc else "string"
        else:
            assert not value.isidentifier()
    assert found == expected


def test_the_keywords_are_those_of_the_grammar() -> None:
    words = {terminal.pattern.value for terminal in _parser()[0].terminals if terminal.pattern.value.isidentifier()}
    known = highlight.HEADS | highlight.STRUCTURES | highlight.CONTINUATIONS | highlight.INFIXES
    assert known | {"not"} | highlight.CONSTANTS == words


@given(mutated_texts(TEXTS) | st.text(max_size=200))
def test_any_text_is_taken_to_pieces(text: str) -> None:
    """Nothing is lost of any text, however wrong."""
    assert "".join(value for _, _, value in pieces(text)) == text


def test_what_the_kinds_are() -> None:
    text = (
        'from "a.spec" import wide\nblock stage(n=10k) { Conv2D(n, 3.5, padding="same") as h }  # end\n'
        "model m { input x: (none,) int32; shortcut add { stage(2) } via { ReLU } -> Flatten }"
    )
    kinds = {value: kind for _, kind, value in pieces(text)}
    assert kinds["from"] is Keyword.Namespace
    assert kinds['"a.spec"'] in String
    assert {kinds[word] for word in ("import", "block", "model", "as", "input", "shortcut", "via")} == {Keyword}
    assert kinds["m"] is Name.Class
    assert (kinds["h"], kinds["x"]) == (Name.Variable, Name.Variable)
    assert {kinds[name] for name in ("Conv2D", "ReLU", "Flatten")} == {Name.Builtin}
    assert (kinds["10k"], kinds["3.5"]) == (Number.Integer, Number.Float)
    assert (kinds["padding"], kinds["none"], kinds["int32"]) == (Name.Attribute, Keyword.Constant, Keyword.Type)
    assert (kinds["->"], kinds["# end"]) == (Operator, Comment.Single)
    assert [kind for _, kind, value in pieces(text) if value == "stage"] == [Name.Function, Name.Function]
    assert all(pieces(name)[0][1] is Name.Builtin for name in NAMES)


def test_pygments_finds_it() -> None:
    """The package declares the lexer under the name by which it is imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pygments.lexers"] == {"spec": "specdsl.highlight:SpecLexer"}
    assert SpecLexer.aliases == ["spec", "specdsl"]
    assert SpecLexer.filenames == ["*.spec"]


def test_source_lines_are_coloured_on_a_terminal(tmp_path: Path) -> None:
    """The line of a mistake has colours where it is read by people, with the carets still under the words."""
    path = tmp_path / "m.spec"
    path.write_text('"""Text."""\nmodel m {\n    input x: (28, 28, 3)\n    Conv2D(8, 3, pading="same")  # wrong\n}\n')
    shown = terminal(["check", str(path)])
    line = next(line for line in shown.splitlines() if "Conv2D" in line and "|" in line)
    assert "\x1b[36mConv2D\x1b[0m" in line
    assert '\x1b[32m"same"\x1b[0m' in line
    plain = re.sub(r"\x1b\[\d*m", "", shown)
    assert plain == terminal(["check", str(path)], NO_COLOR="1")
    lines = plain.splitlines()
    index = lines.index(next(line for line in lines if "Conv2D(8" in line))
    assert lines[index].index("pading") == lines[index + 1].index("^")
    assert lines[-1] == "`specdsl explain unknown-argument` says more"


STRANGE = ["let a = [" + "1, " * 100 + "zork" + ", 1" * 100 + "]\n", 'let a = "\x1b[31m"']


@pytest.mark.parametrize("text", TEXTS + STRANGE)
def test_colours_change_no_character(text: str) -> None:
    """Every message is the same with colours as without, cut ones included; no text rules the terminal."""
    for diagnostic in mistakes(Source("m.spec", text)):
        plain = render(diagnostic)
        assert "\x1b" not in plain
        assert re.sub(r"\x1b\[\d*m", "", render(diagnostic, paint)) == plain


def test_no_colours_where_nobody_looks(tmp_path: Path) -> None:
    """A good run, and one whose messages go to a file, do not even load the lexer."""
    code = "import sys; from specdsl import cli\ntry: cli.main()\nfinally: print('pygments' in sys.modules)"
    (tmp_path / "wrong.spec").write_text("model m { Dens(3) }")
    (tmp_path / "good.spec").write_text("model m { input x: (3,); Dense(3) }")
    for name in ("good.spec", "wrong.spec"):
        command = [sys.executable, "-c", code, "check", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
        assert done.stdout.splitlines()[-1] == "False"
