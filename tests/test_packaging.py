"""The package and the way it is set up: versions that fit together, and a start that stays fast."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from specdsl.version import __version__

ROOT = Path(__file__).parents[1]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = CONFIGURATION["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins() -> dict[str, str]:
    """The versions of `constraints.txt` by package."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    exact = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in exact}


def test_what_is_installed_lies_in_the_ranges_of_the_project() -> None:
    """Everything that `make install` installs by name has a pinned version, and one that the project allows."""
    installed = [
        *PROJECT["dependencies"],
        *EXTRAS["training"],
        *EXTRAS["tensorflow-cpu"],
        *EXTRAS["jax"],
        *EXTRAS["dev"],
    ]
    pinned = pins()
    for requirement in map(Requirement, installed):
        if requirement.name != PROJECT["name"]:
            assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_one_tensorflow_under_two_names() -> None:
    """Both names of the package stand for the same versions."""
    ranges = {
        requirement.specifier
        for extra in ("tensorflow", "tensorflow-cpu")
        for requirement in map(Requirement, EXTRAS[extra])
        if requirement.name.startswith("tensorflow")
    }
    assert len(ranges) == 1
    assert pins()["tensorflow"] == pins()["tensorflow-cpu"]


def test_the_changelog_begins_with_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)[0] == __version__


def test_what_the_package_reads_is_shipped_with_it() -> None:
    """The wheel takes the package's folder whole, and the pages of mistakes into it: all that the code reads."""
    from specdsl.cli.explaining import PAGES
    from specdsl.syntax.parser import GRAMMAR

    wheel = CONFIGURATION["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {"packages": ["specdsl"], "force-include": {"docs/errors": "specdsl/errors"}}
    assert PAGES == ROOT / "docs" / "errors"
    read = [GRAMMAR, *PAGES.glob("*.md"), ROOT / "specdsl" / "py.typed"]
    assert all(path.is_file() for path in read)
    ignored = subprocess.run(["git", "check-ignore", *map(str, read)], cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout == ""  # hatchling leaves out what git ignores


def test_the_layer_that_explains_how_to_add_one_is_right() -> None:
    """The worked example of CONTRIBUTING.md can be declared as it stands, and says what Keras says of that layer."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [
        "from specdsl.layers.normalization import *",
        "from specdsl.layers.normalization import _Normalization",
        example,
        "layer = RMSNormalization()",
        "assert layer.infer((8, 32)) == ((8, 32),)",
        "assert layer.weights((8, 32)) == (Weight('scale', (32,)),)",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


def test_the_report_starts_fast() -> None:
    """A loose guard, of processor time; `make bench` measures."""
    spec = str(ROOT / "specs" / "bn_cnn.spec")
    commands = {
        "report": [sys.executable, "-m", "specdsl", "compile", spec, "--report"],
        "imports": [sys.executable, "-c", "import lark, pydantic"],
    }
    best = dict.fromkeys(commands, float("inf"))
    for _ in range(5):
        for name, command in commands.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            best[name] = min(best[name], used)
    assert best["report"] < 6 * best["imports"]
