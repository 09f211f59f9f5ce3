"""The receptive field and the effective stride against what places really see, and against published figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import specdsl
from specdsl import Graph
from specdsl.analyses.receptive_field import PHASES, Axis, effective_stride, receptive_field, sight
from specdsl.layers.facts import Window

SPECS = Path(__file__).parents[1] / "specs"
LENGTH = 240


def model(body: str, size: str = "(32, 32, 3)") -> Graph:
    return specdsl.loads(f"model m {{ input x: {size}\n{body}\n}}").model()


@pytest.mark.parametrize(
    ("file", "name", "size", "stride"),
    [
        ("vgg16", "vgg16", 212, 32),
        ("resnet50", "resnet50", 483, 32),
        ("resnet50", "resnet101", 1027, 32),
        ("resnet50", "resnet152", 1507, 32),
        ("inception_v3", "inception_v3", 1311, 32),
    ],
)
def test_fields_and_strides_are_the_published_ones(file: str, name: str, size: int, stride: int) -> None:
    """Araujo et al., 2019, table 1."""
    graph = specdsl.load(SPECS / "zoo" / f"{file}.spec").model(name)
    assert receptive_field(graph) == (size, size)
    assert effective_stride(graph) == (stride, stride)


# ---------------------------------------------------------------------------------------------- what places see


Seen = np.ndarray[Any, Any]
"""A row for each place of a tensor: the places of the input that it sees, and last whether it sees beyond an edge."""

Step = tuple[Any, ...]


def beyond(seen: Seen, places: int) -> Seen:
    """Rows of places beyond an edge."""
    rows = np.zeros((places, seen.shape[1]), bool)
    rows[:, -1] = True
    return rows


def framed(seen: Seen, before: int, after: int) -> Seen:
    return np.concatenate([beyond(seen, before), seen, beyond(seen, after)])


def slid(seen: Seen, size: int, stride: int, dilation: int, padding: str) -> Seen:
    """What the windows see that are laid on a tensor, by laying them on it."""
    reach = dilation * (size - 1) + 1
    if padding == "causal":
        seen = framed(seen, reach - 1, 0)
    if padding == "same":
        total = max((-(-len(seen) // stride) - 1) * stride + reach - len(seen), 0)
        seen = framed(seen, total // 2, total - total // 2)
    starts = range(0, len(seen) - reach + 1, stride)
    return np.array([seen[start : start + reach : dilation].any(0) for start in starts])


def scattered(seen: Seen, size: int, stride: int, padding: str) -> Seen:
    """What the places see that a transposed convolution makes, by laying down the patch of each place before it."""
    length = len(seen) * stride if padding == "same" else (len(seen) - 1) * stride + max(size, stride)
    cut = max(size - stride, 0) // 2 if padding == "same" else 0
    made = np.zeros((length, seen.shape[1]), bool)
    around = size // stride + 1
    for place, row in enumerate(framed(seen, around, around)):
        for target in range((place - around) * stride - cut, (place - around) * stride - cut + size):
            if 0 <= target < length:
                made[target] |= row
    return made


def applied(step: Step, seen: Seen) -> Seen:
    match step:
        case ("conv", size, stride, dilation, padding):
            return slid(seen, size, stride, dilation, padding)
        case ("pool", size, stride, padding):
            return slid(seen, size, stride, 1, padding)
        case ("up", size):
            return np.repeat(seen, size, axis=0)
        case ("transpose", size, stride, padding):
            return scattered(seen, size, stride, padding)
        case ("move", before, after):
            padded = framed(seen, max(before, 0), max(after, 0))
            return padded[max(-before, 0) : len(padded) - max(-after, 0)]
        case ("join", one, other):
            return applied_all(one, seen) | applied_all(other, seen)
    raise AssertionError(step)


def applied_all(steps: list[Step], seen: Seen) -> Seen:
    for step in steps:
        seen = applied(step, seen)
    return seen


def written(step: Step) -> str:
    match step:
        case ("conv", size, stride, dilation, padding):
            return f"Conv1D(1, {size}, strides={stride}, dilation_rate={dilation}, padding='{padding}')"
        case ("pool", size, stride, padding):
            return f"AveragePooling1D({size}, strides={stride}, padding='{padding}')"
        case ("up", size):
            return f"UpSampling1D({size})"
        case ("transpose", size, stride, padding):
            return f"Conv1DTranspose(1, {size}, strides={stride}, padding='{padding}')"
        case ("move", before, after):
            pads = (max(before, 0), max(after, 0)), (max(-before, 0), max(-after, 0))
            return f"ZeroPadding1D({pads[0]}) -> Cropping1D({pads[1]})"
        case ("join", one, other):
            bodies = ("\n".join(map(written, steps)) for steps in (one, other))
            return "branch add { " + " } and { ".join(bodies) + " }"
    raise AssertionError(step)


@st.composite
def steps_alike(draw: st.DrawFn) -> list[list[Step]]:
    """Two chains that make tensors of the same length of one."""
    few = st.integers(1, 3)
    same: list[st.SearchStrategy[Step]]
    match draw(st.sampled_from(["keep", "shrink", "enlarge"])):
        case "keep":
            shift = draw(st.integers(-4, 4))
            conv = st.tuples(st.just("conv"), st.integers(1, 4), st.just(1), few, st.sampled_from(["same", "causal"]))
            same = [conv, st.just(("move", shift, -shift)), st.just(("move", 0, 0))]
        case "shrink":
            pool = st.tuples(st.just("pool"), st.integers(2, 4), st.just(2), st.just("same"))
            same = [pool, st.tuples(st.just("conv"), st.integers(1, 4), st.just(2), st.just(1), st.just("same"))]
        case _:
            size = draw(st.integers(2, 3))
            grow = st.tuples(st.just("transpose"), st.integers(size, 5), st.just(size), st.just("same"))
            same = [grow, st.just(("up", size))]
    one = st.one_of(same).map(lambda step: [step])
    return [draw(one), draw(one)]


STEP: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("conv"), st.integers(1, 4), st.just(1), st.integers(1, 3), st.sampled_from(["valid", "same"])),
    st.tuples(st.just("conv"), st.integers(1, 4), st.integers(1, 3), st.just(1), st.sampled_from(["valid", "causal"])),
    st.tuples(st.just("pool"), st.integers(1, 3), st.integers(1, 3), st.sampled_from(["valid", "same"])),
    st.tuples(st.just("up"), st.integers(1, 3)),
    st.tuples(st.just("transpose"), st.integers(3, 5), st.integers(1, 3), st.sampled_from(["valid", "same"])),
    st.tuples(st.just("move"), st.integers(-2, 3), st.integers(-2, 3)),
    steps_alike().map(lambda chains: ("join", *chains)),
)


@settings(max_examples=150)
@given(st.lists(STEP, min_size=1, max_size=6))
def test_a_receptive_field_is_what_places_see(steps: list[Step]) -> None:
    """Of the places that see nothing beyond an edge, those that see most see just as much, at the stated distance."""
    seen = np.eye(LENGTH, LENGTH + 1, dtype=bool)
    widest = 1
    for step in steps:
        seen = applied(step, seen)
        assume(0 < len(seen) < 2000)
        inner = seen[~seen[:, -1]]
        assume(len(inner) > 1)
    graph = model("\n".join(map(written, steps)), f"({LENGTH}, 1)")
    field = sight(graph).fields[graph.outputs[0]]
    assert field is not None
    (axis,) = field
    assume(len(inner) >= 2 * len(axis.first))
    columns = [np.flatnonzero(row) for row in inner]
    widest = max(places[-1] - places[0] + 1 for places in columns if len(places))
    assert axis.seen == widest
    apart = columns[len(axis.first)][0] - columns[0][0]
    assert apart == axis.step
    largest = receptive_field(graph)
    assert largest is not None
    assert largest[0] >= widest


@given(
    st.lists(st.builds(Window, st.integers(-3, 0), st.integers(0, 3), st.integers(1, 3), st.integers(1, 3)), max_size=6)
)
def test_a_view_is_never_narrower_for_being_evened(windows: list[Window]) -> None:
    """Where too many neighbours see differently, the field is an upper bound, with the same distance."""
    exact, even = Axis(1, (0,), (0,)), Axis(1, (0,), (0,))
    for window in windows:
        exact, even = exact.through(window), even._evenly_through(window)
        assume(len(exact.first) < PHASES)
    assert even.seen >= exact.seen
    assert even.stride == exact.stride
    assert all(
        even.view(place)[0] <= exact.view(place)[0] and exact.view(place)[1] <= even.view(place)[1]
        for place in range(-10, 50)
    )


def test_enlarging_without_end_takes_no_longer() -> None:
    body = "\n".join(["UpSampling1D(999)", "Conv1D(1, 3, padding='same')"] * 20)
    field = receptive_field(model(body, "(8, 1)"))
    assert field is not None
    assert 3 <= field[0] <= 5


def test_models_within_are_looked_through_where_they_stand() -> None:
    """Behind a layer that enlarges, and with one that enlarges in them."""
    inner = "model inner { input x: (none, 1)\nConv1D(1, 3, padding='same') -> UpSampling1D(2) -> Conv1D(1, 2) }\n"
    flat = "Conv1D(1, 3, padding='same') -> UpSampling1D(2) -> Conv1D(1, 2)"
    head, tail = "UpSampling1D(3) -> Conv1D(1, 3)", "Conv1D(1, 4, strides=3)"
    nested = specdsl.loads(f"{inner}model m {{ input x: (48, 1)\n{head} -> inner -> {tail} }}").model()
    written_out = model(f"{head} -> {flat} -> {tail}", "(48, 1)")
    assert receptive_field(nested) == receptive_field(written_out)
    assert effective_stride(nested) == effective_stride(written_out) == (0.5,)


def test_what_sees_everything_has_no_receptive_field() -> None:
    for body, size in [
        ("Flatten -> Dense(3)", "(32, 32, 3)"),
        ("Dense(3)", "(8,)"),
        ("GlobalAveragePooling2D -> Dense(3)", "(32, 32, 3)"),
        ("TimeDistributed(Conv2D(3, 3))", "(5, 8, 8, 3)"),
    ]:
        assert receptive_field(model(body, size)) is None
        assert effective_stride(model(body, size)) is None
    assert receptive_field(model("Conv2D(4, 5) -> GroupNormalization(2) -> Conv2D(4, 3)")) == (5, 5)


def test_places_that_do_not_lie_upon_each_other_have_no_common_field() -> None:
    """Behind tensors laid end to end along a spatial axis, or repeated along one, the field ends."""
    assert receptive_field(model("branch concat(axis=1) { Conv1D(1, 3) } and { Conv1D(1, 5) }", "(9, 1)")) == (5,)
    joined = "branch concat { Conv1D(1, 3, padding='same') } and { Conv1D(1, 5, padding='same') }\nConv1D(1, 3)"
    assert receptive_field(model(joined, "(9, 1)")) == (7,)
    first = "branch concat(axis=1) { Conv2D(4, 3, padding='same', data_format='channels_first') } and { }"
    assert receptive_field(model(first, "(3, 8, 8)")) == (3, 3)
    drifting = "branch add { Conv1D(1, 3) } and { Conv1D(1, 2, strides=2) }\nConv1D(1, 2, padding='same')"
    assert receptive_field(model(drifting, "(4, 1)")) == (3,)


def test_shortcuts_models_and_transposed_convolutions() -> None:
    """The widest way counts, a model is looked into, and what enlarges sees less for each place."""
    convolutions = "Conv2D(4, 3, padding='same') -> Conv2D(4, 5, padding='same')"
    assert receptive_field(model(f"shortcut concat {{ {convolutions} }}")) == (7, 7)
    inner = "model inner { input x: (32, 32, 3)\nConv2D(3, 3, strides=2) }\n"
    nested = specdsl.loads(f"{inner}model m {{ input x: (32, 32, 3)\ninner -> Conv2D(1, 3) }}").model()
    assert receptive_field(nested) == (7, 7)
    assert effective_stride(nested) == (2, 2)
    enlarged = model("Conv2DTranspose(4, 2, strides=2) -> Conv2D(4, 3)")
    assert receptive_field(enlarged) == (2, 2)
    assert effective_stride(enlarged) == (0.5, 0.5)


def test_a_feature_map_within_a_model_counts() -> None:
    """Though the model itself leaves no feature map."""
    spec = specdsl.load(SPECS / "zoo" / "siamese.spec")
    assert receptive_field(spec.model("siamese")) == receptive_field(spec.model("encoder"))
    assert effective_stride(spec.model("siamese")) == effective_stride(spec.model("encoder"))
