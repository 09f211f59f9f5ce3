"""Imports without Keras: files as they are written and as they may be forged, and the texts that come of them."""

from __future__ import annotations

import io
import json
import os
import struct
import threading
import zipfile
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import specdsl
from specdsl import SpecError
from specdsl.importing import import_file
from specdsl.importing.items import Item, lines_of
from specdsl.importing.reading import MOST_BYTES, MOST_DEPTH

FOLDER = Path(__file__).parent / "importing"
FILES = {path.stem: path for path in sorted(FOLDER.glob("*.json"))}


def text_of(config: Any, folder: Path, limits: specdsl.Limits | None = None) -> str:
    path = folder / "model.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
    return import_file(path, "model.json", limits).text


def refusal(config: Any, folder: Path) -> str:
    with pytest.raises(SpecError) as caught:
        text_of(config, folder)
    return str(caught.value)


def sequential(*layers: dict[str, Any], name: str = "m") -> dict[str, Any]:
    """The configuration of a Sequential over an input of four values."""
    entering = {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 4], "name": "x"}}
    return {"module": "keras", "class_name": "Sequential", "config": {"name": name, "layers": [entering, *layers]}}


def layer(kind: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": {"name": kind.lower(), "trainable": True, **config}}


# ---------------------------------------------------------------------------------------------- texts


def test_a_sequential_as_a_text() -> None:
    spec = specdsl.import_keras(FILES["sequential"])
    assert spec.text == (
        "# Imported from sequential.json.\n"
        "model sequential {\n"
        "    input input_layer: (8, 8, 3)\n"
        '    Conv2D(4, 3, activation="relu", kernel_initializer=HeNormal(seed=1), kernel_regularizer=L2(0.001))\n'
        "    Flatten\n"
        '    Dense(3, activation="softmax")\n'
        "}\n"
    )
    assert spec.model().analyse().totals.params == 112 + 435


def test_shortcuts_are_found() -> None:
    text = specdsl.import_keras(FILES["residual"]).text
    assert 'branch subtract { shortcut add { Conv2D(3, 3, padding="same") } } and {}' in text


def test_models_and_shared_layers_are_kept() -> None:
    """Models within become models of the text, a layer that is used twice is declared; names stay."""
    graph = specdsl.import_keras(FILES["nested"]).model()
    assert graph.name == "pair"
    assert {node.owner for node in graph.nodes} == {"a", "b", "encoder", "dense_3", "seq", "concatenate", "dense_4"}
    assert graph.shared == {"encoder", "dense_3"}


def dense(name: str, units: int = 3) -> dict[str, Any]:
    return layer("Dense", units=units, name=name)


def test_names_with_hyphens_are_those_of_layers_in_blocks(tmp_path: Path) -> None:
    """Blocks in blocks, values that differ, instances that count on and those that have names of their own."""
    config = sequential(
        dense("two-one-dense", 8),
        layer("ReLU", name="two-one-re_lu"),
        dense("two-last", 4),
        dense("two_1-one-dense", 9),
        layer("ReLU", name="two_1-one-re_lu"),
        dense("two_1-last", 5),
        dense("head-one-dense", 10),
        layer("ReLU", name="head-one-re_lu"),
        dense("head-last", 6),
        layer("Dropout", rate=0.5, name="two_2-dropout"),
    )
    text = text_of(config, tmp_path)
    assert text.split("\n\n", 1)[0].startswith("# Imported from model.json.\nblock one(units) {")
    assert text.endswith(
        """
block two(units, units_2) {
    one(units)
    Dense(units_2) as last
}

block two_b {
    Dropout(0.5)
}

model m {
    input x: (4,)
    two(8, 4)
    two(9, 5)
    two(10, 6) as head
    two_b as two_2
}
"""
    )
    names = [node.owner for node in specdsl.loads(text).model().nodes]
    assert names == ["x", *(one["config"]["name"] for one in config["config"]["layers"][1:])]


@pytest.mark.parametrize(
    "name", ["-dense", "a-", "a--dense", "a-if", "-".join("a" * 20), "a" * 300 + "-dense", "a-x y"]
)
def test_hyphens_that_tell_of_no_block(name: str, tmp_path: Path) -> None:
    text = text_of(sequential(dense(name), dense("b-dense")), tmp_path)
    assert [node.owner for node in specdsl.loads(text).model().nodes][2:] == ["b-dense"]


def test_instances_whose_steps_stand_apart_have_other_names(tmp_path: Path) -> None:
    text = text_of(sequential(dense("a-dense"), dense("dense"), dense("a-dense_1")), tmp_path)
    assert "'a-dense' is 'a_dense', 'a-dense_1' is 'a_dense_1'" in text


@given(st.lists(st.lists(st.sampled_from(["a", "b", "a_1", "b_2", "dense", "dense_1"]), min_size=1, max_size=3),
                min_size=1, max_size=8, unique_by=tuple))  # fmt: skip
def test_any_names_with_hyphens_end_in_the_same_model(paths: list[list[str]]) -> None:
    """Layers may be called anything; what cannot be that of a block is called otherwise, and nothing else changes."""
    layers = [dense("-".join(path), number + 1) for number, path in enumerate(paths)]
    with TemporaryDirectory() as folder:
        model = specdsl.loads(text_of(sequential(*layers), Path(folder))).model()
    assert [node.layer.arguments()["units"] for node in model.nodes[1:]] == [*range(1, len(paths) + 1)]


def test_mistakes_hold_nothing_that_a_terminal_would_obey(tmp_path: Path) -> None:
    for changes in ({"activation": "\x1b[31m\n"}, {"kernel_initializer": "\x1b]0;"}, {"dtype": "\x1b"}, {"\x1b": 1}):
        assert "\x1b" not in refusal(sequential(layer("Dense", **{"units": 3, **changes})), tmp_path)


def test_what_calls_say_is_kept() -> None:
    nodes = specdsl.import_keras(FILES["calls"]).model().by_name
    assert dict(nodes["dropout"].options) == {"training": True}
    assert str(nodes["lstm"].options["mask"]) == "keep"
    assert [str(tensor) for tensor in nodes["lstm_1"].options["initial_state"]] == ["lstm[1]", "lstm[2]"]


def test_masks_that_keras_passes_on_are_not_said() -> None:
    assert not any(node.options for node in specdsl.import_keras(FILES["masks"]).model().nodes)


OLDER = {
    "class_name": "Model",
    "keras_version": "2.4.0",
    "config": {
        "name": "older",
        "layers": [
            {
                "class_name": "InputLayer",
                "name": "a",
                "config": {"batch_input_shape": [None, 6], "dtype": "float32", "sparse": False, "name": "a"},
                "inbound_nodes": [],
            },
            {
                "class_name": "Sequential",
                "name": "inner",
                "config": {
                    "name": "inner",
                    "layers": [
                        {
                            "class_name": "Dense",
                            "config": {
                                "name": "d",
                                "trainable": True,
                                "batch_input_shape": [None, 6],
                                "dtype": "float32",
                                "units": 6,
                                "activation": "linear",
                                "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
                            },
                        }
                    ],
                },
                "inbound_nodes": [[["a", 0, 0, {}]], [["inner", 1, 0, {}]]],
            },
            {
                "class_name": "Add",
                "name": "add",
                "config": {"name": "add", "trainable": True, "dtype": "float32"},
                "inbound_nodes": [[["inner", 1, 0, {}], ["inner", 2, 0, {}]]],
            },
            {
                "class_name": "Dropout",
                "name": "drop",
                "config": {"name": "drop", "trainable": True, "rate": 0.5},
                "inbound_nodes": [[["add", 0, 0, {"training": True}]]],
            },
        ],
        "input_layers": [["a", 0, 0]],
        "output_layers": [["drop", 0, 0]],
    },
}


def test_files_of_keras_2_are_read(tmp_path: Path) -> None:
    """Calls as lists, and models within whose making counts as their first call."""
    text = text_of(OLDER, tmp_path)
    graph = specdsl.loads(text).model()
    assert [node.owner for node in graph.nodes] == ["a", "inner", "inner", "add", "drop"]
    assert [str(tensor) for tensor in graph.by_name["add"].inputs] == ["inner_out", "inner_out_2"]
    assert graph.by_name["drop"].options == {"training": True}


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a b/c", "a_b_c"),
        ("Dense", "Dense_"),
        ("7x", "_7x"),
        ("true", "true_"),
        ("größe", "gr__e"),
        ("shortcut", "shortcut_"),
    ],
)
def test_names_that_a_spec_cannot_write(name: str, written: str, tmp_path: Path) -> None:
    """They are replaced, and both the text and a note say so."""
    path = tmp_path / "model.json"
    path.write_text(json.dumps(sequential(layer("ReLU") | {"config": {"name": name, "trainable": True}})))
    imported = import_file(path, "model.json")
    assert f"ReLU as {written}\n" in imported.text
    assert imported.notes == (f"Names that a spec cannot write: '{name}' is '{written}'",)
    assert f"# {imported.notes[0]}.\n" in imported.text


