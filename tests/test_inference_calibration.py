"""Calibration: what is measured, temperatures that are found again, files of them; no framework."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from specdsl.inference.calibration import (
    CALIBRATION,
    calibrate,
    fit_temperature,
    negative_log_likelihood,
    quality,
    read_calibrations,
    store,
    stored,
    tempered,
)
from specdsl.runs import RunError
from specdsl.runs.reliability import expected_calibration_error


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def drawn(count: int = 20_000, classes: int = 5, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Logits, and labels that are drawn by their very probabilities."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, classes))
    labels = (random.random((count, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1)
    return logits, labels.clip(0, classes - 1)


@pytest.mark.parametrize("wrong", [0.5, 1.0, 2.5])
def test_a_temperature_is_found_again(wrong: float) -> None:
    """Logits that were multiplied by a number need that number as their temperature, to sampling error."""
    logits, labels = drawn()
    found = fit_temperature(softmax(logits * wrong), labels)
    assert found == pytest.approx(wrong, rel=0.03)
    mended = quality(tempered(softmax(logits * wrong), found), labels)
    assert mended["expected_calibration_error"] < 0.012
    assert mended["negative_log_likelihood"] <= negative_log_likelihood(softmax(logits * wrong), labels) + 1e-9


@given(
    arrays.arrays(np.float64, (7, 4), elements=st.floats(-30, 30)),
    st.floats(0.05, 20),
)
def test_tempered_probabilities_are_those_of_divided_logits(logits: NDArray[Any], temperature: float) -> None:
    """And they sum to 1, keep the order, and are unchanged at 1."""
    probability = softmax(logits)
    assert tempered(probability, temperature) == pytest.approx(
        softmax(np.log(probability.clip(1e-30)) / temperature), abs=1e-6
    )
    assert tempered(probability, temperature).sum(axis=1) == pytest.approx(np.ones(7), abs=1e-6)
    assert tempered(probability, 1.0) == pytest.approx(probability, abs=1e-6)


def reference_error(probability: NDArray[Any], label: NDArray[Any], bins: int) -> float:
    """The definition word by word: bins that leave out their lower end and hold their upper one."""
    total = 0.0
    confidence, answer = probability.max(axis=1), probability.argmax(axis=1)
    for number in range(bins):
        within = (confidence > number / bins) & (confidence <= (number + 1) / bins)
        if within.any():
            accuracy = (answer[within] == label[within]).mean()
            total += within.sum() / len(label) * abs(accuracy - confidence[within].mean())
    return float(total)


@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([1, 2, 10, 15]))
def test_the_calibration_error_is_that_of_its_definition(seed: int, count: int, bins: int) -> None:
    random = np.random.default_rng(seed)
    probability = softmax(random.normal(0, 3, (count, 3)))
    label = random.integers(0, 3, count)
    assert expected_calibration_error(probability, label, bins) == pytest.approx(
        reference_error(probability, label, bins), abs=1e-9
    )


def test_worked_examples() -> None:
    """Two of three answers at 0.8 are right: the error is 0.8 - 2/3; certainty that is right has none."""
    probability = np.array([[0.8, 0.2], [0.8, 0.2], [0.2, 0.8]])
    assert expected_calibration_error(probability, np.array([0, 0, 0])) == pytest.approx(0.8 - 2 / 3)
    assert negative_log_likelihood(probability, np.array([0, 0, 0])) == pytest.approx(
        -(2 * math.log(0.8) + math.log(0.2)) / 3
    )
    sure = np.eye(3)
    assert expected_calibration_error(sure, np.arange(3)) == 0
    assert negative_log_likelihood(sure, np.arange(3)) == 0
    assert math.isfinite(negative_log_likelihood(sure, np.array([1, 2, 0])))


def test_temperatures_are_stored_with_a_run(tmp_path: Path) -> None:
    """One for each choice of trials and views, in place of the one before; other models have none."""
    logits, labels = drawn(500)
    files = [tmp_path / f"{number}.keras" for number in (1, 2)]
    for file in files:
        file.write_bytes(file.name.encode())
    one = calibrate(softmax(logits * 2), labels, trials=[1], views=1, models=files[:1])
    both = calibrate(softmax(logits * 3), labels, trials=[1, 2], views=1, models=files)
    assert read_calibrations(tmp_path) == ()
    store(tmp_path, [one])
    store(tmp_path, [both])
    assert read_calibrations(tmp_path) == (one, both)
    assert stored(tmp_path, [1], 1, files[:1]) == one
    assert stored(tmp_path, [1], 4, files[:1]) is None
    assert stored(tmp_path, [2], 1, files[1:]) is None
    again = calibrate(softmax(logits), labels, trials=[1], views=1, models=files[:1])
    store(tmp_path, [again])
    assert read_calibrations(tmp_path) == (again, both)
    files[0].write_bytes(b"trained again")
    assert stored(tmp_path, [1], 1, files[:1]) is None


def test_searches_without_an_end(tmp_path: Path) -> None:
    """Where all is answered right, no temperature is too low, and none is fitted; where all is wrong, none too high."""
    file = tmp_path / "model.keras"
    file.write_bytes(b"")
    probability = softmax(np.eye(3)[np.array([0, 1, 2, 0])] * 4)
    with pytest.raises(RunError, match="answers every validation example right"):
        fit_temperature(probability, np.array([0, 1, 2, 0]))
    assert calibrate(probability, np.array([1, 2, 0, 1]), trials=[1], views=1, models=[file]).at_a_bound
    logits, labels = drawn(500)
    assert not calibrate(softmax(logits), labels, trials=[1], views=1, models=[file]).at_a_bound


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"temperatures": [{"temperature": 1}]}', '{"temperatures": [3]}'])
def test_a_damaged_file_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / CALIBRATION).write_text(text)
    with pytest.raises(RunError, match=CALIBRATION):
        read_calibrations(tmp_path)
