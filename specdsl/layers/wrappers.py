"""Layers around a layer: each step of a sequence for itself, a sequence in both directions."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from specdsl.counts import Count, Size, product
from specdsl.declaration import Misuse, text
from specdsl.layers.base import Layer
from specdsl.layers.dtypes import FLOATS
from specdsl.layers.facts import TRAINING, Arithmetic, Kept, Modes, Reach, Weight
from specdsl.layers.inner import freeze_inner, infer_inner, inner_dtypes, inner_weights
from specdsl.layers.pipeline import Pipeline
from specdsl.layers.recurrent import RECURRENT_OPTIONS, Recurrent
from specdsl.layers.shapes import Shape, check_given, known, show
from specdsl.layers.values import Positive


class TimeDistributed(Layer):
    """A layer, or a model, applied to each step of a sequence with the same weights."""

    family = "wrapper"
    options = TRAINING
    call_training = None

    layer: Layer

    def check(self) -> None:
        freeze_inner(self, "layer")
        if self.layer.arity != (1, 1) or self.layer.in_list:
            raise Misuse(f"TimeDistributed takes a layer over one tensor, not {self.layer}", argument="layer")
        if isinstance(self.layer, Pipeline):
            message = "Keras cannot tell the shape that leaves a Pipeline within a TimeDistributed"
            raise Misuse(message, argument="layer", help="a `model` of these layers can stand there")
        self._check_policies()

    def _check_policies(self) -> None:
        """Keras hands each step to the layer within as it is, without turning it into the type that this computes in.

        Only a mixed policy of the wrapper reaches the weights within. Where types differ, some layers fail and others
        give out one type or the other.
        """
        own, within = self.policy, self.layer.policy
        reached = within.variable == within.compute or own.variable != own.compute
        if self.layer.settles_types or (own.compute == within.compute and reached):
            return
        kind = type(self.layer).__name__
        weights = "" if reached else f" with weights of {within.variable}"
        raise Misuse(
            f"TimeDistributed hands {own.compute} to the {kind} within it, which computes in {within.compute}{weights}",
            argument="layer" if self.dtype is None else "dtype",
            help=f'say dtype="{self.dtype or self.layer.dtype}" of both, or of neither',
        )

    def result_shape(self, *shapes: Shape) -> Shape:
        leaving = infer_inner(self.layer, "layer", self._step(shapes[0]))
        if len(leaving) > 1:
            raise Misuse("TimeDistributed takes a layer that returns one tensor", argument="layer")
        return (shapes[0][0], *leaving[0])

    def result_dtypes(self, count: int, *dtypes: str) -> tuple[str, ...]:
        return self.layer.result_dtypes(count, *dtypes)

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        return inner_weights("", self.layer, self._step(shapes[0]))

    def work_by_kind(self, *shapes: Shape) -> Mapping[Arithmetic, Size]:
        steps, inner = shapes[0][0], self.layer.work_by_kind(self._step(shapes[0]))
        return {kind: None if steps is None or macs is None else steps * macs for kind, macs in inner.items()}

    def turns(self, *shapes: Shape) -> Size:
        return self.layer.turns(self._step(shapes[0]))

    def macs(self, *shapes: Shape) -> Count:
        return shapes[0][0] * self.layer.macs(self._step(shapes[0]))

    def depth(self, *shapes: Shape) -> int:
        return self.layer.depth(self._step(shapes[0]))

    def operations(self, *shapes: Shape) -> Count:
        return shapes[0][0] * self.layer.operations(self._step(shapes[0]))

    def kept(self, *shapes: Shape) -> Kept:
        inner = self.layer.kept(self._step(shapes[0]))
        return inner._replace(more=shapes[0][0] * inner.more)

    def modes(self) -> Modes | None:
        return self.layer.modes()

    work = "those of the layer within, for each step"

    def account(self, *shapes: Shape) -> str:
        return (
            f"for each step{', '.join(['', within]) if (within := self.layer.account(self._step(shapes[0]))) else ''}"
        )

    def role(self, weight: str) -> str:
        return self.layer.role(weight.partition("/")[2])

    def _step(self, shape: Shape) -> Shape:
        if len(shape) < 2:
            raise Misuse(f"TimeDistributed takes a sequence of shape (steps, ...), not a tensor of shape {show(shape)}")
        return shape[1:]


class Bidirectional(Layer):
    """A recurrent layer over the sequence and one like it over the sequence reversed, their outputs merged.

    Schuster and Paliwal, 1997.
    """

    family = "wrapper"
    options = RECURRENT_OPTIONS
    call_arguments = Recurrent.call_arguments
    call_training = None

    layer: Recurrent
    merge_mode: Literal["concat", "sum", "mul", "ave"] | None = "concat"
    backward_layer: Recurrent | None = None

    def check(self) -> None:
        freeze_inner(self, "layer", "backward_layer")
        back = self.backward_layer
        if back is None and self.layer.go_backwards:
            raise Misuse(
                "the layer of a Bidirectional goes forwards; it makes the one that goes backwards", argument="layer"
            )
        if back and back.go_backwards == self.layer.go_backwards:
            both = f"go_backwards={text(back.go_backwards)}"
            message = f"one layer of a Bidirectional goes backwards and the other does not, and here both have {both}"
            raise Misuse(message, argument="backward_layer")
        for name in ("return_sequences", "return_state"):
            if back and getattr(back, name) != getattr(self.layer, name):
                raise Misuse(f"both layers of a Bidirectional have the same {name}", argument="backward_layer")

    def result_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        ahead, back = self._both()
        forward, *states = infer_inner(ahead, "layer", *shapes)
        backward, *others = infer_inner(back, "backward_layer" if self.backward_layer else "layer", *shapes)
        if forward != backward:
            what = "merge outputs" if self.merge_mode else "return outputs"
            raise Misuse(
                f"Bidirectional cannot {what} of {show(forward)} and {show(backward)}", argument="backward_layer"
            )
        if states != others:
            raise Misuse(
                f"Bidirectional cannot return states of {_shown(states)} forwards and of {_shown(others)} backwards",
                argument="backward_layer",
                help="both layers have as many states, of the same sizes, or return none",
            )
        if self.merge_mode is None:
            return (forward, backward, *states, *others)
        wide = 2 * known(forward[-1], self, "the size of the last axis")
        return ((*forward[:-1], wide) if self.merge_mode == "concat" else forward, *states, *others)

    def result_dtypes(self, count: int, *dtypes: str) -> tuple[str, ...]:
        outputs = 1 if self.merge_mode else 2
        states = (dtype for layer in self._both() for dtype in layer.result_dtypes((count - outputs) // 2, *dtypes))
        return (*inner_dtypes(self, self.layer, outputs, *dtypes), *states)

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        forward, backward = self._both()
        back = "" if self.backward_layer else "backward_"
        return inner_weights("forward_", forward, *shapes) + inner_weights(back, backward, *shapes)

    @property
    def arithmetic(self) -> Arithmetic:
        return self.layer.arithmetic

    def turns(self, *shapes: Shape) -> Size:
        turns = [layer.turns(*shapes) for layer in self._both()]
        return None if None in turns else sum(one for one in turns if one is not None)

    def macs(self, *shapes: Shape) -> Count:
        forward, backward = self._both()
        return forward.macs(*shapes) + backward.macs(*shapes)

    def operations(self, *shapes: Shape) -> Count:
        forward, backward = self._both()
        merged = product(*self.result_shapes(*shapes)[0]) if self.merge_mode in ("sum", "mul", "ave") else Count()
        joined = (2 if self.merge_mode == "ave" else 1) * merged
        return forward.operations(*shapes) + backward.operations(*shapes) + joined

    def kept(self, *shapes: Shape) -> Kept:
        forward, backward = (layer.kept(*shapes) for layer in self._both())
        apart = self.merge_mode in ("mul",)
        outputs = 2 * product(*self.layer.result_shape(*shapes)) if apart else Count()
        return Kept(inputs=True, more=forward.more + backward.more + outputs)

    def modes(self) -> Modes | None:
        forward, backward = self._both()
        return forward.modes() or backward.modes()

    def check_option(self, name: str, given: tuple[Shape | None, ...], *shapes: Shape) -> None:
        if name == "mask":
            check_given(self, name, given, (shapes[0][:1],))
            return
        check_given(self, name, given, self.states(*shapes))

    def states(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The states of the layer that goes forwards, and those of the one that goes backwards.

        Raises:
            Misuse: one has more states than the other.
        """
        forward, backward = (layer.states(*shapes) for layer in self._both())
        ahead, back = (layer.lists("initial_state", *shapes) for layer in self._both())
        if len(forward) != len(backward) or len(ahead) != len(back):
            message = "Bidirectional shares its initial states equally between layers with as many states"
            raise Misuse(message, argument="initial_state")
        return forward + backward

    def lists(self, option: str, *shapes: Shape) -> tuple[int, ...]:
        forward, backward = self._both()
        return forward.lists(option, *shapes) + backward.lists(option, *shapes)

    @property
    def nested(self) -> bool:
        """Where the layers within return the states of several cells."""
        return any(layer.nested for layer in self._both())

    work = "those of both layers"

    def account(self, *shapes: Shape) -> str:
        merged = {"concat": "both laid end to end", None: "that of each direction"}
        return f"{self.layer.account(*shapes)}, {merged.get(self.merge_mode, 'both joined value by value')}"

    def role(self, weight: str) -> str:
        forward, backward = self._both()
        name, ahead = weight.partition("/")[2], weight.startswith("forward_")
        return f"{(forward if ahead else backward).role(name)}, {'forward' if ahead else 'backward'}"

    def _both(self) -> tuple[Recurrent, Recurrent]:
        back: dict[str, Any] = {**self.layer.arguments(), "go_backwards": True}
        return self.layer, self.backward_layer or type(self.layer)(**back)


