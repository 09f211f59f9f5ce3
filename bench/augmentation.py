"""How many images each image operation makes in a second of one core, and what it makes of drawn signs.

    python bench/augmentation.py [--seconds S] [--rounds N]     a table in Markdown
    python bench/augmentation.py --sheet FILE                   a picture: every operation on six signs

Images are 32x32 with three channels, in batches of 128. Operations run by numpy, and in the feed of TensorFlow, from
images held as bytes to the batch that a model is given; with nothing to do the latter shows what the feed costs itself.
Seconds are of processor time, of all threads together. Rounds go through all operations one after the other, and the
best of each counts: what else the machine does can only make it slower.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from textwrap import wrap
from time import process_time
from typing import Any

import numpy as np

from specdsl.recipes import OPERATIONS, Operation, Pipeline, Synthetic
from specdsl.recipes.augmentation import unit_range
from specdsl.training.streams import Streams

SIZE, BATCH, BATCHES = 32, 128, 24

USUAL: dict[str, dict[str, Any]] = {
    "random_crop": {"height": 28, "width": 28},
    "pad": {"padding": 4, "fill": "reflect"},
    "center_crop": {"height": 28, "width": 28},
    "resize": {"height": 24, "width": 24},
    "random_rotation": {"degrees": 15},
    "random_translation": {"height": 0.1, "width": 0.1},
    "random_scale": {"lower": 0.8, "upper": 1.2},
    "random_shear": {"degrees": 15, "vertical": 15},
    "random_affine": {"degrees": 15, "height": 0.1, "width": 0.1, "lower": 0.8, "upper": 1.2, "shear": 15},
    "random_perspective": {"probability": 1.0},
    "random_brightness": {"max_delta": 0.3},
    "random_saturation": {"lower": 0.0, "upper": 2.5},
    "random_contrast": {"lower": 0.5, "upper": 2.0},
    "random_gamma": {"lower": 0.5, "upper": 2.0},
    "random_hue": {"max_delta": 0.2},
    "random_grayscale": {"probability": 0.5},
    "normalize": {"mean": 0.4, "std": 0.3},
    "random_erasing": {"probability": 1.0, "upper": 0.2, "fill": "noise"},
    "random_noise": {"stddev": 0.08},
    "random_blur": {"lower": 0.3, "upper": 1.5},
}
"""Arguments of the operations that need some, or show more with others."""


def usual(name: str) -> Operation:
    """An operation as it is measured and shown."""
    return OPERATIONS[name](**USUAL.get(name, {}))


def pipelines() -> dict[str, Pipeline]:
    """What is measured, by what a spec would say: each operation, and the pipelines that belong together."""
    alone = {str(usual(name)): Pipeline(operations=[usual(name)]) for name in OPERATIONS}
    flips = OPERATIONS["flip_left_right"](classes=[11, 12, 13, 17, 18, 26, 30, 35])
    colours = [
        OPERATIONS["random_brightness"](max_delta=0.1),
        OPERATIONS["random_saturation"](lower=0.5, upper=2.0),
        OPERATIONS["random_contrast"](lower=0.7, upper=1.3),
        OPERATIONS["clip"](),
    ]
    apart = [usual(name) for name in ("random_shear", "random_scale", "random_rotation", "random_translation")]
    return {
        "nothing": Pipeline(),
        **alone,
        "crop, flip, brightness, saturation, contrast, clip": Pipeline(
            operations=[usual("random_crop"), flips, *colours]
        ),
        "shear, scale, rotation, translation in a row": Pipeline(operations=apart),
    }


def by_numpy(pipeline: Pipeline, seconds: float) -> float:
    """Images in a second of a core, of one batch again and again."""
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 256, (BATCH, SIZE, SIZE, 3), dtype=np.uint8)
    labels = rng.integers(0, 43, BATCH).astype(np.int32)
    draws = Streams(0, 1).draws(0, BATCH, pipeline)
    pipeline.apply(np, unit_range(np, stored), labels, draws)
    images, begin = 0, process_time()
    while process_time() - begin < seconds:
        pipeline.apply(np, unit_range(np, stored), labels, draws)
        images += BATCH
    return images / (process_time() - begin)


class TensorFlowFeed:
    """The feed of TensorFlow over the same images again and again."""

    def __init__(self, pipeline: Pipeline) -> None:
        from specdsl.data.dataset import Examples
        from specdsl.training.feed_tensorflow import Feed

        rng = np.random.default_rng(0)
        count = BATCH * BATCHES
        stored = rng.integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
        self._feed = Feed(Examples(stored, rng.integers(0, 43, count).astype(np.int32)), pipeline, BATCH, Streams(0, 1))
        self._feed.epoch(0)
        self._once()

    def _once(self) -> int:
        return sum(int(x.shape[0]) for x, _ in self._feed.batches)

    def rate(self, seconds: float) -> float:
        """Images in a second of a core, over whole epochs."""
        images, begin = 0, process_time()
        while process_time() - begin < seconds:
            images += self._once()
        return images / (process_time() - begin)


def table(seconds: float, rounds: int) -> str:
    """Rates of all pipelines as Markdown."""
    best: dict[str, list[float]] = {}
    feeds = {name: TensorFlowFeed(pipeline) for name, pipeline in pipelines().items()}
    for _ in range(rounds):
        for name, pipeline in pipelines().items():
            rates = [by_numpy(pipeline, seconds), feeds[name].rate(seconds)]
            best[name] = [max(pair) for pair in zip(rates, best.get(name, rates), strict=True)]
    lines = ["| operation | numpy | tf.data feed |", "| --- | ---: | ---: |"]
    lines += [
        f"| {f'`{name}`' if name.partition('(')[0] in OPERATIONS else name} | "
        + " | ".join(f"{float(f'{rate:.2g}'):,.0f}" for rate in rates)
        + " |"
        for name, rates in best.items()
    ]
    return "\n".join(lines)


def sheet(file: Path) -> None:
    """A picture with a row for each operation: its name, and six drawn signs, in the first row as they were."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    from specdsl.data import load

    signs = load(Synthetic(size=SIZE, train=15, test=1)).train
    light = signs.x.mean(axis=(1, 2, 3))
    chosen = [max(np.flatnonzero(signs.y == label), key=lambda row: light[row]) for label in (14, 20, 1, 33, 12, 32)]
    images, labels = unit_range(np, signs.x[chosen]), signs.y[chosen]
    shown = {"as drawn": images}
    for name in OPERATIONS:
        operation = type(usual(name))(probability=1.0) if "flip" in name or "turn" in name else usual(name)
        pipeline = Pipeline(operations=[operation])
        draws = Streams(3, 1).draws(0, len(images), pipeline)
        after, _ = pipeline.apply(np, images, labels, draws)
        shown[str(operation)] = (after - after.min()) / np.ptp(after) if name == "normalize" else np.clip(after, 0, 1)
    half = -(-len(shown) // 2)
    figure = Figure(figsize=(10, half * 0.54), dpi=80)
    canvas = FigureCanvasAgg(figure)
    for index, (name, row) in enumerate(shown.items()):
        left, bottom = index // half / 2, 1 - (index % half + 1) / half
        label = "\n".join(wrap(name.replace(".0,", ",").replace(".0)", ")"), 34, break_long_words=False))
        figure.text(left + 0.01, bottom + 0.5 / half, label, va="center", fontsize=6.2, family="monospace")
        for place, image in enumerate(row):
            axes = figure.add_axes((left + 0.195 + place * 0.05, bottom + 0.03 / half, 0.048, 0.94 / half))
            axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    drawn.quantize(256, kmeans=3, dither=Image.Dither.NONE).save(file, optimize=True)


def main() -> None:
    """Measure, or draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.3, help="how long each rate is measured, in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="draw a contact sheet, as PNG, and measure nothing")
    arguments = parser.parse_args()
    if arguments.sheet:
        sheet(arguments.sheet)
    else:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        os.environ["KERAS_BACKEND"] = "tensorflow"
        print(table(arguments.seconds, arguments.rounds))


if __name__ == "__main__":
    main()
