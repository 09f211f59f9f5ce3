"""Experiments: several models under one recipe, and the table that compares them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from statistics import mean

import pytest

from specdsl.runs import read

SPEC = """
data few = synthetic(size=28, train=2, test=1)
train quick { data = few; epochs = 1 }
model tiny(units=4) {
    input image: (28, 28, 3)
    AveragePooling2D(4) -> Flatten -> Dense(units, "relu") -> Dense(43, "softmax")
}
model dropped = tiny with { before Dense[-1] { Dropout(0.5) } }
model wrong {
    input image: (8, 8, 3)
    Flatten -> Dense(43, "softmax")
}
experiment widths { models = [tiny, tiny(units=6), dropped]; trials = 2
    published = [figures(dropped, test_accuracy=0.5)] }
experiment unfit { models = [tiny, wrong] }
"""


@pytest.fixture
def beside(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs `specdsl experiment` beside the spec; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.spec").write_text(SPEC)
    return partial(run, "experiment")


@pytest.fixture
def run(beside):
    """The same, on the spec."""
    return partial(beside, "tiny.spec")


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # Keras, when it saves
def test_an_experiment_trains_each_model_and_compares_them(run) -> None:
    """A folder for each model, with the experiment's number of trials, and a table of what came of them."""
    code, out, _ = run("widths", "--out", "runs/e")
    assert code == 0
    assert json.loads(Path("runs/e/experiment.json").read_text()) == {
        "schema": 2, "name": "widths", "models": ["tiny", "tiny-units=6", "dropped"],
        "published": {"dropped": {"test_accuracy": 0.5}},
    }  # fmt: skip
    runs = read([Path("runs/e")])
    assert [len(one.trials) for one in runs] == [2, 2, 2]
    assert [one.summary["parameters"] for one in runs if one.summary] == [807, 1189, 807]
    for one in runs:
        values = [trial.final["test_accuracy"] for trial in one.trials]
        assert one.trials[1].model_file.exists()
        rows = [line for line in out.splitlines() if line.startswith(f"{one.key} ")]
        assert any(f"{mean(values):.4f}" in row for row in rows)
        assert any(", ".join(f"{value:.4f}" for value in values) in row for row in rows)
    order = [line.partition(", about")[0] for line in out.splitlines() if " of 2 (" in line]
    assert order == [
        "tiny, trial 1 of 2 (1 of 6)", "tiny-units=6, trial 1 of 2 (2 of 6)", "dropped, trial 1 of 2 (3 of 6)",
        "tiny, trial 2 of 2 (4 of 6)", "tiny-units=6, trial 2 of 2 (5 of 6)", "dropped, trial 2 of 2 (6 of 6)",
    ]  # fmt: skip


def test_models_that_do_not_fit_end_it_before_anything_is_trained(run) -> None:
    code, _, err = run("unfit", "--out", "runs/e")
    assert code == 2
    assert "wrong takes images of (8, 8, 3)" in err
    assert not Path("runs").exists()


def test_experiments_and_their_models_are_named(run, beside) -> None:
    code, _, err = run()
    assert code == 2
    assert "several experiments" in err
    code, _, err = run("width")
    assert code == 2
    assert "did you mean 'widths'?" in err
    code, _, err = run("widths", "--models", "tiny,drop")
    assert code == 2
    assert "the experiment 'widths' has no model 'drop'" in err
    Path("alone.spec").write_text(
        'from "tiny.spec" import tiny\ntrain t { epochs = 1 }\nexperiment one { models = [tiny] }\n'
    )
    _, _, err = beside("alone.spec", "--set", "train=3")
    assert "'train' is not set as a whole" in err
    code, _, err = run("widths", "--models", "")
    assert (code, "has no model ''" in err) == (2, True)
