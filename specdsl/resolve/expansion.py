"""Expansion of a model: its text, carried out step by step, leaves the graph of its layers.

Carrying on after a mistake, a tensor that a wrong step would have made is `POISON`: what depends on it is read
for further mistakes of its own, but makes no node and no complaint.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from specdsl.declaration import text
from specdsl.diagnostics import Diagnostic, Note, Slug
from specdsl.graph import Tensor
from specdsl.layers import Layer
from specdsl.resolve.application import Application, Current, Flow, Models, Site
from specdsl.resolve.assembly import Assembly
from specdsl.resolve.calls import IGNORED, bind_results, block_arguments
from specdsl.resolve.hooks import NO_HOOKS, Applied, Hooks
from specdsl.resolve.interface import Interface
from specdsl.resolve.lookup import nothing_entered, tensor_named
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
    is_taken,
    refuse_taken,
)
from specdsl.resolve.values import Evaluator
from specdsl.source import Span
from specdsl.syntax import tree
from specdsl.traced.conditions import Trace
from specdsl.traced.numbers import expression_of, plain, trace_of


class Expansion:
    """Carries out one body with one set of edits. It is used once: `run`, then read the results."""

    def __init__(
        self,
        limits: Limits,
        lost_names: frozenset[str],
        hooks: Mapping[Key, Hooks],
        found: Collector,
        steps: Steps,
        models: Models,
        fold: bool = False,
    ) -> None:
        self.limits = limits
        self.found = found
        self.hooks = hooks
        self.steps = steps
        self.fold = fold
        self.assembly = Assembly(limits)
        evaluator = Evaluator(limits, found, lost_names, self.assembly.shape, steps)
        self.application = Application(self.assembly, evaluator, hooks, models, self._insert)
        self.evaluator = self.application.evaluator
        self.interface = Interface(self.assembly, self.evaluator, found, self._report)
        self.expectations: list[tuple[tree.Expect, Frame]] = []
        self.poisoned = False
        self._calls: list[tree.Call] = []
        found.notes = self._call_notes

    def run(self, body: tree.Body, frame: Frame) -> Flow:
        """Carry out the body of a model; its outputs are then in those of `interface`."""
        self.assembly.reserve(body, "")
        flow = self._body(body, Site(frame, "", ()), None, top=True)
        flow = self.interface.end(flow)
        if not self.hooks and not self.poisoned:
            self.application.check_declared()
        return flow

    def dry_run(self, body: tree.Body, frame: Frame) -> None:
        """Look for mistakes in a body whose entering tensor is unknown."""
        self._body(body, Site(frame, "", ()), POISON)

    # ------------------------------------------------------------------------------------------ bodies

    def _body(self, body: tree.Body, site: Site, flow: Flow, *, top: bool = False) -> Flow:
        for index, statement in enumerate(body.statements):
            self.steps.take(statement.span)
            here = Site(site.frame, site.scope, (*site.path, index))
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
        lost: list[tree.Name] = []
        match statement:
            case tree.Let() | tree.Input() | tree.Layer():
                lost.append(statement.name)
            case tree.Chain():
                lost += (name for link in statement.links if isinstance(link, tree.Step) for name in link.names)
            case tree.Expect() | tree.Output():
                return flow
        for name in lost:
            if not is_taken(name.text):
                frame.names.setdefault(name.text, (POISON, name.span))
        return flow if isinstance(statement, tree.Let | tree.Layer) else POISON

    def _statement(self, statement: tree.Statement, site: Site, flow: Flow, top: bool) -> Flow:
        frame = site.frame
        match statement:
            case tree.Chain():
                return self._chain(statement, site, flow)
            case tree.Let():
                frame.bind(statement.name.text, self.evaluator.value(statement.value, frame), statement.name.span)
                return flow
            case tree.Layer():
                self.application.declare(statement, site)
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
                return self.interface.enter(statement, frame, flow)
            case tree.Output():
                self.interface.leave(statement, frame)
            case tree.Expect():
                self.steps.take(statement.span, Steps.EXPECT)
                self.expectations.append((statement, frame))
        return flow

    def _inner(self, body: tree.Body, site: Site, flow: Flow, part: object, **names: tuple[Any, Span]) -> Flow:
        """Carry out a body in braces of its own."""
        inner = Frame(site.frame, flow if isinstance(flow, Tensor | Poison) else None, dict(names))
        return self._body(body, Site(inner, site.scope, (*site.path, part)), flow)

    def _if(self, statement: tree.If, site: Site, flow: Flow) -> Flow:
        try:
            chosen = self.evaluator.truth(statement.condition, site.frame)
        except (Problem, Skip) as mistake:
            if isinstance(mistake, Problem):
                self._report(mistake.diagnostic)
            self._inner(statement.then, site, POISON, "then")
            if isinstance(statement.otherwise, tree.Body):
                self._inner(statement.otherwise, site, POISON, "else")
            elif statement.otherwise:
                self._if(statement.otherwise, Site(site.frame, site.scope, (*site.path, "else")), POISON)
            return POISON
        if chosen:
            return self._inner(statement.then, site, flow, "then")
        if isinstance(statement.otherwise, tree.If):
            return self._if(statement.otherwise, Site(site.frame, site.scope, (*site.path, "else")), flow)
        return self._inner(statement.otherwise, site, flow, "else") if statement.otherwise else flow

    def _repeat(self, statement: tree.Repeat, site: Site, flow: Flow) -> Flow:
        try:
            times = self.evaluator.whole(statement.times, site.frame, "the number of repetitions")
            if times < 0:
                message = f"the number of repetitions must not be negative, and it is {times}"
                raise Problem(Slug.BAD_VALUE, message, statement.times.span)
            if plain(times) > self.limits.steps:
                message = f"{times:,} repetitions are too many; the limit is {self.limits.steps:,} steps"
                hint = self.limits.raising("steps", 2 * times)
                raise Problem(Slug.LIMIT, message, statement.times.span, help=hint)
        except (Problem, Skip):
            self._inner(statement.body, site, POISON, 0)
            raise
        if self.fold and (trace := trace_of(times)):
            return self._fold(statement, times, trace, site, flow)
        for index in range(times):
            self.steps.take(statement.span)
            flow = self._inner(statement.body, site, flow, index)
            if isinstance(flow, Poison):  # the next round would only say the same again
                break
        return flow

    def _fold(self, statement: tree.Repeat, times: int, trace: Trace, site: Site, flow: Flow) -> Flow:
        """Carry out a loop whose number of rounds is traced, until a round is as all further ones would be.

        It is when the tensor that enters has the shape that entered the round before and that leaves: a round sees
        nothing else that changes, and what it shares with others, the round before has made. Then its layers stand for
        those of all further rounds.
        """
        shapes = [self._shape_of(flow)]
        for index in range(plain(times)):
            before = len(self.assembly.nodes)
            self.steps.take(statement.span)
            flow = self._inner(statement.body, site, flow, index)
            if isinstance(flow, Poison):
                return flow
            shapes.append(self._shape_of(flow))
            if index > 0 and shapes[-1] is not None and shapes[-3] == shapes[-2] == shapes[-1]:
                trace.assume(expression_of(times), ">=", index)
                for node in islice(self.assembly.nodes.values(), before, None):
                    trace.repeated(node, times - index)
                return flow
        trace.assume(expression_of(times), "==", plain(times))
        return flow

    def _shape_of(self, flow: Flow) -> Any:
        """The expressions of the sizes of what flows, where it is one tensor."""
        return expression_of(self.assembly.shape(flow)) if isinstance(flow, Tensor) else None

    def _for(self, statement: tree.For, site: Site, flow: Flow) -> Flow:
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

    # ------------------------------------------------------------------------------------------ chains

    def _chain(self, chain: tree.Chain, site: Site, flow: Flow) -> Flow:
        mistaken = False
        for index, link in enumerate(chain.links):
            here = Site(site.frame, site.scope, (*site.path, index)) if index else site
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

    def _link(self, link: tree.Gather | tree.Step, site: Site, flow: Flow, *, first: bool) -> Flow:
        if isinstance(link, tree.Gather):
            return self._gather(link, site.frame)
        alias = link.names[0] if len(link.names) == 1 and link.names[0].text != IGNORED else None
        if isinstance(link.action, tree.Shortcut):
            return self._shortcut(link.action, alias, site, flow)
        if isinstance(link.action, tree.Branch):
            return self._branch(link.action, alias, site, flow)
        call = link.action
        bound = site.frame.lookup(call.name.text)
        if bound is None:
            return self.application.layer_step(call, alias, site, flow)
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
                return self.application.model_step(model, call, alias, site, flow)
            case Shared() as shared:
                return self.application.shared_step(shared, call, alias, site, flow)
            case Defined():
                raise Problem(Slug.MISPLACED, f"'{call.name.text}' is no layer, block or model", call.span)
            case Layer():
                hint = f"`layer {call.name.text} = ...` makes a layer that steps can apply"
                raise Problem(Slug.MISPLACED, f"'{call.name.text}' is a value, not a step", call.span, help=hint)
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
        return tensors

    # ------------------------------------------------------------------------------------------ structure

    def _shortcut(self, shortcut: tree.Shortcut, alias: tree.Name | None, site: Site, flow: Flow) -> Flow:
        entering = self.application.single(flow, shortcut.merge.span, "a shortcut")
        left = self._inner(shortcut.body, site, entering, "body")
        hooks = self.hooks.get(site.path)
        if hooks and hooks.removed and not hooks.replacement and isinstance(left, Tensor | Poison):
            return self.application.hooked(hooks, lambda current: current, shortcut.merge.span, site, left)
        around = self._inner(shortcut.via, site, entering, "via") if shortcut.via else entering
        if left == around and isinstance(left, Tensor):
            message = "this shortcut joins a tensor with itself: no step stands in it"
            raise Problem(Slug.MISPLACED, message, shortcut.span)
        return self.application.join(shortcut.merge, alias, site, (around, left), skip=0)

    def _branch(self, branch: tree.Branch, alias: tree.Name | None, site: Site, flow: Flow) -> Flow:
        entering = self.application.single(flow, branch.merge.span, "a branch")
        ends = [self._inner(body, site, entering, ("branch", index)) for index, body in enumerate(branch.bodies)]
        if isinstance(entering, Tensor) and all(end == entering for end in ends):
            message = "this branch joins a tensor with itself: no step stands in it"
            raise Problem(Slug.MISPLACED, message, branch.span)
        return self.application.join(branch.merge, alias, site, tuple(ends), skip=None)

    def _block(
        self, block: tree.Block, home: Frame, call: tree.Call, alias: tree.Name | None, site: Site, flow: Flow
    ) -> Flow:
        if len(self._calls) >= self.limits.depth:
            hint = f"does '{block.name.text}' use itself? Otherwise, {self.limits.raising('depth')}"
            message = f"blocks stand within blocks more than {self.limits.depth} deep"
            raise Problem(Slug.LIMIT, message, call.span, help=hint)
        hooks = self.hooks.get(site.path, NO_HOOKS)
        before = self.found.reported
        arguments = block_arguments(block, home, call, site.frame, self.evaluator, hooks.settings)
        values = {key: value for key, (value, _) in arguments.items()}
        names = (alias.text,) if alias else ()
        self.application.applied.append(Applied(site.path, values, block.name.text, names, call.span, site.path))
        if flow is None:
            raise nothing_entered(self.assembly.inputs, call.span)

        def instance(entering: Current) -> Flow:
            tensor = self.application.single(entering, call.span, f"the block '{block.name.text}'")
            if isinstance(tensor, Poison) or self.found.reported > before:
                return POISON  # what is wrong inside is found when the block is looked at alone
            name = self.assembly.open_scope(block.name.text, alias, site.scope, values, call.span)
            self.steps.take(call.span, Steps.BLOCK + Steps.NAME * self.assembly.reserve(block.body, name))
            self._calls.append(call)
            try:
                frame = Frame(home, tensor, arguments)
                return self._body(block.body, Site(frame, name, (*site.path, block.name.text)), tensor)
            finally:
                self._calls.pop()

        return self.application.hooked(hooks, instance, call.span, site, flow)

    def _insert(self, body: tree.Body, frame: Frame, site: Site, flow: Current, serial: object) -> Current:
        """Carry out the body of an edit where a step stands."""
        changed = self._inner(body, Site(frame, site.scope, site.path), flow, serial)
        assert changed is not None, "a body leaves something where something entered"
        return changed

    # ------------------------------------------------------------------------------------------ mistakes

    def _report(self, diagnostic: Diagnostic) -> None:
        if diagnostic.span:
            self.steps.take(diagnostic.span, Steps.MISTAKE)
        self.found.add(diagnostic)

    def _call_notes(self) -> tuple[Note, ...]:
        """Where the blocks are used that the current step stands in, innermost first."""
        return tuple(Note(f"in '{call.name.text}', used here", call.span) for call in reversed(self._calls[-3:]))
