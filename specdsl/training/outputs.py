"""What a model ends with, as far as its text tells, and whether a loss takes that."""

from __future__ import annotations

from specdsl.declaration import Misuse
from specdsl.functional import Functional
from specdsl.graph import Graph
from specdsl.layers.activation_functions import ACTIVATIONS
from specdsl.recipes.losses import Loss


def last_activation(graph: Graph) -> str | None:
    """The activation that makes a model's only output, `"linear"` where there is none; None where it cannot be told."""
    node = graph.by_name[graph.outputs[0].node]
    while node.layer.passes and len(node.inputs) == 1:
        node = graph.by_name[node.inputs[0].node]
    layer = node.layer
    if isinstance(layer, Functional):
        return last_activation(layer.graph) if len(layer.graph.outputs) == 1 else None
    if layer.applies is not None:
        along = getattr(layer, "axis", -1)
        return layer.applies if along in (-1, len(node.shapes[0])) else None
    if "activation" in layer.names() and "recurrent_activation" not in layer.names():
        activation = getattr(layer, "activation", None)
        return activation or "linear" if isinstance(activation, str | None) else None
    return None


def check_outputs(graph: Graph, loss: Loss) -> None:
    """Check that a model ends with what a loss takes, as far as the text tells.

    Raises:
        Misuse: it ends with something else.
    """
    last = last_activation(graph)
    if last is None:
        return
    kind, name = loss.outputs(), type(loss).__name__
    values = ACTIVATIONS[last].values
    single = graph.output_shapes[0] == (1,)
    logits = f"; or say {name}(from_logits=true)" if "from_logits" in loss.names() and last == "linear" else ""
    ends = f"{graph.name} ends with " + ("no activation" if last == "linear" else f'the activation "{last}"')
    if kind == "distribution" and values != "distribution":
        message = f"{ends}, but {name} takes probabilities that sum to 1"
        raise Misuse(message, argument="loss", help=f'end the model with the activation "softmax"{logits}')
    if kind == "independent" and values == "distribution":
        why = "which makes a single output always 1" if single else f"but to {name} each output stands on its own"
        raise Misuse(f"{ends}, {why}", argument="loss", help='end the model with the activation "sigmoid"')
    if kind in ("independent", "probabilities") and values not in ("distribution", "unit"):
        message = f"{ends}, but {name} takes numbers from 0 to 1"
        raise Misuse(message, argument="loss", help=f'end the model with the activation "sigmoid"{logits}')
    if kind == "logits" and values in ("distribution", "unit"):
        message = f"{ends}, but with from_logits=true {name} makes the probabilities itself"
        raise Misuse(message, argument="loss", help="leave from_logits out, or end the model without an activation")
    if kind == "positive" and values == "any":
        message = f"{ends}, but {name} takes numbers of at least 0"
        hint = 'end the model with the activation "softplus" or "exponential"'
        raise Misuse(message, argument="loss", help=hint)
