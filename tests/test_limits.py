"""Limits: each is named by its error, can be set, and together they bound time and memory whatever stands in a text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import specdsl
from specdsl import Limits, SpecError
from specdsl.diagnostics import Diagnostic, Slug
from specdsl.source import Source
from specdsl.syntax.formatter import format_source
from tests.yardstick import slowness

ROOT = Path(__file__).parents[1]
SECONDS = 4.0
"""Of processor time, of a machine of today: it takes less than two, and may as many more beside other work."""
MEGABYTES = 300


def model(body: str) -> str:
    """The text of a model with an input."""
    return f"model m {{ input x: (2,); {body} }}\n"


def wrong(use: Callable[[], object]) -> Diagnostic:
    """The first limit that something passes."""
    with pytest.raises(SpecError) as caught:
        use()
    return next(mistake for mistake in caught.value.diagnostics if mistake.slug is Slug.LIMIT)


BLOCKS = "block inner { Dense(2) }\nblock outer { inner }\n"
PASSED = [
    (Limits(characters=30), model("Dense(1)")),
    (Limits(words=10), model("Dense(1)")),
    (Limits(layers=5), model("repeat 5 { Dense(2) }")),
    (Limits(steps=10), model("repeat 9 { Dense(2) }")),
    (Limits(steps=10), model("repeat 11 { Dense(2) }")),
    (Limits(depth=1), BLOCKS + model("outer")),
    (Limits(depth=1), model("Dense(2)") + "model v = m\nmodel w = v\n"),
    (Limits(items=3), model("for i in range(1, 5) { Dense(i) }")),
    (Limits(items=3), model("for i in [1, [2, 3]] { Dense(1) }")),
    (Limits(items=3), model('let a = "x" + "yyy"; Dense(1)')),
    (Limits(magnitude=100), model("Dense(10 * 11)")),
    (Limits(axes=1), model("Reshape((1, 2))")),
    (Limits(name=10), model("Dense(1) as a_long_name")),
    (Limits(name=10), BLOCKS + model("outer")),
]


def name_of(limits: Limits) -> str:
    """The limit that is not as by default."""
    (name,) = (name for name in Limits._fields if getattr(limits, name) != Limits._field_defaults[name])
    return name


@pytest.mark.parametrize(("limits", "text"), PASSED, ids=lambda value: name_of(value) if value != str(value) else "")
def test_an_error_names_its_limit_and_what_raises_it(limits: Limits, text: str, tmp_path: Path) -> None:
    """A limit holds where it is set; its error has the number, and its help an option that is enough to raise it."""
    assert specdsl.loads(text).models
    mistake = wrong(lambda: specdsl.loads(text, limits=limits))
    name = name_of(limits)
    assert f"{getattr(limits, name):,}" in mistake.message
    assert re.search(rf"`--limit {name}=[0-9_]+` raises this limit$", mistake.help or ""), mistake
    path = tmp_path / "m.spec"
    path.write_text(text)
    assert wrong(lambda: specdsl.load(path, limits)).message.replace(str(path), "<text>") == mistake.message


def test_limits_of_mistakes_and_imports(tmp_path: Path) -> None:
    """Beyond some mistakes none is looked for, those found are told; and files import one another only so far."""
    text = model("Dens(1); Dese(1); Dene(1); Dnse(1)")
    with pytest.raises(SpecError) as caught:
        specdsl.loads(text, limits=Limits(mistakes=2))
    assert [str(one.slug) for one in caught.value.diagnostics] == ["unknown-step", "unknown-step", "limit"]
    assert caught.value.diagnostics[-1].help == "`--limit mistakes=4` raises this limit"
    with pytest.raises(SpecError) as caught:
        specdsl.loads(text, limits=Limits(mistakes=4))
    assert {str(one.slug) for one in caught.value.diagnostics} == {"unknown-step"}
    chain(tmp_path, 4)
    assert specdsl.load(tmp_path / "main.spec", Limits(imports=5)).models == ("m",)
    mistake = wrong(lambda: specdsl.load(tmp_path / "main.spec", Limits(imports=4)))
    assert (mistake.message, mistake.help) == (
        "more than 4 files import one another in a row",
        "`--limit imports=8` raises this limit",
    )


def test_every_limit_is_tested() -> None:
    assert {name_of(limits) for limits, _ in PASSED} | {"mistakes", "imports"} == set(Limits._fields)


def test_the_formatter_has_the_limits_of_texts() -> None:
    text = model("Dense(1)")
    for limits in (Limits(characters=30), Limits(words=10)):
        assert name_of(limits) in (wrong(lambda: format_source(Source("m", text), limits)).help or "")  # noqa: B023


def test_a_file_that_never_ends_is_refused() -> None:
    assert "more than 100 characters" in wrong(lambda: specdsl.load("/dev/zero", Limits(characters=100))).message


def test_the_documented_limits_are_those_that_there_are() -> None:
    """The table in docs/language.md has each limit in order with its default."""
    text = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| \S", text, re.MULTILINE)
    assert rows == [(name, f"{value:,}") for name, value in Limits._field_defaults.items()]


# ---------------------------------------------------------------------------------------------- the command line


@pytest.mark.parametrize("verb", ["check", "compile", "diff", "train"])
def test_verbs_take_limits(run, verb: str, tmp_path: Path) -> None:
    """Each verb that reads specs takes `--limit`, and what an error suggests mends it."""
    path = tmp_path / "m.spec"
    path.write_text(model("repeat 6 { Dense(2) }"))
    given = [str(path), str(path)] if verb == "diff" else [str(path)]
    code, out, err = run(verb, *given, "--limit", "layers=5")
    assert (code, out) == (2, "")
    assert "the model has more than 5 layers" in err
    assert "`--limit layers=10` raises this limit" in err
    code, out, err = run(verb, *given, "--limit", "layers=10", "--limit", "steps=1_000")
    assert "limit" not in err


def test_fmt_takes_limits(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.spec"
    path.write_text(model("Dense(2)"))
    assert "more than 20 characters" in run("fmt", "--limit", "characters=20", str(path))[2]
    with path.open() as text:
        monkeypatch.setattr(sys, "stdin", text)
        assert "<stdin> has more than 20 characters" in run("fmt", "--limit", "characters=20", "-")[2]
    assert run("fmt", "--limit", "characters=200", str(path))[0] == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["layer=3"], "there is no limit 'layer'; did you mean 'layers'?"),
        (["zzz=3"], "there is no limit 'zzz'; there are characters, words, imports, layers"),
        (["layers"], "--limit takes NAME=VALUE, not 'layers'"),
        (["layers=0"], "the limit 'layers' is a whole number above zero, not '0'"),
        (["layers=-1"], "not '-1'"),
        (["layers=1e5"], "not '1e5'"),
        (["layers="], "not ''"),
        (["layers=" + "9" * 5000], "is a whole number above zero"),
        (["layers=3", "layers=4"], "--limit gives 'layers' twice"),
    ],
)
def test_wrong_limits_say_why(run, given: list[str], says: str) -> None:
    options = [part for one in given for part in ("--limit", one)]
    code, out, err = run("check", str(ROOT / "specs" / "bn_cnn.spec"), *options)
    assert (code, out) == (2, "")
    assert says in err


# ---------------------------------------------------------------------------------------------- hostile specs


def chain(folder: Path, length: int) -> None:
    """Files that import one another in a row, each twice."""
    for index in range(length - 1):
        once = 'from "f{0}.spec" import {1}\n'
        (folder / f"f{index}.spec").write_text(once.format(index + 1, "a") + once.format(index + 1, "b"))
    (folder / f"f{length - 1}.spec").write_text("let a = 1\nlet b = 2\n")
    (folder / "main.spec").write_text('from "f0.spec" import a\n' + model("Dense(a)"))


def doubling(first: str, next_: str, times: int = 40) -> str:
    """Lines in which `{n}` counts up and `{p}` is the number before."""
    return first + "".join(next_.format(n=n, p=n - 1) for n in range(1, times + 1))


FEW = {
    "a huge repeat": model("repeat 1000000 { Dense(2) }"),
    "lists that double": doubling("let a0 = [1]\n", "let a{n} = a{p} + a{p}\n") + model("Dense(1)"),
    "lists of lists that double": doubling("let a0 = [1]\n", "let a{n} = [a{p}, a{p}]\n") + model("Dense(a40)"),
    "strings that double": doubling('let a0 = "a"\n', "let a{n} = a{p} + a{p}\n") + model("Dense(1)"),
    "blocks used twice": doubling("block b0 { Dense(2) }\n", "block b{n} {{ b{p}; b{p} }}\n") + model("b40"),
    "edits of edits": doubling(
        "model v0 { input x: (2,); Dense(2) }\n", "model v{n} = v{p} with {{ after Dense {{ Dense(2) }} }}\n"
    ),
    "sixteen megabytes": model("Dense(2);" * (16 * 1024**2 // 9)),
    "deep brackets": "let a = " + "(" * 100_000 + "1" + ")" * 100_000,
    "ranges in a loop": model("repeat 100000 { let b = range(50000) }; Dense(1)"),
}
MANY = {
    "steps without layers": model("repeat 500 { repeat 500 { repeat 500 { } } }; Dense(1)"),
    "layers, a line each": model('\nConv2D(4, 3, padding="same", use_bias=false)' * 25_001),
    "short layers": model("Dense(1);" * 50_000),
    "joined lists in a loop": "let a = range(49999)\n" + model("repeat 100000 { let b = a + [1] }; Dense(1)"),
    "compared lists in a loop": "let a = range(49999)\n" + model("repeat 100000 { let b = a == a + [] }; Dense(1)"),
    "sums in a loop": model("repeat 20000 { let a = 1" + "+1" * 20_000 + " }; Dense(1)"),
    "ranges in a sum": "let a = " + " + ".join(["len(range(50000))"] * 20_000),
    "ranges as defaults": "block b(a=range(50000)) { }\n" + model("repeat 100000 { b }; Dense(1)"),
    "empty blocks used twice": doubling("block b0 { }\n", "block b{n} {{ b{p}; b{p} }}\n") + model("b40; Dense(1)"),
    "arguments that double": doubling("block b0(a) { }\n", "block b{n}(a) {{ b{p}(a + a) }}\n") + model("b40([1])"),
    "models used twice": doubling(
        "model m0 { input x: (2,); Dense(2) }\n", "model m{n} {{ input x: (2,); m{p}; m{p} }}\n"
    )
    + model("zork"),
    "models with other parameters": doubling(
        "model m0(a) { input x: (2,); Dense(2) }\n",
        "model m{n}(a=1) {{ input x: (2,); m{p}(a=2 * a); m{p}(a=2 * a + 1) }}\n",
    ),
    "large models in models": doubling(
        "model m0 { input x: (2,); repeat 1000 { Dense(2) } }\n",
        "model m{n} {{ input x: (2,); repeat 10 {{ m{p} }} }}\n",
    ),
    "shortcuts used twice": doubling("block b0 { Dense(2) }\n", "block b{n} {{ shortcut add {{ b{p}; b{p} }} }}\n")
    + model("b40"),
    "branches used twice": doubling(
        "block b0 { Dense(2) }\n", "block b{n} {{ branch add {{ b{p} }} and {{ b{p} }} }}\n"
    )
    + model("b40"),
    "a block in itself": "block a { b; b }\nblock b { a; a }\n" + model("a"),
    "many parameters": f"block b({', '.join(f'p{n}=1' for n in range(10_000))}) {{ ReLU }}\n"
    + model("repeat 20000 { b }"),
    "many names in a block": "block b { if false { "
    + "".join(f"ReLU as h{n};" for n in range(10_000))
    + "}; ReLU }\n"
    + model("repeat 20000 { b }"),
    "long names": doubling(f"block {'b' * 500}0 {{ ReLU }}\n", f"block {'b' * 500}{{n}} {{{{ {'b' * 500}{{p}} }}}}\n")
    + model("b" * 500 + "40"),
    "wide gathers": model("Dense(2) as h; repeat 20000 { [" + "h, " * 5_000 + "] -> Add }"),
    "many axes": f"model m {{ input x: ({'2, ' * 49_999}); repeat 20000 {{ ReLU }} }}",
    "many edits": "model v { input x: (2,); repeat 10000 { Dense(2) } }\nmodel w = v with { "
    + "after Dense[0] { ReLU }; " * 200
    + "}",
    "many models": "".join(f"model m{n} {{ input x: (2,); repeat 24999 {{ Dense(2) }} }}\n" for n in range(20)),
    "variants of variants": doubling("model v0 { input x: (2,); Dense(2) }\n", "model v{n} = v{p}\n", 5_000),
    "many expectations": model("Dense(1);" + "expect params == 7;" * 40_000),
    "a giant number": "let a = " + "9" * 1_000_000,
    "powers of powers": "let a = 10 ** 10 ** 10",
    "squares of squares": doubling("let a0 = 3\n", "let a{n} = a{p} * a{p}\n"),
    "deep lists": "let a = " + "[" * 100_000 + "]" * 100_000,
    "deep calls": "let a = " + "min(1, " * 40_000 + "1" + ")" * 40_000,
    "deep signs": "let a = " + "-" * 200_000 + "1",
    "deep bodies": model("repeat 1 { " * 50_000 + "Dense(1)" + " }" * 50_000),
    "many else": model("if false { Dense(1) } " + "else if false { Dense(1) } " * 20_000),
    "mistakes": model("".join(f"Dens{n}(2); let q{n} = zork{n};" for n in range(10_000))),
    "mistakes among many names": "".join(f"block {'b' * 50}{n} {{ Dense(2) }}\n" for n in range(3_000))
    + model("".join(f"{'b' * 49}c{n};" for n in range(300))),
    "mistakes in a loop": model("repeat 2 { " * 60 + "let a = zz" + " }" * 60),
    "unused layers": model("".join(f"x -> Dense(2) as h{n};" for n in range(15_000)) + "x -> Dense(1)"),
    "long values": "let a = range(50000)\n" + model("".join(f"Dense(a) as d{n};" for n in range(99))),
    "syntax errors far behind": model("Dense(2); " * 40_000) + "model q { Dense( }\n" * 30,
    "a string that never ends": '"""' + "x" * (4 * 1024**2 - 10),
    "escaped quotes": "let a = " + '"\\' * 1_000_000,
    "brackets that close nothing": "} ) ] { " * 70_000,
    "separators": ";" * (4 * 1024**2 - 10) + "x",
    "newlines": "\n" * (4 * 1024**2 - 10) + "x",
    "a long name": model("Dense(2) as " + "a" * 1_000_000),
}
LAUNCHER = """
import json, resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "specdsl", *sys.argv[1:]], capture_output=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([done.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, done.stderr.decode()]))
"""


