"""The rooms of the package and who may import whom; no framework where none belongs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import specdsl
from specdsl.cache import cache_folder
from specdsl.layers import NAMES
from specdsl.layers.objects import OBJECTS
from specdsl.recipes import LOSSES, METRICS, OPERATIONS, OPTIMIZERS, RATE_SCHEDULES, SCHEDULES
from specdsl.recipes.losses import LOSS_WORDS
from specdsl.recipes.metrics import METRIC_WORDS
from specdsl.recipes.sources import SOURCES

PACKAGE = Path(__file__).parents[1] / "specdsl"
SPECS = PACKAGE.parent / "specs"
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch"}

FOUNDATION = {"source", "limits", "counts", "declaration", "version", "cache", "interrupts"}
ALLOWED: dict[str, set[str]] = {
    "source": set(),
    "limits": set(),
    "counts": set(),
    "declaration": {"traced"},
    "traced": set(),
    "version": set(),
    "cache": set(),
    "interrupts": set(),
    "diagnostics": {"source"},
    "syntax": {"source", "limits", "cache", "diagnostics"},
    "layers": {"counts", "declaration", "diagnostics"},
    "recipes": {"declaration", "diagnostics"},
    "highlight": {"layers"},
    "graph": {"source", "diagnostics", "layers"},
    "functional": {"counts", "declaration", "traced", "layers", "graph"},
    "resolve": {
        "source",
        "limits",
        "diagnostics",
        "declaration",
        "syntax",
        "layers",
        "recipes",
        "graph",
        "functional",
        "traced",
    },
    "analyses": {"counts", "diagnostics", "layers", "recipes", "graph", "functional"},
    "backends": {"counts", "declaration", "layers", "recipes", "graph", "functional", "analyses"},
    "symbolic": {
        "traced",
        "diagnostics",
        "counts",
        "declaration",
        "graph",
        "resolve",
        "analyses",
        "backends",
    },
    "sweeps": {
        "interrupts",
        "source",
        "limits",
        "diagnostics",
        "counts",
        "declaration",
        "graph",
        "resolve",
        "analyses",
        "backends",
        "symbolic",
        "traced",
    },
    "data": {"recipes", "declaration", "cache", "version"},
    "runs": {"recipes", "declaration"},
    "results": {
        "limits",
        "diagnostics",
        "syntax",
        "highlight",
        "resolve",
        "analyses",
        "runs",
        "recipes",
        "data",
        "counts",
        "declaration",
        "version",
        "backends",
    },
    "importing": {
        "source",
        "limits",
        "diagnostics",
        "declaration",
        "syntax",
        "layers",
        "graph",
        "functional",
        "resolve",
    },
    "inference": {"declaration", "version", "recipes", "data", "runs", "backends", "training"},
    "training": {
        "cache",
        "interrupts",
        "runs",
        "results",
        "counts",
        "declaration",
        "version",
        "graph",
        "layers",
        "functional",
        "analyses",
        "recipes",
        "data",
        "backends",
    },
    "api": {
        "source",
        "limits",
        "diagnostics",
        "syntax",
        "graph",
        "resolve",
        "analyses",
        "backends",
        "sweeps",
        "symbolic",
        "importing",
        "results",
        "inference",
    },
}
"""What each room may import; `cli`, `__main__` and the package itself may import all."""

BANNED_OUTSIDE: dict[str, set[str]] = {
    "lark": {"syntax"},
    "keras": {"inference/models.py", "backends/keras_model.py", "training", "data/keras_datasets.py"},
    "tensorflow": {"training"},
    "jax": {"training"},
    "torch": {"training"},
    "h5py": {"importing/reading.py"},
    "graphviz": {"backends/diagram.py"},
    "matplotlib": {"results/figures", "data/sheet.py", "sweeps/plot.py"},
    "numpy": {"inference", "data", "runs", "results", "training", "backends/onnx_model.py"},
    "scipy": {"inference/calibration.py", "results"},
    "statsmodels": {"results"},
    "click": {"cli"},
    "pygments": {"highlight", "results/html", "cli"},
}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported(tree: ast.AST) -> set[str]:
    """The full names of the modules that a file imports, those inside functions and for type checking included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            names.add(node.module)
            if node.module == "specdsl":
                names.update(f"specdsl.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_only_what_they_may(path: Path) -> None:
    """A later room never reads an earlier one, and outside packages are used where they belong."""
    here = room(path)
    names = imported(ast.parse(path.read_text(encoding="utf-8")))
    inside = {name.split(".")[1] for name in names if name.startswith("specdsl.")} - {here}
    if here in ALLOWED:
        assert inside <= ALLOWED[here], f"{here} imports {inside - ALLOWED[here]}"
    relative = path.relative_to(PACKAGE).as_posix()
    for name in {name.split(".")[0] for name in names} & set(BANNED_OUTSIDE):
        homes = BANNED_OUTSIDE[name]
        typing_only = here == "api" and name == "keras"
        around = {here, relative, *(folder.as_posix() for folder in Path(relative).parents)}
        assert typing_only or around & homes, f"{relative} imports {name}"


NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}
"""What named tuples offer to all."""


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_private_names_stay_in_their_module(path: Path) -> None:
    """What a neighbour needs has a public name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    given: set[str] = set()
    private: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "specdsl":
            given.update(alias.asname or alias.name for alias in node.names)
            private.update(alias.name for alias in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in given:
            private.add(node.attr)
    found = {name for name in private if name.startswith("_") and not name.startswith("__")} - NAMED_TUPLES
    assert not found, f"{path.name} takes {found} from another module"


DECLARED = {
    *NAMES, *OBJECTS, *LOSSES, *LOSS_WORDS, *METRICS, *METRIC_WORDS, *OPTIMIZERS, *RATE_SCHEDULES, *OPERATIONS,
    *SCHEDULES, *SOURCES,
}  # fmt: skip
"""What a spec calls by name."""

UNMISTAKABLE = {name for name in DECLARED if "_" in name or name != name.lower()}
"""Those of them that are no words for anything else, as `constant` and `pad` are."""


def decided_by_name(tree: ast.AST) -> Iterator[str]:
    """The comparisons of a file with the names of declarations, or with parts of them."""
    for node in ast.walk(tree):
        compared: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            compared = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            compared = [node.value]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = node.func
            if called.attr in ("startswith", "endswith") and is_name_of_class(called.value):
                yield ast.unparse(node)
        items = [item for one in compared for item in (getattr(one, "elts", None) or [one])]
        words = {item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)}
        if words & UNMISTAKABLE or (words and any(map(is_name_of_class, compared))):
            yield ast.unparse(node)


def is_name_of_class(node: ast.expr) -> bool:
    """Whether an expression is `kind.__name__` or `kind.spec_name()`."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr == "spec_name"
    return isinstance(node, ast.Attribute) and node.attr == "__name__"


