"""Results of runs: which trials count, what is told of them, in all forms."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import specdsl
from specdsl.declaration import Misuse
from specdsl.recipes import DataRecipe, TrainRecipe
from specdsl.results.comparing import Verdict
from specdsl.results.document import Column, Document, Sentences, Table
from specdsl.results.examples import mcnemar, predictions
from specdsl.results.measures import measure
from specdsl.results.samples import chosen_measure, read_samples
from specdsl.results.schemas import SCHEMAS
from specdsl.runs.files import plain
from tests.run_folders import Made, MadeRun, write_experiment
from tests.test_report import strict

KINDS = {
    "original": MadeRun([0.94, 0.945, 0.9425, 0.935, 0.9475, 0.94]),
    "dropout1": MadeRun([0.975, 0.98, 0.9775, 0.9725, 0.98, 0.975], model="dropout1"),
    "dropout2": MadeRun([0.975, 0.9775, 0.98, 0.9725, 0.9775, Made(0.9, "interrupted")], model="dropout2"),
    "dropout3": MadeRun(
        [0.9475, 0.945, 0.95, 0.94, Made(None, "failed"), Made(None, "diverged"), Made(None, "running")],
        model="dropout3",
        planned=9,
    ),
}
"""Four models with trials of all kinds."""

ODD: dict[str, list[MadeRun]] = {
    "one trial of one model": [MadeRun([0.9])],
    "one trial of each": [MadeRun([0.9]), MadeRun([0.95], model="other")],
    "one trial of one": [MadeRun([0.9]), MadeRun([0.95, 0.96], model="other")],
    "no spread": [MadeRun([0.9, 0.9, 0.9]), MadeRun([0.95, 0.95, 0.95], model="other")],
    "no spread and no difference": [MadeRun([0.9, 0.9]), MadeRun([0.9, 0.9], model="other")],
    "no spread in one": [MadeRun([0.9, 0.9, 0.9]), MadeRun([0.95, 0.96, 0.97], model="other")],
    "ties": [MadeRun([0.9, 0.91, 0.91]), MadeRun([0.91, 0.91, 0.92], model="other")],
    "no errors at all": [MadeRun([1.0, 1.0, 0.9975]), MadeRun([1.0, 1.0, 1.0], model="other")],
    "nothing finished": [MadeRun([Made(None, "failed"), Made(0.9, "interrupted")], planned=3)],
    "nothing finished in one": [MadeRun([Made(None, "diverged")]), MadeRun([0.9, 0.91], model="other")],
    "values": [MadeRun([0.001, 0.0012, 0.0011], classes=0), MadeRun([0.002, 0.0021], classes=0, model="other")],
    "values and classes": [MadeRun([0.001, 0.0012], classes=0), MadeRun([0.9, 0.95], model="other")],
    "without predictions": [MadeRun([0.9, 0.92], predictions=False), MadeRun([0.93, 0.95], model="other")],
    "a validation part": [MadeRun([0.9, 0.92], validation=50), MadeRun([0.93, 0.95], model="other", validation=50)],
    "other data": [MadeRun([0.9, 0.92]), MadeRun([0.93, 0.95], model="other", data_seed=1, test=300, epochs=9)],
    "the same model twice": [MadeRun([0.9, 0.92]), MadeRun([0.93, 0.95], seed=1)],
}
"""Runs that results are hard to have of."""


@pytest.fixture(autouse=True)
def _without_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """statsmodels asks for a garbage collection in each correction, which takes long where all tests are loaded."""
    monkeypatch.setattr("gc.collect", lambda: 0)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four models, with published figures."""
    published = {
        "original": {"test_accuracy": 0.9409, "test_loss": 0.6107},
        "dropout1": {"test_accuracy_median": 0.9764, "train_accuracy": 0.9995, "test_top": 1.0},
    }
    return write_experiment(tmp_path_factory.mktemp("experiments") / "e", KINDS, published=published)


@pytest.fixture
def run(run):
    """Runs `specdsl` on a terminal of 100 columns."""
    return partial(run, columns=100)


def written(runs: list[MadeRun], folder: Path) -> list[Path]:
    return [made.write(folder / f"run-{number}") for number, made in enumerate(runs)]