def ends_soon(*command: str | Path) -> tuple[int, str]:
    """Run a command in a process of its own: exit code and messages. `pytest -rP` shows what it took."""
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *map(str, command)], capture_output=True, text=True, check=True
    )
    code, seconds, megabytes, messages = json.loads(done.stdout)
    print(f"{command[0]}: {seconds:.2f} s, {megabytes:.0f} MB")
    assert "Traceback" not in messages
    assert (code == 2) == ("error[" in messages), messages
    assert seconds < SECONDS * slowness()
    assert megabytes < MEGABYTES
    assert len(messages) < 500_000
    return int(code), str(messages)


@pytest.mark.parametrize("text", FEW.values(), ids=FEW)
def test_hostile_specs_end_soon(text: str, tmp_path: Path) -> None:
    """What would take for ever, or all memory, ends in an error, soon and in little memory."""
    path = tmp_path / "hostile.spec"
    path.write_text(text)
    code, messages = ends_soon("check", path)
    assert (code, "error[limit]" in messages) == (2, True)


EXPECTING = model("Dense(1);" + "expect len(range(50000)) == 1;" * 9_000)
"""A legal model whose expectations are the work."""


@pytest.mark.slow
@pytest.mark.parametrize("text", [*MANY.values(), EXPECTING], ids=[*MANY, "heavy expectations"])
def test_more_hostile_specs_end_soon(text: str, tmp_path: Path) -> None:
    """So do many other ways to be large."""
    path = tmp_path / "hostile.spec"
    path.write_text(text)
    assert ends_soon("check", path)[0] == 2


