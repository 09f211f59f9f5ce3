"""An engine of a few lines of numpy, for tests of what stands around engines: a softmax layer, momentum and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.runs.history import Epoch
from specdsl.training.engine import Job, Outcome, Part, Stopped, Watcher, never, same_keys
from specdsl.training.ways import Way


class NumpyTrial:
    """Trains one dense layer; draws noise from a generator whose state is part of the trial's, as dropout's is."""

    parameters = 7

    def __init__(self, job: Job) -> None:
        self.job = job
        features = self._x(job.train.x[:1]).shape[1]
        rng = np.random.default_rng(job.streams.weights())
        self.weight = rng.normal(0, 0.01, (features, int(job.train.y.max()) + 1))
        self.momentum = np.zeros_like(self.weight)
        self.drawn = np.zeros((), np.uint32)

    def check(self) -> None:
        pass

    def train(self, watcher: Watcher, after: int = 0) -> Outcome:
        for epoch in range(after, self.job.recipe.epochs):
            order = self.job.streams.order(epoch, len(self.job.train))
            batch, losses = self.job.recipe.batch, []
            for step in range(self.job.steps):
                rows = order[step * batch : (step + 1) * batch]
                x, y = self._x(self.job.train.x[rows]), self.job.train.y[rows]
                x = x * np.random.default_rng([7, int(self.drawn)]).uniform(0.5, 1.5, x.shape)
                self.drawn = self.drawn + np.uint32(1)
                p = self._softmax(x)
                losses.append(float(-np.log(p[np.arange(len(y)), y]).mean()))
                p[np.arange(len(y)), y] -= 1
                self.momentum = 0.9 * self.momentum - self._rate() * x.T @ p / len(y)
                self.weight = self.weight + self.momentum
                if watcher.stopping():
                    return Outcome(stopped=True)
                watcher.on_step(epoch + 1, step + 1, {"loss": losses[-1]}, 1000.0)
            loss = float(np.mean(losses))
            if not np.isfinite(loss):
                return Outcome(diverged=f"the loss was no number any more in epoch {epoch + 1}")
            values = {"train": {"loss": loss, "accuracy": 0.5}}
            watcher.on_epoch(Epoch(epoch + 1, values, 0.5, len(self.job.train), self._rate()))
            if watcher.stopping():
                return Outcome(stopped=True)
        return Outcome()

    def state(self) -> dict[str, NDArray[Any]]:
        return {"weight": self.weight.copy(), "momentum": self.momentum.copy(), "drawn": self.drawn.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        same_keys(state, self.state())
        self.weight, self.momentum, self.drawn = (state[name].copy() for name in ("weight", "momentum", "drawn"))

    def weights(self) -> dict[str, NDArray[Any]]:
        return {"weight": self.weight.copy()}

    def use(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self.weight = weights["weight"].copy()

    def evaluate(self, part: Part, stopping: Callable[[], bool] = never) -> dict[str, float]:
        if stopping():
            raise Stopped
        examples = self.job.examples(part)
        p = self._softmax(self._x(examples.x))
        loss = -np.log(p[np.arange(len(examples)), examples.y]).mean()
        return {"loss": float(loss), "accuracy": float((p.argmax(axis=1) == examples.y).mean())}

    def predict(self, part: Part, stopping: Callable[[], bool] = never) -> NDArray[np.float32]:
        return self._softmax(self._x(self.job.examples(part).x)).astype(np.float32)

    def save(self, file: Path) -> None:
        file.write_bytes(self.weight.tobytes())

    def _rate(self) -> float:
        return float(self.job.recipe.optimizer.settings()["learning_rate"])

    def _softmax(self, x: NDArray[Any]) -> NDArray[Any]:
        z = np.exp(np.clip(x @ self.weight, -700, 700) - np.max(x @ self.weight, axis=1, keepdims=True))
        p: NDArray[Any] = z / z.sum(axis=1, keepdims=True)
        return p

    @staticmethod
    def _x(x: NDArray[np.uint8]) -> NDArray[np.float64]:
        return x[:, ::4, ::4].reshape(len(x), -1) / 255.0 - 0.5


class NumpyGroup:
    """Trials one after the other, as if they were trained together."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.trials = [NumpyTrial(job) for job in jobs]

    def train(self, watchers: Sequence[Watcher], after: int = 0) -> list[Outcome]:
        return [trial.train(watcher, after) for trial, watcher in zip(self.trials, watchers, strict=True)]


def group(jobs: Sequence[Job], way: Way) -> NumpyGroup:
    """Trials that are trained together."""
    return NumpyGroup(jobs)
