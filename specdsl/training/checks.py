"""What must fit together before training starts, checked without any framework."""

from __future__ import annotations

from specdsl.data.dataset import DataSet
from specdsl.declaration import Misuse
from specdsl.graph import Graph
from specdsl.recipes.training import DataRecipe, shape_text


def check_fit(graph: Graph, data: DataRecipe, classes: int) -> None:
    """Check that a model can take what a data recipe gives, and tells apart as many classes.

    Raises:
        Misuse: it cannot; both shapes or numbers are named.
    """
    inputs = graph.input_nodes
    for names, what in (([node.name for node in inputs], "input"), (list(map(str, graph.outputs)), "output")):
        if len(names) != 1:
            raise Misuse(
                f"training classifies images with a model of one {what}, but {graph.name} has {len(names)}: "
                f"{', '.join(names)}"
            )
    wanted, given = inputs[0].shape, data.image_shape
    if len(wanted) != 3 or any(w not in (None, g) for w, g in zip(wanted, given, strict=True)):
        raise Misuse(
            f"{graph.name} takes images of {shape_text(wanted)}, but the data gives {shape_text(given)}",
            argument="data",
            help=_crop_help(wanted, given) if len(wanted) == 3 else f"give the model an input of {shape_text(given)}",
        )
    (width,) = graph.output_shapes
    if width != (classes,):
        raise Misuse(
            f"{graph.name} ends with {shape_text(width)}, but the data has {classes} classes",
            argument="data",
            help=f'end the model with Dense({classes}, "softmax")'
            if len(width) == 1
            else "end the model with Flatten and Dense",
        )


def check_images(data: DataRecipe, dataset: DataSet) -> None:
    """Check that loaded images are what the recipe speaks of.

    Raises:
        Misuse: they have another size, or there are none.
    """
    if dataset.image_shape != data.source.image_shape:
        raise Misuse(
            f"{dataset.name} holds images of {shape_text(dataset.image_shape)}, but the spec speaks of "
            f"{shape_text(data.source.image_shape)}",
            argument="data",
        )
    for part, images in (("training", dataset.train), ("test", dataset.test)):
        if not len(images):
            raise Misuse(f"{dataset.name} has no {part} images", argument="data")


def _crop_help(wanted: tuple[int | None, ...], given: tuple[int, int, int]) -> str:
    height, width, channels = wanted
    smaller = height is not None and width is not None and height <= given[0] and width <= given[1]
    if smaller and channels == given[2]:
        return f"augment with random_crop({height}, {width}) and evaluate with center_crop({height}, {width})"
    return f"give the model an input of {shape_text(given)}"