VERBS = {
    "report": ("compile", "SPEC", "--report"),
    "diagram": ("compile", "SPEC", "--diagram", "OUT"),
    "python": ("compile", "SPEC", "--emit", "python"),
    "diff": ("diff", "SPEC", "SPEC"),
    "train": ("train", "SPEC", "--data", "synthetic", "--out", "OUT"),
}


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("text", [*FEW.values(), *MANY.values()], ids=[*FEW, *MANY])
def test_hostile_specs_end_soon_whatever_is_done_with_them(text: str, verb: str, tmp_path: Path) -> None:
    """Each verb that reads specs refuses them as `check` does, and leaves nothing behind."""
    path, out = tmp_path / "hostile.spec", tmp_path / "out.svg"
    path.write_text(text)
    assert ends_soon(*({"SPEC": path, "OUT": out}.get(word, word) for word in VERBS[verb]))[0] == 2
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "code"), [("report", 2), ("diagram", 2), ("python", 2), ("diff", 0)], ids=lambda given: str(given)
)
def test_expectations_are_refused_behind_the_output_where_they_are_tested(verb: str, code: int, tmp_path: Path) -> None:
    path, out = tmp_path / "hostile.spec", tmp_path / "out.svg"
    path.write_text(EXPECTING)
    assert ends_soon(*({"SPEC": path, "OUT": out}.get(word, word) for word in VERBS[verb]))[0] == code
    assert out.exists() == (verb == "diagram")


