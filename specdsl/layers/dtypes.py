"""The types of values: of tensors and of weights, and the policies that choose them for a layer."""

from collections.abc import Iterable
from functools import cache
from typing import Literal, NamedTuple, get_args

Float = Literal["float16", "bfloat16", "float32", "float64"]
Dtype = Literal[
    Float, "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", "string",
]  # fmt: skip
"""What a tensor may hold."""

PolicyName = Literal[Float, "mixed_float16", "mixed_bfloat16"]
"""What a layer may be told to compute with."""

Intake = Literal["floats", "numbers", "plain", "any"]
"""What may enter a layer: floats alone; numbers and truth values too; integers but no truth values; whatever it is."""

FLOATS: frozenset[str] = frozenset(get_args(Float))

BYTES = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "bfloat16": 2, "int32": 4, "uint32": 4,
    "float32": 4, "int64": 8, "uint64": 8, "float64": 8,
}  # fmt: skip
"""The size of a value in bytes. A string has none that is known before it is there."""


class Policy(NamedTuple):
    """What a layer computes in, and what it keeps its weights in."""

    compute: str
    variable: str


@cache
def policy(name: str | None) -> Policy:
    """The types that a policy of Keras, or the precision of a recipe, stands for.

    A mixed one computes in 16 bits and keeps its weights in 32. With "tensorfloat32" every value has 32 bits: products
    alone are rounded.
    """
    if name in (None, "tensorfloat32"):
        return Policy("float32", "float32")
    assert name is not None
    kind = name.removeprefix("mixed_")
    return Policy(kind, "float32" if kind != name else name)


_WIDTHS = (8, 16, 32, 64)


def promoted(dtypes: Iterable[str]) -> str:
    """The type that integers of several types have together: the smallest that holds them all.

    Truth values become integers among integers. Nothing but a float holds the integers of 64 bits with and without a
    sign, and that is then float32, as in JAX and Keras. Keras knows no uint64 here, and takes uint32 for it.
    """
    kinds = set(dtypes)
    if len(kinds) == 1:
        return kinds.pop()
    kinds.discard("bool")
    signed = max((int(kind[3:]) for kind in kinds if kind.startswith("int")), default=0)
    unsigned = max((int(kind[4:]) for kind in kinds if kind.startswith("uint")), default=0)
    if not signed:
        return f"uint{min(unsigned, 32)}"
    wanted = max(signed, 2 * unsigned if unsigned >= signed else 0)
    return f"int{wanted}" if wanted in _WIDTHS else "float32"