# ---------------------------------------------------------------------------------------------- which trials count


def test_every_trial_is_told_of(experiment: Path, run) -> None:
    """Those that do not count too, with their state and what made them so."""
    code, out, _ = run("results", experiment)
    assert code == 0
    assert re.search(r"dropout3 +97,771 +4 of 9 ", out)
    for line in ("5  failed", "6  diverged", "7  interrupted", "8–9  not begun", "out of memory"):
        assert line in out
    told = specdsl.load_results(experiment).to_dict()["models"]
    assert [len(model["trials"]) for model in told] == [6, 6, 6, 7]
    assert [model["finished_trials"] for model in told] == [6, 6, 5, 4]


def test_trials_that_are_not_there_are_told_by_their_numbers(tmp_path: Path, run) -> None:
    """Whichever they are: the folder of one can have been lost."""
    (folder,) = written([MadeRun([0.9, 0.91, 0.92, 0.93, 0.94], planned=8)], tmp_path)
    for lost in (1, 3, 4):
        shutil.rmtree(folder / f"trial-{lost}")
    code, out, _ = run("results", folder)
    assert code == 0
    assert [line.split()[1] for line in out.splitlines() if line.endswith("not begun")] == ["1", "3–4", "6–8"]


def test_a_run_that_was_broken_off_is_told_of(tmp_path: Path) -> None:
    """Without a summary, and with trials that were never begun; what belongs to the models is no difference of runs."""
    runs = [MadeRun([0.9, 0.91], planned=5), MadeRun([0.9, 0.92], model="other", parameters=5, config={"why": "fast"})]
    folders = written(runs, tmp_path)
    (folders[0] / "summary.json").unlink()
    told = specdsl.load_results(*folders).to_dict()
    assert [model["parameters"] for model in told["models"]] == [97_771, 5]
    assert [model["planned_trials"] for model in told["models"]] == [5, 2]
    assert told["differences"] == []


def test_of_trials_that_all_do_not_count_no_spread_is_told(tmp_path: Path, run) -> None:
    """An experiment that was broken off in its first trial."""
    (folder,) = written([MadeRun([Made(0.9, "interrupted")], planned=2)], tmp_path)
    code, out, _ = run("results", folder)
    assert code == 0
    assert "Trials that do not count" in out
    assert "over trials\nModel  n" not in out
    assert "accuracy, all trials" not in out


def test_means_are_over_finished_trials_alone(experiment: Path) -> None:
    told = {model["key"]: model for model in specdsl.load_results(experiment).to_dict()["models"]}
    accuracy = next(one for one in told["dropout2"]["measures"] if one["measure"] == "test_accuracy")
    assert accuracy["values"] == pytest.approx([0.975, 0.9775, 0.98, 0.9725, 0.9775])
    assert accuracy["mean"] == pytest.approx(0.9765)
    assert (accuracy["min"], accuracy["median"], accuracy["max"]) == pytest.approx((0.9725, 0.9775, 0.98))
    assert accuracy["test_set_standard_error"] == pytest.approx(math.sqrt(0.9765 * 0.0235 / 400))
    trained = next(one for one in told["dropout2"]["measures"] if one["measure"] == "train_accuracy")
    assert trained["test_set_standard_error"] is None


def test_published_figures_stand_beside_measured_ones(experiment: Path, run) -> None:
    told = {model["key"]: model["published"] for model in specdsl.load_results(experiment).to_dict()["models"]}
    accuracy, loss = told["original"]
    assert (accuracy["published"], accuracy["in_interval"], loss["in_interval"]) == (0.9409, True, False)
    assert accuracy["difference"] == pytest.approx(accuracy["measured"] - 0.9409)
    median, trained, unknown = told["dropout1"]
    assert (median["statistic"], median["in_interval"]) == ("median", None)
    assert median["measured"] == pytest.approx(0.97625)
    assert trained["measure"] == "train_accuracy"
    assert unknown["measured"] is None
    out = run("results", experiment)[1]
    assert re.search(r"original +mean test accuracy +0\.9409 +0\.9417 +\+0\.08 points +yes", out)
    inner = run("results", experiment / "original")[1]
    assert "Beside the published figures" in inner  # a run of an experiment knows of them too


