"""A process that trains what it is told to, an epoch whenever it is asked: how `train.py` and `gpu.py` measure.

    python -m bench.train_worker BACKEND

Orders come as lines of JSON on standard input, answers go as such to standard output. Every training runs in a thread
of its own that waits between epochs, so that those of one process can be timed in turn, warm; one runs at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from itertools import pairwise
from time import perf_counter, process_time
from typing import Any

from bench import train_jobs
from specdsl.training import exhaustion

LOSSES = 12
"""How many of the last losses are told."""


class Gate:
    """Where a training waits between epochs."""

    def __init__(self) -> None:
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self.ended = False
        self.thread = threading.Thread()
        self.failed: BaseException | None = None
        self.losses: list[float] = []
        self._left = 0
        self._ends: list[float] = []

    def wait(self) -> None:
        """An epoch is over: if no other was asked for, say so, and wait."""
        self._left -= 1
        self._ends.append(perf_counter())
        if self._left <= 0:
            self._done.release()
            self._go.acquire()

    def run(self, train: Callable[[Gate], None]) -> None:
        """What the thread does."""
        self._go.acquire()
        try:
            train(self)
        except BaseException as error:  # told to whoever asked
            self.failed = error
        self._done.release()

    def epochs(self, count: int = 1) -> dict[str, Any]:
        """Let some epochs be trained without a pause, and say how long they took."""
        self._left, self._ends = count, []
        wall, cpu = perf_counter(), process_time()
        self._go.release()
        self._done.acquire()
        end = perf_counter()
        if self.failed is not None:
            raise self.failed
        return {
            "seconds": end - wall,
            "cpu_seconds": process_time() - cpu,
            "epochs": count,
            "each": [end - begin for begin, end in pairwise([wall, *self._ends])],
            "losses": self.losses[-LOSSES:],
        }


class Listener:
    """What an engine tells of a trial; that of the last trial of a group holds the engine up."""

    def __init__(self, gate: Gate, last: bool) -> None:
        self._gate, self._last = gate, last

    def stopping(self) -> bool:
        """Whether nobody wants another epoch."""
        return self._gate.ended

    def on_step(self, *told: Any) -> None:
        """Nobody looks."""

    def on_epoch(self, epoch: Any) -> None:
        """An epoch was trained."""
        self._gate.losses.append(float(epoch.values["train"]["loss"]))
        if self._last:
            self._gate.wait()


def engine(order: Mapping[str, Any], case: train_jobs.Case) -> Callable[[Gate], None]:
    """Trials in one of the engines, in a `way`."""
    from specdsl.training.engines import maker
    from specdsl.training.ways import Way

    group = maker(Way.of(order["way"]))(train_jobs.jobs(case, order["trials"]))

    def train(gate: Gate) -> None:
        count = len(group.trials)
        outcomes = group.train([Listener(gate, place == count - 1) for place in range(count)])
        for outcome in outcomes:
            if outcome.diverged:
                raise ArithmeticError(outcome.diverged)

    return train


def fit(order: Mapping[str, Any], case: train_jobs.Case) -> Callable[[Gate], None]:
    """Keras's `fit` by hand: with the batches of the engine, or with a pipeline as it is usually written."""
    import keras

    from specdsl.training import compiling

    (job,) = train_jobs.jobs(case, 1)
    model = compiling.seeded(job.graph, job.recipe, job.steps, job.streams.weights())
    metrics = job.recipe.resolved_metrics(job.outputs)
    model.compile(
        optimizer=model.optimizer,
        loss=compiling.in_keras(job.recipe.loss),
        metrics=[compiling.in_keras(metric, name=metric.column) for metric in metrics],
        jit_compile=order["jit"],
        steps_per_execution=order["steps"],
    )
    usual = order["pipeline"] == "usual"
    feed = None if usual else _feed(job)
    data = usual_pipeline(job, order["autotune"]) if usual else feed.batches

    def train(gate: Gate) -> None:
        class Between(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                if feed is not None:
                    feed.epoch(epoch)

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                gate.losses.append(float(logs["loss"]))
                gate.wait()
                model.stop_training = gate.ended

        model.fit(data, epochs=job.recipe.epochs, shuffle=False, verbose=0, callbacks=[Between()])

    return train


def _feed(job: Any) -> Any:
    import keras

    from specdsl.training.targets import targets

    name = "feed_tensorflow" if keras.backend.backend() == "tensorflow" else "feed_numpy"
    made = targets(job.recipe, job.outputs, job.train)
    feed = import_module(f"specdsl.training.{name}").Feed
    return feed(job.train, job.recipe.data.augment, job.recipe.batch, job.streams, made)


def usual_pipeline(job: Any, autotune: bool) -> Any:
    """The recipe's augmentation as a `tf.data` pipeline that treats one image after the other, with `tf.image`.

    Raises:
        NotImplementedError: the recipe has an operation that has no counterpart here.
    """
    import tensorflow as tf

    steps = [_one_image(tf, operation) for operation in job.recipe.data.augment]

    def augmented(image: Any, label: Any) -> tuple[Any, Any]:
        if job.train.of_images:
            image = tf.image.convert_image_dtype(image, tf.float32)
        for step in steps:
            image = step(image, label)
        return image, label

    data = tf.data.Dataset.from_tensor_slices((job.train.x, job.train.y)).shuffle(len(job.train))
    data = data.map(augmented, num_parallel_calls=tf.data.AUTOTUNE) if steps else data
    data = data.batch(job.recipe.batch).prefetch(tf.data.AUTOTUNE)
    if not autotune:
        options = tf.data.Options()
        options.autotune.enabled = False
        data = data.with_options(options)
    return data


def _one_image(tf: Any, operation: Any) -> Callable[[Any, Any], Any]:
    """An operation on one image and its label, in TensorFlow's own functions."""
    match type(operation).__name__:
        case "RandomCrop":
            return lambda image, label: tf.image.random_crop(image, (operation.height, operation.width, 3))
        case "FlipLeftRight":
            chosen = tf.constant(operation.classes)
            return lambda image, label: tf.cond(
                tf.reduce_any(label == chosen), lambda: tf.image.random_flip_left_right(image), lambda: image
            )
        case "RandomBrightness":
            return lambda image, label: tf.image.random_brightness(image, operation.max_delta)
        case "RandomSaturation":
            return lambda image, label: tf.image.random_saturation(image, operation.lower, operation.upper)
        case "RandomContrast":
            return lambda image, label: tf.image.random_contrast(image, operation.lower, operation.upper)
        case "Clip":
            return lambda image, label: tf.clip_by_value(image, operation.low, operation.high)
    raise NotImplementedError(f"no usual form of {operation}")


def memory() -> dict[str, Any]:
    """What the device tells of its memory, in bytes: in use, and the most so far in this process; empty on a CPU."""
    if "jax" not in sys.modules:
        return {}
    found = sys.modules["jax"].local_devices()[0].memory_stats() or {}
    return {name: found[name] for name in ("bytes_in_use", "peak_bytes_in_use", "bytes_limit") if name in found}


def make(order: Mapping[str, Any]) -> Gate:
    """Begin a training, as far as its first epoch, in a thread of its own."""
    case = train_jobs.Case.of(order["case"])
    begin = {"engine": engine, "fit": fit}[order["kind"]]
    gate = Gate()

    def train(gate: Gate) -> None:
        begin(order, case)(gate)

    gate.thread = threading.Thread(target=gate.run, args=(train,), daemon=True)
    gate.thread.start()
    return gate


def answers(gates: dict[str, Gate], order: Mapping[str, Any]) -> dict[str, Any]:
    """What an order comes to."""
    name = order.get("name", "")
    match order["do"]:
        case "make":
            before = memory().get("peak_bytes_in_use")
            gates[name] = make(order)
            return gates[name].epochs() | {"memory": memory(), "peak_before": before}
        case "epoch":
            return gates[name].epochs(order.get("epochs", 1)) | {"memory": memory()}
        case "drop":
            gate = gates.pop(name, None)
            if gate is not None and gate.failed is None:
                gate.ended = True
                with contextlib.suppress(BaseException):
                    gate.epochs()
                gate.thread.join(60)
            del gate
            exhaustion.give_back()
            return {}
        case "ceilings":
            from bench import train_floor

            return train_floor.ceilings(order.get("seconds", 2.0), order.get("size"))
    raise ValueError(f"what is {order['do']}?")


def main() -> None:
    """Answer orders until there are no more."""
    backend = sys.argv[1]
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    place = json.loads(os.environ.get("BENCH_PLACE", "null"))
    if place is not None:
        from specdsl.training import workers
        from specdsl.training.ways import Way

        workers.pin(Way.of(place["way"]), place["place"])
    from specdsl.training import frameworks

    begin = perf_counter()
    frameworks.start(backend)
    print(json.dumps({"ready": perf_counter() - begin}), file=told, flush=True)
    gates: dict[str, Gate] = {}
    for line in sys.stdin:
        try:
            answer = answers(gates, json.loads(line))
        except BaseException as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
        print(json.dumps(answer), file=told, flush=True)
    os._exit(0)  # threads may still wait


if __name__ == "__main__":
    main()
