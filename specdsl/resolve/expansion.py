"""Expansion of a model: its text, carried out step by step, leaves the graph of its layers.

Carrying on after a mistake, a tensor that a wrong step would have made is `POISON`: what depends on it is read
for further mistakes of its own, but makes no node and no complaint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from specdsl.declaration import text
from specdsl.diagnostics import Diagnostic, Note, Slug
from specdsl.functional import Functional
from specdsl.graph import NO_OPTIONS, Graph, Tensor
from specdsl.layers import InputLayer, Layer
from specdsl.resolve.assembly import Assembly, Use
from specdsl.resolve.binding import bind, construct, match_arguments
from specdsl.resolve.calls import bind_results, block_arguments, call_options, split_options
from specdsl.resolve.hooks import NO_HOOKS, Applied, Hooks
from specdsl.resolve.lookup import layer_named, merge_named, nothing_entered, tensor_named
from specdsl.resolve.naming import check_name
from specdsl.resolve.scope import (
    POISON,
    Collector,
    Defined,
    Frame,
    Key,
    Limits,
    Poison,
    Problem,
    Shared,
    Skip,
    Steps,
    refuse_taken,
)
from specdsl.resolve.values import Evaluator
from specdsl.source import Span
from specdsl.syntax import tree

Current = Tensor | list[Tensor] | Poison
"""What reaches a step: one tensor, several at once, or something unknown."""

Flow = Current | None
"""The same, or nothing yet."""

Submodel = Callable[[Defined, dict[str, Any], tree.Call, Collector], Graph]
"""Gives the graph of a model that is used as a step: definition, values of its parameters, call, where mistakes go."""


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
        submodel: Submodel,
    ) -> None:
        self.limits = limits
        self.found = found
        self.hooks = hooks
        self.steps = steps
        self.assembly = Assembly(limits)
        self.applied: list[Applied] = []
        self.outputs: list[tuple[Tensor, Span]] = []
        self.expectations: list[tuple[tree.Expect, Frame]] = []
        self.evaluator = Evaluator(limits, found, lost_names, self.assembly.shape, model=self._model)
        self.poisoned = False
        self._submodel = submodel
        self._models: dict[tuple[int, str], Use] = {}
        self._declared: list[tuple[Shared, Span]] = []
        self._calls: list[tree.Call] = []
        self._declared_output = False

    def run(self, body: tree.Body, frame: Frame) -> Flow:
        """Carry out the body of a model; its outputs are then in `outputs`."""
        self.assembly.reserve(body, "")
        flow = self._body(body, _Site(frame, "", ()), None, top=True)
        if not self._declared_output and isinstance(flow, Tensor):
            flow = [flow]
        if not self._declared_output and isinstance(flow, list):
            last = self.assembly.nodes[flow[0].node]
            if tuple(flow) == last.outputs:
                self.outputs += [(tensor, last.span) for tensor in flow]
        if not self.hooks and not self.poisoned:
            self._check_declared()
        return flow

    def _check_declared(self) -> None:
        for shared, span in self._declared:
            if not self.assembly.is_applied(shared.owner):
                hint = "apply it, or remove it"
                self._report(Diagnostic(Slug.UNUSED, f"no step applies the layer '{shared.name}'", span, help=hint))

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
            case tree.Let() | tree.Input() | tree.Layer():
                frame.names.setdefault(statement.name.text, (POISON, statement.name.span))
            case tree.Chain():
                for link in statement.links:
                    for name in link.names if isinstance(link, tree.Step) else ():
                        frame.names.setdefault(name.text, (POISON, name.span))
            case tree.Expect() | tree.Output():
                return flow
        return flow if isinstance(statement, tree.Let | tree.Layer) else POISON

    def _statement(self, statement: tree.Statement, site: _Site, flow: Flow, top: bool) -> Flow:
        frame = site.frame
        match statement:
            case tree.Chain():
                return self._chain(statement, site, flow)
            case tree.Let():
                frame.bind(statement.name.text, self.evaluator.value(statement.value, frame), statement.name.span)
                return flow
            case tree.Layer():
                self._declare(statement, site)
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
                message = f"{times:,} repetitions are too many; the limit is {self.limits.steps:,}"
                raise Problem(Slug.LIMIT, message, statement.times.span)
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
        several = bool(self.assembly.inputs)
        (tensor,) = self.assembly.apply(Use(layer, statement.name, statement.span), (), "")
        site.frame.bind(statement.name.text, tensor, statement.name.span)
        site.frame.entering = None if several else tensor
        return None if several or flow is POISON else tensor

    def _output(self, statement: tree.Output, frame: Frame, flow: Flow) -> Flow:
        if self._declared_output:
            raise Problem(
                Slug.DUPLICATE, "the outputs are declared twice; one `output a, b` names them all", statement.span
            )
        self._declared_output = True
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
            elif tensor in dict(self.outputs):
                self._report(Diagnostic(Slug.DUPLICATE, f"'{name.text}' is an output already", name.span))
            else:
                self.outputs.append((tensor, name.span))
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
            if isinstance(link, tree.Step):
                try:
                    bind_results(link, flow, site.frame)
                except Problem as problem:
                    self._report(problem.diagnostic)
        return POISON if mistaken else flow

    def _link(self, link: tree.Gather | tree.Step, site: _Site, flow: Flow, *, first: bool) -> Flow:
        if isinstance(link, tree.Gather):
            return self._gather(link, site.frame)
        alias = link.names[0] if len(link.names) == 1 else None
        if isinstance(link.action, tree.Shortcut):
            return self._shortcut(link.action, alias, site, flow)
        if isinstance(link.action, tree.Branch):
            return self._branch(link.action, alias, site, flow)
        call = link.action
        bound = site.frame.lookup(call.name.text)
        if bound is None:
            return self._layer_step(call, alias, site, flow)
        match bound[0]:
            case Tensor() | Poison() as tensor if first and call.arguments is None:
                if link.names:
                    raise Problem(Slug.DUPLICATE, f"'{call.name.text}' has a name already", link.names[0].span)
                return tensor
            case Tensor():
                hint = f"begin a new line with `{call.name.text} -> ...`, or gather tensors with `[a, b] -> Add`"
                raise Problem(
                    Slug.MISPLACED, f"'{call.name.text}' is a tensor, and only begins a chain", call.span, help=hint
                )
            case Poison():
                raise Skip
            case Defined(node=tree.Block() as block, home=home):
                return self._block(block, home, call, alias, site, flow)
            case Defined(node=tree.Model() | tree.Variant()) as model:
                return self._model_step(model, call, alias, site, flow)
            case Shared() as shared:
                return self._shared_step(shared, call, alias, site, flow)
            case Defined():
                raise Problem(Slug.MISPLACED, f"'{call.name.text}' is no layer, block or model", call.span)
            case Layer():
                hint = f"`layer {call.name.text} = ...` makes a layer that steps can apply"
                raise Problem(Slug.MISPLACED, f"'{call.name.text}' is a value, not a step", call.span, help=hint)
            case _:
                raise Problem(Slug.MISPLACED, f"'{call.name.text}' is a value, not a step", call.span)

    def _gather(self, gather: tree.Gather, frame: Frame) -> Flow:
        tensors: list[Tensor] = []
        for name in gather.names:
            try:
                tensors.append(tensor_named(name, frame, self.evaluator.lost_names))
            except Problem as problem:
                self._report(problem.diagnostic)
            except Skip:
                continue
        if len(tensors) < len(gather.names):
            raise Skip
        return tensors

    # ------------------------------------------------------------------------------------------ layers and models

    def _layer_step(self, call: tree.Call, alias: tree.Name | None, site: _Site, flow: Flow) -> Flow:
        kind = layer_named(call.name, site.frame, self.evaluator.lost_names)
        plain, given = split_options(call, kind.options, kind.names()) if kind.options else (call, {})
        layer = bind(kind, plain, lambda expression: self.evaluator.value(expression, site.frame), self.found)
        options = call_options(given, kind.options, site.frame, self.evaluator)
        return self._apply(Use(layer, alias, call.span, plain, options=options), site, flow)

    def _declare(self, statement: tree.Layer, site: _Site) -> None:
        """Make a layer that steps will apply."""
        call, name, settings = statement.call, statement.name, self.hooks.get(site.path, NO_HOOKS).settings
        check_name(name)
        bound = site.frame.lookup(call.name.text)
        match bound and bound[0]:
            case None:
                kind = layer_named(call.name, site.frame, self.evaluator.lost_names)
                layer: Layer = bind(kind, call, lambda value: self.evaluator.value(value, site.frame), self.found)
                layer = _changed(layer, settings)
            case Poison():
                raise Skip
            case Defined(node=tree.Model() | tree.Variant()) as model:
                layer = self._model(model, call, site.frame, settings)
            case _:
                message = f"'{call.name.text}' is no layer or model"
                raise Problem(Slug.MISPLACED, message, call.name.span)
        refuse_taken(name.text, name.span)
        shared = Shared(name.text, self.assembly.declare(name.text, site.scope, given=True), layer, site.path)
        site.frame.bind(name.text, shared, name.span)
        self._declared.append((shared, name.span))

    def _shared_step(self, shared: Shared, call: tree.Call, alias: tree.Name | None, site: _Site, flow: Flow) -> Flow:
        """Apply a layer that is declared before."""
        rest, given = split_options(call, shared.layer.options)
        if rest.arguments:
            wrong = rest.arguments[0]
            hint = "its arguments stand where it is declared"
            if shared.layer.options:
                hint += f"; a use may say {', '.join(shared.layer.options)}"
            raise Problem(Slug.UNKNOWN_ARGUMENT, f"'{shared.name}' is a layer that is made", wrong.span, help=hint)
        options = call_options(given, shared.layer.options, site.frame, self.evaluator)
        use = Use(shared.layer, alias, call.span, None, None, options, shared.owner, shared.name, shared.key)
        return self._apply(use, site, flow)

    def _model_step(self, model: Defined, call: tree.Call, alias: tree.Name | None, site: _Site, flow: Flow) -> Flow:
        """Apply a model as a layer; with the same arguments it is the same one, weights included."""
        parameters = self._parameter_names(model)
        plain, given = split_options(call, Functional.options, parameters)
        options = call_options(given, Functional.options, site.frame, self.evaluator)
        layer = self._model(model, plain, site.frame, self.hooks.get(site.path, NO_HOOKS).settings)
        key = (id(model.node), str(layer))
        if key not in self._models:
            owner = self.assembly.declare(model.node.name.text, site.scope, given=False)
            self._models[key] = Use(layer, None, call.span, None, None, NO_OPTIONS, owner, model.node.name.text)
        use = self._models[key]._replace(alias=alias, span=call.span, options=options)
        return self._apply(use, site, flow)

    def _model(
        self, model: Defined, call: tree.Call, frame: Frame, settings: Mapping[str, Any] = MappingProxyType({})
    ) -> Functional:
        """A model as a layer, with values for its parameters."""
        names = self._parameter_names(model)
        known = [*names, *(name for name in Functional.names() if name not in names)]
        given = match_arguments(call.name.text, call.arguments or (), names, known, self.found)
        values = {name: self.evaluator.value(expression, frame) for name, expression in given.items()}
        values |= settings
        own = {} if "trainable" in names else {"trainable": values.pop("trainable", True)}
        if not isinstance(own.get("trainable", True), bool):
            message = f"'trainable' is true or false, not {text(own['trainable'])}"
            raise Problem(Slug.BAD_ARGUMENT, message, call.span)
        return Functional(self._submodel(model, values, call, self.found), **own)

    def _parameter_names(self, model: Defined) -> list[str]:
        return [parameter.name.text for parameter in getattr(model.node, "parameters", None) or ()]

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
        return self._apply(Use(layer, alias, merge.span, merge, skip), site, list(tensors))

    def _block(
        self, block: tree.Block, home: Frame, call: tree.Call, alias: tree.Name | None, site: _Site, flow: Flow
    ) -> Flow:
        if len(self._calls) >= self.limits.depth:
            hint = f"does '{block.name.text}' use itself?"
            message = f"blocks stand within blocks more than {self.limits.depth} deep"
            raise Problem(Slug.LIMIT, message, call.span, help=hint)
        hooks = self.hooks.get(site.path, NO_HOOKS)
        before = self.found.reported
        arguments = block_arguments(block, home, call, site.frame, self.evaluator, hooks.settings)
        values = {key: value for key, (value, _) in arguments.items()}
        names = (alias.text,) if alias else ()
        self.applied.append(Applied(site.path, values, block.name.text, names, call.span, site.path))
        if flow is None:
            raise nothing_entered(self.assembly.inputs, call.span)

        def instance(entering: Current) -> Flow:
            tensor = self._single(entering, call.span, f"the block '{block.name.text}'")
            if isinstance(tensor, Poison) or self.found.reported > before:
                return POISON  # what is wrong inside is found when the block is looked at alone
            name = self.assembly.open_scope(block.name.text, alias, site.scope, values)
            self.assembly.reserve(block.body, name)
            self._calls.append(call)
            try:
                frame = Frame(home, tensor, arguments)
                return self._body(block.body, _Site(frame, name, (*site.path, block.name.text)), tensor)
            finally:
                self._calls.pop()

        return self._hooked(hooks, instance, call.span, site, flow)

    def _single(self, flow: Flow, span: Span, what: str) -> Tensor | Poison:
        if isinstance(flow, list):
            raise Problem(
                Slug.SHAPE, f"{what} takes one tensor, not {len(flow)}", span, help="merge them first: `[a, b] -> Add`"
            )
        if flow is None:
            raise nothing_entered(self.assembly.inputs, span)
        return flow

    # ------------------------------------------------------------------------------------------ edits

    def _apply(self, use: Use, site: _Site, flow: Flow) -> Flow:
        """Apply a layer, with what the edits of a variant do there."""
        if flow is None:
            raise nothing_entered(self.assembly.inputs, use.span)
        hooks = self.hooks.get(site.path)
        if hooks is None:
            return self._add(use, site, flow)
        if hooks.settings and use.owner is None:
            use = use._replace(layer=_changed(use.layer, hooks.settings))
        return self._hooked(hooks, lambda current: self._add(use, site, current), use.span, site, flow)

    def _hooked(self, hooks: Hooks, step: Callable[[Current], Flow], span: Span, site: _Site, current: Current) -> Flow:
        """Carry out a step between what edits insert before and after it, or what they put in its place."""
        for serial, body, frame in hooks.before:
            current = self._edit(body, frame, site, self._single(current, body.span, "`before`"), serial)
        if hooks.replacement:
            serial, body, frame = hooks.replacement
            current = self._edit(body, frame, site, current, serial)
        elif hooks.removed:
            current = self._single(current, span, "what follows a removed step")
        else:
            made = step(current)
            assert made is not None, "a step leaves something where something entered"
            current = made
        for serial, body, frame in reversed(hooks.after):
            current = self._edit(body, frame, site, current, serial)
        return current

    def _edit(self, body: tree.Body, frame: Frame, site: _Site, flow: Current, serial: object) -> Current:
        changed = self._inner(body, _Site(frame, site.scope, site.path), flow, serial)
        assert changed is not None, "a body leaves something where something entered"
        return changed

    def _add(self, use: Use, site: _Site, current: Current) -> Current:
        kind = use.layer.graph.name if isinstance(use.layer, Functional) else type(use.layer).__name__
        names = tuple(name for name in (use.alias.text if use.alias else None, use.stem) if name and name != kind)
        self.applied.append(Applied(site.path, use.layer, kind, names, use.span, use.settings or site.path))
        if isinstance(current, Poison):
            return POISON
        made = self.assembly.apply(use, current if isinstance(current, list) else (current,), site.scope)
        return made[0] if len(made) == 1 else list(made)

    # ------------------------------------------------------------------------------------------ mistakes

    def _report(self, diagnostic: Diagnostic) -> None:
        notes = diagnostic.notes + self._call_notes()
        self.found.add(Diagnostic(diagnostic.slug, diagnostic.message, diagnostic.span, notes, diagnostic.help))

    def _call_notes(self) -> tuple[Note, ...]:
        """Where the blocks are used that the current step stands in, innermost first."""
        return tuple(Note(f"in '{call.name.text}', used here", call.span) for call in reversed(self._calls[-3:]))


def _changed(layer: Layer, settings: Mapping[str, Any]) -> Layer:
    """A layer with some of its arguments set anew."""
    return type(layer)(**{**layer.arguments(), **settings}) if settings else layer
