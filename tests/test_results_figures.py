"""Figures of runs: what they show of run folders made by hand, and what they do with the odd ones."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from specdsl.data import Examples
from specdsl.results.figures import Gallery, Picture, draw_experiment, draw_run, gallery
from specdsl.results.figures.predictions import average, chosen, each_trial, values_of
from specdsl.results.figures.series import of_part, pace, paced, thinned, together
from specdsl.results.figures.style import _settle, drawing, shown
from specdsl.runs import RunError, RunRecord, read, read_run
from specdsl.runs.reliability import binned
from tests.run_folders import Made, MadeRun, write_experiment

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "$\\frac{x}$",
    "</text><script>alert(1)</script>",
    "_hidden",
    "тупик",
    "止まれ",
    "قف",
    "a\x00b\x1b[31m\n&amp;",
)


def texts(picture: Picture) -> list[str]:
    """The texts of a figure, in the order of the file."""
    return ["".join(one.itertext()) for one in ElementTree.fromstring(picture.svg()).iter(f"{SVG}text")]


def drawn(picture: Picture, what: str) -> list[str]:
    """The names of what a figure has drawn, where they begin so."""
    found = (one.get("id", "") for one in ElementTree.fromstring(picture.svg()).iter(f"{SVG}g"))
    return [name for name in found if name.startswith(what)]


def made(folder: Path, run: MadeRun, history: Mapping[str, Sequence[float | None]] | None = None) -> RunRecord:
    """A run, with columns of its histories replaced."""
    run.write(folder)
    for file in folder.glob("trial-*/history.csv") if history else ():
        rows = list(csv.DictReader(file.read_text().splitlines()))
        with file.open("w", newline="") as text:
            table = csv.DictWriter(text, list(dict.fromkeys([*rows[0], *(history or {})])))
            table.writeheader()
            for index, row in enumerate(rows):
                found = {name: column[index] for name, column in (history or {}).items()}
                table.writerow(row | {name: "" if value is None else value for name, value in found.items()})
    return read_run(folder)


def changed(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def pictures(run: RunRecord, test: Callable[[RunRecord], Examples | str] | None = None) -> dict[str, Picture]:
    return {picture.name: picture for picture in gallery([run], test)}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models: one of six trials, one of which a trial diverged; the validation part is the second's alone."""
    return write_experiment(
        tmp_path_factory.mktemp("figures") / "experiment",
        {
            "plain": MadeRun([0.94, 0.945, 0.93, 0.951, 0.944, 0.939], classes=4, epochs=6),
            "dropped": MadeRun([0.97, 0.974, Made(None, "diverged")], "dropped", classes=4, epochs=6, validation=90),
        },
    )


def test_an_experiment_gives_all_its_figures(experiment: Path) -> None:
    found = gallery(read([experiment]), published={"plain": {"test_accuracy": 0.9409}})
    own = ["loss", "accuracy", "confusion", "confusions", "classes", "reliability"]
    assert [one.name for one in found.together] == ["test-accuracy", "test-loss", "compared-loss", "compared-accuracy"]
    assert {key: [one.name for one in them] for key, them in found.runs.items()} == {
        key: [f"{key}-{name}" for name in own] for key in ("plain", "dropped")
    }
    assert found.missing == {
        key: ["most confident mistakes: the test images were not loaded"] for key in ("plain", "dropped")
    }


def test_curves_have_a_line_a_trial_and_a_mean_for_each_part(experiment: Path) -> None:
    loss, accuracy = gallery([read_run(experiment / "dropped")]).runs["dropped"][:2]
    assert drawn(accuracy, "trial-") == [
        f"trial-{n}-{part}" for part in ("train", "validation", "test") for n in (1, 2, 3)
    ]
    assert drawn(accuracy, "mean-") == ["mean-train", "mean-validation", "mean-test"]
    assert drawn(accuracy, "band-") == ["band-mean-train", "band-mean-validation", "band-mean-test"]
    assert len(drawn(accuracy, "given-up-3")) == 3
    assert {"train", "validation", "test", "epoch", "accuracy"} <= set(texts(accuracy))
    assert "band: the least to the greatest trial" in accuracy.caption
    assert "1 of 3 trials diverged (ends at ×). Means are of the others." in accuracy.caption
    assert accuracy.alternative.count("goes from") == 3
    assert "loss" in texts(loss)