DECLARED = """
data signs = gtsrb {
    augment { random_crop(28, 28) }
    evaluate { center_crop(28, 28) }
}

model original {
    input image: (28, 28, 3)
    Flatten
    Dense(5, "softmax")
}

train published { data = signs; loss = "sparse_categorical_crossentropy"; metrics = ["accuracy"]; epochs = 800 }
train another { data = signs; epochs = 4 }
experiment e { models = [original]; train = published }
"""


def test_published_figures_of_other_data_and_epochs_are_said_to_be(tmp_path: Path) -> None:
    """What the experiment declares is read from the texts in the run's folder, and set beside what was trained."""
    published = {"original": {"test_loss": 1}}
    folder = write_experiment(tmp_path / "e", {"original": MadeRun([0.9, 0.8])}, "e", published)
    assert "what the experiment declares" not in str(specdsl.load_results(folder))
    (folder / "original" / "spec").mkdir(exist_ok=True)
    (folder / "original" / "spec" / "model.spec").write_text(DECLARED)
    results = specdsl.load_results(folder)
    (departures,) = [model["unlike_published"] for model in results.to_dict()["models"]]
    assert departures[0] == "data.source synthetic in place of gtsrb"
    assert "epochs 4 in place of 800" in departures
    assert "Otherwise in these runs: data.source synthetic in place of gtsrb; " in " ".join(str(results).split())


def test_runs_on_unlike_data_are_told_of_one_by_one(tmp_path: Path) -> None:
    """What holds for one run alone has its name before it; a difference is no number of examples of either test set."""
    folders = [
        MadeRun([0.9, 0.8], model="a", test=400).write(tmp_path / "a"),
        MadeRun([0.9, 0.7], model="b", test=1000, validation=50).write(tmp_path / "b"),
    ]
    found = specdsl.load_results(*folders).compare()
    assert [pair.examples for pair in found.pairs] == [None]
    told = " ".join(str(found).split())
    assert "a: synthetic: " in told
    assert "b: From trial to trial differ" in told


def test_margin_and_level_are_numbers_that_can_be(experiment: Path) -> None:
    for wrong in ({"margin": math.nan}, {"margin": math.inf}, {"margin": -1}, {"alpha": math.nan}, {"alpha": 0.7}):
        with pytest.raises(Misuse, match=r"margin|level"):
            specdsl.load_results(experiment).compare(**wrong)


def test_a_t_interval_beyond_all_accuracies_is_explained(tmp_path: Path) -> None:
    told = str(specdsl.load_results(MadeRun([0.99, 0.7, 0.98]).write(tmp_path / "run")))
    assert "An interval that reaches beyond 0 or 1" in told
    assert "beyond 0 or 1" not in str(specdsl.load_results(MadeRun([0.8, 0.81]).write(tmp_path / "other")))
    below = str(specdsl.load_results(MadeRun([0.05, 0.4]).write(tmp_path / "below")))
    assert re.search(r"  −\d\.\d{4} to ", below), "with the sign that differences have"


def test_no_fewer_trials_are_said_to_be_needed_than_there_were(tmp_path: Path) -> None:
    """Power is worked out for models that spread alike, and Welch's test allows for those that do not."""
    folders = [
        MadeRun([0.95, 0.951, 0.949], model="a", test=1000).write(tmp_path / "a"),
        MadeRun([0.92, 0.91], model="b", test=1000).write(tmp_path / "b"),
    ]
    (pair,) = specdsl.load_results(*folders).compare().pairs
    assert (pair.verdict, pair.needed) == ("open", 2)
    sentence = specdsl.load_results(*folders).compare().to_dict()["pairs"][0]["sentence"]
    assert "if both models spread alike; these do not" in sentence


# ---------------------------------------------------------------------------------------------- comparison


