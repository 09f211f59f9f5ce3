"""What must fit together before training starts, checked without any framework."""

from __future__ import annotations

from specdsl.data.dataset import DataSet
from specdsl.declaration import Misuse
from specdsl.graph import Graph
from specdsl.recipes.data import DataRecipe, shape_text
from specdsl.recipes.sources import Shape, Task
from specdsl.recipes.training import TrainRecipe
from specdsl.training.outputs import check_outputs


def check_fit(graph: Graph, data: DataRecipe, dataset: DataSet | None = None) -> None:
    """Check that a model takes what a data recipe gives, and gives a number for each class or value of the data.

    Args:
        graph: the model.
        data: the recipe.
        dataset: what the recipe names, loaded; without it, only what the declaration tells is checked.

    Raises:
        Misuse: it cannot; both shapes or numbers are named.
    """
    inputs = graph.input_nodes
    for names, what in (([node.name for node in inputs], "input"), (list(map(str, graph.outputs)), "output")):
        if len(names) != 1:
            raise Misuse(f"training takes a model of one {what}, but {graph.name} has {len(names)}: {', '.join(names)}")
    given = data.shape if dataset is None else data.shape_after(dataset.shape)
    if given is not None:
        _check_input(graph, given)
    told = data.source if dataset is None else dataset
    if told.outputs is not None:
        _check_output(graph, told.outputs, told.task)


def check_recipe(graph: Graph, recipe: TrainRecipe, dataset: DataSet | None = None) -> None:
    """Check that a recipe can train a model: that they fit as `check_fit` says, and the loss and the metrics do.

    Args:
        graph: the model.
        recipe: the recipe.
        dataset: what the recipe names, loaded; without it, only what the declaration tells is checked.

    Raises:
        Misuse: it cannot.
    """
    check_fit(graph, recipe.data, dataset)
    if dataset is not None and dataset.class_names:
        recipe.check_classes(len(dataset.class_names))
    (width,) = graph.output_shapes
    if len(width) == 1 and width[0] is not None:
        recipe.targets(width[0])
    check_outputs(graph, recipe.loss)


def _check_input(graph: Graph, given: Shape) -> None:
    """Check that a model takes examples of a shape."""
    wanted = graph.input_nodes[0].shape
    if len(wanted) == len(given) and all(w in (None, g) for w, g in zip(wanted, given, strict=True)):
        return
    of_images = len(wanted) == len(given) == 3
    raise Misuse(
        f"{graph.name} takes {_what(wanted)} of {shape_text(wanted)}, but the data gives {shape_text(given)}",
        argument="data",
        help=_size_help(wanted, given) if of_images else f"give the model an input of {shape_text(given)}",
    )


def _check_output(graph: Graph, outputs: int, task: Task) -> None:
    """Check that a model gives a number for each class, or of two classes a single one, or each value to predict."""
    (width,) = graph.output_shapes
    if width == (outputs,) or (task == "classification" and (outputs, width) == (2, (1,))):
        return
    if task == "classification":
        had, last = f"{outputs} classes", f'Dense({outputs}, "softmax")'
    else:
        had, last = (
            f"{outputs} {'value' if outputs == 1 else 'values'} to predict for each example",
            f"Dense({outputs})",
        )
    raise Misuse(
        f"{graph.name} ends with {shape_text(width)}, but the data has {had}",
        argument="data",
        help=f"end the model with {last}" if len(width) == 1 else "end the model with Flatten and Dense",
    )


def check_data(data: DataRecipe, dataset: DataSet) -> None:
    """Check that loaded data are what the recipe speaks of: also what only loading could tell.

    Raises:
        Misuse: examples have another shape, classes or operations do not fit them, or there are none.
    """
    source = data.source
    if source.shape is not None and dataset.shape != source.shape:
        raise Misuse(
            f"{dataset.name} holds {_what(dataset.shape)} of {shape_text(dataset.shape)}, but the spec speaks of "
            f"{shape_text(source.shape)}",
            argument="data",
        )
    if dataset.task != source.task or (source.outputs is not None and dataset.outputs != source.outputs):
        raise Misuse(
            f"{dataset.name} is data for {dataset.task} of {dataset.outputs}, but the spec speaks of {source.task} "
            f"of {source.outputs}",
            argument="data",
        )
    data.check_classes(len(dataset.class_names) or None)
    data.shape_after(dataset.shape)
    for part, examples in (("training", dataset.train), ("test", dataset.test)):
        if not len(examples):
            raise Misuse(f"{dataset.name} has no {part} examples", argument="data")


def _what(shape: tuple[int | None, ...]) -> str:
    return "images" if len(shape) == 3 else "values"


def _size_help(wanted: tuple[int | None, ...], given: Shape) -> str:
    height, width, channels = wanted
    if height is None or width is None or channels not in (None, given[2]):
        return f"give the model an input of {shape_text(given)}"
    size = f"({height}, {width})"
    if height <= given[0] and width <= given[1]:
        return f"augment with random_crop{size} and evaluate with center_crop{size}, or end both with resize{size}"
    return f"end augment and evaluate with resize{size}, or give the model an input of {shape_text(given)}"