def test_the_band_of_many_trials_is_the_t_interval(experiment: Path) -> None:
    from scipy.stats import t

    run = read_run(experiment / "plain")
    mean = together(of_part(run, "test", "accuracy"))
    values = np.array([trial.history["test_accuracy"] for trial in run.trials])
    low, high = t.interval(0.95, 5, values.mean(0), values.std(0, ddof=1) / np.sqrt(6))
    assert mean is not None
    np.testing.assert_allclose([mean.low, mean.mean, mean.high], [low, values.mean(0), high])
    assert "95% t-interval" in pictures(run)["accuracy"].caption


def test_files_are_the_same_each_time_and_sound(experiment: Path, tmp_path: Path) -> None:
    """SVG is XML with title, description and texts that are texts; PNG opens; no date, no version, no address."""
    first = tmp_path / "first"
    files = gallery(read([experiment])).save(first)
    assert len(files) == 2 * 16
    for again in gallery(read([experiment])).runs["dropped"]:
        for file in again.save(tmp_path, (".svg",) if "cl" in again.name else (".svg", ".png")):
            assert file.read_bytes() == (first / file.name).read_bytes(), file.name
    for file in files:
        if file.suffix == ".png":
            image: Any
            with Image.open(file) as image:
                image.load()
                assert image.width > 600
                assert not image.text
        else:
            root = ElementTree.parse(file).getroot()
            assert root.get("role") == "img"
            assert [one.tag for one in list(root)[:2]] == [f"{SVG}title", f"{SVG}desc"]
            assert file.stat().st_size < 120_000
            assert "metadata" not in file.read_text()


def test_dots_show_every_trial_and_what_was_published(experiment: Path) -> None:
    dots = gallery(read([experiment]), published={"plain": {"test_accuracy": 0.9409}}).together[0]
    assert drawn(dots, "trials-") == ["trials-1", "trials-2"]
    assert drawn(dots, "interval-") == ["interval-1", "interval-2"]
    assert drawn(dots, "published-") == ["published-1"]
    assert texts(dots).index("plain") < texts(dots).index("dropped")
    uses = re.findall(r'id="trials-1">.*?</g>\s*</g>', dots.svg(), re.DOTALL)[0]
    assert uses.count("<use") == 6
    assert "published 0.9409" in dots.alternative
    assert "1 trial without a final value" in dots.caption


def test_one_trial_of_one_epoch(tmp_path: Path) -> None:
    found = gallery([made(tmp_path / "run", MadeRun([0.9], epochs=1))])
    assert found.together[0].caption == "One trial each: nothing is known of their spread."
    accuracy = found.runs["original"][1]
    assert drawn(accuracy, "mean-") == ["mean-train", "mean-test"]
    assert drawn(accuracy, "trial-") == drawn(accuracy, "band-") == []
    assert texts(accuracy)[0] == "1"
    assert found.save(tmp_path / "figures")


def test_epochs_that_were_not_measured_are_left_out(tmp_path: Path) -> None:
    """Of NaN and infinities as of empty cells nothing is drawn, and a part without any value has no curve."""
    run = made(tmp_path / "run", MadeRun([0.9, 0.8], epochs=4), {
        "test_accuracy": [None, 0.5, None, 0.9],
        "test_loss": [None, None, None, None],
        "train_loss": [1.0, float("inf"), float("nan"), 0.5],
    })  # fmt: skip
    assert [list(curve.epochs) for curve in of_part(run, "test", "accuracy")] == [[2, 4], [2, 4]]
    found = pictures(run)
    assert drawn(found["loss"], "mean-") == ["mean-train"]
    assert found["accuracy"].alternative.endswith("test goes from 0.5 to 0.9.")


def test_a_run_of_which_nothing_is_known_has_no_curves(tmp_path: Path) -> None:
    columns = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    run = made(tmp_path / "run", MadeRun([Made(None, "diverged")], epochs=1), {column: [None] for column in columns})
    found = gallery([run])
    assert list(found) == []
    assert found.missing["original"] == ["figures of predictions: no trial of original has come to its end"]