def test_verdicts(experiment: Path) -> None:
    """What is apart is said to be, in examples too; what is not is not, and how many trials would be needed."""
    found = specdsl.load_results(experiment).compare()
    verdicts = {(pair.a, pair.b): pair for pair in found.pairs}
    assert len(verdicts) == 6
    apart = verdicts["original", "dropout1"]
    assert (apart.verdict, apart.examples) == ("different", pytest.approx(-14))
    told = {pair["a"] + pair["b"]: pair["sentence"] for pair in found.to_dict()["pairs"]}
    assert told["originaldropout1"].startswith(
        "dropout1 is better than original: the test accuracy of dropout1 is higher"
    )
    near = verdicts["original", "dropout3"]
    assert near.verdict == "open"
    assert 20 < near.needed < 60
    assert f"about {near.needed} trials" in told["originaldropout3"]
    wide = specdsl.load_results(experiment).compare(margin=5)
    assert {pair.verdict for pair in wide.pairs} == {"different within the margin", "equivalent"}
    assert all(pair.verdict in get_args(Verdict) for pair in found.pairs)


def test_a_baseline_makes_a_smaller_family(experiment: Path) -> None:
    """Three pairs in place of six, and so smaller corrected p-values."""
    results = specdsl.load_results(experiment)
    every, some = results.compare(), results.compare(baseline="original")
    assert [(pair.a, pair.b) for pair in some.pairs] == [(key, "original") for key in list(KINDS)[1:]]
    assert some.pairs[2].test.p == pytest.approx(every.pairs[2].test.p)
    assert some.pairs[2].holm < every.pairs[2].holm


def test_the_order_of_runs_turns_signs_alone(experiment: Path) -> None:
    """Every figure of a pair is the same, whichever way round the runs are named."""
    one = {frozenset((pair.a, pair.b)): pair for pair in specdsl.load_results(experiment).compare().pairs}
    folders = [experiment / key for key in reversed(KINDS)]
    for pair in specdsl.load_results(*folders).compare().pairs:
        other = one[frozenset((pair.a, pair.b))]
        assert pair.difference == pytest.approx(-other.difference)
        assert (pair.verdict, pair.needed) == (other.verdict, other.needed)
        assert (pair.holm, pair.ranks_holm) == pytest.approx((other.holm, other.ranks_holm))
        assert pair.equivalence_holm == pytest.approx(other.equivalence_holm)
        ends = (-other.bootstrap.high, -other.bootstrap.low)
        assert (pair.bootstrap.low, pair.bootstrap.high) == pytest.approx(ends)
        assert (pair.mcnemar.only_a, pair.mcnemar.p) == (other.mcnemar.only_b, pytest.approx(other.mcnemar.p))


def test_a_loss_is_better_when_lower(tmp_path: Path) -> None:
    folders = written(ODD["values"], tmp_path)
    (pair,) = specdsl.load_results(*folders).compare().to_dict()["pairs"]
    assert pair["sentence"].startswith("original is better than other: the test loss of other is higher by")
    assert pair["superiority"]["probability"] == 1
    assert pair["examples"] is None
    assert pair["equivalence"] is None
    wide = specdsl.load_results(*folders).compare("mean_absolute_error", margin=1).to_dict()
    assert wide["measure"] == "test_mean_absolute_error"
    assert "equivalent to it within 1.0000" in wide["pairs"][0]["sentence"]


def test_trials_are_paired_by_their_number(tmp_path: Path) -> None:
    """Pairs are trials that finished in both; their differences are tested, and ranks by Wilcoxon's test."""
    first = MadeRun([0.90, 0.92, Made(None, "failed"), 0.94, 0.90])
    second = MadeRun([0.91, 0.9325, 0.93, 0.95, 0.9125], model="other")
    results = specdsl.load_results(*written([first, second], tmp_path))
    (pair,) = results.compare(paired=True).pairs
    assert pair.n == (4, 4)
    assert (pair.test.kind, pair.test.df) == ("paired", 3)
    assert pair.holm < results.compare().pairs[0].holm
    assert pair.ranks.smallest == 0.125
    text = str(results.compare(paired=True).table())
    assert "With 4 pairs of trials Wilcoxon's signed-rank test cannot give a p below 0.12" in text
    assert "have examples, order and augmentation in common" in text


