"""How often what is remembered of trials is written, and the table of their epochs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from specdsl.runs.history import Epoch, History
from specdsl.training import watching
from specdsl.training.progress import Bars, Display
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


@pytest.mark.parametrize("columns", [40, 60, 80, None])
@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("name", ["", "dropout1"])
@pytest.mark.parametrize("epochs", [3, 300])
def test_epochs_are_told_within_the_width_of_a_terminal(
    columns: int | None, validated: bool, name: str, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole numbers, all of them in their order: in one line where there is room, or where it is a pipe."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", str(columns))
    console = Console(file=io.StringIO())
    history = History(["loss", "sparse_categorical_accuracy"], validated)
    values = {part: {"loss": 1.5 + place, history.metrics[1]: 0.25} for place, part in enumerate(history.parts)}
    with Display(console, history, epochs, 10, bars=Bars(console, len(name)) if name else None, name=name) as display:
        display.of(1).epoch(Epoch(1, values, 0.01, 1234, 0.1))
    titles, *rows = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    told = " ".join(rows).replace(name, "").split()
    told = [word for word in told if word not in ("train", "valid", "test")]
    numbers = [told[0], *(word for word in told[1:] if word != "123,400"), "123,400"]
    losses = [word for place in range(len(history.parts)) for word in (f"{1.5 + place:.4f}", "0.2500")]
    assert numbers == [f"1/{epochs}", *losses, "123,400"]
    assert len(told) == len(numbers)
    if columns is None:
        assert len(rows) == 1
    else:
        assert max(map(len, [titles, *rows])) <= columns
    ends = {place for place, sign in enumerate(titles) if sign != " " and titles[place + 1 : place + 2] in ("", " ")}
    for row in rows:
        found = {row.find("0.2500") + 5, row.find("123,400") + 6} if row != name else set()
        assert found - {4, 5} <= ends, "numbers end where their titles do"
