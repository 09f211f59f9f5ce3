"""Evaluations and predictions as tables, JSON and CSV."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from specdsl.backends.table import Column, Line, layout
from specdsl.inference.answering import Answers, Prediction
from specdsl.inference.calibration import Calibration
from specdsl.inference.evaluating import Evaluation, Measured
from specdsl.runs.reliability import BINS

SCHEMA = 1
"""The version of what is written as JSON."""

_NAMES = {
    "negative_log_likelihood": "negative log-likelihood",
    "expected_calibration_error": f"calibration error, {BINS} bins",
}
"""What is called otherwise in tables than in data."""


def evaluation_lines(evaluation: Evaluation, width: int, per_class: bool) -> Iterator[str]:
    """An evaluation for a terminal: a row for each quantity, a column for each trial."""
    views = f", the mean of {evaluation.views} views of each" if evaluation.views else ""
    what = "images" if evaluation.run.takes_images else "examples"
    yield f"{evaluation.run.name} on {evaluation.data}, {evaluation.part}: {evaluation.examples:,} {what}{views}"
    yield ""
    shown = _columns(evaluation)
    rows = [
        [
            _cell(_NAMES.get(name, name.replace("_", " "))),
            *(_cell(_number(values.get(name))) for values in shown.values()),
        ]
        for name in dict.fromkeys(name for values in shown.values() for name in values)
    ]
    yield from layout([Column("", least=12), *(Column(head, right=True) for head in shown)], rows, width)
    yield ""
    yield from _remarks(evaluation)
    if per_class:
        yield ""
        rows = [[_cell(cell) for cell in row] for row in _class_rows(evaluation)]
        heads = [Column("Class", right=True), Column("Name", least=12), Column("Images", right=True)]
        yield from layout([*heads, Column("Accuracy", right=True)], rows, width)


def _columns(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """The values of each column, by its heading."""
    columns = {f"trial {one.trials[0]}": _values(one) for one in evaluation.trials}
    if len(columns) > 1:
        columns["mean"] = {
            name: sum(values[name] for values in columns.values()) / len(columns)
            for name in next(iter(columns.values()))
            if all(name in values for values in columns.values())
        }
    if evaluation.ensemble:
        columns["ensemble"] = _values(evaluation.ensemble)
    return columns


def _values(measured: Measured) -> dict[str, float]:
    calibration = measured.calibration
    after = {f"{_NAMES[name]}, calibrated": value for name, value in measured.calibrated.items()}
    return {**measured.values, **({"temperature": calibration.temperature} if calibration else {}), **after}


def _remarks(evaluation: Evaluation) -> Iterator[str]:
    every = [*evaluation.trials, *([evaluation.ensemble] if evaluation.ensemble else [])]
    differing = [one for one in evaluation.trials if one.differs]
    for one in differing:
        told = ", ".join(f"{name.replace('_', ' ')} {one.recorded[name]:.6g}" for name in one.differs)
        yield f"The run recorded something else for trial {one.trials[0]}: {told}."
    if not differing and any(one.recorded for one in evaluation.trials):
        yield "The run recorded the same."
    if evaluation.ensemble:
        count = len(evaluation.ensemble.trials)
        yield f"Ensemble: the mean of what the models of {count} trials answer to an example."
    if any("expected_calibration_error" in one.values for one in every):
        fitted = [one.calibration for one in every if one.calibration]
        if fitted:
            yield f"Calibrated: with temperatures that were fitted to {fitted[0].examples:,} validation images."
        elif evaluation.run.recipe.data.validation is None:
            yield "The probabilities are not calibrated, and the run kept no validation images to do it by."
        else:
            yield "The probabilities are not calibrated: --calibrate fits a temperature to the validation images."


def _class_rows(evaluation: Evaluation) -> Iterator[list[str]]:
    """Each class with its accuracy, the mean over trials."""
    for same in zip(*(one.classes for one in evaluation.trials), strict=True):
        first = same[0]
        share = sum(one.right for one in same) / (len(same) * first.images) if first.images else None
        yield [str(first.label), printable(first.name), f"{first.images:,}", "" if share is None else f"{share:.4f}"]


def evaluation_json(evaluation: Evaluation, per_class: bool) -> dict[str, Any]:
    """An evaluation as JSON has it."""
    return {
        "schema": SCHEMA,
        "run": os.fspath(evaluation.run.record.folder),
        "model": evaluation.run.record.model,
        "data": evaluation.data,
        "own_data": evaluation.own,
        "part": evaluation.part,
        "examples": evaluation.examples,
        "views": evaluation.views,
        "trials": [_measured_json(one, per_class) for one in evaluation.trials],
        "mean": evaluation.mean,
        "ensemble": _measured_json(evaluation.ensemble, per_class) if evaluation.ensemble else None,
    }


def _measured_json(measured: Measured, per_class: bool) -> dict[str, Any]:
    classes = {
        "classes": [
            {"class": one.label, "name": one.name, "images": one.images, "right": one.right} for one in measured.classes
        ]
    }
    return {
        "trials": list(measured.trials),
        "values": dict(measured.values),
        "recorded": dict(measured.recorded) or None,
        "temperature": measured.calibration.temperature if measured.calibration else None,
        "calibrated": dict(measured.calibrated) or None,
        **(classes if per_class else {}),
    }


def evaluation_csv(evaluation: Evaluation, per_class: bool) -> str:
    """An evaluation as CSV: a row for each value of each trial, and of each class where that is asked for."""
    rows: list[list[Any]] = [["trial", "part", "quantity", "value", "recorded"]]
    named = [(str(one.trials[0]), one) for one in evaluation.trials]
    if evaluation.ensemble:
        named.append(("ensemble", evaluation.ensemble))
    for trial, one in named:
        for name, value in one.values.items():
            rows.append([trial, evaluation.part, name, f"{value:.9g}", _exact(one.recorded.get(name))])
        if one.calibration:
            rows.append([trial, evaluation.part, "temperature", f"{one.calibration.temperature:.9g}", ""])
        rows += [
            [trial, evaluation.part, f"calibrated_{name}", f"{value:.9g}", ""] for name, value in one.calibrated.items()
        ]
        for each in one.classes if per_class else ():
            share = each.right / each.images if each.images else None
            rows.append([trial, evaluation.part, f"accuracy of class {each.label}", _exact(share), ""])
    return _csv(rows)


def answers_lines(answers: Answers, width: int) -> Iterator[str]:
    """Predictions for a terminal."""
    if not answers.predictions:
        return
    if answers.class_names:
        head = [Column("Image", least=16), Column("Class", right=True), Column("Name", least=12)]
        last = Column("Probability" if answers.probabilities else "Score", right=True)
        rows = [
            [
                _cell(printable(one.name) if rank == 0 else ""),
                _cell(str(label)),
                _cell(printable(name)),
                _cell(f"{p:.4f}"),
            ]
            for one in answers.predictions
            for rank, (label, name, p) in enumerate(answers.top(one))
        ]
        yield from layout([*head, last], rows, width)
    else:
        rows = [
            [_cell(printable(one.name)), _cell(", ".join(f"{v:.6g}" for v in one.answer))]
            for one in answers.predictions
        ]
        yield from layout([Column("Example", least=16), Column("Prediction", least=12)], rows, width)
    yield ""
    yield from notes(answers.predictions)
    yield said_of(answers)


def notes(predictions: Iterable[Prediction]) -> Iterator[str]:
    """What was done to pictures, each kind of thing once, with the number of pictures."""
    counts: dict[str, int] = {}
    for one in predictions:
        for note in one.notes:
            counts[note] = counts.get(note, 0) + 1
    for note, count in counts.items():
        yield f"{count:,} {'image' if count == 1 else 'images'}: {note}."


def said_of(answers: Answers) -> str:
    """Whose answers these are, and whether their probabilities can be believed."""
    whose = f"{answers.model}, trial {answers.trials[0]}"
    if len(answers.trials) > 1:
        whose = f"{answers.model}, the mean of {len(answers.trials)} trials"
    if answers.views:
        whose += f", the mean of {answers.views} views of each image"
    if not answers.class_names:
        return f"{whose}."
    if not answers.probabilities:
        return f"{whose}; the scores are no probabilities."
    return f"{whose}; {calibration_words(answers.calibration, answers.can_be_calibrated)}."


def calibration_words(calibration: Calibration | None, possible: bool) -> str:
    """Whether probabilities are calibrated, and else what could be done about it."""
    if calibration:
        return (
            f"probabilities calibrated with the temperature {calibration.temperature:.3f}, "
            f"fitted to {calibration.examples:,} validation images"
        )
    if possible:
        return (
            "probabilities not calibrated: `specdsl evaluate RUN --calibrate` fits a temperature to validation images"
        )
    return "probabilities not calibrated, for the run kept no validation images to do it by"


def answers_json(answers: Answers, failed: Mapping[str, str]) -> dict[str, Any]:
    """Predictions as JSON has them."""
    return {
        "schema": SCHEMA,
        "run": answers.run,
        "model": answers.model,
        "trials": list(answers.trials),
        "views": answers.views,
        "probabilities": answers.probabilities,
        "calibrated": answers.calibration is not None,
        "temperature": answers.calibration.temperature if answers.calibration else None,
        "predictions": [
            {"source": printable(one.name)}
            | ({"size": list(one.size)} if one.size else {})
            | ({"notes": list(one.notes)} if one.notes else {})
            | (
                {"top": [{"class": c, "name": name, "probability": p} for c, name, p in answers.top(one)]}
                if answers.class_names
                else {"values": [float(value) for value in one.answer]}
            )
            for one in answers.predictions
        ],
        "failed": [{"source": printable(name), "reason": reason} for name, reason in failed.items()],
    }


def answers_csv(answers: Answers) -> str:
    """Predictions as CSV: a row for each class told of each image, or for each example with its values."""
    if not answers.class_names:
        values = len(answers.predictions[0].answer) if answers.predictions else 1
        rows: list[list[Any]] = [["example", *(f"value_{number + 1}" for number in range(values))]]
        rows += [[printable(one.name), *(f"{value:.9g}" for value in one.answer)] for one in answers.predictions]
        return _csv(rows)
    rows = [["image", "rank", "class", "name", "probability" if answers.probabilities else "score"]]
    rows += [
        [printable(one.name), rank, label, name, f"{p:.9g}"]
        for one in answers.predictions
        for rank, (label, name, p) in enumerate(answers.top(one), start=1)
    ]
    return _csv(rows)


def printable(text: str) -> str:
    """A name as it can be printed: bytes that are no text, and what would move the cursor, become question marks."""
    known = os.fsencode(text).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in known)


def _cell(text: str) -> Sequence[Line]:
    return (Line(text),)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