@pytest.mark.parametrize("change", [{"seed": 1}, {"data_seed": 1}, {"train": {"batch": 64}}])
def test_trials_without_common_streams_are_no_pairs(change: dict[str, Any], tmp_path: Path) -> None:
    folders = written([MadeRun([0.9, 0.91]), MadeRun([0.92, 0.93], model="other", **change)], tmp_path)
    with pytest.raises(Misuse, match="nothing in common to pair them by"):
        specdsl.load_results(*folders).compare(paired=True)


def test_runs_that_are_not_alike_are_warned_of(tmp_path: Path, run) -> None:
    """In the tables, and in each verdict; what differs is listed."""
    folders = written(ODD["other data"], tmp_path)
    for verb in ("results", "compare"):
        out = " ".join(run(verb, *folders)[1].split())
        assert "Warning: The runs are not alike: " in out
        assert "different numbers of epochs" in out
        assert "different data" in out
    assert "tested on different examples" in out
    told = specdsl.load_results(*folders)
    assert "The runs are not alike" in told.compare().to_dict()["pairs"][0]["sentence"]
    assert {one["setting"]: one["values"]["other"] for one in told.to_dict()["differences"]}["train.epochs"] == "9"


def test_which_way_is_better_is_the_metrics_own(tmp_path: Path) -> None:
    """Keras's class says it, whatever the recipe calls the metric; a share of examples is in points."""
    metrics = [
        {"type": "AutomaticAccuracy", "name": "accuracy"},
        {"type": "SparseTopKCategoricalAccuracy", "k": 3, "name": "sparse_top_k_categorical_accuracy"},
        {"type": "AUC", "num_thresholds": 200, "curve": "PR", "name": "precise"},
        {"type": "MeanSquaredError", "name": "score"},
    ]
    recipe = {"metrics": metrics, "loss": {"type": "SparseCategoricalCrossentropy"}}
    names = ("accuracy", "sparse_top_k_categorical_accuracy_k_3", "precise", "score", "loss", "unknown")
    found = [measure(f"test_{name}", recipe) for name in names]
    assert [(one.larger, one.share) for one in found] == [
        (True, True), (True, True), (True, False), (False, False), (False, False), (False, False),
    ]  # fmt: skip
    assert [one.bounded for one in found] == [True, True, True, False, False, False]
    assert measure("seconds", recipe) is None
    recorded = TrainRecipe(data=DataRecipe(), metrics=("accuracy", "sparse_top_k_categorical_accuracy"))
    known = [measure(f"test_{column}", plain(recorded)) for column in recorded.columns]
    assert [(one.share, one.worth) for one in known] == [(False, None), (True, "told rightly"), (True, None)]
    errors = {"loss": {"type": "MeanSquaredError"}, "metrics": [{"type": "MeanAbsoluteError"}]}
    found = [measure(f"test_{column}", errors) for column in ("loss", "mean_absolute_error")]
    assert [one.worth for one in found] == ["squared error", "absolute error"]
    strange = {"metrics": [{"type": "AUC", "num_thresholds": "many"}, {"type": "Gone"}, 3, {"type": "BinaryAccuracy"}]}
    assert [measure(f"test_{name}", strange).larger for name in ("auc", "gone", "binary_accuracy")] == [
        False,
        False,
        True,
    ]


# ---------------------------------------------------------------------------------------------- the test examples


def test_mcnemar_and_averaged_predictions(experiment: Path) -> None:
    """Counted anew from the files: examples that the one ensemble alone tells rightly."""
    right = {}
    for key in ("original", "dropout1"):
        total: Any = 0
        for number in range(1, 7):
            found = np.load(experiment / key / f"trial-{number}" / "predictions.npz")
            total = total + found["probability"].astype(float)
        right[key] = total.argmax(axis=1) == found["label"]
    pair = specdsl.load_results(experiment).compare().pairs[0]
    assert pair.mcnemar.only_a == int(np.sum(right["original"] & ~right["dropout1"]))
    assert pair.mcnemar.only_b == int(np.sum(~right["original"] & right["dropout1"]))
    from scipy.stats import binomtest

    apart = pair.mcnemar.only_a + pair.mcnemar.only_b
    assert pair.mcnemar.p == pytest.approx(binomtest(pair.mcnemar.only_a, apart).pvalue)


