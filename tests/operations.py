"""Hypothesis strategies for image operations: legal arguments for each, images, labels and draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specdsl.recipes import OPERATIONS, Operation, Pipeline

Floats = NDArray[np.float32]
Batch = tuple[Floats, NDArray[np.int32], Floats]
"""Images, labels and draws, as `Pipeline.apply` takes them."""

ROWS, COLUMNS, COUNT = 12, 10, 6
"""The size of the images of `batches`, and how many there are."""


def ordered(low: float, high: float) -> st.SearchStrategy[dict[str, float]]:
    """A range with its ends in order, as `lower` and `upper`."""
    ends = st.tuples(st.floats(low, high), st.floats(low, high)).map(sorted)
    return ends.map(lambda pair: {"lower": pair[0], "upper": pair[1]})


def joined(*parts: st.SearchStrategy[dict[str, Any]], **more: st.SearchStrategy[Any]) -> Any:
    """Several dictionaries of arguments as one."""
    return st.tuples(*parts, st.fixed_dictionaries(more)).map(lambda found: {k: v for d in found for k, v in d.items()})


CHANCE = st.floats(0, 1, width=32, allow_subnormal=False)
"""A probability, or a number that is drawn: some engines take subnormal numbers as 0, and no stream draws any."""

FILLS = st.one_of(
    st.sampled_from(["edge", "reflect"]).map(lambda fill: {"fill": fill}),
    st.floats(-1, 2).map(lambda value: {"fill": "constant", "value": value}),
)
LISTS = st.sampled_from([{}, {"classes": [0, 3]}, {"classes": [], "swaps": [(1, 2)]}, {"swaps": [(0, 4), (2, 1)]}])
FLIPS = joined(LISTS, probability=CHANCE)
SIZES = st.sampled_from([(9, 7), (12, 10), (1, 4)]).map(lambda size: {"height": size[0], "width": size[1]})
TURN, PART = st.floats(0, 180), st.floats(0, 1)
SLANT = st.floats(0, 50) | st.tuples(st.floats(-50, 50), st.floats(-50, 50)).map(lambda ends: tuple(sorted(ends)))

ARGUMENTS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "random_crop": joined(SIZES, FILLS, padding=st.sampled_from([0, 3])),
    "center_crop": SIZES,
    "resize": joined(
        SIZES | st.sampled_from([{"height": 25, "width": 10}, {"height": 17, "width": 3}]),
        method=st.sampled_from(["bilinear", "nearest"]),
        antialias=st.booleans(),
    ),
    "pad": joined(FILLS, padding=st.sampled_from([1, 13])),
    "flip_left_right": FLIPS,
    "flip_up_down": FLIPS,
    "half_turn": FLIPS,
    "sign_flips": joined(probability=CHANCE),
    "random_rotation": joined(FILLS, degrees=TURN),
    "random_translation": joined(FILLS, height=PART, width=PART),
    "random_scale": joined(FILLS, ordered(0.3, 3)),
    "random_shear": joined(FILLS, degrees=SLANT, vertical=SLANT),
    "random_affine": joined(
        FILLS, ordered(0.3, 3), degrees=TURN, height=PART, width=PART, shear=SLANT, vertical_shear=SLANT
    ),
    "random_perspective": joined(FILLS, distortion=st.floats(0, 0.6), probability=CHANCE),
    "random_brightness": joined(max_delta=st.floats(0, 1)),
    "random_saturation": ordered(0, 4),
    "random_contrast": ordered(0, 4),
    "random_gamma": ordered(0.1, 4),
    "random_hue": joined(max_delta=st.floats(0, 0.5)),
    "random_grayscale": joined(probability=CHANCE),
    "grayscale": st.just({}),
    "normalize": st.sampled_from([{"mean": 0.5, "std": 0.25}, {"mean": [0.1, 0.2, 0.3], "std": [0.1, 1.0, 2.0]}]),
    "clip": st.sampled_from([{}, {"low": 0.25, "high": 0.5}]),
    "random_erasing": joined(
        ordered(0.01, 0.8),
        st.sampled_from([{"fill": "constant", "value": 0.5}, {"fill": "mean"}, {"fill": "noise"}]),
        probability=CHANCE,
    ),
    "random_noise": joined(stddev=st.floats(0, 1)),
    "random_blur": ordered(0.1, 2),
}
"""Legal arguments of every operation, for images of `ROWS` x `COLUMNS` in five classes, or in 43."""


USUAL: dict[str, dict[str, Any]] = {
    "random_crop": {"height": 10, "width": 8, "padding": 1},
    "pad": {"padding": 1, "fill": "edge"},
    "center_crop": {"height": 10, "width": 8},
    "resize": {"height": 9, "width": 9},
    "random_rotation": {"degrees": 15},
    "random_translation": {"height": 0.1, "width": 0.1},
    "random_scale": {"lower": 0.9, "upper": 1.1},
    "random_shear": {"degrees": 10, "vertical": (-5, 10)},
    "random_affine": {"degrees": 15, "height": 0.1, "width": 0.1, "lower": 0.9, "upper": 1.1, "shear": 5},
    "random_brightness": {"max_delta": 0.1},
    "random_saturation": {"lower": 0.5, "upper": 2},
    "random_contrast": {"lower": 0.7, "upper": 1.3},
    "random_gamma": {"lower": 0.7, "upper": 1.4},
    "random_hue": {"max_delta": 0.1},
    "normalize": {"mean": 0.5, "std": 0.25},
    "random_erasing": {"fill": "noise"},
    "random_noise": {"stddev": 0.05},
    "random_blur": {"lower": 0.3, "upper": 1},
}
"""Arguments as one would choose them, for operations that need some; for images of `ROWS` x `COLUMNS` too."""


def usual(name: str) -> Operation:
    """An operation of this name with usual arguments."""
    return OPERATIONS[name](**USUAL.get(name, {}))


def operations(name: str) -> st.SearchStrategy[Operation]:
    """An operation of this name with drawn arguments."""
    return ARGUMENTS[name].map(lambda arguments: OPERATIONS[name](**arguments))


@st.composite
def batches(draw: st.DrawFn, pipeline: Pipeline) -> Batch:
    """Images that leave [0, 1] on both sides, black and grey ones among them, labels, and draws up to the ends."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    images = rng.uniform(-0.3, 1.3, (COUNT, ROWS, COLUMNS, 3)).astype(np.float32)
    images[0], images[1] = 0.0, 0.4
    unit = st.one_of(CHANCE, st.sampled_from([0.0, 0.5, 1.0]))
    drawn = draw(st.lists(unit, min_size=COUNT * len(pipeline.draws()), max_size=COUNT * len(pipeline.draws())))
    return images, np.arange(COUNT, dtype=np.int32) % 5, scaled(pipeline, np.array(drawn, np.float32))


def scaled(pipeline: Pipeline, units: NDArray[Any]) -> Floats:
    """Numbers from [0, 1] as the draws of a pipeline, in as many rows as they make."""
    ranges = np.array(pipeline.draws(), np.float32).reshape(-1, 2)
    rows = units.reshape(-1, len(ranges)) if len(ranges) else np.zeros((COUNT, 0))
    return (ranges[:, 0] + (ranges[:, 1] - ranges[:, 0]) * rows).astype(np.float32)
