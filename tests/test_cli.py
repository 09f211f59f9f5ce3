"""The command line: what it prints where, and how it exits."""

from __future__ import annotations

import errno
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from specdsl import cli
from specdsl.recipes import OPERATIONS

SPECS = Path(__file__).parents[1] / "specs"
BN = str(SPECS / "bn_cnn.spec")


def spec(tmp_path: Path, text: str) -> str:
    path = tmp_path / "m.spec"
    path.write_text(text)
    return str(path)


def test_check_counts_models_and_promises(run) -> None:
    code, out, err = run("check", BN, str(SPECS / "dropout.spec"))
    assert (code, err) == (0, "")
    assert "bn_cnn.spec: 1 model, 2 expectations met" in out
    assert "dropout.spec: 3 models, 3 expectations met" in out


def test_check_counts_what_a_file_without_models_declares(run, tmp_path: Path) -> None:
    models = "model a { input x: (4,); Dense(1) }\nmodel b = a"
    code, out, err = run("check", spec(tmp_path, f"{models}\nexperiment both {{ models = [a, b] }}"))
    assert (code, err) == (0, "")
    assert out.endswith("m.spec: 2 models, 1 experiment\n")
    (tmp_path / "e.spec").write_text('data d = sinc\ntrain t { data = d; loss = "mse"; metrics = [] }\n')
    assert run("check", str(tmp_path / "e.spec"))[1].endswith("e.spec: 1 data set, 1 recipe\n")
    (tmp_path / "e.spec").write_text("let width = 3\nblock b { Dense(width) }\n")
    assert run("check", str(tmp_path / "e.spec"))[1].endswith("e.spec: 1 value, 1 block\n")
    (tmp_path / "e.spec").write_text("")
    assert run("check", str(tmp_path / "e.spec"))[1].endswith("e.spec: nothing declared\n")