def test_the_two_level_bootstrap_holds_both_errors(tmp_path: Path) -> None:
    """With one trial each it is the bootstrap of the paired examples; more trials that differ make it wider."""
    one = specdsl.load_results(*written(ODD["one trial of each"], tmp_path / "one")).compare().pairs[0]
    samples = read_samples([tmp_path / "one" / "run-0", tmp_path / "one" / "run-1"])
    measured = chosen_measure(samples, None)
    a, b = (predictions(sample, measured) for sample in samples)
    apart = (a.worth - b.worth).ravel()
    error = float(apart.std() / math.sqrt(len(apart)))
    assert one.bootstrap.high - one.bootstrap.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    runs = [MadeRun([0.7, 0.95, 0.99]), MadeRun([0.95, 0.95, 0.95], model="other")]
    spread = specdsl.load_results(*written(runs, tmp_path / "spread")).compare().pairs[0]
    assert spread.bootstrap.high - spread.bootstrap.low > 2 * (one.bootstrap.high - one.bootstrap.low)
    assert mcnemar(a, a).p == 1


def test_predictions_of_something_else_are_not_used(tmp_path: Path) -> None:
    """Where their mean is not what the trial ended with, they are not its."""
    folders = written([MadeRun([0.9, 0.92]), MadeRun([0.93, 0.95], model="other")], tmp_path)
    (folders[0] / "trial-1" / "predictions.npz").replace(folders[1] / "trial-1" / "predictions.npz")
    text = str(specdsl.load_results(*folders).compare().table())
    assert "Not for original and other: trial 1 of original has no predictions" in " ".join(text.split())
    MadeRun([0.5, 0.92]).write(tmp_path / "third")
    (tmp_path / "third" / "trial-1" / "predictions.npz").replace(folders[0] / "trial-1" / "predictions.npz")
    assert "do not have its test accuracy" in str(specdsl.load_results(*folders).compare().table())


# ---------------------------------------------------------------------------------------------- all forms


@pytest.mark.parametrize("name", ODD)
def test_odd_runs_are_told_of_too(name: str, tmp_path: Path) -> None:
    """In every form, without a warning and without what is no number; and so are comparisons, where there are any."""
    results = specdsl.load_results(*written(ODD[name], tmp_path))
    told: list[Any] = [results]
    models = results.to_dict()["models"]
    for metric in ("test_accuracy", "test_loss", "train_loss"):
        if sum(metric in (one["measure"] for one in model["measures"]) for model in models) > 1:
            told.append(results.compare(metric))
        else:
            with pytest.raises(Misuse, match=r"two models whose finished trials have|was measured"):
                results.compare(metric)
    for one in told:
        data = one.to_dict()
        json.dumps(data, allow_nan=False)
        kind = "results" if one is results else "compare"
        Draft202012Validator(strict(SCHEMAS[kind]())).validate(data)
        table = one.table()
        for text in (table.to_text(80), table.to_markdown(), table.to_latex(), table.to_html(), one.to_csv()):
            assert not re.search(r"\bnan\b|\binf\b|None", text)
    assert len(list(csv.reader(io.StringIO(results.trials_csv())))) == 1 + sum(len(made.trials) for made in ODD[name])


def test_what_is_one_of_a_kind_is_not_given_a_spread(tmp_path: Path) -> None:
    results = specdsl.load_results(*written(ODD["one trial of each"], tmp_path))
    text = str(results)
    assert "nothing is known of how trials spread" in text
    assert "No interval of original, other: one trial says nothing" in " ".join(text.split())
    (pair,) = results.compare().pairs
    assert pair.verdict == "untested"


@pytest.mark.parametrize("width", [20, 40, 80, 100, 200])
@pytest.mark.parametrize("verb", ["results", "compare"])
def test_tables_fit_the_terminal(verb: str, width: int, experiment: Path, run) -> None:
    """Where columns find no room side by side they stand one below the other."""
    out = run(verb, experiment, columns=width)[1]
    assert max(map(len, out.splitlines())) <= max(width, 34)
    assert ("original − dropout1" in out) == (verb == "compare" and width < 80)


