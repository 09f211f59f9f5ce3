"""What XLA says of models on JAX: a program of its own, since a process has one back end.

It reads a list of [text, model, batch, whether training is asked for] as JSON and prints a list of figures. Nothing is
run, only compiled.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import jax
import keras

import specdsl


def figures(text: str, name: str, batch: int, training: bool) -> dict[str, float]:
    """Operations, and bytes of memory, in inference and in a step of Adam on the mean of squared outputs."""
    model = specdsl.loads(text).model(name).to_keras()
    trained, fixed = (
        [_abstract(one.value) for one in some] for some in (model.trainable_variables, model.non_trainable_variables)
    )
    inputs = [jax.ShapeDtypeStruct((batch, *one.shape[1:]), one.dtype) for one in model.inputs]
    entering = inputs if len(inputs) > 1 else inputs[0]

    def infer(trained: Any, fixed: Any, entering: Any) -> Any:
        return model.stateless_call(trained, fixed, entering, training=False)[0]

    compiled = jax.jit(infer).lower(trained, fixed, entering).compile()
    cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
    told = {
        "flops": (cost["flops"] + cost.get("transcendentals", 0)) / batch,
        "bytes_moved": cost["bytes accessed"],
        "inference_bytes": _total(memory),
    }
    if not training:
        return told
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    state = [_abstract(one.value) for one in optimizer.variables]

    def loss(trained: Any, fixed: Any, entering: Any) -> Any:
        made, fixed = model.stateless_call(trained, fixed, entering, training=True)
        return sum(keras.ops.mean(keras.ops.square(one)) for one in keras.tree.flatten(made)), fixed

    def step(trained: Any, fixed: Any, state: Any, entering: Any) -> Any:
        (value, fixed), gradients = jax.value_and_grad(loss, has_aux=True)(trained, fixed, entering)
        trained, state = optimizer.stateless_apply(state, gradients, trained)
        return trained, fixed, state, value

    stepping = jax.jit(step, donate_argnums=(0, 1, 2)).lower(trained, fixed, state, entering).compile()
    return told | {"training_bytes": _total(stepping.memory_analysis())}


def _abstract(value: Any) -> Any:
    return jax.ShapeDtypeStruct(value.shape, value.dtype)


def _total(memory: Any) -> float:
    """All that is there at once: what is given, what comes out elsewhere, and what is needed between."""
    given, made = memory.argument_size_in_bytes, memory.output_size_in_bytes - memory.alias_size_in_bytes
    return float(given + made + memory.temp_size_in_bytes)


if __name__ == "__main__":
    json.dump([figures(*wanted) for wanted in json.load(sys.stdin)], sys.stdout)