def test_every_trial_that_diverged_is_drawn_without_a_mean(tmp_path: Path) -> None:
    run = made(tmp_path / "run", MadeRun([Made(None, "diverged"), Made(None, "failed")]))
    accuracy = pictures(run)["accuracy"]
    assert drawn(accuracy, "mean-") == []
    assert drawn(accuracy, "trial-") == [f"trial-{n}-{part}" for part in ("train", "test") for n in (1, 2)]
    assert "1 of 2 trials diverged" in accuracy.caption
    assert "1 of 2 trials crashed" in accuracy.caption


def test_a_mean_goes_as_far_as_the_shortest_trial(tmp_path: Path) -> None:
    """So that no step in it comes of a trial that left."""
    run = made(tmp_path / "run", MadeRun([0.9, Made(0.8, "interrupted")], epochs=8))
    mean = together(of_part(run, "test", "accuracy"))
    assert mean is not None
    assert list(mean.epochs) == [1, 2, 3, 4]
    caption = pictures(run)["accuracy"].caption
    assert "The mean ends with its shortest trial, at epoch 4." in caption
    assert "1 of 2 trials unfinished." in caption


def test_the_epoch_that_was_kept_is_marked(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    MadeRun([0.9, 0.8], epochs=8, validation=50).write(folder)
    changed(folder / "trial-1" / "trial.json", kept_epoch=5)
    changed(folder / "trial-2" / "trial.json", kept_epoch=6)
    accuracy = pictures(read_run(folder))["accuracy"]
    assert drawn(accuracy, "kept") == ["kept"]
    assert "epoch kept" in texts(accuracy)
    assert "Diamonds mark what was kept: epochs 5 to 6." in accuracy.caption


def test_a_trial_that_goes_on_has_kept_nothing_yet(tmp_path: Path) -> None:
    run = made(tmp_path / "run", MadeRun([0.9, Made(0.8, "running")], epochs=8))
    assert "Diamonds" not in pictures(run)["accuracy"].caption


def test_intervals_are_of_the_confidence_that_is_asked_for(tmp_path: Path) -> None:
    run = made(tmp_path / "run", MadeRun([0.90, 0.88, 0.86, 0.89, 0.87]))
    usual, wide = gallery([run]), gallery([run], confidence=0.995)
    for one, other in zip(usual, wide, strict=True):
        assert one.caption.replace("95%", "99.5%") == other.caption
    redrawn = {one.name for one, other in zip(usual, wide, strict=True) if lines(one) != lines(other)}
    assert redrawn == {"test-accuracy", "test-loss", "loss", "accuracy", "classes"}


def lines(picture: Picture) -> list[str]:
    """What a figure draws but its texts."""
    return [one.get("d", "") for one in ElementTree.fromstring(picture.svg()).iter(f"{SVG}path")]


def test_nothing_is_cut_off(tmp_path: Path) -> None:
    """The name of an axis beside many long names, and captions of many digits, which are wide."""
    run = made(tmp_path / "run", MadeRun([0.7, 0.6], classes=43, test=2000))
    changed(run.folder / "config.json", data=run.data | {"class_names": [f"{one} {'long ' * 9}" for one in range(43)]})
    matrix = pictures(read_run(run.folder))["confusion"]
    for picture in (matrix, replace(matrix, caption="1234567890 " * 40)):
        with drawing():
            figure = picture.make()
            picture._add_caption(figure)
            _settle(figure)
            figure.draw_without_rendering()  # as saving does
            text: Any = vars(figure)["_supxlabel"]
            for one in (figure.axes[0].yaxis.label, text):
                box = one.get_window_extent()
                assert box.x0 >= 0
                assert box.x1 <= figure.bbox.width


def test_learning_rates_that_vary_are_drawn(tmp_path: Path) -> None:
    rates = [0.1, 0.01, 0.001, 0.0001]
    found = pictures(made(tmp_path / "run", MadeRun([0.9]), {"learning_rate": rates}))
    assert found["learning_rate"].alternative == "original on synthetic: learning rate, from 0.1 to 0.0001."
    assert {"0.1", "0.01", "0.001"} <= set(texts(found["learning_rate"]))
    assert "learning_rate" not in pictures(made(tmp_path / "constant", MadeRun([0.9])))


def test_losses_over_decades_have_a_logarithmic_axis(tmp_path: Path) -> None:
    wide = made(tmp_path / "wide", MadeRun([0.9]), {"train_loss": [2.0, 0.5, 0.05, 0.002]})
    assert {"1", "0.1", "0.01"} <= set(texts(pictures(wide)["loss"]))
    zero = made(tmp_path / "zero", MadeRun([0.9]), {"train_loss": [2.0, 0.5, 0.05, 0.0]})
    assert {"0.00", "0.50"} <= set(texts(pictures(zero)["loss"]))


def test_1200_epochs_of_7_trials_stay_small_and_say_what_is_averaged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    accuracy = 1 - 0.5 * np.exp(-np.arange(1200) / 40) - 0.01 * rng.random(1200)
    columns = {f"{part}_accuracy": accuracy.tolist() for part in ("train", "test")}
    run = made(tmp_path / "run", MadeRun([0.99] * 7, epochs=1200), columns)
    picture = pictures(run)["accuracy"]
    assert len(picture.svg()) < 200_000
    assert "Each point of bold lines and bands is averaged over 8 epochs." in picture.caption
    assert "the first epochs lie below" in texts(picture)
    (first, *_) = of_part(run, "test", "accuracy")
    epochs, values = thinned(first.epochs, first.values)
    assert len(epochs) <= 600
    assert (values.min(), values.max()) == (accuracy.min(), accuracy.max())
    mean = together(of_part(run, "test", "accuracy"))
    assert mean is not None
    assert pace(mean) == 8
    np.testing.assert_allclose(paced(mean)[1][-1], accuracy[-8:].mean())


def test_predictions_are_averaged_over_trials_and_said_to_be(experiment: Path) -> None:
    run = read_run(experiment / "plain")
    trials = each_trial(run)
    together = average(trials)
    np.testing.assert_allclose(together.probability, sum(one.probability for one in trials) / 6)
    matrix = together.confusion()
    assert matrix.sum() == 400
    assert np.trace(matrix) == together.right.sum()
    found = pictures(run)
    for name in ("confusion", "confusions", "classes"):
        assert "the probabilities averaged over 6 trials" in found[name].caption
    assert len(drawn(found["confusion"], "cell-")) == np.count_nonzero(matrix)
    assert {"class 0", "class 3", str(matrix[0, 0])} <= set(texts(found["confusion"]))


def test_one_trial_can_be_chosen(experiment: Path) -> None:
    run = read_run(experiment / "dropped")
    found = gallery([run], trial=2).runs["dropped"]
    assert ["by trial 2" in picture.caption.lower() for picture in found[2:5]] == [True, True, True]
    with pytest.raises(RunError, match="no finished trial 3: there are 1, 2"):
        chosen(each_trial(run), run, 3)
    assert gallery([run], trial=3).missing == {
        "dropped": ["figures of predictions: dropped has no finished trial 3: there are 1, 2"]
    }


def test_scores_that_are_no_probabilities_have_no_reliability(tmp_path: Path) -> None:
    run = made(tmp_path / "run", MadeRun([0.9], test=20))
    (guesses,) = each_trial(run)
    np.savez(run.trials[0].folder / "predictions.npz", probability=guesses.probability * 3 - 1, label=guesses.label)
    found = gallery([run])
    assert "reliability: what the model gives out are no probabilities" in found.missing["original"]
    assert "reliability" not in {picture.name for picture in found}


def test_class_accuracies_have_wilson_intervals_and_counts(experiment: Path) -> None:
    """Wilson's interval (1927) of k of n by its formula, at both ends of the drawn bars."""
    run = read_run(experiment / "dropped")
    guesses = average(each_trial(run))
    picture = pictures(run)["classes"]
    counts = guesses.confusion()
    n, k = counts.sum(1), np.diag(counts)
    z = 1.959963984540054
    centre, reach = k + z * z / 2, z * np.sqrt(k * (n - k) / n + z * z / 4)
    low, high = (centre - reach) / (n + z * z), (centre + reach) / (n + z * z)
    order = np.lexsort((np.arange(4), -n, k / n))
    rows = picture.make.args[0]  # type: ignore[attr-defined]
    np.testing.assert_allclose([row[2] for row in rows], low[order])
    np.testing.assert_allclose([row[3] for row in rows], high[order])
    assert [row[4] for row in rows] == list(n[order])
    assert {str(count) for count in n} <= set(texts(picture))


def test_calibration_of_probabilities_that_are_right() -> None:
    """Where a model is right as often as it says, the error vanishes; always sure by 0.9 and half right, it is 0.4."""
    rng = np.random.default_rng(0)
    sure = rng.uniform(0, 1, 400_000)
    assert binned(sure, rng.random(400_000) < sure).error < 0.005
    half = binned(np.full(1000, 0.9), np.arange(1000) % 2 == 0)
    assert half.error == pytest.approx(0.4)
    assert half.count.sum() == half.count[13] == 1000
    assert binned(np.array([0.0, 1.0]), np.array([False, True])).error == 0


def test_reliability_tells_the_error_of_each_trial(experiment: Path) -> None:
    run = read_run(experiment / "plain")
    errors = [binned(one.confidence, one.right).error for one in each_trial(run)]
    assert f"Expected calibration error {np.mean(errors):.4f} (mean of 6 trials" in pictures(run)["reliability"].caption


def test_worst_mistakes_are_those_of_highest_confidence(tmp_path: Path) -> None:
    run = made(tmp_path / "run", MadeRun([0.9], test=60))
    (guesses,) = each_trial(run)
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    found = pictures(run, lambda _: Examples(images, guesses.label.astype(np.int32)))
    sheet = found["mistakes"]
    wrong = np.flatnonzero(~guesses.right)
    first = wrong[guesses.confidence[wrong].argmax()]
    assert f"no. {first}" == next(text for text in texts(sheet) if text.startswith("no."))
    assert sheet.svg().count("<image ") == len(wrong) == 6
    assert f"taken for class {guesses.guessed[first]}" in sheet.alternative

    others = gallery([run], lambda _: Examples(images, np.roll(guesses.label, 1).astype(np.int32)))
    assert others.missing["original"] == ["most confident mistakes: the test images at hand are not those of the run"]
    assert gallery([run], lambda _: "nobody has them").missing["original"] == [
        "most confident mistakes: nobody has them"
    ]


def test_grey_images_and_models_without_mistakes(tmp_path: Path) -> None:
    right = made(tmp_path / "right", MadeRun([1.0], test=20))
    (guesses,) = each_trial(right)
    grey = Examples(np.zeros((20, 8, 8, 1), np.uint8), guesses.label.astype(np.int32))
    found = gallery([right], lambda _: grey)
    assert not {"mistakes", "confusions"} & {one.name for one in found}
    assert found.missing == {}
    assert pictures(right)["confusion"].alternative.endswith("No example is taken for another class.")
    wrong = made(tmp_path / "wrong", MadeRun([0.9], test=20))
    assert pictures(wrong, lambda _: grey)["mistakes"].svg().count("<image ") == 2


def test_two_classes_and_a_thousand(tmp_path: Path) -> None:
    two = pictures(made(tmp_path / "two", MadeRun([0.9], classes=2, test=50)))
    assert len(drawn(two["confusion"], "cell-")) == 4
    many = gallery([made(tmp_path / "many", MadeRun([0.7], classes=1000, test=3000))])
    found = {one.name: one for one in many}
    assert "Shown are the 50 of 1,000 classes with the most mistakes" in found["confusion"].caption
    assert "Shown are the 50 least accurate of" in found["classes"].caption
    assert "classes have no test example" in found["classes"].caption
    assert len(many.save(tmp_path / "figures")) == 2 * len(found)


def test_names_of_any_kind_are_shown_as_they_are(tmp_path: Path) -> None:
    """No formula, no markup, no legend entry that hides; letters without a font are no warning."""
    folder = write_experiment(
        tmp_path / "e", {"one": MadeRun([0.7], classes=7, test=60), "two": MadeRun([0.7], classes=7)}
    )
    for key in ("one", "two"):
        config = json.loads((folder / key / "config.json").read_text())
        config["data"]["class_names"] = HOSTILE
        changed(folder / key / "config.json", data=config["data"])
    runs = read([folder])
    for name, run in zip(("_$x^$", "../<b>&"), runs, strict=True):
        object.__setattr__(run, "key", name)
    found = gallery(runs)
    compared = next(one for one in found if one.name == "compared-accuracy")
    assert [text.strip("\u200b") for text in texts(compared)][-2:] == ["_$x^$", "../<b>&"]
    matrix = texts(found.runs["_$x^$"][2])
    assert {shown(name) for name in HOSTILE} <= set(matrix)
    assert "a\ufffdb\ufffd[31m &amp;" in matrix
    for picture in found:
        assert "<script" not in picture.svg()
    files = found.save(tmp_path / "figures")
    assert len({file.name for file in files}) == len(files) == len(list((tmp_path / "figures").iterdir()))
    assert {file.parent for file in files} == {tmp_path / "figures"}


def test_regressions_show_values_against_values_and_the_fitted_curve(tmp_path: Path) -> None:
    run = made(tmp_path / "run", MadeRun([0.01, 0.02], "sinc", classes=0, test=50))
    values = values_of(run)
    x = np.linspace(-6, 6, 50, dtype=np.float32)[:, None]
    found = pictures(run, lambda _: Examples(x, values.target.astype(np.float32)))
    assert set(found) == {"loss", "mean_absolute_error", "test-loss", "test-mean_absolute_error", "predicted", "fitted"}
    root = np.sqrt(((values.value - values.target) ** 2).mean(axis=(1, 2))).mean()
    assert f"Root mean square error {root:.4g}, R² 0.9" in found["predicted"].caption
    assert drawn(found["fitted"], "trial-") == ["trial-1-1", "trial-2-1"]
    assert drawn(found["fitted"], "fitted-") == ["fitted-1"]
    assert gallery([run]).missing["sinc"] == ["the fitted curve: the test examples were not loaded"]


def test_several_values_have_a_panel_each(tmp_path: Path) -> None:
    run = made(tmp_path / "run", MadeRun([0.01], "many", classes=0, test=20))
    rng = np.random.default_rng(0)
    target = rng.normal(size=(20, 8)).astype(np.float32)
    np.savez(run.trials[0].folder / "predictions.npz", value=target + 0.1, target=target)
    picture = pictures(run)["predicted"]
    assert len(drawn(picture, "values-")) == 6
    assert "Shown are the first 6 of 8 values." in picture.caption


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"probability": np.zeros((3, 4)), "label": np.zeros(3, int)}, "and there are 3 labels and 5 classes"),
        ({"probability": np.zeros((3, 5)), "label": np.array([0, 1, 5])}, "labels go beyond the 5 classes"),
        ({"label": np.zeros(3, int)}, "have no 'probability'"),
        ({"probability": np.zeros((0, 5)), "label": np.zeros(0, int)}, "0 labels"),
    ],
)
def test_predictions_that_contradict_the_run_are_said_so(tmp_path: Path, arrays: Any, message: str) -> None:
    run = made(tmp_path / "run", MadeRun([0.9]))
    np.savez(run.trials[0].folder / "predictions.npz", **arrays)
    with pytest.raises(RunError, match=message):
        each_trial(run)
    assert message in gallery([run]).missing["original"][0]