def test_a_failed_write_is_told_where_standard_output_is_no_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a notebook, say, where it has no number that could be closed."""

    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "a.txt")

    monkeypatch.setattr(cli.cli, "main", full)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: a.txt: No space left on device\n"


def test_training_goes_on_when_the_reader_of_its_progress_has_gone() -> None:
    shows = (
        "import sys; from specdsl.cli.training import _screen; screen = _screen()\n"
        "for _ in range(50): screen.print('progress' * 500)\n"
        "print('more'); sys.stdout.flush(); sys.exit(5)"
    )
    with subprocess.Popen([sys.executable, "-c", shows], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as shown:
        assert shown.stdout is not None
        assert shown.stderr is not None
        shown.stdout.close()
        assert shown.stderr.read() == b""
    assert shown.returncode == 5


def test_check_goes_on_after_a_bad_file(run, tmp_path: Path) -> None:
    code, out, err = run("check", spec(tmp_path, "model m { Dens(3) }"), BN)
    assert code == 2
    assert "did you mean 'Dense'?" in err
    assert "bn_cnn.spec: 1 model" in out


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_report_fits_the_terminal(run, columns: int) -> None:
    code, out, _ = run("compile", BN, "--report", columns=columns)
    assert code == 0
    if columns >= 80:
        assert "5·5·3·32 + 32 = 2,432" in out
        assert "5·5·32·64 + 64 = 51,264" in out
        assert max(map(len, out.splitlines())) <= columns
    for figure in ("98,155", "97,963", "192", "4,703,232"):
        assert figure in out
    assert "\x1b" not in out


def test_ctrl_c_while_modules_are_loaded_leaves_no_traceback() -> None:
    code = (
        "import sys\nclass Pressed:\n    def find_spec(self, name, *_):\n        if name == 'specdsl.cli.shared':\n"
        "            raise KeyboardInterrupt\nsys.meta_path.insert(0, Pressed())\n"
        "from specdsl.__main__ import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize(
    ("closed", "arguments", "code", "says"),
    [(">&-", ["compile", BN, "--report"], 0, ""), ("<&-", ["compile", "-"], 2, "<stdin> has no model")],
)
def test_streams_may_be_closed(closed: str, arguments: list[str], code: int, says: str) -> None:
    """Python has None in place of a stream that whoever starts it has closed."""
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "specdsl", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_what_an_encoding_cannot_say_is_told_by_numbers() -> None:
    command = [
        sys.executable,
        "-m",
        "specdsl",
        "compile",
        str(SPECS / "zoo" / "resnet_cifar.spec"),
        "--symbolic",
        "width",
    ]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\xb7width\xb2 + " in done.stdout
    assert b"width \\u2265 2" in done.stdout


def test_standard_input_is_read_as_files_are(run, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "model m {\n    input x: (3,)\n    Dense(2) # \N{LATIN SMALL LETTER A WITH DIAERESIS}\n}\n"
    for data in (text.encode("utf-8-sig"), text.replace("\n", "\r\n").encode()):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))
        assert run("compile", "-") == (0, "m: 1 layer, 8 parameters\n", "")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode("latin-1"))))
    assert run("compile", "-")[2] == "error[unreadable-file]: <stdin> is no UTF-8 text: line 3 holds the byte 0xe4\n"


def test_reports_tell_arguments_as_specs_write_them(run, tmp_path: Path) -> None:
    block = 'block b(act="elu", bias=none) { if bias == none { Dense(2, act) } }'
    path = spec(tmp_path, f"{block}\nmodel m(wide=true) {{ input x: (4,); b }}")
    for form in ("table", "latex", "html"):
        out = run("compile", path, "--report", "--format", form)[1]
        assert "wide=true" in out or form == "latex"
        assert 'act="elu", bias=none' in html.unescape(out).replace(r"{\char34}", '"')


def test_verbs_are_listed_though_their_files_are_loaded_when_they_are_named(run) -> None:
    code, told, _ = run("--help")
    assert code == 0
    assert all(f"\n  {verb} " in told for verb in ("check", "import", "compile", "recipes", "train", "export"))


TABLES = (
    ["sweep", str(SPECS / "zoo" / "resnet_cifar.spec"), "--model", "resnet20,resnet110", "--set", "n=0,1"],
    ["solve", str(SPECS / "zoo" / "resnet_cifar.spec"), "--set", "n=?1,2", "--params", "100M"],
    ["diff", BN, str(SPECS / "dropout.spec")],
    ["compile", str(SPECS / "zoo" / "mobilenet_v2.spec"), "--report"],
    ["compile", str(SPECS / "zoo" / "transformer.spec"), "--symbolic", "width,heads,depth"],
    ["layers"],
    ["operations"],
    ["recipes"],
    ["explain"],
    ["layers", "MultiHeadAttention"],
    ["operations", "random_erasing"],
    ["recipes", "CategoricalCrossentropy"],
)


@pytest.mark.parametrize("columns", [40, 80, 100])
@pytest.mark.parametrize("arguments", TABLES, ids=" ".join)
def test_tables_keep_to_the_width_of_the_terminal(run, arguments: list[str], columns: int) -> None:
    """Where columns find no room beside one another, their cells stand one below the other; no number is cut."""
    _, out, err = run(*arguments, columns=columns)
    assert err == ""
    assert [line for line in out.splitlines() if len(line) > columns and " " in line.strip()] == []
    assert [line for line in out.splitlines() if line.endswith(" ")] == []
    _, wide, _ = run(*arguments, columns=1000)
    assert set(re.findall(r"\d+(?:,\d{3})+", wide)) <= set(re.findall(r"\d+(?:,\d{3})+", out))


def test_report_as_json_is_the_contract(run) -> None:
    code, out, _ = run("compile", BN, "--report", "--format", "json")
    data = json.loads(out)
    assert code == 0
    assert data["schema"] == 1
    assert data["model"] == "bn_cnn"
    assert data["totals"]["params"] == 98_155
    assert data["totals"]["trainable"] == 97_963
    assert data["totals"]["non_trainable"] == 192
    conv = data["layers"][1]
    assert conv["type"] == "Conv2D"
    assert conv["inbound"] == ["image"]
    assert conv["output_shape"] == [None, 24, 24, 32]
    assert conv["formula"] == "5·5·3·32 + 32"
    kernel = {"name": "kernel", "shape": [5, 5, 3, 32], "trainable": True, "dtype": "float32"}
    assert conv["weights"][0] == kernel
    counted = [layer["params"] for layer in data["layers"] if layer["params"]]
    assert counted == [2_432, 128, 51_264, 256, 44_075]
    assert sum(counted) == data["totals"]["params"]


def test_report_as_markdown(run) -> None:
    code, out, _ = run("compile", BN, "--format", "markdown")
    assert code == 0
    assert "| `conv_bn-conv2d` | Conv2D | `(24, 24, 32)` | 5·5·3·32 + 32 = 2,432 | 2,432 | 1,382,400 |" in out


def test_model_and_parameters_are_chosen(run, tmp_path: Path) -> None:
    path = spec(tmp_path, "model a(n=2) { input x: (4,); Dense(n) }\nmodel b { input x: (4,); Dense(9) }")
    assert run("compile", path)[1] == "b: 1 layer, 45 parameters\n"
    assert run("compile", path, "--model", "a", "--set", "n=3 * 2")[1] == "a: 1 layer, 30 parameters\n"


ONE_MODEL = (["compile"], ["train"], ["sweep", "--set", "n=1"], ["solve", "--set", "n=?", "--params", "1M"])
"""Verbs that take one model of a file, with what they need beside it."""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["compile", "nowhere.spec"], "nowhere.spec cannot be read: No such file or directory"),
        (["compile", BN.replace("bn_cnn", "bn_cn")], "help: did you mean 'bn_cnn.spec'?"),
        (["check", f"{BN}:bn_cnn"], f"help: give {BN} alone: here no model of a file is named"),
        *(([verb, f"{BN}:none", *more], "'none'") for verb, *more in ONE_MODEL),
        *(([verb, BN, "--model", "none", *more], "'none'") for verb, *more in ONE_MODEL),
        *(([verb, f"{BN}:a", "--model", "b", *more], "both name models: give one") for verb, *more in ONE_MODEL),
        (["compile", f"{'n' * 300}.spec"], ".spec cannot be read: File name too long"),
        (["experiment", f"{'n' * 300}:m.spec"], ".spec cannot be read: File name too long"),
        (["compile", BN, "--model", "bn_cn"], "did you mean 'bn_cnn'?"),
        (["compile", BN, "--set", "width=3"], "has no parameter 'width'"),
        (["compile", BN, "--set", "width"], "--set takes NAME=VALUE"),
        (
            ["compile", BN, "--set", "train.epochs=3"],
            "parameters of the model here; 'train.epochs' is set where it trains",
        ),
        (["compile", BN, "--set", "width=3 +"], "unexpected end; expected a value"),
        (["compile", BN, "--set", "width=3 4"], "unexpected '4'\n    1 | 3 4\n      |   ^\n"),
        (["compile", BN, "--set", "width=wide"], "--set width:1:1: error[unknown-name]: nothing is called 'wide'"),
        (["compile", BN, "--set", "act=relu"], """within others for shells: --set 'act="relu"'\n"""),
        (["compile", BN, "--set", "width=wide(2)"], "\n    1 | wide(2)\n      | ^^^^\n"),
        (["train", BN, "--set", "train.monitor=loss"], """shells: --set 'train.monitor="loss"'\n"""),
        (["train", BN, "--set", "train.metrics=[accuracy]"], """--set 'train.metrics=["accuracy"]'\n"""),
        (["train", BN, "--set", "train.optimizer=sgd"], "help: did you mean 'SGD'?\n"),
        (["compile", BN, "--report", "--optimizer", "adm"], "no optimizer 'adm'; did you mean 'adam'?"),
        (["compile", BN, "--report", "--optimizer", "3"], "such as adam or SGD(momentum=0.9), not '3'"),
        (["compile", BN, "--report", "--optimizer", "Adam("], "\n    1 | Adam(\n      |     ^"),
        (
            ["compile", BN, "--report", "--optimizer", "Adm(0.1)"],
            "\n    1 | Adm(0.1)\n      | ^^^\n  help: did you mean 'Adam'",
        ),
        (["sweep", BN, "--where", "parms < 3"], "\n    1 | parms < 3\n      | ^^^^^"),
        (["compile", BN, "--diagram", "x.bmp"], "ends in .svg, .png, .pdf, .dot"),
        (["compile", BN, "--emit", "keras"], "give `-o FILE.keras`"),
        (["compile", BN, "--emit", "onnx"], "an .onnx file needs a place: give `-o FILE.onnx`"),
        (["compile", BN, "--emit", "onnx", "-o", "m.keras"], "m.keras must end in .onnx"),
        (["compile", BN, "--emit", "python", "--report"], "give `-o FILE`"),
        (["compile", BN, "--format", "pdf"], "'pdf' is not one of 'table', 'markdown', 'json', 'html'"),
        (["compile", BN, "--explain", "--format", "csv"], "prose, which is no csv: leave --format out"),
        (["compile", BN, "--explain", "--report"], "ask for one of them at a time"),
        (["schema", "repord"], "there is no document 'repord'; did you mean 'report'?"),
        (["schema", "x"], "there is no document 'x'; there are report, diff"),
        (["compile", BN, "--emit", "pyton"], "'pyton' is not one of 'python', 'keras', 'json', 'onnx'"),
        (["compile"], "Missing argument 'SPEC[:MODEL]'"),
        (["compile", f"{BN}:bn_cnn:bn_cnn"], ":bn_cnn:bn_cnn' names two models: write FILE:MODEL"),
        (["compile", BN, "--symbolic", "", "--batch", "3"], "error: --batch is for the memory in a report"),
        (["compile", BN, "--symbolic", "", "--optimizer", "adam"], "error: --optimizer is for the memory in a report"),
        (["chek", BN], "there is no verb 'chek'; did you mean 'check'?"),
        (["layers", "Conv2d"], "did you mean 'Conv2D'?"),
        (["operations", "random_crp"], "there is no operation 'random_crp'; did you mean 'random_crop'?"),
        (["train", str(SPECS / "shortcut_mlp.spec")], "traffic signs are colour images"),
        (["train", BN, "--data", "nowhere"], "there is no data set, file or folder 'nowhere'"),
        (["train", BN, "--data", ""], "--data names no data"),
        (["train", BN, "--set", "train=3"], "--set:1:1: error[unknown-argument]: 'train' is not set as a whole"),
        (["train", BN, "--recipe", "base"], "did you mean 'baseline'?"),
        (["train", BN, "--epochs", "0"], "0 is not in the range"),
    ],
)
def test_wrong_input_exits_2_and_says_why(run, arguments: list[str], says: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert says in err


def test_a_model_is_named_behind_its_file_or_by_an_option(run, tmp_path: Path) -> None:
    """Both forms mean the same to every verb that takes one model, and a name that is left empty means none."""
    spec = tmp_path / "a.spec"
    spec.write_text("model m(n=2) { input x: (8,); Dense(n) }\nmodel other { input x: (8,); Dense(5) }")
    for verb, *more in (["compile"], ["sweep", "--set", "n=2,3"], ["solve", "--set", "n=?", "--params", "50"]):
        behind, by_option = run(verb, f"{spec}:m", *more), run(verb, spec, "--model", "m", *more)
        assert behind == by_option
        assert behind[0] == 0
    assert run("compile", f"{spec}:") == run("compile", spec) == (0, "other: 1 layer, 45 parameters\n", "")


VALUES = 'data d = npz(path="v.npz")\nmodel m { input x: (8,); Dense(1) }\ntrain t { data = d'


@pytest.mark.parametrize(
    ("text", "arguments", "says"),
    [
        ("let n = 5\nmodel m { input x: (8,); Dense(n) }", ["--set", "n=3"], "can be set: m(n=5)"),
        ("let n = 5\nmodel m(k=2) { input x: (n,); Dense(k) }", ["--set", "n=3"], "can be set: m(..., n=5)"),
        ("model m(k=2) { input x: (8,); Dense(k) }", ["--set", "n=3"], "help: it has k"),
        ("model m { input x: (8, 8, 3); RandomContrast((0.1, 0.2, 0.3)) }", [], "a number or a tuple of 2, not"),
        ("model m { input x: (8, 8, 3); RandomErasing(scale=(0.1,)) }", [], "must be a tuple of 2, not (0.1,)"),
        ("model m { input x: (8, 8, 3); RandomErasing(scale=()) }", [], "must be a tuple of 2, not ()"),
        (f"{VALUES}; loss = auto }}", [], "help: `specdsl recipes` lists them"),
        (f"{VALUES}; loss = mse }}", [], 'help: a word of Keras is written in quotes: "mse"'),
        (f"{VALUES}; loss = hing }}", [], "help: did you mean 'hinge'?"),
    ],
)
def test_help_says_what_can_be_done(run, tmp_path: Path, text: str, arguments: list[str], says: str) -> None:
    spec = tmp_path / "a.spec"
    spec.write_text(text)
    code, _, told = run("compile", spec, *arguments)
    assert code == 2
    assert says in told


def test_one_output_may_be_meant_for_values(run, tmp_path: Path) -> None:
    spec = tmp_path / "a.spec"
    spec.write_text(f"{VALUES}; epochs = 1 }}")
    code, _, told = run("train", spec)
    assert code == 2
    assert 'task="regression"' in told
    assert '`loss = "mean_absolute_error"`' in told


@pytest.mark.parametrize(
    "value", ["10 ** 20", "3 ** 40", "-7 ** 30", "1e20", "10 ** 12 * 10 ** 13", "2 ** 200", "9.0 ** 99"]
)
def test_the_limit_that_is_advised_lets_a_number_through(run, tmp_path: Path, value: str) -> None:
    """Where a limit can be as high as that; else none is advised."""
    spec = tmp_path / "a.spec"
    spec.write_text(f"let a = {value}\nmodel m {{ input x: (8,); Dense(2) }}")
    code, _, told = run("check", spec)
    assert (code, "the number is too large" in told) == (2, True)
    advised = re.search(r"`--limit (magnitude=\w+)`", told)
    assert (advised is None) == (value in ("2 ** 200", "9.0 ** 99"))
    if advised:
        assert run("check", spec, "--limit", advised[1])[0] == 0


def test_unwritable_places_exit_1(run, tmp_path: Path) -> None:
    for option in (
        ["--diagram", str(tmp_path / "no" / "x.dot")],
        ["--emit", "python", "-o", str(tmp_path / "no" / "x.py")],
    ):
        code, _, err = run("compile", BN, *option)
        assert code == 1
        assert "cannot be written: No such file or directory" in err


def test_a_device_is_written_to_and_not_replaced(run, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    code, _, _ = run("compile", BN, "--emit", "python", "-o", str(pipe))
    assert code == 0
    assert os.read(reader, 10**6).startswith(b'"""')
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("lost", [["original"], ["dropout2"], ["original", "dropout1", "dropout2"]])
def test_an_experiment_that_has_lost_runs_is_not_gone_on_with(lost: list[str], run, tmp_path: Path) -> None:
    """It says which, and how they come back; nothing is written."""
    folder = tmp_path / "places"
    shutil.copytree(SPECS.parent / "docs" / "examples" / "places", folder)
    for name in lost:
        shutil.rmtree(folder / name)
    before = sorted(folder.rglob("*"))
    code, _, err = run("experiment", "--resume", str(folder))
    assert code == 2
    assert f"has lost the runs of {', '.join(lost)}, and is not gone on with" in err
    assert f"--models '{','.join(lost)}' --out DIR" in err
    assert ("specdsl train --resume" in err) is (len(lost) < 3)
    assert sorted(folder.rglob("*")) == before