@pytest.mark.parametrize(
    "path",
    # the first three declare; importing reads what Keras calls its own classes and operations
    [path for path in modules() if room(path) not in ("declaration", "layers", "recipes", "importing")],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_no_name_of_a_declaration_decides(path: Path) -> None:
    """What a layer, a loss, a metric or an operation is like, it says itself: one more of them is one declaration."""
    found = list(decided_by_name(ast.parse(path.read_text(encoding="utf-8"))))
    assert not found, f"{path.name} decides by names: {found}"


@pytest.mark.parametrize(
    "text",
    [
        'kind == "Conv2D"',
        'name in ("SparseCategoricalAccuracy", "accuracy")',
        'type(layer).__name__ != "x"',
        'kind.__name__.endswith("Accuracy")',
        'operation.spec_name() == "clip"',
        'match name:\n    case "random_crop":\n        pass',
    ],
)
def test_decisions_by_name_are_found(text: str) -> None:
    assert list(decided_by_name(ast.parse(text)))


def test_every_room_is_listed() -> None:
    """A new room must say what it may import."""
    assert {room(path) for path in modules()} - {"cli", "__main__", "__init__"} == set(ALLOWED)


def test_no_back_end_imports_another() -> None:
    """Back ends stand alone; words about a graph or about arguments, and columns of text, have files of their own."""
    backends = PACKAGE / "backends"
    for path in backends.rglob("*.py"):
        names = {
            name.split(".")[2] for name in imported(ast.parse(path.read_text())) if name.startswith("specdsl.backends.")
        }
        own = {path.relative_to(backends).parts[0]}
        if own == {"schemas.py"}:  # which knows the documents of all
            continue
        if path.name == "html.py":  # a page holds the drawing too
            own.add("diagram")
        assert (
            names
            <= {"words", "table", "arguments", "diagram_folding", "diagram_words", "python_structure", "python_values"}
            | own
        ), path


BLOCKED = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Refuse())
from specdsl.cli import main
sys.argv = ["specdsl", *{arguments!r}]
main()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "bn_cnn.spec", "dropout.spec"],
        ["compile", "bn_cnn.spec", "--report"],
        ["compile", "bn_cnn.spec", "--format", "json"],
        ["compile", "bn_cnn.spec", "--emit", "python"],
        ["compile", "bn_cnn.spec", "--diagram", "{tmp}/bn_cnn.svg"],
        ["fmt", "--check", "bn_cnn.spec"],
        ["import", "../docs/examples/residual.json"],
        ["sweep", "bn_cnn.spec"],
        ["layers", "Conv2D"],
        ["train"],
    ],
    ids=" ".join,
)
def test_verbs_without_frameworks(arguments: list[str], tmp_path: Path) -> None:
    """What needs no framework runs where there is none, and where there is no numpy either."""
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    code = BLOCKED.format(blocked=FRAMEWORKS | {"numpy", "matplotlib"}, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], cwd=SPECS, capture_output=True, text=True)
    expected = 2 if arguments == ["train"] else 0
    assert done.returncode == expected, done.stderr
    assert "Traceback" not in done.stderr


