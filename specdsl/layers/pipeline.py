"""Layers one after the other as one layer."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator

from specdsl.counts import Count, product
from specdsl.declaration import Misuse
from specdsl.layers.activations import Softmax
from specdsl.layers.base import Layer
from specdsl.layers.core import Masking
from specdsl.layers.facts import POINTWISE, TRAINING, Kept, Modes, Reach, Weight, Window
from specdsl.layers.inner import infer_inner, inner_names, inner_weights
from specdsl.layers.kernels import Sliding
from specdsl.layers.normalization import Normalization
from specdsl.layers.pooling import AdaptivePooling
from specdsl.layers.reshaping import UpSampling2D
from specdsl.layers.shapes import Shape
from specdsl.layers.spatial import split
from specdsl.layers.values import as_tuple


class Pipeline(Layer):
    """Layers one after the other as one layer."""

    family = "wrapper"
    call_training = True
    options = TRAINING

    layers: Annotated[tuple[Layer, ...], BeforeValidator(as_tuple)]
    trainable: Literal[True] = True
    dtype: None = None

    def check(self) -> None:
        if not self.layers:
            hint = "for example [RandomFlip(), Rescaling(2)]"
            raise Misuse("Pipeline takes one layer at least", argument="layers", help=hint)
        for layer in self.layers:
            if layer.arity != (1, 1) or layer.in_list:
                raise Misuse(f"Pipeline takes layers over one tensor, not {layer}", argument="layers")
        for layer in self.layers[:-1]:
            if layer.makes_sparse:
                message = "a Pipeline hands no sparse tensors from layer to layer"
                raise Misuse(message, argument="layers", help=f"{type(layer).__name__} without `sparse=true`")
        masks = [isinstance(layer, Masking) or getattr(layer, "mask_zero", False) for layer in self.layers]
        if True in masks and any(isinstance(layer, Softmax) for layer in self.layers[masks.index(True) :]):
            message = "Keras cannot run Softmax behind a mask in a Pipeline"
            raise Misuse(message, argument="layers", help="leave the Masking out of the Pipeline")

    def result_shape(self, *shapes: Shape) -> Shape:
        shape = shapes[0]
        for layer in self._told():
            _check_traceable(layer, shape)
            shape, *others = infer_inner(layer, "layers", shape)
            if others:
                raise Misuse(f"Pipeline takes layers that return one tensor, not {layer}", argument="layers")
        return shape

    def result_dtypes(self, count: int, *dtypes: str) -> tuple[str, ...]:
        for layer in self.layers:
            dtypes = layer.result_dtypes(1, *dtypes)
        return dtypes

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        named = zip(self._entered(*shapes), inner_names(self.layers), strict=True)
        return tuple(weight for (layer, shape), name in named for weight in inner_weights("", layer, shape, name=name))

    def macs(self, *shapes: Shape) -> Count:
        return sum((layer.macs(shape) for layer, shape in self._entered(*shapes)), Count())

    def operations(self, *shapes: Shape) -> Count:
        return sum((layer.operations(shape) for layer, shape in self._entered(*shapes)), Count())

    def depth(self, *shapes: Shape) -> int:
        return sum(layer.depth(shape) for layer, shape in self._entered(*shapes))

    def reach(self, *shapes: Shape) -> Reach | None:
        """What the layers see one after the other; everything where one behind another with a window enlarges."""
        seen = POINTWISE
        for layer, shape in self._entered(*shapes):
            reach = layer.reach(shape)
            if reach is None:
                return None
            if not seen or not reach:
                seen = seen or reach
                continue
            if len(seen) != len(reach) or any(window.share > 1 for window in reach):
                return None
            seen = tuple(
                Window(
                    one.first + one.step * more.first, one.last + one.step * more.last, one.step * more.step, one.share
                )
                for one, more in zip(seen, reach, strict=True)
            )
        return seen

    def kept(self, *shapes: Shape) -> Kept:
        entered = list(self._entered(*shapes))
        kept = [layer.kept(shape) for layer, shape in entered]
        more = sum((one.more for one in kept), Count())
        for (_, shape), before, after in zip(entered[1:], kept[:-1], kept[1:], strict=True):
            if before.outputs or after.inputs:
                more += product(*shape)
        return Kept(kept[0].inputs, kept[-1].outputs, more)

    def modes(self) -> Modes | None:
        modes = [mode for layer in self.layers if (mode := layer.modes())]
        training, inference = (dict.fromkeys(deeds) for deeds in zip(*modes, strict=True)) if modes else ({}, {})
        return Modes("; then ".join(training), "; then ".join(inference)) if modes else None

    work = "those of the layers within"

    def account(self, *shapes: Shape) -> str:
        return "; then ".join(said for layer, shape in self._entered(*shapes) if (said := layer.account(shape)))

    def role(self, weight: str) -> str:
        name, _, inner = weight.partition("/")
        return dict(zip(inner_names(self.layers), self.layers, strict=True))[name].role(inner)

    def _entered(self, *shapes: Shape) -> Iterator[tuple[Layer, Shape]]:
        """Each layer with the shape that enters it."""
        shape = shapes[0]
        for layer in self._told():
            yield layer, shape
            (shape,) = layer.infer(shape)

    def _told(self) -> Iterator[Layer]:
        """The layers, those told to act as in training or not that take an interest in it."""
        return (layer.called(self.said) if "training" in layer.options else layer for layer in self.layers)


def _check_traceable(layer: Layer, shape: Shape) -> None:
    """Check that Keras can trace a layer within a Pipeline: there it makes what it otherwise makes outside of graphs.

    Raises:
        Misuse: it cannot.
    """
    area = isinstance(layer, UpSampling2D) and layer.interpolation == "area"
    spread = isinstance(layer, AdaptivePooling) and None in split(shape, layer.rank, layer, layer.data_format)[0]
    if isinstance(layer, Normalization) or spread or (area and None in shape):
        unknown = " when a size is `none`" if area or spread else ""
        message = f"Keras cannot run {type(layer).__name__} in a Pipeline{unknown}"
        raise Misuse(message, argument="layers", help="as a step of its own it runs")
    for one in (layer, *layer.layers_within()):
        if not isinstance(one, Sliding) or max(one.dilation_rate) == 1:
            continue
        sizes, _ = split(shape, one.rank, one, one.data_format)
        if None in sizes and set(sizes) != {None}:
            kind = type(one).__name__
            message = f"in a Pipeline Keras forgets the sizes of what a dilated {kind} makes when one is `none`"
            raise Misuse(message, argument="layers", help="as a step of its own it keeps them")
