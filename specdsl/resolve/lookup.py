"""What the names in steps stand for: tensors, layers, merges; and what to say where they stand for nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from specdsl.declaration import snake_case
from specdsl.diagnostics import Slug, did_you_mean
from specdsl.graph import Tensor
from specdsl.layers import LAYERS, NAMES, NO_LAYER, UNDECLARABLE, InputLayer, Layer
from specdsl.layers.activation_functions import ACTIVATIONS
from specdsl.layers.objects import OBJECTS
from specdsl.resolve.scope import Defined, Frame, Poison, Problem, Shared, Skip
from specdsl.source import Span
from specdsl.syntax import tree

MERGES: dict[str, type[Layer]] = {
    snake_case(name): layer for name, layer in LAYERS.items() if layer.family == "merging"
}
MERGES |= {layer.nickname: layer for layer in MERGES.values() if layer.nickname}
"""The layers that join what several bodies leave, by the words of shortcuts and branches."""

_MERGES_ELSEWHERE = {
    "cat": "concat", "mean": "average", "mul": "multiply", "plus": "add", "product": "multiply", "sum": "add",
}  # fmt: skip
"""Merges by names that they have elsewhere."""

_ELSEWHERE = {
    "AdaptiveAvgPool2d": "GlobalAveragePooling2D",
    "AdaptiveMaxPool2d": "GlobalMaxPooling2D",
    "BN": "BatchNormalization",
    "FC": "Dense",
    "FullyConnected": "Dense",
    "Linear": "Dense",
}
"""Layers by names that they have elsewhere and that are far from Keras's."""

_FOLDED = {name.lower() for name in NAMES}

_INPUT_HINT = "an input is written `input name: (28, 28, 3)`"


def tensor_named(name: tree.Name, frame: Frame, lost_names: Collection[str]) -> Tensor:
    """The tensor of a name.

    Raises:
        Problem: no tensor has this name here.
        Skip: the name stands for something that could not be read or made.
    """
    bound = frame.lookup(name.text)
    if bound is None:
        if name.text in lost_names:
            raise Skip
        tensors = frame.visible(lambda value: isinstance(value, Tensor))
        hint = did_you_mean(name.text, tensors) or "a tensor gets its name with `... as name`"
        raise Problem(Slug.UNKNOWN_NAME, f"no tensor is called '{name.text}' here", name.span, help=hint)
    if isinstance(bound[0], Poison):
        raise Skip
    if not isinstance(bound[0], Tensor):
        raise Problem(Slug.BAD_VALUE, f"'{name.text}' is not a tensor", name.span)
    return bound[0]


def layer_named(name: tree.Name, frame: Frame, lost_names: Collection[str]) -> type[Layer]:
    """The layer class of a name that nothing in the text defines.

    Raises:
        Problem: there is no such layer, or it is no step.
        Skip: the name may have been defined in a part of the text that could not be read.
    """
    kind = NAMES.get(name.text)
    if kind is InputLayer:
        raise Problem(Slug.MISPLACED, "InputLayer is not a step", name.span, help=_INPUT_HINT)
    if kind is not None:
        return kind
    if name.text in lost_names:
        raise Skip
    refuse_undeclarable(name)
    hint = _near(name.text) or did_you_mean(name.text, [*NAMES, *frame.visible(_is_step)])
    raise Problem(Slug.UNKNOWN_STEP, f"no layer, block or tensor is called '{name.text}'", name.span, help=hint)


def refuse_undeclarable(name: tree.Name) -> None:
    """Say why a text cannot declare what Keras has by this name.

    Raises:
        Problem: there is such a thing.
    """
    known = UNDECLARABLE.get(name.text) or NO_LAYER.get(name.text)
    if known:
        message = f"Keras's {name.text} cannot stand in a text: {known.reason}"
        raise Problem(Slug.UNKNOWN_STEP, message, name.span, help=f"in its place: {known.instead}")


def _near(name: str) -> str | None:
    """What is meant by a name of something else: an object, an activation, a layer of another library."""
    if name == "Input":
        return _INPUT_HINT
    if name in OBJECTS:
        return f"{name} is an argument of a layer, not a layer"
    if name in _ELSEWHERE:
        return f"did you mean '{_ELSEWHERE[name]}'?"
    ranks = [kind for kind in (f"{name}{rank}D" for rank in (1, 2, 3)) if kind in NAMES]
    if ranks:
        return f"there are {', '.join(ranks)}"
    if name.lower() in ACTIVATIONS and name.lower() not in _FOLDED:
        return f'an activation is a step as `Activation("{name.lower()}")`'
    return None


def merge_named(name: tree.Name) -> type[Layer]:
    """The layer class that a shortcut or branch joins with.

    Raises:
        Problem: there is no such merge.
    """
    if name.text not in MERGES:
        hint = (
            did_you_mean(_MERGES_ELSEWHERE.get(name.text.lower(), name.text), MERGES)
            or f"the merges are {', '.join(MERGES)}"
        )
        raise Problem(Slug.UNKNOWN_STEP, f"no merge is called '{name.text}'", name.span, help=hint)
    return MERGES[name.text]


def nothing_entered(inputs: Sequence[str], span: Span) -> Problem | Skip:
    """What to say of a step that no tensor enters; nothing where a mistake above the only input keeps it out."""
    if len(inputs) == 1:
        return Skip()
    if inputs:
        hint = f"begin with the tensor that enters: `{inputs[0]} -> ...`"
        message = "there are several inputs, so a step must say which tensor enters it"
        return Problem(Slug.MISPLACED, message, span, help=hint)
    hint = "a model begins with `input name: (28, 28, 3)`"
    return Problem(Slug.MISPLACED, "no tensor has entered yet", span, help=hint)


def _is_step(value: Any) -> bool:
    if isinstance(value, Defined):
        return isinstance(value.node, tree.Block | tree.Model | tree.Variant)
    return isinstance(value, Tensor | Shared)
