"""Results of runs: which trials count, what is told of them, in all forms."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from specdsl import cli
from tests.run_folders import Made, MadeRun, write_experiment


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Four models with trials of all kinds, and published figures."""
    return write_experiment(
        tmp_path / "e",
        {
            "original": MadeRun([0.94, 0.945, 0.9425, 0.935, 0.9475, 0.94]),
            "dropout1": MadeRun([0.975, 0.98, 0.9775, 0.9725, 0.98, 0.975], model="dropout1"),
            "dropout2": MadeRun([0.975, 0.9775, 0.98, 0.9725, 0.9775, Made(0.9, "interrupted")], model="dropout2"),
            "dropout3": MadeRun(
                [0.9475, 0.945, 0.95, 0.94, Made(None, "failed"), Made(None, "diverged"), Made(None, "running")],
                model="dropout3",
                planned=9,
            ),
        },
        published={"original": {"test_accuracy": 0.9409, "test_loss": 0.6107}},
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs `specdsl`; gives exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["specdsl", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_every_trial_is_told_of(experiment: Path, run) -> None:
    """Those that do not count too, with their state and what made them so."""
    code, out, _ = run("results", experiment)
    assert code == 0
    assert "dropout3      97,771  4 of 9       4" in out
    for line in ("5  failed", "6  diverged", "7  interrupted", "8–9  not begun", "out of memory"):
        assert line in out
    assert "+0.08 points" in out
