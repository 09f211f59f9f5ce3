"""Expansion of a model: its text, carried out step by step, leaves the graph of its layers.

Carrying on after a mistake, a tensor that a wrong step would have made is `POISON`: what depends on it is read
for further mistakes of its own, but makes no node and no complaint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from specdsl.declaration import text
from specdsl.diagnostics import Diagnostic, Note, Slug
from specdsl.layers import InputLayer
from specdsl.resolve.assembly import Assembly, Use
from specdsl.resolve.binding import bind, construct, match_arguments
from specdsl.resolve.hooks import Applied, Hooks, Key
from specdsl.resolve.lookup import layer_named, merge_named, nothing_entered, tensor_named
from specdsl.resolve.naming import check_name
from specdsl.resolve.scope import (
    POISON,
    Collector,
    Defined,
    Frame,
    Limits,
    Poison,
    Problem,
    Skip,
    Steps,
    Tensor,
    refuse_taken,
)
from specdsl.resolve.values import Evaluator
from specdsl.source import Span
from specdsl.syntax import tree

Current = Tensor | tuple[Tensor, ...] | Poison
"""What reaches a step: one tensor, several for a merge, or something unknown."""

Flow = Current | None
"""The same, or nothing yet."""


class _Site(NamedTuple):
    """Where a step is carried out: the names it sees, the block instance it belongs to, and the path to it."""

    frame: Frame
    scope: str
    path: Key


class Expansion:
    """Carries out one body with one set of edits. It is used once: `run`, then read the results."""

    def __init__(
        self,
        limits: Limits,
        lost_names: frozenset[str],
        hooks: Mapping[Key, Hooks],
        found: Collector,
        steps: Steps,
    ) -> None:
        self.limits = limits
        self.found = found
        self.hooks = hooks
        self.steps = steps
        self.assembly = Assembly(limits)
        self.applied: list[Applied] = []
        self.outputs: list[tuple[str, Span]] = []
        self.expectations: list[tuple[tree.Expect, Frame]] = []
        self.evaluator = Evaluator(limits, found, lost_names, self.assembly.shape, steps)
        self.poisoned = False
        self._calls: list[tree.Call] = []
        self._declared_output = False

    def run(self, body: tree.Body, frame: Frame) -> Flow:
        """Carry out the body of a model; its outputs are then in `outputs`."""
        self.assembly.reserve(body, "")
        flow = self._body(body, _Site(frame, "", ()), None, top=True)
        if not self._declared_output and isinstance(flow, Tensor):
            self.outputs.append((flow.node, self.assembly.nodes[flow.node].span))
        return flow

    def dry_run(self, body: tree.Body, frame: Frame) -> None:
        """Look for mistakes in a body whose entering tensor is unknown."""
        self._body(body, _Site(frame, "", ()), POISON)

    # ------------------------------------------------------------------------------------------ bodies

    def _body(self, body: tree.Body, site: _Site, flow: Flow, *, top: bool = False) -> Flow:
        for index, statement in enumerate(body.statements):
            self.steps.take(statement.span)
            here = _Site(site.frame, site.scope, (*site.path, index))
            try:
                flow = self._statement(statement, here, flow, top)
            except Problem as problem:
                if problem.diagnostic.slug is Slug.LIMIT:
                    raise
                self._report(problem.diagnostic)
                flow = self._after_mistake(statement, site.frame, flow)
            except Skip:
                flow = self._after_mistake(statement, site.frame, flow)
            self.poisoned = self.poisoned or isinstance(flow, Poison)
        return flow

    def _after_mistake(self, statement: tree.Statement, frame: Frame, flow: Flow) -> Flow:
        """What flows on behind a step that failed: the names it would have bound are unknown from here."""
        match statement:
            case tree.Let() | tree.Input():
                frame.names.setdefault(statement.name.text, (POISON, statement.name.span))
            case tree.Chain():
                for link in statement.links:
                    if isinstance(link, tree.Step) and link.name:
                        frame.names.setdefault(link.name.text, (POISON, link.name.span))
            case tree.Expect() | tree.Output():
                return flow
        return flow if isinstance(statement, tree.Let) else POISON

    def _statement(self, statement: tree.Statement, site: _Site, flow: Flow, top: bool) -> Flow:
        frame = site.frame
        match statement:
            case tree.Chain():
                return self._chain(statement, site, flow)
            case tree.Let():
                frame.bind(statement.name.text, self.evaluator.value(statement.value, frame), statement.name.span)
                return flow
            case tree.If():
                return self._if(statement, site, flow)
            case tree.Repeat():
                return self._repeat(statement, site, flow)
            case tree.For():
                return self._for(statement, site, flow)
            case tree.Hole():
                return POISON
        if not top:
            word = type(statement).__name__.lower()
            raise Problem(
                Slug.MISPLACED, f"`{word}` stands in the body of a model, not inside other braces", statement.span
            )
        match statement:
            case tree.Input():
                return self._input(statement, site, flow)
            case tree.Output():
                return self._output(statement, frame, flow)
            case tree.Expect():
                self.steps.take(statement.span, Steps.EXPECT)
                self.expectations.append((statement, frame))
        return flow

    def _inner(self, body: tree.Body, site: _Site, flow: Flow, part: object, **names: tuple[Any, Span]) -> Flow:
        """Carry out a body in braces of its own."""
        inner = Frame(site.frame, flow if isinstance(flow, Tensor | Poison) else None, dict(names))
        return self._body(body, _Site(inner, site.scope, (*site.path, part)), flow)

    def _if(self, statement: tree.If, site: _Site, flow: Flow) -> Flow:
        try:
            chosen = self.evaluator.truth(statement.condition, site.frame)
        except (Problem, Skip) as mistake:
            if isinstance(mistake, Problem):
                self._report(mistake.diagnostic)
            self._inner(statement.then, site, POISON, "then")
            if isinstance(statement.otherwise, tree.Body):
                self._inner(statement.otherwise, site, POISON, "else")
            elif statement.otherwise:
                self._if(statement.otherwise, _Site(site.frame, site.scope, (*site.path, "else")), POISON)
            return POISON
        if chosen:
            return self._inner(statement.then, site, flow, "then")
        if isinstance(statement.otherwise, tree.If):
            return self._if(statement.otherwise, _Site(site.frame, site.scope, (*site.path, "else")), flow)
        return self._inner(statement.otherwise, site, flow, "else") if statement.otherwise else flow

    def _repeat(self, statement: tree.Repeat, site: _Site, flow: Flow) -> Flow:
        try:
            times = self.evaluator.whole(statement.times, site.frame, "the number of repetitions")
            if times < 0:
                message = f"the number of repetitions must not be negative, and it is {times}"
                raise Problem(Slug.BAD_VALUE, message, statement.times.span)
            if times > self.limits.steps:
                message = f"{times:,} repetitions are too many; the limit is {self.limits.steps:,} steps"
                hint = self.limits.raising("steps", 2 * times)
                raise Problem(Slug.LIMIT, message, statement.times.span, help=hint)
        except (Problem, Skip):
            self._inner(statement.body, site, POISON, 0)
            raise
        for index in range(times):
            self.steps.take(statement.span)
            flow = self._inner(statement.body, site, flow, index)
            if isinstance(flow, Poison):  # the next round would only say the same again
                break
        return flow

    def _for(self, statement: tree.For, site: _Site, flow: Flow) -> Flow:
        refuse_taken(statement.name.text, statement.name.span)
        try:
            values = self.evaluator.value(statement.values, site.frame)
            if not isinstance(values, list | tuple):
                message = f"`for` goes through a list, a tuple or a range, not {text(values)}"
                raise Problem(Slug.BAD_VALUE, message, statement.values.span)
        except (Problem, Skip):
            self._inner(statement.body, site, POISON, 0, **{statement.name.text: (POISON, statement.name.span)})
            raise
        for index, value in enumerate(values):
            flow = self._inner(statement.body, site, flow, index, **{statement.name.text: (value, statement.name.span)})
            self.steps.take(statement.span)
            if isinstance(flow, Poison):
                break
        return flow

    def _input(self, statement: tree.Input, site: _Site, flow: Flow) -> Flow:
        arguments: dict[str, Any] = {"shape": self.evaluator.value(statement.shape, site.frame)}
        spans = {"shape": statement.shape.span}
        if statement.dtype:
            arguments["dtype"] = statement.dtype.text
            spans["dtype"] = statement.dtype.span
        if not isinstance(arguments["shape"], tuple | list):
            hint = "a shape is a tuple without the batch axis, such as (28, 28, 3) or (10,)"
            message = f"the shape of an input must be a tuple, not {text(arguments['shape'])}"
            raise Problem(Slug.BAD_ARGUMENT, message, statement.shape.span, help=hint)
        layer = construct(InputLayer, arguments, spans, statement.span, self.found, "an input")
        if layer is None:
            raise Skip
        if statement.name.text in site.frame.names:
            site.frame.bind(statement.name.text, None, statement.name.span)  # reports what has the name already
        several = self.assembly.has_input
        tensor = self.assembly.apply(Use(layer, statement.name, statement.span), (), "")
        site.frame.bind(statement.name.text, tensor, statement.name.span)
        site.frame.entering = None if several else tensor
        return None if several or flow is POISON else tensor

    def _output(self, statement: tree.Output, frame: Frame, flow: Flow) -> Flow:
        if self._declared_output:
            raise Problem(
                Slug.DUPLICATE, "the outputs are declared twice; one `output a, b` names them all", statement.span
            )
        self._declared_output = True
        declared: set[str] = set()
        for name in statement.names:
            try:
                tensor = tensor_named(name, frame, self.evaluator.lost_names)
            except Problem as problem:
                self._report(problem.diagnostic)
                continue
            except Skip:
                continue
            node = self.assembly.nodes[tensor.node]
            if isinstance(node.layer, InputLayer) and name.text != node.name:
                message = (
                    f"the output '{name.text}' would be the input '{node.name}' itself: nothing stands between them"
                )
                hint = "a layer that is an output cannot be removed"
                self._report(Diagnostic(Slug.MISPLACED, message, name.span, help=hint))
            elif tensor.node in declared:
                self._report(Diagnostic(Slug.DUPLICATE, f"'{name.text}' is an output already", name.span))
            else:
                self.outputs.append((tensor.node, name.span))
                declared.add(tensor.node)
        return flow

    # ------------------------------------------------------------------------------------------ chains

    def _chain(self, chain: tree.Chain, site: _Site, flow: Flow) -> Flow:
        mistaken = False
        for index, link in enumerate(chain.links):
            here = _Site(site.frame, site.scope, (*site.path, index)) if index else site
            try:
                flow = self._link(link, here, flow, first=index == 0)
            except Problem as problem:
                if problem.diagnostic.slug is Slug.LIMIT:
                    raise
                self._report(problem.diagnostic)
                mistaken, flow = True, POISON
            except Skip:
                mistaken, flow = True, POISON
            if isinstance(link, tree.Step) and link.name:
                try:
                    check_name(link.name)
                    site.frame.bind(link.name.text, flow, link.name.span)
                except Problem as problem:
                    self._report(problem.diagnostic)
        return POISON if mistaken else flow

    def _link(self, link: tree.Gather | tree.Step, site: _Site, flow: Flow, *, first: bool) -> Flow:
        if isinstance(link, tree.Gather):
            return self._gather(link, site.frame)
        if isinstance(link.action, tree.Shortcut):
            return self._shortcut(link.action, link.name, site, flow)
        if isinstance(link.action, tree.Branch):
            return self._branch(link.action, link.name, site, flow)
        call = link.action
        bound = site.frame.lookup(call.name.text)
        if bound is None:
            return self._layer_step(call, link.name, site, flow)
        match bound[0]:
            case Tensor() | Poison() as tensor if first and call.arguments is None:
                if link.name is not None:
                    raise Problem(Slug.DUPLICATE, f"'{call.name.text}' has a name already", link.name.span)
                return tensor
            case Tensor():
                hint = f"begin a new line with `{call.name.text} -> ...`, or gather tensors with `[a, b] -> Add`"
                raise Problem(
                    Slug.MISPLACED, f"'{call.name.text}' is a tensor, and only begins a chain", call.span, help=hint
                )
            case Poison():
                raise Skip
            case Defined(node=tree.Block() as block, home=home):
                return self._block(block, home, call, link.name, site, flow)
            case Defined(node=tree.Model() | tree.Variant()):
                raise Problem(Slug.MISPLACED, f"'{call.name.text}' is a model; a step is a layer or a block", call.span)
            case Defined():
                raise Problem(Slug.MISPLACED, f"'{call.name.text}' is no layer or block", call.span)
            case _:
                raise Problem(Slug.MISPLACED, f"'{call.name.text}' is a value, not a step", call.span)

    def _gather(self, gather: tree.Gather, frame: Frame) -> Flow:
        tensors: list[Tensor] = []
        self.steps.take(gather.span, len(gather.names))
        for name in gather.names:
            try:
                tensors.append(tensor_named(name, frame, self.evaluator.lost_names))
            except Problem as problem:
                self._report(problem.diagnostic)
            except Skip:
                continue
        if len(tensors) < len(gather.names):
            raise Skip
        return tuple(tensors)

    def _layer_step(self, call: tree.Call, alias: tree.Name | None, site: _Site, flow: Flow) -> Flow:
        kind = layer_named(call.name, site.frame, self.evaluator.lost_names)
        layer = bind(kind, call, lambda expression: self.evaluator.value(expression, site.frame), self.found)
        return self._apply(Use(layer, alias, call.span, call), site, flow)

    # ------------------------------------------------------------------------------------------ structure

    def _shortcut(self, shortcut: tree.Shortcut, alias: tree.Name | None, site: _Site, flow: Flow) -> Flow:
        entering = self._single(flow, shortcut.merge.span, "a shortcut")
        left = self._inner(shortcut.body, site, entering, "body")
        around = self._inner(shortcut.via, site, entering, "via") if shortcut.via else entering
        if left == around and isinstance(left, Tensor):
            message = "this shortcut joins a tensor with itself: no step stands in it"
            raise Problem(Slug.MISPLACED, message, shortcut.span)
        return self._join(shortcut.merge, alias, site, (around, left), skip=0)

    def _branch(self, branch: tree.Branch, alias: tree.Name | None, site: _Site, flow: Flow) -> Flow:
        entering = self._single(flow, branch.merge.span, "a branch")
        ends = [self._inner(body, site, entering, ("branch", index)) for index, body in enumerate(branch.bodies)]
        return self._join(branch.merge, alias, site, tuple(ends), skip=None)

    def _join(
        self, merge: tree.Call, alias: tree.Name | None, site: _Site, ends: tuple[Flow, ...], skip: int | None
    ) -> Flow:
        """Merge what several bodies leave."""
        kind = merge_named(merge.name)
        layer = bind(kind, merge, lambda expression: self.evaluator.value(expression, site.frame), self.found)
        tensors = tuple(end for end in ends if isinstance(end, Tensor))
        if len(tensors) < len(ends):
            raise Skip
        return self._apply(Use(layer, alias, merge.span, merge, skip), site, tensors)

    def _block(
        self, block: tree.Block, home: Frame, call: tree.Call, alias: tree.Name | None, site: _Site, flow: Flow
    ) -> Flow:
        if len(self._calls) >= self.limits.depth:
            hint = f"does '{block.name.text}' use itself? Otherwise, {self.limits.raising('depth')}"
            message = f"blocks stand within blocks more than {self.limits.depth} deep"
            raise Problem(Slug.LIMIT, message, call.span, help=hint)
        flow = self._single(flow, call.span, f"the block '{block.name.text}'")
        before = self.found.reported
        arguments = self._arguments(block, home, call, site.frame)
        if isinstance(flow, Poison) or self.found.reported > before:
            return POISON  # what is wrong inside is found when the block is looked at alone
        frame = Frame(home, flow if isinstance(flow, Tensor | Poison) else None, arguments)
        values = {key: value for key, (value, _) in arguments.items()}
        name = self.assembly.open_scope(block.name.text, alias, site.scope, values, call.span)
        self.steps.take(call.span, Steps.BLOCK + Steps.NAME * self.assembly.reserve(block.body, name))
        self._calls.append(call)
        try:
            return self._body(block.body, _Site(frame, name, (*site.path, block.name.text)), flow)
        finally:
            self._calls.pop()

    def _arguments(
        self, definition: tree.Block, home: Frame, call: tree.Call, frame: Frame
    ) -> dict[str, tuple[Any, Span]]:
        """The values of a block's parameters in a call, defaults filled in; mistakes are reported, and poison."""
        name = definition.name.text
        parameters = {parameter.name.text: parameter for parameter in definition.parameters or ()}
        given = match_arguments(name, call.arguments or (), list(parameters), parameters, self.found)
        bound: dict[str, tuple[Any, Span]] = {}
        earlier = Frame(home, None, bound)  # a default sees the parameters before its own
        for key, parameter in parameters.items():
            value: Any = POISON
            try:
                if key in given:
                    value = self.evaluator.value(given[key], frame)
                elif parameter.default is not None:
                    value = self.evaluator.value(parameter.default, earlier)
                else:
                    note = Note(f"'{name}' is defined here", definition.name.span)
                    message = f"'{name}' needs a value for '{key}'"
                    self._report(Diagnostic(Slug.MISSING_ARGUMENT, message, call.span, (note,)))
            except Problem as problem:
                self._report(problem.diagnostic)
            except Skip:
                pass
            bound[key] = (value, parameter.name.span)
        return bound

    def _single(self, flow: Flow, span: Span, what: str) -> Tensor | Poison:
        if isinstance(flow, tuple):
            raise Problem(
                Slug.SHAPE, f"{what} takes one tensor, not {len(flow)}", span, help="merge them first: `[a, b] -> Add`"
            )
        if flow is None:
            raise nothing_entered(self.assembly.inputs, span)
        return flow

    # ------------------------------------------------------------------------------------------ layers

    def _apply(self, use: Use, site: _Site, flow: Flow) -> Flow:
        """Apply a layer, with what the edits of a variant do there."""
        if flow is None:
            raise nothing_entered(self.assembly.inputs, use.span)
        hooks = self.hooks.get(site.path)
        current: Current = flow
        if hooks is None:
            return self._add(use, site, current)
        for serial, body, frame in hooks.before:
            current = self._edit(body, frame, site, self._single(current, body.span, "`before`"), serial)
        if hooks.replacement:
            serial, body, frame = hooks.replacement
            current = self._edit(body, frame, site, current, serial)
        elif hooks.removed:
            current = self._single(current, use.span, "what follows a removed layer")
        else:
            changed = type(use.layer)(**(use.layer.arguments() | hooks.settings))
            current = self._add(use._replace(layer=changed), site, current)
        for serial, body, frame in reversed(hooks.after):
            current = self._edit(body, frame, site, current, serial)
        return current

    def _edit(self, body: tree.Body, frame: Frame, site: _Site, flow: Current, serial: object) -> Current:
        changed = self._inner(body, _Site(frame, site.scope, site.path), flow, serial)
        assert changed is not None, "a body leaves something where something entered"
        return changed

    def _add(self, use: Use, site: _Site, current: Current) -> Current:
        self.steps.take(use.span, Steps.LAYER)
        self.applied.append(Applied(site.path, use.layer, use.alias.text if use.alias else None, use.span))
        if isinstance(current, Poison):
            return POISON
        return self.assembly.apply(use, current if isinstance(current, tuple) else (current,), site.scope)

    # ------------------------------------------------------------------------------------------ mistakes

    def _report(self, diagnostic: Diagnostic) -> None:
        notes = diagnostic.notes + self._call_notes()
        self.found.add(Diagnostic(diagnostic.slug, diagnostic.message, diagnostic.span, notes, diagnostic.help))

    def _call_notes(self) -> tuple[Note, ...]:
        """Where the blocks are used that the current step stands in, innermost first."""
        return tuple(Note(f"in '{call.name.text}', used here", call.span) for call in reversed(self._calls[-3:]))
