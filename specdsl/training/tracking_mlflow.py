"""Runs in MLflow: one for the run, and within it one for each trial."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from time import time
from typing import Any

# Where a server is gone, training should not wait for minutes; and a folder is a place that somebody may ask for.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from specdsl.runs.history import Epoch
from specdsl.runs.layout import MODEL, PREDICTIONS, SPEC, trial_folder
from specdsl.runs.records import RunSummary, TrialSummary
from specdsl.training.tracking import Described, flattened

LONGEST = 500
"""How long a parameter may be on every kind of store."""

AT_ONCE = 100
"""How many parameters are sent together at the most."""


def open_run(run: Described, place: str | None, models: bool) -> Mlflow:
    """Begin a run in MLflow, or find the one that was begun.

    Args:
        run: the run.
        place: an address of a server, or a folder; by default what MLFLOW_TRACKING_URI says, or `mlruns`.
        models: whether trained models are handed over.
    """
    return Mlflow(MlflowClient(tracking_uri=_address(place)), run, models)


def reach(place: str | None, begun: Sequence[Path]) -> None:
    """Ask whether anybody is there; raises what the client raises where nobody is. Of runs there is nothing to ask."""
    MlflowClient(tracking_uri=_address(place)).search_experiments(max_results=1)


class Mlflow:
    """A run in MLflow, with its recipe as parameters and the spec as an artifact; its trials are runs within it.

    Args:
        client: the connection.
        run: the run.
        models: whether trained models are handed over.
    """

    def __init__(self, client: Any, run: Described, models: bool) -> None:
        self._client, self._run, self._models = client, run, models
        found = client.get_experiment_by_name(run.experiment)
        self._experiment = found.experiment_id if found else client.create_experiment(run.experiment)
        self._trials: dict[int, str] = {}
        self._last: dict[int, int] = {}
        self._whole = self._begun({"specdsl.run": self._key}, run.name)

    @property
    def _key(self) -> str:
        # MLflow's search has no way to write a quote within a text.
        return str(self._run.folder.absolute()).replace("'", "_")

    def logged(self, trial: int) -> int:
        """The last epoch of a trial that MLflow has."""
        if trial not in self._last:
            identity = self._of(trial)
            history = self._client.get_metric_history(identity, "train_loss") if self._run.resumed else []
            self._last[trial] = max((metric.step for metric in history), default=0)
        return self._last[trial]

    def epoch(self, trial: int, epoch: Epoch) -> None:
        """Send the values of an epoch."""
        values = epoch.flat() | {"learning_rate": epoch.learning_rate, "images_per_second": epoch.images_per_second}
        self._send(self._of(trial), values, epoch.number)
        self._last[trial] = epoch.number

    def trial_end(self, summary: TrialSummary, folder: Path) -> None:
        """Send the values of the weights that are kept, and what the trial left in its folder."""
        identity = self._of(summary.trial)
        self._send(identity, {f"kept_{name}": value for name, value in summary.final.items()}, summary.kept_epoch)
        for name in (PREDICTIONS, *([MODEL] if self._models else [])):
            if (folder / name).exists():
                self._client.log_artifact(identity, str(folder / name))
        state = "FINISHED" if summary.well and not summary.interrupted else "KILLED" if summary.well else "FAILED"
        self._client.set_terminated(identity, state)

    def end(self, summary: RunSummary) -> None:
        """Send the means over trials and the curves."""
        self._send(self._whole, {f"mean_{name}": value for name, value in summary.mean.items()}, 0)
        for figure in sorted(summary.folder.glob("*.svg")):
            self._client.log_artifact(self._whole, str(figure))
        self._client.set_terminated(self._whole, "KILLED" if summary.interrupted else "FINISHED")

    def _begun(self, tags: dict[str, str], name: str) -> str:
        """The run of some tags: the one that was begun, where a run is gone on with, or a new one."""
        if self._run.resumed:
            asked = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in tags.items())
            for found in self._client.search_runs([self._experiment], asked, max_results=50):
                if "specdsl.trial" in tags or "specdsl.trial" not in found.data.tags:
                    identity = str(found.info.run_id)
                    self._client.update_run(identity, "RUNNING")
                    return identity
        parent = {} if "specdsl.trial" not in tags else {"mlflow.parentRunId": self._whole}
        made = self._client.create_run(self._experiment, tags=tags | parent, run_name=name)
        identity = str(made.info.run_id)
        self._describe(identity)
        return identity

    def _describe(self, identity: str) -> None:
        """Send what a run depends on."""
        config = {name: value for name, value in self._run.config.items() if name not in ("request", "schema")}
        sent = [Param(name, value[:LONGEST]) for name, value in flattened(config) if value]
        for first in range(0, len(sent), AT_ONCE):
            self._client.log_batch(identity, params=sent[first : first + AT_ONCE])
        if (self._run.folder / SPEC).is_dir():
            self._client.log_artifacts(identity, str(self._run.folder / SPEC), "spec")

    def _of(self, trial: int) -> str:
        if trial not in self._trials:
            tags = {"specdsl.run": self._key, "specdsl.trial": str(trial)}
            self._trials[trial] = self._begun(tags, f"{self._run.name}, {trial_folder(Path(), trial)}")
        return self._trials[trial]

    def _send(self, identity: str, values: dict[str, float], step: int) -> None:
        now = int(time() * 1000)
        self._client.log_batch(identity, metrics=[Metric(name, value, now, step) for name, value in values.items()])


def _address(place: str | None) -> str:
    """The address of a store: as it is given, or that of a folder."""
    place = place or os.environ.get("MLFLOW_TRACKING_URI") or "mlruns"
    return place if "://" in place or place.startswith(("file:", "databricks")) else Path(place).absolute().as_uri()
