"""Low-rank adaptation: a kernel that training leaves as it is, plus a product of two small ones (Hu et al., 2021)."""

from dataclasses import replace
from typing import Protocol

from specdsl.counts import Count, product
from specdsl.declaration import Misuse
from specdsl.layers.facts import Weight
from specdsl.layers.shapes import Shape


class Adapted(Protocol):
    """A layer that may have such a product."""

    @property
    def lora_rank(self) -> int | None:
        """The inner size of the product; None where there is none."""

    @property
    def lora_alpha(self) -> float | None:
        """What the product is multiplied by, times the rank."""


def check_lora(layer: Adapted, constraint: object, *, alpha_counts: bool = True) -> None:
    """Check that the arguments go together.

    Args:
        layer: the layer.
        constraint: that of the kernel, None where there is none.
        alpha_counts: whether Keras hands on `lora_alpha`; the `build` of some layers leaves it out.

    Raises:
        Misuse: they do not.
    """
    if layer.lora_rank is None and layer.lora_alpha is not None:
        raise Misuse("lora_alpha means nothing without lora_rank", argument="lora_alpha")
    if layer.lora_rank is not None and constraint is not None:
        raise Misuse("a kernel with lora_rank cannot have a constraint", argument="lora_rank")
    if not alpha_counts and layer.lora_alpha not in (None, layer.lora_rank):
        message = f"Keras takes lora_rank for the lora_alpha of {type(layer).__name__}, whatever that is"
        raise Misuse(message, argument="lora_alpha")


def with_lora(layer: Adapted, kernel: Weight, *others: Weight) -> tuple[Weight, ...]:
    """The weights of a layer: with a product the kernel is frozen, and the two small kernels come last."""
    if layer.lora_rank is None:
        return (kernel, *others)
    *sizes, last = kernel.shape
    before = Weight(f"lora_{kernel.name}_a", (*sizes, layer.lora_rank), dtype="float32")
    return (
        replace(kernel, trainable=False),
        *others,
        before,
        Weight(f"lora_{kernel.name}_b", (layer.lora_rank, last), dtype="float32"),
    )


def lora_macs(layer: Adapted, kernel: Shape) -> Count:
    """Multiply-accumulates of the product, which is made at each call."""
    return Count() if layer.lora_rank is None else product(*kernel, layer.lora_rank)


def lora_operations(layer: Adapted, kernel: Shape) -> Count:
    """Its scaling and its addition to the kernel."""
    return Count() if layer.lora_rank is None else 2 * product(*kernel)