# ---------------------------------------------------------------------------------------------- refusals


def test_all_that_no_spec_can_say_is_told_in_one_run(tmp_path: Path) -> None:
    said = refusal(
        sequential(
            layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "...", "defaults": None}}),
            layer("Mine", module=None) | {"registered_name": "mine>Mine"},
            layer("Dense", module="evil.layers", units=3),
            layer("Dense", units=3, speed=7) | {"config": {"name": "fast", "units": 3, "speed": 7}},
            layer("ReLU", max_value="high"),
        ),
        tmp_path,
    )
    assert said.splitlines() == [
        "error[unknown-step]: model.json: the layer 'lambda': it is a Lambda, whose code is in the file; "
        "no code from a file is run, or written out",
        "  help: put layers of Keras in its place",
        "error[unknown-step]: model.json: the layer 'mine': it is a layer of Mine, a class of its author's own, "
        "and a spec takes those of Keras alone",
        "error[unknown-step]: model.json: the layer 'dense': it is a layer of Dense, a class of its author's own, "
        "and a spec takes those of Keras alone",
        "error[unknown-argument]: model.json: the layer 'fast': Dense is given speed=7, which a spec cannot say",
        "error[bad-argument]: model.json: the layer 'relu': 'max_value' of ReLU must be a number, not \"high\"",
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantization_config": {"mode": "int8"}}, "quantization_config"),
        ({"units": 2.5}, "a whole number"),
        ({"units": None}, "a whole number"),
        ({"activation": {"class_name": "LeakyReLU", "module": "keras.layers", "config": {}}}, "of the class LeakyReLU"),
        ({"activation": {"value": ["4wEA", None, None]}}, "'activation' is code"),
        ({"activation": "my_function"}, "no activation named 'my_function'"),
        ({"kernel_initializer": {"class_name": "Mine", "module": "mine", "config": {}}}, "of the class Mine"),
        ({"kernel_initializer": {"class_name": "HeNormal", "module": "mine", "config": {}}}, "of the class HeNormal"),
        ({"kernel_initializer": {"class_name": "HeNormal", "config": {"sead": 1}}}, "'sead'"),
        ({"kernel_initializer": [1, 2]}, "kernel_initializer"),
        ({"dtype": {"class_name": "QuantizedDTypePolicy", "config": {}}}, "QuantizedDTypePolicy"),
        ({"trainable": "yes"}, "true or false"),
    ],
    ids=str,
)
def test_arguments_that_no_spec_can_say(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    assert reason in refusal(sequential(layer("Dense", **{"units": 3, **changes})), tmp_path)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (
            {"class_name": "MyModel", "module": None, "config": {}},
            "the file holds a MyModel, and not a model of layers",
        ),
        ({"class_name": "Sequential", "config": {"name": "m", "layers": []}}, "the model has no layers"),
        (
            {"class_name": "Sequential", "config": {"name": "m", "layers": [1]}},
            "a layer must be an object",
        ),
        (
            {"class_name": "Sequential", "config": {"layers": []}},
            "a model must be a string, and it is null",
        ),
        (sequential(layer("ReLU"), layer("ReLU")), "two layers are called 'relu'"),
        ({"class_name": "Sequential", "config": {"name": "m", "layers": [layer("ReLU")]}}, "what shape enters it"),
        ([1, 2], "it holds no configuration of a model"),
        ("{", "it is no JSON"),
        ('{"class_name": "Sequential", "class_name": "Model"}', "a key stands twice"),
        ('{"class_name": NaN}', "NaN is no number"),
        ('{"class_name": 1e999}', "no finite number"),
        (f'{{"class_name": {"9" * 5000}}}', "it is no JSON"),
        ('{"class_name": "\\ud800"}', "it is no JSON"),
        (f'{{"class_name": {"[" * 100_000}', "nest too deeply"),
        (f'{{"class_name": {"[" * (MOST_DEPTH + 1)}{"]" * (MOST_DEPTH + 1)}}}', "nest too deeply"),
        ("\x00\x01\x02", "it is no JSON"),
        ("", "it is no JSON"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_files_that_hold_no_model(config: Any, reason: str, tmp_path: Path) -> None:
    assert reason in refusal(config, tmp_path)


def changed(name: str, path: list[Any], value: Any) -> dict[str, Any]:
    """The configuration of a file with something in it replaced."""
    config = json.loads(FILES[name].read_text())
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (["config", "layers", 1, "inbound_nodes"], [], "is made by no layer"),
        (["config", "layers", 1, "inbound_nodes", 0, "args", 0, "config", "keras_history"], ["add", 0, 0], "on itself"),
        (["config", "layers", 1, "inbound_nodes", 0, "args", 0, "config", "keras_history"], ["no", 0, 0], "of 'no'"),
        (["config", "layers", 1, "inbound_nodes", 0, "args", 0, "config", "keras_history"], [0, 0], "two numbers"),
        (["config", "layers", 1, "inbound_nodes", 0, "kwargs"], {"speed": 1}, "speed=1, which a spec cannot say"),
        (["config", "layers", 0, "config", "batch_shape"], [2, 8, 8, 3], "a fixed number of examples"),
        (["config", "layers", 0, "config", "sparse"], True, "sparse='True'"),
        (["config", "output_layers"], [["subtract", 0, 0], ["subtract", 0, 0]], "stands twice"),
        (["config", "output_layers"], [["subtract", 3, 0]], "is made by no layer"),
        (["config", "input_layers"], [["add", 0, 0]], "'add' is no InputLayer"),
        (["config", "speed"], 3, "the model is given speed"),
        (["config", "layers", 1, "config", "filters"], 5, "Add cannot join"),
    ],
    ids=str,
)
def test_models_that_do_not_hold_together(path: list[Any], value: Any, reason: str, tmp_path: Path) -> None:
    assert reason in refusal(changed("residual", path, value), tmp_path)


