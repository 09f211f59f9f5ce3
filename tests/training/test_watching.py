"""How often what is remembered of trials is written, and the table of their epochs."""

from __future__ import annotations

import pytest

from specdsl.runs.history import Epoch, History
from specdsl.training import watching
from specdsl.training.watching import LOSS_AT_MOST, Pace


def test_trials_together_are_written_after_the_same_epochs_and_cost_a_twentieth_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many there are: each of 24 alone would be due as often as if there were no others."""
    now = 0.0
    monkeypatch.setattr(watching, "perf_counter", lambda: now)

    def write() -> None:
        nonlocal now
        now += 0.01

    for trials, ended in ((1, 400), (24, 400)):
        pace, began, written = Pace(None), now, []
        for epoch in range(1, ended + 1):
            now += 0.1
            due = [pace.due(epoch) for _ in range(trials)]
            assert len(set(due)) == 1
            for _ in range(trials if due[0] else 0):
                pace.write(write)
            written += [epoch] * due[0]
        assert 0.03 < len(written) * trials * 0.01 / (now - began) < 0.055
    pace = Pace(None)
    pace.due(1)
    pace.write(lambda: None)
    assert not Pace(None, at_least=1.0).due(1)
    slow, now = Pace(None), now
    assert slow.due(1)

    def slowly() -> None:
        nonlocal now
        now += 100.0

    slow.write(slowly)
    now += LOSS_AT_MOST - 1
    assert not slow.due(2)
    now += 2
    assert slow.due(3)
    assert [Pace(3).due(epoch) for epoch in range(1, 7)] == [False, False, True] * 2


def test_the_table_of_epochs_is_that_of_the_epochs_whatever_was_written_before() -> None:
    def epoch(number: int, loss: float) -> Epoch:
        return Epoch(
            number, {"train": {"loss": loss}, "test": {"loss": loss / 3}} if number % 2 else {"train": {}}, 1, 9
        )

    history = History(["loss"], validated=False)
    for number in range(1, 5):
        history.epochs.append(epoch(number, number / 7))
        assert history.to_csv() == History(["loss"], False, list(history.epochs)).to_csv()
    history.epochs[2:] = [epoch(3, 0.5)]
    assert history.to_csv() == History(["loss"], False, list(history.epochs)).to_csv()
    assert history.to_csv().splitlines()[2] == "2,,,nan,1.000,9.0"
    assert len(history.to_csv().splitlines()) == 4