@pytest.mark.slow
@pytest.mark.parametrize("text", [*FEW.values(), *MANY.values()], ids=[*FEW, *MANY])
def test_hostile_specs_are_formatted_or_refused_soon(text: str, tmp_path: Path) -> None:
    """The formatter looks at the words alone, and so takes some of them; it too ends soon."""
    path = tmp_path / "hostile.spec"
    path.write_text(text)
    assert ends_soon("fmt", "--check", path)[0] in (0, 1, 2)


LARGE = {
    "a chain": model("repeat 20000 { Dense(2) }"),
    "shortcuts": model("repeat 6000 { shortcut add { Dense(2) -> ReLU } }"),
    "a wide gather": model("Dense(2) as h; [" + "h, " * 5_000 + "] -> Add"),
    "a wide branch": model("branch add " + " and ".join("{ Dense(2) }" for _ in range(1_500))),
    "blocks in blocks": "block a(n) { Dense(n) }\nblock b(n) { a(n); a(n) }\n" + model("repeat 4000 { b(2) }"),
    "models within": "model inner { input x: (2,); repeat 20 { Dense(2) } }\n" + model("repeat 900 { inner }"),
    "one layer used again": model("layer a = Dense(2); repeat 20000 { a }"),
}


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["check", "report", "diff"])
@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_what_is_as_large_as_the_limits_allow_is_told_soon(text: str, verb: str, tmp_path: Path) -> None:
    """Legal specs of thousands of layers are checked, reported and compared in the same time and memory."""
    path = tmp_path / "large.spec"
    path.write_text(text)
    command = ("check", "SPEC") if verb == "check" else VERBS[verb]
    assert ends_soon(*(path if word == "SPEC" else word for word in command))[0] == 0


def test_chains_of_imports_end_soon(tmp_path: Path) -> None:
    """Files that import each other twice in a row are read once each, and only so many in a row."""
    chain(tmp_path, 31)
    assert specdsl.load(tmp_path / "main.spec").models == ("m",)
    chain(tmp_path, 60)
    assert "more than 32 files import one another" in ends_soon("check", tmp_path / "main.spec")[1]
