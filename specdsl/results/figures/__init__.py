"""Figures of runs and experiments. Importing this imports matplotlib: import it late."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from specdsl.results.figures.calibrated import reliability
from specdsl.results.figures.classes import class_accuracies, confusion_matrix, frequent_confusions
from specdsl.results.figures.curves import compared_curves, run_curves
from specdsl.results.figures.dots import dots
from specdsl.results.figures.mistakes import worst_mistakes
from specdsl.results.figures.predictions import chosen, each_trial, values_of
from specdsl.results.figures.regression import fitted_curve, predicted_against_true
from specdsl.results.figures.series import CONFIDENCE
from specdsl.results.figures.style import Picture, file_name, unlike
from specdsl.runs import RunError, RunRecord, read

if TYPE_CHECKING:
    from specdsl.data import Examples

__all__ = ["Gallery", "Picture", "draw_experiment", "draw_run", "gallery", "of_models", "of_run"]

TestData = Callable[[RunRecord], "Examples | str"]
"""Gives the test examples that a run was evaluated on, or says why there are none."""


@dataclass
class Gallery:
    """All figures of some runs.

    Attributes:
        together: those that set the runs side by side.
        runs: by run, those of each alone.
        missing: what could not be drawn, and why, by run.
    """

    together: list[Picture] = field(default_factory=list)
    runs: dict[str, list[Picture]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Picture]:
        yield from self.together
        for pictures in self.runs.values():
            yield from pictures

    def save(self, folder: Path) -> list[Path]:
        """Write all of them, as SVG and PNG, into a folder that is made if it is not there.

        Raises:
            OSError: a file cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        return [file for picture in self for file in picture.save(folder)]


def draw_run(folder: Path) -> list[Path]:
    """Draw the curves of a run into its folder: the loss, every metric, the learning rate where it varies.

    Raises:
        RunError: the folder holds no run, or one that is damaged.
        OSError: a file cannot be written.
    """
    return [file for run in read([folder]) for picture in run_curves(run) for file in picture.save(folder)]


def draw_experiment(folder: Path) -> list[Path]:
    """Draw the models of an experiment side by side into its folder: their test curves, and what each trial came to.

    Raises:
        RunError: the folder holds no experiment, or what it holds is damaged.
        OSError: a file cannot be written.
    """
    return [file for picture in of_models(read([folder])) for file in picture.save(folder)]


def gallery(
    runs: Sequence[RunRecord],
    test: TestData | None = None,
    published: Mapping[str, Mapping[str, float]] | None = None,
    trial: int | None = None,
    confidence: float = CONFIDENCE,
    note: str = "",
) -> Gallery:
    """All figures that runs give.

    Args:
        runs: the runs, each with a key of its own.
        test: the test examples; without them what shows any is left out.
        published: by run, published final values such as `test_accuracy`.
        trial: the trial whose predictions are shown class by class; by default the average of all.
        confidence: of all intervals.
        note: what has to be known of the published values.
    """
    found = Gallery(together=list(of_models(runs, published, confidence, note)))
    stems = {"test", "compared"}  # what files of several runs begin with
    for run in runs:
        missing: list[str] = []
        stem = unlike(file_name(run.key), stems)
        stems.add(stem)
        found.runs[run.key] = list(of_run(run, missing, test, f"{stem}-" if len(runs) > 1 else "", trial, confidence))
        if missing:
            found.missing[run.key] = missing
    return found


def of_models(
    runs: Sequence[RunRecord],
    published: Mapping[str, Mapping[str, float]] | None = None,
    confidence: float = CONFIDENCE,
    note: str = "",
) -> Iterator[Picture]:
    """Figures that set runs side by side: final values as dots, of metrics and of the loss, and mean test curves."""
    metrics = list(dict.fromkeys(metric for run in runs for metric in run.metrics))
    for metric in [*(one for one in metrics if one != "loss"), *(["loss"] if "loss" in metrics else [])]:
        names = (f"test_{metric}", f"test_{metric}_mean")
        elsewhere = {key: values[name] for key, values in (published or {}).items() for name in names if name in values}
        picture = dots(runs, metric, published=elsewhere, confidence=confidence, note=note)
        if picture:
            yield picture
    yield from compared_curves(runs, confidence=confidence)


def of_run(
    run: RunRecord,
    missing: list[str],
    test: TestData | None = None,
    prefix: str = "",
    trial: int | None = None,
    confidence: float = CONFIDENCE,
) -> Iterator[Picture]:
    """The figures of one run: curves, then what its predictions show.

    Args:
        run: the run.
        missing: is told what cannot be drawn, and why.
        test: the test examples; without them what shows any is left out.
        prefix: what the names of the files begin with.
        trial: the trial whose predictions are shown class by class; by default the average of all.
        confidence: of all intervals.
    """
    yield from run_curves(run, prefix, confidence)
    try:
        if run.data["task"] == "classification":
            yield from _of_classes(run, missing, test, prefix, trial, confidence)
        else:
            yield from _of_values(run, missing, test, prefix)
    except RunError as error:
        missing.append(f"figures of predictions: {error.message}")


def _of_classes(
    run: RunRecord, missing: list[str], test: TestData | None, prefix: str, trial: int | None, confidence: float
) -> Iterator[Picture]:
    trials = each_trial(run)
    guesses = chosen(trials, run, trial)
    yield confusion_matrix(guesses, run.key, prefix)
    confusions = frequent_confusions(guesses, run.key, prefix)
    if confusions:
        yield confusions
    yield class_accuracies(guesses, run.key, prefix, confidence)
    if all(one.distributions for one in trials):
        yield reliability(trials, run.key, prefix)
    else:
        missing.append("reliability: what the model gives out are no probabilities")
    if len(run.data["shape"]) != 3:
        return
    examples = test(run) if test else "the test images were not loaded"
    if isinstance(examples, str):
        missing.append(f"most confident mistakes: {examples}")
    elif len(examples) != len(guesses.label) or not (examples.y == guesses.label).all():
        missing.append("most confident mistakes: the test images at hand are not those of the run")
    elif picture := worst_mistakes(guesses, examples.x, run.key, prefix):
        yield picture


def _of_values(run: RunRecord, missing: list[str], test: TestData | None, prefix: str) -> Iterator[Picture]:
    values = values_of(run)
    yield predicted_against_true(values, run.key, prefix)
    if tuple(run.data["shape"]) != (1,):
        return
    examples = test(run) if test else "the test examples were not loaded"
    if isinstance(examples, str):
        missing.append(f"the fitted curve: {examples}")
    elif examples.y.shape != values.target.shape or not (examples.y == values.target.astype("float32")).all():
        missing.append("the fitted curve: the test examples at hand are not those of the run")
    else:
        yield fitted_curve(values, examples.x[:, 0], run.key, prefix)