def test_import_is_light() -> None:
    """`import specdsl` brings in no framework and none of the packages that only some verbs need."""
    heavy = sorted(
        FRAMEWORKS | {"numpy", "scipy", "statsmodels", "matplotlib", "rich", "pygments", "graphviz", "click"}
    )
    code = f"import sys, specdsl; print(sorted(set(sys.modules) & set({heavy!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_report_imports_what_it_needs() -> None:
    """A report is quick because little is imported: no other verb, and nothing that tells of mistakes or of packages.

    `most` is what it is by now: who adds a module here makes every start of the command slower.
    """
    code = (
        "import sys, io, lark, pydantic, specdsl.__main__ as start; before = set(sys.modules)\n"
        "sys.argv = ['specdsl', 'compile', 'bn_cnn.spec', '--report']; output, sys.stdout = sys.stdout, io.StringIO()\n"
        "try: start.main()\n"
        "finally: print(*(set(sys.modules) - before), file=output)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYDANTIC_DISABLE_PLUGINS"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SPECS, env=environment, capture_output=True, text=True, check=True
    )
    new = set(done.stdout.split())
    assert {name for name in new if name.startswith("specdsl.cli.")} == {"specdsl.cli.compiling", "specdsl.cli.shared"}
    assert not new & {"importlib.metadata", "email", "zipfile", "csv", "socket", "difflib", "json", "shlex"}
    assert not {name.split(".")[0] for name in new} & {"numpy", "rich", "pygments", "graphviz"}
    most = 130
    assert len([name for name in new if name.startswith("specdsl")]) <= most


def test_the_tests_have_a_cache_of_their_own() -> None:
    """Nothing that they compile or time is found in the user's cache, or left there; processes of theirs share it."""
    specdsl.loads("model m { input x: (1,) }")
    assert cache_folder().parent.name.startswith("specdsl-tests-cache")
    assert list(cache_folder().glob("grammar-*.cache"))
    code = "from specdsl.cache import cache_folder; print(cache_folder())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(cache_folder())
