"""The page of an experiment: complete, self-contained, escaped, accessible."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from specdsl import cli
from specdsl.data import load
from specdsl.recipes.sources import SOURCES
from specdsl.results.figures import gallery
from specdsl.results.html import to_html
from specdsl.results.reloading import DIFFERENT, Reloaded
from specdsl.results.summary import load_results
from specdsl.runs import read_run
from tests.run_folders import Made, MadeRun, write_experiment

HOSTILE = "<script>alert(1)</script>\"&'"


class Page(HTMLParser):
    """A page as its elements, checked to be closed in order."""

    VOID = ("meta", "br", "link", "input", "img", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))


def page(*folders: Path, beside: Path | None = None) -> str:
    results = load_results(folders)
    pictures = gallery([replace(sample.run, key=sample.key) for sample in results.samples])
    return to_html(results, pictures, beside or folders[0].parent)


def changed(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_experiment(
        tmp_path_factory.mktemp("html") / "experiment",
        {
            "plain": MadeRun([0.94, 0.945, 0.93], model="plain"),
            "dropped": MadeRun([0.97, 0.974, Made(None, "diverged")], model="dropped", planned=4),
        },
        published={"plain": {"test_accuracy": 0.9409}},
    )
    for key in ("plain", "dropped"):
        (folder / key / "spec" / "model.spec").write_text(
            f'"""A file."""\n\nmodel {key} {{\n    """Just <one> layer."""\n    input image: (28, 28, 3)\n'
            '    Flatten\n    Dense(5, "softmax")\n}\n'
        )
        recipe = json.loads((folder / key / "config.json").read_text())["train"]
        recipe["data"]["source"] |= {"size": 12, "train": 1, "test": 1}
        changed(folder / key / "config.json", entry="spec/model.spec", train=recipe)
    return folder


@pytest.fixture(scope="module")
def shown(experiment: Path) -> str:
    return page(experiment)


def test_the_page_tells_everything(experiment: Path, shown: str) -> None:
    found = Page(shown)
    for told in (
        "dropout_position",
        "dropped: of 4 planned trials, 1 diverged, 1 not begun.",
        "Means over trials",
        "Beside the published figures",
        "Verdicts",
        "Just <one> layer.",
        "in 3 layers",
        "Left out: most confident mistakes: the test images were not loaded.",
        "random_crop(height=28, width=28)",
        "Adam(learning_rate=0.001)",
        "sparse_categorical_crossentropy",
        "1,000 examples",
        "3.15.1",
        'Dense(5, "softmax")',
    ):
        assert told in found.text, told
    command = f"specdsl experiment {experiment}/plain/spec/model.spec dropout_position --models plain,dropped"
    assert f"{command} --epochs 4 --batch 128 --trials 3 --seed 0 --backend tensorflow" in found.text
    assert len(found.all("svg")) == 4 + 2 * 6 + 2
    assert all(figure["role"] == "img" and figure["aria-label"] for figure in found.all("svg"))


def test_the_page_needs_nothing_beside_it(experiment: Path, shown: str) -> None:
    """No script, nothing fetched: all addresses are places on the page, or files of the runs."""
    text, found = shown, Page(shown)
    assert not {tag for tag, _ in found.elements} & {"script", "link", "img", "iframe", "object"}
    assert "http" not in re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL)
    assert "@import" not in text
    assert text.count("<style") == 1
    ids = Counter(attributes["id"] for _, attributes in found.elements if attributes.get("id"))
    assert ids.most_common(1)[0][1] == 1
    for link in found.all("a"):
        address = link["href"]
        assert address is not None
        assert address[1:] in ids if address.startswith("#") else (experiment.parent / address).exists()
    for used in re.findall(r'(?:url\(#|href="#)([^)"]+)', text):
        assert used in ids
    for _, attributes in found.elements:
        labelled = attributes.get("aria-labelledby")
        assert labelled is None or labelled in ids


def test_the_page_can_be_heard(shown: str) -> None:
    """Headings in order, every table with headers, what scrolls can be reached by key, and has a name."""
    found = Page(shown)
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert {header["scope"] for header in found.all("th")} == {"col", "row"}
    for _, attributes in found.elements:
        if attributes.get("role") == "region":
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]
    assert found.all("html")[0]["lang"] == "en"


def test_figures_take_the_colours_of_the_page(shown: str) -> None:
    text = shown
    figures = re.findall(r'<div class="sheet".*?</div>', text, re.DOTALL)
    assert len(figures) == 16
    for figure in figures:
        assert "var(--ink)" in figure
        assert not re.search(r"#(1f2937|5b6470|d8dce1|0072b2|d55e00)\b", figure)
    for name in set(re.findall(r"var\(--([\w-]+)\)", text)):
        assert text.count(f"--{name}: ") >= 2, name


def test_the_same_runs_give_the_same_page(experiment: Path, shown: str) -> None:
    assert page(experiment) == shown


def test_what_folders_say_is_text_and_no_markup(tmp_path: Path) -> None:
    folder = write_experiment(
        tmp_path / HOSTILE.replace("/", "_"),
        {"a": MadeRun([0.9, Made(None, "failed")], model="a"), "b": MadeRun([0.8], model="b")},
        name=HOSTILE,
    )
    for key in ("a", "b"):
        config = json.loads((folder / key / "config.json").read_text())
        config["data"] |= {"name": HOSTILE, "class_names": [HOSTILE + str(number) for number in range(5)]}
        config["train"] |= {"loss": HOSTILE, "metrics": ["accuracy", HOSTILE], HOSTILE: HOSTILE}
        config |= {"entry": "spec/model.spec", "backend": HOSTILE, "model_parameters": {HOSTILE: HOSTILE}}
        (folder / key / "config.json").write_text(json.dumps(config))
        (folder / key / "versions.json").write_text(json.dumps({HOSTILE: HOSTILE}))
        (folder / key / "spec" / "model.spec").write_text(
            f'"""{HOSTILE}"""\nmodel {key} {{ input x: (2,) }} # </pre>\n'
        )
    changed(folder / "a" / "trial-2" / "trial.json", failed=HOSTILE)
    text = page(folder)
    found = Page(text)
    assert "script" not in {tag for tag, _ in found.elements}
    assert "alert(1)" in found.text
    assert not [attributes for _, attributes in found.elements if any(name.startswith("on") for name in attributes)]


def test_a_model_that_cannot_be_read_again_is_said_so(tmp_path: Path) -> None:
    folder = MadeRun([0.9]).write(tmp_path / "run")
    changed(folder / "config.json", entry="spec/model.spec")
    (folder / "spec" / "model.spec").write_text("model original { input x: (2,)\n Denze(3) }\n")
    assert "original cannot be drawn: no layer, block or tensor is called 'Denze'." in Page(page(folder)).text
    (folder / "spec" / "model.spec").unlink()
    found = Page(page(folder))
    assert "original cannot be drawn" in found.text
    assert "The runs keep no text of their spec." in found.text


def test_a_run_without_any_result_has_a_page(tmp_path: Path) -> None:
    folder = MadeRun([Made(None, "running")]).write(tmp_path / "run")
    text = Page(page(folder)).text
    assert "Left out: figures of predictions: no trial of original has come to its end." in text


def test_a_regression_has_a_page(tmp_path: Path) -> None:
    found = Page(page(MadeRun([0.01, 0.02], "sinc", classes=0).write(tmp_path / "run")))
    assert "sinc: predicted against true" in "".join(str(svg["aria-label"]) for svg in found.all("svg"))


def test_commands_repeat_what_was_asked_for(tmp_path: Path) -> None:
    folder = MadeRun([0.9], model="m").write(tmp_path / "a run")
    request = {"settings": ["width=3", "rate=0.5"], "recipe": "long", "data": "/data/my signs"}
    changed(folder / "config.json", entry="spec/model.spec", request=request)
    assert (
        f"specdsl train '{folder}/spec/model.spec' --model m --set width=3 --set rate=0.5 --recipe long "
        "--data '/data/my signs' --epochs 4 --batch 128 --trials 1 --seed 0 --backend tensorflow"
    ) in Page(page(folder)).text


def test_the_command_of_an_experiment_has_its_settings(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"m": MadeRun([0.9], model="m")}, "e")
    request = {"settings": ["train.optimizer=SGD(0.1)"], "experiment": "e"}
    changed(folder / "m" / "config.json", entry="spec/model.spec", request=request)
    assert "e --models m --set 'train.optimizer=SGD(0.1)' --epochs 4" in Page(page(folder)).text


def test_test_examples_are_those_of_the_run_or_none(tmp_path: Path) -> None:
    source = {"type": "synthetic", "size": 12, "train": 1, "test": 1, "seed": 0}
    data = load(SOURCES["synthetic"](size=12, train=1, test=1))
    folder = MadeRun([0.9]).write(tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    config["train"]["data"]["source"] = source
    (folder / "config.json").write_text(json.dumps(config))
    assert Reloaded()(read_run(folder)) == DIFFERENT
    config["data"]["sha256"] = data.fingerprint()
    (folder / "config.json").write_text(json.dumps(config))
    found = Reloaded()(read_run(folder))
    assert not isinstance(found, str)
    assert (found.x == data.test.x).all()
    assert Reloaded(SOURCES["synthetic"](size=12, train=1, test=2))(read_run(folder)) == DIFFERENT
    config["train"]["data"]["source"] = {"type": "mnist"}
    (folder / "config.json").write_text(json.dumps(config))
    assert Reloaded()(read_run(folder)) == "the test examples were not loaded (--data mnist loads them)"
    config["train"]["data"]["source"] = {"type": "npz", "path": str(tmp_path / "nowhere.npz")}
    (folder / "config.json").write_text(json.dumps(config))
    assert "nowhere.npz" in str(Reloaded()(read_run(folder)))
    config["train"]["data"]["source"] = {"type": "unheard-of"}
    (folder / "config.json").write_text(json.dumps(config))
    assert Reloaded()(read_run(folder)) == "its recipe names no data that this version knows"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["specdsl", "results", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


def test_the_verb_writes_figures_and_the_page(experiment: Path, tmp_path: Path, run: Any) -> None:
    """Beside the table; what is left out is said, and links lead from where the page lies."""
    figures, file = tmp_path / "figures", tmp_path / "page.html"
    code, out, err = run(experiment, "--figures", figures, "--html", file)
    assert code == 0
    assert "Means over trials" in out
    assert f"wrote 16 figures to {figures}" in err
    assert f"wrote {file}" in err
    assert f"plain: left out: most confident mistakes: {DIFFERENT}" in err
    assert len(list(figures.glob("*.svg"))) == len(list(figures.glob("*.png"))) == 16
    assert (figures / "dropped-accuracy.svg").exists()
    for link in Page(file.read_text()).all("a"):
        assert str(link["href"]).startswith("#") or (tmp_path / str(link["href"])).exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--data", "mnist"), 2, "--data is for what is drawn: it goes with --figures or --html"),
        (("--trial", "2"), 2, "--trial is for what is drawn: it goes with --figures or --html"),
        (("--html", "page.html", "--data", "mnits"), 2, "did you mean 'mnist'"),
        (("--html", "nowhere/page.html"), 1, "nowhere/page.html cannot be written"),
        (("--figures", "taken"), 1, "taken cannot be written"),
    ],
)
def test_what_cannot_be_drawn_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any, arguments: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    MadeRun([0.01], classes=0, test=20).write(tmp_path / "run")
    (tmp_path / "taken").write_text("")
    ended, _, err = run("run", *arguments)
    assert ended == code
    assert message in err
    assert "Traceback" not in err
