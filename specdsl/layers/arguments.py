"""The kinds of argument that Keras layers share by name: paddings, data formats, activations, objects."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from specdsl.declaration import Misuse
from specdsl.diagnostics import did_you_mean
from specdsl.layers.activation_functions import ACTIVATIONS
from specdsl.layers.objects import CONSTRAINTS, INITIALIZERS, REGULARIZERS, Constraint, Initializer, Regularizer

Padding = Literal["valid", "same"]
CausalPadding = Literal["valid", "same", "causal"]
DataFormat = Literal["channels_last", "channels_first"] | None

UNUSABLE_ACTIVATIONS = {
    "glu": "'glu' halves the last axis, which Keras leaves out of the shapes that it infers",
    "threshold": "'threshold' has arguments of its own, which a name cannot give",
}
"""What Keras knows by name and yet cannot use as a layer's activation."""


def _one_of(kind: str, known: dict[str, Any] | tuple[str, ...]) -> AfterValidator:
    def check(value: Any) -> Any:
        if isinstance(value, str) and value not in known:
            raise Misuse(f"there is no {kind} named '{value}'", help=_near(value, known))
        return value

    return AfterValidator(check)


def _near(value: str, known: dict[str, Any] | tuple[str, ...]) -> str:
    """What may be meant by a name that is none."""
    if value.casefold() == "constant":
        return "its value is given with it: Constant(0.1)"
    names = list(dict.fromkeys(kind.__name__ for kind in known.values())) if isinstance(known, dict) else known
    return did_you_mean(value, known) or f"there are {', '.join(names)}"


def _usable(value: Any) -> Any:
    if value in UNUSABLE_ACTIVATIONS:
        raise Misuse(f"the activation {UNUSABLE_ACTIVATIONS[value]}")
    return value


ActivationArgument = Annotated[str | None, AfterValidator(_usable), _one_of("activation", tuple(ACTIVATIONS))]
InitializerArgument = Annotated[str | Initializer | None, _one_of("initializer", INITIALIZERS)]
RegularizerArgument = Annotated[str | Regularizer | None, _one_of("regularizer", REGULARIZERS)]
ConstraintArgument = Annotated[str | Constraint | None, _one_of("constraint", CONSTRAINTS)]

WORDS = {*ACTIVATIONS, *INITIALIZERS, *REGULARIZERS, *CONSTRAINTS, "valid", "same", "causal"}
"""What Keras knows by name, and a spec writes in quotes."""
