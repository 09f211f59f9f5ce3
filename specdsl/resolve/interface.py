"""The interface of a model: its inputs, and its outputs, declared or what the last step leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from specdsl.declaration import text
from specdsl.diagnostics import Diagnostic, Slug
from specdsl.graph import Tensor
from specdsl.layers import InputLayer
from specdsl.resolve.application import Flow
from specdsl.resolve.assembly import Assembly, Use
from specdsl.resolve.binding import construct
from specdsl.resolve.lookup import tensor_named
from specdsl.resolve.scope import POISON, Collector, Frame, Problem, Skip
from specdsl.resolve.values import Evaluator
from specdsl.source import Span
from specdsl.syntax import tree


class Interface:
    """What enters a model and what leaves it, as its body says.

    Args:
        assembly: the graph as it grows.
        evaluator: of the shapes of inputs.
        found: where mistakes in arguments go.
        report: takes any other mistake.
    """

    def __init__(
        self, assembly: Assembly, evaluator: Evaluator, found: Collector, report: Callable[[Diagnostic], None]
    ) -> None:
        self.outputs: list[tuple[Tensor, Span]] = []
        self._assembly = assembly
        self._evaluator = evaluator
        self._found = found
        self._report = report
        self._declared = False

    def enter(self, statement: tree.Input, frame: Frame, flow: Flow) -> Flow:
        """Make an input; what flows on behind it is the tensor, unless it is one of several.

        Raises:
            Problem: it cannot be.
            Skip: its arguments are wrong, and the mistakes found.
        """
        arguments: dict[str, Any] = {"shape": self._evaluator.value(statement.shape, frame)}
        spans = {"shape": statement.shape.span}
        if statement.dtype:
            arguments["dtype"] = statement.dtype.text
            spans["dtype"] = statement.dtype.span
        if not isinstance(arguments["shape"], tuple | list):
            hint = "a shape is a tuple without the batch axis, such as (28, 28, 3) or (10,)"
            message = f"the shape of an input must be a tuple, not {text(arguments['shape'])}"
            raise Problem(Slug.BAD_ARGUMENT, message, statement.shape.span, help=hint)
        layer = construct(InputLayer, arguments, spans, statement.span, self._found, "an input")
        if layer is None:
            raise Skip
        if statement.name.text in frame.names:
            frame.bind(statement.name.text, None, statement.name.span)  # reports what has the name already
        several = self._assembly.has_input
        (tensor,) = self._assembly.apply(Use(layer, statement.name, statement.span), (), "")
        frame.bind(statement.name.text, tensor, statement.name.span)
        frame.entering = None if several else tensor
        return None if several or flow is POISON else tensor

    def leave(self, statement: tree.Output, frame: Frame) -> None:
        """Declare the outputs.

        Raises:
            Problem: they have been declared already.
        """
        if self._declared:
            raise Problem(
                Slug.DUPLICATE, "the outputs are declared twice; one `output a, b` names them all", statement.span
            )
        self._declared = True
        declared: set[Tensor] = set()
        for name in statement.names:
            try:
                tensor = tensor_named(name, frame, self._evaluator.lost_names)
            except Problem as problem:
                self._report(problem.diagnostic)
                continue
            except Skip:
                continue
            node = self._assembly.nodes[tensor.node]
            if isinstance(node.layer, InputLayer) and name.text != node.name:
                message = (
                    f"the output '{name.text}' would be the input '{node.name}' itself: nothing stands between them"
                )
                hint = "a layer that is an output cannot be removed"
                self._report(Diagnostic(Slug.MISPLACED, message, name.span, help=hint))
            elif tensor in declared:
                self._report(Diagnostic(Slug.DUPLICATE, f"'{name.text}' is an output already", name.span))
            else:
                self.outputs.append((tensor, name.span))
                declared.add(tensor)

    def end(self, flow: Flow) -> Flow:
        """Take what the last step leaves for the outputs, where none are declared."""
        if self._declared:
            return flow
        if isinstance(flow, Tensor):
            flow = [flow]
        if isinstance(flow, list):
            last = self._assembly.nodes[flow[0].node]
            if tuple(flow) == last.outputs:
                self.outputs += [(tensor, last.span) for tensor in flow]
        return flow