def test_matplotlib_is_needed_to_train_and_not_to_use_what_was_trained(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run draws its curves: without it nothing is begun. Keras itself does without."""
    from specdsl.training import frameworks

    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    monkeypatch.setattr(frameworks, "find_spec", lambda name: None if name == "matplotlib" else name)
    code, _, err = run("train", BN, "--data", "synthetic", "--out", str(tmp_path / "out"))
    assert code == 2
    assert "the curves of a run need the package matplotlib, which is not installed" in err
    assert "help: pip install 'specdsl[training]'" in err
    assert not (tmp_path / "out").exists()
    frameworks.check_installed("tensorflow")


def test_broken_expectation_shows_everything_first(run, tmp_path: Path) -> None:
    path = spec(tmp_path, "model m(n=2) { input x: (4,); Dense(n); expect params == 10 }")
    assert run("compile", path, "--report")[0] == 0
    code, out, err = run("compile", path, "--set", "n=3", "--report")
    assert (code, "4·3 + 3 = 15" in out, "warning[expectation]" in err) == (0, True, True)
    wrong = spec(tmp_path, "model m { input x: (4,); Dense(2); expect params == 11 }")
    code, out, err = run("compile", wrong, "--report")
    assert (code, "4·2 + 2 = 10" in out, "params is 10" in err) == (2, True, True)


def test_fmt_formats_checks_and_reads_standard_input(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = spec(tmp_path, "model m{input x:(4,);Dense( 2 )} # end")
    assert run("fmt", "--check", path)[0] == 1
    assert run("fmt", path)[0] == 0
    assert Path(path).read_text() == "model m { input x: (4,); Dense(2) }  # end\n"
    assert run("fmt", "--check", path)[0] == 0
    assert sorted(child.name for child in tmp_path.iterdir()) == ["m.spec"]
    with open(path) as text:
        monkeypatch.setattr(sys, "stdin", text)
        assert run("fmt", "-")[1] == "model m { input x: (4,); Dense(2) }  # end\n"


def test_fmt_shows_what_would_change(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--diff` writes nothing and exits 1 when something would change; with `--check`, the files are named as well."""
    text = "let a = 1\nlet b=2 # \x0c\nlet c = 3"
    path = spec(tmp_path, text)
    good = tmp_path / "good.spec"
    good.write_text("let a = 1\n")
    expected = [
        f"--- {path}",
        f"+++ {path}",
        "@@ -1,3 +1,3 @@",
        " let a = 1",
        "-let b=2 # \x0c",
        "-let c = 3",
        "\\ No newline at end of file",
        "+let b = 2  #",
        "+let c = 3",
        "",
    ]
    for place in (path, str(tmp_path)):
        code, out, err = run("fmt", "--diff", place)
        assert (code, out.split("\n"), err) == (1, expected, "")
    code, out, err = run("fmt", "--diff", "--check", str(tmp_path))
    assert (code, out.split("\n"), err) == (1, expected, f"would change {path}\n")
    assert Path(path).read_text() == text
    assert run("fmt", "--diff", str(good)) == (0, "", "")
    with open(path) as standard:
        monkeypatch.setattr(sys, "stdin", standard)
        code, out, err = run("fmt", "--diff", "-")
    assert (code, out.replace("<stdin>", path).split("\n"), err) == (1, expected, "")
    (tmp_path / "wrong.spec").write_text("let a =")
    code, out, err = run("fmt", "--diff", str(tmp_path))
    assert (code, out.split("\n")) == (2, expected)
    assert "error[syntax]" in err


def terminal(command: list[str], **variables: str) -> str:
    """What a command shows on a terminal."""
    reader, writer = os.openpty()
    ended = subprocess.run(
        [sys.executable, "-m", "specdsl", *command],
        stdout=writer,
        stderr=writer,
        env={**{name: value for name, value in os.environ.items() if name != "NO_COLOR"}, **variables},
    )
    os.close(writer)
    shown = b""
    try:
        while chunk := os.read(reader, 65_536):
            shown += chunk
    except OSError:  # all is read
        pass
    os.close(reader)
    assert ended.returncode in (0, 1, 2)
    return shown.decode().replace("\r\n", "\n")


def test_a_difference_is_coloured_on_a_terminal(tmp_path: Path) -> None:
    path = spec(tmp_path, "let a = 1\nlet b=2\n")
    command = ["fmt", "--diff", path]
    shown = terminal(command)
    assert "\n\x1b[36m@@ -1,2 +1,2 @@\x1b[0m\n let a = 1\n\x1b[31m-let b=2\x1b[0m\n\x1b[32m+let b = 2\x1b[0m\n" in shown
    assert shown.startswith("--- ")
    assert "\x1b" not in terminal(command, NO_COLOR="1")


def test_operations_lists_and_describes(run) -> None:
    overview = run("operations")[1]
    assert all(name in overview for name in OPERATIONS)
    page = run("operations", "random_hue")[1]
    assert page.startswith("random_hue(max_delta)\n")
    assert "number ≥ 0 and ≤ 0.5" in page
    assert "three channels" in page
    assert run("operations", "--markdown")[1].count("\n| `") == len(OPERATIONS)


def test_layers_lists_and_describes(run) -> None:
    overview = run("layers")[1]
    assert "Conv2D" in overview
    assert "BatchNormalization" in overview
    page = run("layers", "Dropout")[1]
    assert page.startswith("Dropout(rate, noise_shape=none, seed=none)")
    assert run("layers", "MaxPool2D")[1] == run("layers", "MaxPooling2D")[1]


def test_emitted_python_is_python(run) -> None:
    code, out, _ = run("compile", BN, "--emit", "python")
    assert code == 0
    compile(out, "emitted", "exec")
    assert 'x = conv_bn(x, 64, name="conv_bn_1")' in out


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m specdsl layers | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""


def test_colours_only_on_a_terminal(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "specdsl", "compile", BN, "--report"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert "\x1b" not in done.stdout


def test_check_of_a_folder_and_for_machines(run, tmp_path: Path) -> None:
    """A folder stands for the specs in it; mistakes come as one line each, as JSON, or for a workflow."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "good.spec").write_text("model m { input x: (3,); Dense(3) }")
    assert run("check", str(tmp_path), "--format", "json")[:2] == (0, "[]\n")
    bad = spec(tmp_path, "model m {\n    input x: (3,)\n    Dens(3)\n}\n")
    code, out, err = run("check", str(tmp_path), "--format", "concise")
    assert (code, err) == (2, "")
    assert (
        out == f"{bad}:3:5: error[unknown-step]: no layer, block or tensor is called 'Dens' (did you mean 'Dense'?)\n"
    )
    (told,) = json.loads(run("check", str(tmp_path), "--format", "json")[1])
    assert (told["kind"], told["line"], told["column"], told["length"]) == ("unknown-step", 3, 5, 4)
    out = run("check", str(tmp_path), "--format", "github")[1]
    assert out.startswith(f"::error file={bad},line=3,col=5,title=unknown-step::no layer")
    (tmp_path / "empty").mkdir()
    assert "holds no .spec file" in run("check", str(tmp_path / "empty"))[2]
    assert run("fmt", "--check", str(tmp_path / "inner"))[0] == 1
