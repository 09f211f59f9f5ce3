"""The folders of runs: what lies in them, how it is written so that nothing is lost, and reading it. Needs numpy alone."""

from specdsl.runs.files import RunError
from specdsl.runs.layout import default_folder
from specdsl.runs.reading import RunRecord, TrialRecord, missing, read, read_experiment, read_run
from specdsl.runs.records import RunSummary, TrialSummary

__all__ = [
    "RunError",
    "RunRecord",
    "RunSummary",
    "TrialRecord",
    "TrialSummary",
    "default_folder",
    "read",
    "missing",
    "read_experiment",
    "read_run",
]
