"""The folder of a run, and of an experiment: what lies where.

    RUN/config.json               everything that the run depends on
    RUN/spec/                     the text of the spec, and of the files that it imports
    RUN/versions.json             software and machine
    RUN/summary.json              how it ended, or how far it has come
    RUN/trial-1/history.csv       one row for each epoch
    RUN/trial-1/checkpoints/      what training goes on from
    RUN/trial-1/model.keras       the trained model
    RUN/trial-1/predictions.npz   what it says of each test example
    RUN/trial-1/trial.json        how the trial ended; written last
    EXPERIMENT/experiment.json    the models, each with a RUN beside it
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

CONFIG = "config.json"
SPEC = Path("spec")
VERSIONS = "versions.json"
SUMMARY = "summary.json"
EXPERIMENT = "experiment.json"

TRIAL = "trial.json"
HISTORY = "history.csv"
MODEL = "model.keras"
PREDICTIONS = "predictions.npz"
CHECKPOINTS = "checkpoints"
TRACEBACK = "traceback.txt"


def trial_folder(run: Path, number: int) -> Path:
    """The folder of a trial, from 1."""
    return run / f"trial-{number}"


def default_folder(name: str, now: datetime) -> Path:
    """Where a run goes when nobody says: `runs/<name>-<date>-<time>`."""
    return Path("runs") / f"{name}-{now:%Y%m%d-%H%M%S}"