@pytest.mark.parametrize(("kind", "whole"), [("AUC", True), ("MeanAbsoluteError", False)])
@pytest.mark.parametrize("name", ["accuracy", "ranking"])
def test_an_axis_goes_up_to_1_for_metrics_that_do(tmp_path: Path, name: str, kind: str, whole: bool) -> None:
    """Keras's class says it, whatever the recipe calls the metric."""
    history = {f"{part}_{name}": [0.2, 0.3, 0.4] for part in ("train", "test")}
    run = made(tmp_path / "run", MadeRun([0.4], classes=4, epochs=3), history)
    recipe = {**run.recipe, "metrics": [{"type": kind, "name": name}]}
    run = replace(run, config={**run.config, "train": recipe})
    with drawing():
        (axes,) = pictures(run)[name].make().axes
    assert (axes.get_ylim()[1] > 1) == whole


def test_a_run_and_an_experiment_are_drawn_into_their_folders(experiment: Path) -> None:
    files = draw_run(experiment / "plain")
    assert [file.name for file in files] == ["loss.svg", "loss.png", "accuracy.svg", "accuracy.png"]
    assert {file.parent for file in files} == {experiment / "plain"}
    assert {file.name for file in draw_experiment(experiment) if file.suffix == ".svg"} == {
        "test-accuracy.svg",
        "test-loss.svg",
        "compared-loss.svg",
        "compared-accuracy.svg",
    }


def test_nothing_to_draw_is_no_mistake(tmp_path: Path) -> None:
    assert list(Gallery()) == Gallery().save(tmp_path / "empty") == []
