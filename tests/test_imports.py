"""Definitions from other files: whose names they see, and which files may be named."""

from __future__ import annotations

from pathlib import Path

import pytest

from specdsl import SpecError, load, loads
from specdsl.resolve import train_recipe

BLOCKS = """
let units = 7
block wide(n=units) { Dense(n) -> extra }
block extra { ReLU }
model base(n=3) { input x: (4,); Dense(n); wide }
data signs = synthetic(size=28)
train quick { data = signs; epochs = 2 }
"""

MAIN = """
from "blocks.spec" import wide, base, quick
let units = 100
block extra { ELU }
model m { input x: (4,); wide }
model v = base(n=5) with { after ReLU { Dropout(0.5) } }
"""


def project(tmp_path: Path, **files: str) -> Path:
    """A folder that is a project, with files of these names; the path of `main.spec`."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "pyproject.toml").touch()
    for name, text in files.items():
        path = tmp_path / f"{name.replace('__', '/')}.spec"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "main.spec"


def refused(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        load(path)
    return str(caught.value)


def test_definitions_see_the_names_of_their_own_file(tmp_path: Path) -> None:
    """A block, a model and a training recipe from another file mean here what they mean there."""
    spec = load(project(tmp_path, blocks=BLOCKS, main=MAIN))
    assert spec.models == ("m", "v")
    assert [node.name for node in spec.model("m").nodes] == ["x", "wide-dense", "wide-extra-re_lu"]
    assert spec.model("m").by_name["wide-dense"].shape == (7,)
    assert spec.model("v").by_name["dense"].shape == (5,)
    assert spec.model("base").by_name["dense"].shape == (3,)
    assert train_recipe(spec.program, "quick", (28, 28, 3)).epochs == 2


def test_paths_are_relative_to_the_importing_file(tmp_path: Path) -> None:
    """Files in folders name their neighbours, and files above them inside the project."""
    main = project(
        tmp_path,
        main='from "parts/heads.spec" import head\nmodel m { input x: (4,); head }',
        parts__heads='from "inner/more.spec" import tail\nfrom "../top.spec" import width\n'
        "block head { Dense(width) -> tail }",
        parts__inner__more="block tail { Softmax }",
        top="let width = 9",
    )
    assert load(main).model().output_shapes == ((9,),)


def test_mistakes_in_an_imported_file_are_shown_there(tmp_path: Path) -> None:
    """A mistake is shown where it stands, once, and what depends on it is passed over in silence."""
    main = project(
        tmp_path,
        blocks="block wide(n) { Dens(n) }",
        main='from "blocks.spec" import wide\nmodel m { input x: (4,); wide(3); Dense(2) }',
    )
    told = refused(main)
    assert "blocks.spec:1:17: error[unknown-step]" in told
    assert told.count("error[") == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('from "nowhere.spec" import a', "cannot be read: No such file"),
        ('from "block.spec" import a', "did you mean 'blocks.spec'?"),
        ('from "../outside.spec" import a', "stands outside the project"),
        ('from "/etc/passwd" import a', "stands outside the project"),
        ('from "blocks.spec" import wid', "did you mean 'wide'?"),
        ('from "main.spec" import m', "imports itself"),
        ('from "blocks.spec" import wide\nblock wide { ReLU }', "'wide' is defined twice"),
        ('from "blocks.spec" import', "expected a name"),
        ("from blocks import wide", "expected a string"),
    ],
)
def test_wrong_imports_say_why(tmp_path: Path, text: str, says: str) -> None:
    """A file that cannot be had, or does not define the name, is an error at the path or the name."""
    assert says in refused(project(tmp_path, blocks=BLOCKS, main=text))


def test_files_that_import_each_other_are_refused(tmp_path: Path) -> None:
    """A ring of files is shown with each link."""
    main = project(
        tmp_path,
        main='from "a.spec" import x',
        a='from "b.spec" import x',
        b='from "a.spec" import x\nlet x = 1',
    )
    told = refused(main)
    assert "'a.spec' imports itself" in told
    assert "main.spec:1:6: it is imported here" in told


def test_links_do_not_lead_outside(tmp_path: Path) -> None:
    """A symbolic link to a file outside the project is outside the project."""
    outside = tmp_path / "outside.spec"
    outside.write_text("let a = 1")
    main = project(tmp_path / "inside", main='from "link.spec" import a')
    (tmp_path / "inside" / "link.spec").symlink_to(outside)
    assert "stands outside the project" in refused(main)


def test_a_text_without_a_file_imports_nothing() -> None:
    """There is nothing that a path in it could be relative to."""
    with pytest.raises(SpecError, match="a text that is no file cannot import"):
        loads('from "a.spec" import b')