def test_a_layer_that_a_wrapper_shares_is_refused(tmp_path: Path) -> None:
    """Two places of a file with one layer would be two layers in a spec."""
    shared = layer("Dense", units=4) | {"shared_object_id": 7}
    wrapped = {"module": "keras.layers", "class_name": "TimeDistributed", "config": {"name": "t", "layer": shared}}
    assert "shares a layer" in refusal(sequential(shared, wrapped), tmp_path)


def test_large_models_meet_the_limits(tmp_path: Path) -> None:
    layers = [layer("ReLU") | {"config": {"name": f"r{number}", "trainable": True}} for number in range(60)]
    with pytest.raises(SpecError, match="more than 50 layers"):
        text_of(sequential(*layers), tmp_path, specdsl.Limits(layers=50))


# ---------------------------------------------------------------------------------------------- archives


def archive(**entries: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries.items():
            made.writestr(name.replace("__", "."), content)
    return data.getvalue()


def archive_refusal(data: bytes, folder: Path) -> str:
    path = folder / "model.keras"
    path.write_bytes(data)
    with pytest.raises(SpecError) as caught:
        import_file(path, "model.keras")
    return str(caught.value)


def test_an_archive_is_read(tmp_path: Path) -> None:
    """Of a .keras file, the configuration alone is read."""
    path = tmp_path / "model.keras"
    path.write_bytes(archive(metadata__json=b"{", config__json=FILES["nested"].read_bytes(), weights=b"no weights"))
    expected = specdsl.import_keras(FILES["nested"]).text.split("\n")[1:]
    assert specdsl.import_keras(path).text.split("\n")[1:] == expected


@pytest.mark.parametrize("name", ["../config.json", "/etc/passwd", "a/../../b", "C:/x", "..\\x"])
def test_archives_with_paths_out_of_their_folder_are_refused(name: str, tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("config.json", FILES["nested"].read_bytes())
        made.writestr(name, b"")
    assert "a path out of its folder" in archive_refusal(data.getvalue(), tmp_path)


def test_archives_with_links_are_refused(tmp_path: Path) -> None:
    data = io.BytesIO()
    link = zipfile.ZipInfo("config.json")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(data, "w") as made:
        made.writestr(link, b"/etc/passwd")
    assert "with a link" in archive_refusal(data.getvalue(), tmp_path)


def test_zip_bombs_are_refused(tmp_path: Path) -> None:
    """By the size that an entry states, by how far it is packed, and by what comes out of it."""
    bomb = archive(config__json=b" " * (MOST_BYTES + 1))
    assert "bytes" in archive_refusal(bomb, tmp_path)
    assert "less than a 200th" in archive_refusal(archive(config__json=b" " * 1_000_000), tmp_path)
    lying = archive(config__json=b" " * (MOST_BYTES + 1))
    stated = struct.pack("<L", MOST_BYTES + 1)
    assert lying.count(stated) >= 1
    assert "cannot be imported" in archive_refusal(lying.replace(stated, struct.pack("<L", 100_000)), tmp_path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (archive(other=b"{}"), "no config.json"),
        (archive(config__json=b"{}")[:40], "damaged archive"),
        (archive(config__json=b"{}").replace(b"PK\x01\x02", b"PK\x09\x09"), "damaged archive"),
        (b"PK\x05\x06" + b"\x00" * 18, "no config.json"),
        (archive(config__json=b"\xff\xfe"), "neither JSON, nor a .keras file"),
    ],
    ids=["without", "cut", "broken", "empty", "bytes"],
)
def test_damaged_archives_are_refused(data: bytes, reason: str, tmp_path: Path) -> None:
    assert reason in archive_refusal(data, tmp_path)


def test_an_archive_with_two_configurations_is_refused(tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("config.json", b"{}")
        with pytest.warns(UserWarning, match="Duplicate name"):
            made.writestr("config.json", b"{}")
    assert "more than one config.json" in archive_refusal(data.getvalue(), tmp_path)


def test_hdf5_without_a_model_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file["kernel"] = [1.0]
    assert "it holds weights alone" in archive_refusal(path.read_bytes(), tmp_path)
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = [1, 2, 3]
    assert "model_config is no text" in archive_refusal(path.read_bytes(), tmp_path)
    assert "damaged HDF5 file" in archive_refusal(path.read_bytes()[:100], tmp_path)


def test_hdf5_is_read(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = FILES["nested"].read_text()
    assert specdsl.import_keras(path).models == ("encoder", "seq", "pair")


# ---------------------------------------------------------------------------------------------- forged files

_JUNK = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        2,
        10**30,
        0.5,
        "",
        "x",
        "Dense",
        "add",
        [],
        {},
        [None],
        [1, 2],
        ["a", 0, 0],
        {"class_name": "ReLU"},
    ]
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return (
        [path, *(place for key, item in items for place in _places(item, (*path, key)))]
        if path
        else [place for key, item in items for place in _places(item, (key,))]
    )


CONFIGS = {name: json.loads(path.read_text()) for name, path in FILES.items()}
PLACES = {name: _places(config) for name, config in CONFIGS.items()}


@given(st.data())
def test_forged_files_end_in_a_spec_or_in_mistakes(data: st.DataObject) -> None:
    """Whatever is put in the place of something: a text that means what the file says, or diagnostics; no traceback."""
    name = data.draw(st.sampled_from(list(CONFIGS)))
    config = deepcopy(CONFIGS[name])
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = config
        path = data.draw(st.sampled_from(PLACES[name]))
        try:
            for key in path[:-1]:
                place = place[key]
            if data.draw(st.booleans()):
                place[path[-1]] = data.draw(_JUNK)
            else:
                del place[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue
    text, said = _imported(config)
    assert "a fault of specdsl" not in said
    assert text or said
    if text:
        specdsl.loads(text)


def _imported(config: Any) -> tuple[str, str]:
    """The text that comes of a configuration, and what is said against it."""
    try:
        return import_file(None, "forged", None, io.BytesIO(json.dumps(config).encode())).text, ""
    except SpecError as error:
        return "", str(error)


# ---------------------------------------------------------------------------------------------- the verb


def test_the_verb_writes_a_spec(run, tmp_path: Path) -> None:
    target = tmp_path / "out.spec"
    code, out, err = run("import", str(FILES["residual"]), "-o", str(target))
    assert (code, out, err) == (0, "", f"wrote {target}\n")
    assert run("check", str(target))[0] == 0
    assert run("fmt", "--check", str(target))[0] == 0
    assert run("import", str(FILES["residual"]))[1] == target.read_text()


def test_the_verb_tells_notes_and_mistakes(run, tmp_path: Path) -> None:
    code, _, err = run("import", str(FILES["calls"]))
    assert code == 0
    assert err.startswith("note: `training=` of 'dropout', 'batch_normalization' holds here")
    code, out, err = run("import", str(FILES["custom"]))
    assert (code, out) == (2, "")
    assert err.endswith("2 mistakes\n")
    code, out, err = run("import", str(FILES["lambda"]), "--format", "json")
    assert (code, err) == (2, "")
    assert [one["kind"] for one in json.loads(out)] == ["unknown-step"]
    assert run("import", str(FILES["lambda"]), "--format", "concise")[1].count("\n") == 1
    code, _, err = run("import", str(tmp_path / "none.json"))
    assert (code, err) == (
        2,
        f"error[unreadable-file]: {tmp_path / 'none.json'} cannot be imported: No such file or directory\n",
    )
    assert "it is a folder" in run("import", str(tmp_path))[2]


def test_the_verb_does_not_overwrite_what_it_reads(run, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(FILES["residual"].read_bytes())
    code, _, err = run("import", str(path), "-o", str(path))
    assert (code, err) == (2, f"error: {path} is the file itself, which would be lost\n")


def test_the_verb_reads_pipes(run, tmp_path: Path) -> None:
    """As shells make them of `<(...)`: one cannot go back in them."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[FILES["residual"].read_bytes()])
    writer.start()
    code, out, _ = run("import", str(pipe))
    writer.join()
    assert code == 0
    assert out.partition("\n")[2] == run("import", str(FILES["residual"]))[1].partition("\n")[2]


def test_the_verb_reads_standard_input(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(FILES["residual"].read_bytes())))
    code, out, _ = run("import", "-")
    assert code == 0
    assert out.startswith("# Imported from <stdin>.\n")


# ---------------------------------------------------------------------------------------------- folded


EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "residual.json"


def test_parts_that_are_alike_become_blocks() -> None:
    """The text is shorter, and its model has the same shapes, parameters and work, layer by layer."""
    whole, folded = specdsl.import_keras(EXAMPLE), specdsl.import_keras(EXAMPLE, fold=True)
    assert "block " in folded.text
    assert "block " not in whole.text
    ours, theirs = whole.model().analyse(), folded.model().analyse()
    assert [(layer.node.shapes, layer.params, layer.macs) for layer in ours.layers] == [
        (layer.node.shapes, layer.params, layer.macs) for layer in theirs.layers
    ]


def stack(*units: int) -> dict[str, Any]:
    """A Sequential of pairs of Dense and ReLU."""
    pairs = [
        (layer("Dense") | {"config": {"name": f"d{n}", "units": size}}, layer("ReLU") | {"config": {"name": f"r{n}"}})
        for n, size in enumerate(units)
    ]
    return sequential(*(one for pair in pairs for one in pair))


def folded_text(config: dict[str, Any]) -> str:
    return import_file(None, "m", None, io.BytesIO(json.dumps(config).encode()), folded=True).text


def test_equal_parts_in_a_row_become_a_loop() -> None:
    assert "    repeat 6 { Dense(4) -> ReLU }\n" in folded_text(stack(4, 4, 4, 4, 4, 4))


def test_a_loop_stands_behind_no_arrow() -> None:
    """Where something else than the step before enters it, that stands on a line of its own."""
    loop = Item("repeat 2", [], [[Item("ReLU", [])]], is_loop=True)
    steps = "\n".join(lines_of([loop, Item("Dense(2)", [])], 1, "a -> "))
    assert steps == "a\nrepeat 2 { ReLU }\nDense(2)"
    specdsl.loads(f"model m {{\ninput a: (4,)\ninput b: (4,)\n{steps} as c\n[b, c] -> Concatenate\n}}").model()


def test_values_that_differ_become_parameters() -> None:
    """What most uses give is a default; multiples of another parameter are written as such."""
    text = folded_text(stack(8, 16, 9, 18, 7, 14, 6, 12, 5, 10, 3, 6))
    assert "(units) {\n    Dense(units) -> ReLU\n    Dense(2 * units) -> ReLU\n}" in text
    text = folded_text(stack(4, 8, 4, 9, 4, 8, 5, 8, 4, 8, 4, 7, 4, 8))
    assert "=8" in text or "=4" in text


@given(st.lists(st.sampled_from([2, 3, 4, 6]), min_size=1, max_size=24))
def test_folded_stacks_are_the_same(units: list[int]) -> None:
    graph = specdsl.loads(folded_text(stack(*units))).model()
    assert [node.shape[-1] for node in graph.nodes[1::2]] == units


def test_the_verb_folds(run) -> None:
    assert run("import", str(EXAMPLE), "--fold")[1] == specdsl.import_keras(EXAMPLE, fold=True).text