def _shown(shapes: Sequence[Shape]) -> str:
    return " and ".join(map(show, shapes))


class SpectralNormalization(Layer):
    """A layer whose kernel training keeps at a largest singular value of 1 (Miyato et al., 2018)."""

    family = "wrapper"
    options = TRAINING

    work = "those of the layer within"

    layer: Layer
    power_iterations: Positive = 1

    def check(self) -> None:
        freeze_inner(self, "layer")
        if self.layer.arity != (1, 1) or self.layer.in_list:
            raise Misuse(f"SpectralNormalization takes a layer over one tensor, not {self.layer}", argument="layer")
        if getattr(self.layer, "lora_rank", None):
            raise Misuse("SpectralNormalization cannot change a kernel with lora_rank", argument="layer")

    def result_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        return infer_inner(self.layer, "layer", *shapes)

    def result_dtypes(self, count: int, *dtypes: str) -> tuple[str, ...]:
        inner_dtypes(self, self.layer, count, *dtypes)
        return tuple(self.policy.compute if dtype in FLOATS else dtype for dtype in dtypes) * count

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        inner = inner_weights("", self.layer, *shapes)
        names = [f"{self.layer.own_name}/{name}" for name in ("kernel", "embeddings")]
        kernel = next((weight for weight in inner if weight.name in names), None)
        if kernel is None:
            message = f"SpectralNormalization takes a layer with a kernel, or with embeddings, not {self.layer}"
            raise Misuse(message, argument="layer")
        direction = Weight("vector_u", (1, kernel.shape[-1]), trainable=False, dtype=kernel.dtype)
        return (kernel, direction, *(weight for weight in inner if weight is not kernel))

    def work_by_kind(self, *shapes: Shape) -> Mapping[Arithmetic, Size]:
        return self.layer.work_by_kind(*shapes)

    def turns(self, *shapes: Shape) -> Size:
        return self.layer.turns(*shapes)

    def macs(self, *shapes: Shape) -> Count:
        return self.layer.macs(*shapes)

    def operations(self, *shapes: Shape) -> Count:
        return self.layer.operations(*shapes)

    def depth(self, *shapes: Shape) -> int:
        return self.layer.depth(*shapes)

    def reach(self, *shapes: Shape) -> Reach | None:
        return self.layer.reach(*shapes)

    def modes(self) -> Modes | None:
        times = "one power iteration" if self.power_iterations == 1 else f"{self.power_iterations} power iterations"
        return Modes(
            f"divides the kernel by its largest singular value, as {times} more tell it, and keeps it so",
            "takes the kernel as training has left it",
        )

    def kept(self, *shapes: Shape) -> Kept:
        return self.layer.kept(*shapes)

    def account(self, *shapes: Shape) -> str:
        return self.layer.account(*shapes)

    def role(self, weight: str) -> str:
        if weight == "vector_u":
            return "a direction that the kernel stretches most"
        return self.layer.role(weight.partition("/")[2])