def test_forms_of_the_command_line(experiment: Path, tmp_path: Path, run) -> None:
    """Each holds all models; files are written whole, without colours."""
    for form in ("table", "markdown", "csv", "trials", "json", "latex"):
        code, out, _ = run("results", experiment, "--format", form, "-o", tmp_path / form)
        assert (code, out) == (0, "")
        text = (tmp_path / form).read_text()
        assert all(key in text for key in KINDS)
        assert "\x1b" not in text
    for form in ("table", "markdown", "csv", "json", "latex"):
        code, out, _ = run("compare", experiment, "--format", form)
        assert code == 0
        assert all(key in out for key in KINDS)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "csv").read_text())))
    assert len(rows) == 4 * 4
    assert float(rows[3]["mean"]) == specdsl.load_results(experiment).to_dict()["models"][0]["measures"][3]["mean"]
    trials = list(csv.DictReader(io.StringIO((tmp_path / "trials").read_text())))
    assert [row["state"] for row in trials].count("finished") == 21
    latex = (tmp_path / "latex").read_text()
    assert latex.count(r"\begin{tabular}") == latex.count(r"\bottomrule") == 5


def test_metrics_by_name(experiment: Path, run) -> None:
    out = run("results", experiment, "--metric", "all")[1]
    for title in ("Train loss", "Train accuracy", "Test loss", "Test accuracy"):
        assert f"{title} over trials" in out
    assert "Test loss over trials" in run("results", experiment, "--metric", "loss")[1]
    assert run("compare", experiment, "--metric", "train-loss")[1].startswith("dropout_position: train loss")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["results", "nowhere"], "nowhere holds no run"),
        (["compare", "{e}", "--metric", "recall"], "nothing called 'recall' was measured"),
        (["results", "{e}", "--metric", "recall"], "help: there are train_loss"),
        (["compare", "{e}", "--baseline", "dropout"], "there is no model 'dropout' to compare with"),
        (
            ["compare", "{e}/original"],
            "a comparison takes two models whose finished trials have a test accuracy, and original alone has one",
        ),
        (["results", "{e}", "{e}/original"], "is named twice"),
        (["compare", "{e}", "--alpha", "0.7"], "0.7 is not in the range"),
        (["compare", "{e}", "--margin", "0"], "0.0 is not in the range"),
        (["results"], "Missing argument 'RUN...'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_said(arguments: list[str], message: str, experiment: Path, run) -> None:
    code, _, err = run(*(argument.format(e=experiment) for argument in arguments))
    assert code == 2
    assert message in " ".join(err.split())
    assert "Traceback" not in err


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_printed(name: str, run) -> None:
    schema = json.loads(run("schema", name)[1])
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:specdsl:{name}:1"


def test_results_show_themselves(experiment: Path) -> None:
    """As a table where text is shown, as HTML in a notebook; and they are frozen."""
    results = specdsl.load_results(experiment)
    assert "Means over trials" in repr(results)
    assert "Verdicts" in str(results.compare())
    assert results._repr_html_().count("<table>") == 5
    assert "<li>" in results.compare()._repr_html_()
    with pytest.raises(AttributeError):
        results.confidence = 0.5  # type: ignore[misc]
    with pytest.raises(Misuse, match="between 0 and 1"):
        specdsl.load_results(experiment, confidence=95)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_paths_are_left_whole_on_narrow_terminals(width: int) -> None:
    """They can be copied; what has spaces is set within the width."""
    path = "/home/somebody/experiments-of-2026/runs/dropout-position-at-28-pixels/original"
    told = f"The runs in {path} and elsewhere were trained on other data than the others were."
    table = Table("Differences", [Column("Run", right=False), Column("What differs")], [[path, told]])
    document = Document("Runs", [told], [told], [table, Sentences("Verdicts", [told])])
    lines = re.sub(r"\x1b\[\d+m", "", document.to_text(width)).splitlines()
    assert sum(path in line for line in lines) == 5
    assert all(len(line) <= width for line in lines if path not in line)
