"""Steps become nodes: layers, layers declared apart, models; and what the edits of a variant do at each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from specdsl.declaration import text
from specdsl.diagnostics import Diagnostic, Slug
from specdsl.functional import Functional
from specdsl.graph import NO_OPTIONS, Graph, Tensor
from specdsl.layers import Layer
from specdsl.resolve.assembly import Assembly, Use
from specdsl.resolve.binding import bind, match_arguments
from specdsl.resolve.calls import call_options, split_options
from specdsl.resolve.hooks import NO_HOOKS, Applied, Hooks
from specdsl.resolve.lookup import layer_named, merge_named, nothing_entered
from specdsl.resolve.naming import check_name
from specdsl.resolve.scope import (
    POISON,
    Collector,
    Defined,
    Frame,
    Key,
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
from specdsl.traced.numbers import key as same

Current = Tensor | list[Tensor] | Poison
"""What reaches a step: one tensor, several at once, or something unknown."""

Flow = Current | None
"""The same, or nothing yet."""


class Models(Protocol):
    """What knows the models that may be steps of others."""

    def submodel(self, model: Defined, values: dict[str, Any], call: tree.Call, found: Collector) -> Graph:
        """The graph of a model with values for its parameters; its mistakes go to `found`.

        Raises:
            Problem: it cannot be a part of the model at hand.
            Skip: it holds mistakes.
        """
        ...

    def parameter_names(self, model: Defined) -> list[str]:
        """The parameters that a use of a model may give."""
        ...


class Site(NamedTuple):
    """Where a step is carried out: the names it sees, the block instance it belongs to, and the path to it."""

    frame: Frame
    scope: str
    path: Key


Insert = Callable[[tree.Body, Frame, Site, Current, object], Current]
"""Carries out the body of an edit where a step stands: body, names it sees, place, what enters, what tells the edit."""


class Application:
    """Applies layers and models where the text does, with what edits do there.

    Attributes:
        assembly: the graph as it grows.
        evaluator: gives the values of expressions.
        hooks: what edits do, by the place of the step.
        applied: the steps so far, in the order of the expanded text.
    """

    def __init__(
        self, assembly: Assembly, evaluator: Evaluator, hooks: Mapping[Key, Hooks], models: Models, insert: Insert
    ) -> None:
        self.assembly = assembly
        self.evaluator = replace(evaluator, model=self._model)
        self.hooks = hooks
        self.applied: list[Applied] = []
        self._found = evaluator.found
        self._models = models
        self._insert = insert
        self._uses: dict[tuple[int, Any], Use] = {}
        self._declared: list[tuple[Shared, Span]] = []

    # ------------------------------------------------------------------------------------------ layers and models

    def layer_step(self, call: tree.Call, alias: tree.Name | None, site: Site, flow: Flow) -> Flow:
        """Make a layer and apply it."""
        kind = layer_named(call.name, site.frame, self.evaluator.lost_names)
        plain, given = split_options(call, kind.options, kind.names()) if kind.options else (call, {})
        layer = bind(
            kind, plain, lambda expression: self.evaluator.value(expression, site.frame), self._found, kind.options
        )
        options = call_options(given, kind.options, site.frame, self.evaluator)
        return self.apply(Use(layer, alias, call.span, call, options=options), site, flow)

    def declare(self, statement: tree.Layer, site: Site) -> None:
        """Make a layer that steps will apply."""
        call, name, settings = statement.call, statement.name, self.hooks.get(site.path, NO_HOOKS).settings
        check_name(name)
        bound = site.frame.lookup(call.name.text)
        match bound and bound[0]:
            case None:
                kind = layer_named(call.name, site.frame, self.evaluator.lost_names)
                _refuse_options(name, split_options(call, kind.options, kind.names())[1])
                layer: Layer = bind(kind, call, lambda value: self.evaluator.value(value, site.frame), self._found)
                layer = _changed(layer, settings)
            case Poison():
                raise Skip
            case Defined(node=tree.Model() | tree.Variant()) as model:
                _refuse_options(name, split_options(call, Functional.options, self._models.parameter_names(model))[1])
                layer = self._model(model, call, site.frame, settings)
            case _:
                message = f"'{call.name.text}' is no class of layers, and no model"
                hint = f"`layer {name.text} = Dense(3)` makes a layer, and `layer {name.text} = m` one of a model"
                raise Problem(Slug.MISPLACED, message, call.name.span, help=hint)
        refuse_taken(name.text, name.span)
        shared = Shared(
            name.text, self.assembly.declare(name.text, site.scope, name.span, given=True), layer, site.path
        )
        site.frame.bind(name.text, shared, name.span)
        self._declared.append((shared, name.span))

    def shared_step(self, shared: Shared, call: tree.Call, alias: tree.Name | None, site: Site, flow: Flow) -> Flow:
        """Apply a layer that is declared before."""
        rest, given = split_options(call, shared.layer.options)
        if rest.arguments:
            wrong = rest.arguments[0]
            hint = "its arguments stand where it is declared"
            if shared.layer.options:
                hint += f"; a use may say {', '.join(shared.layer.options)}"
            raise Problem(
                Slug.UNKNOWN_ARGUMENT,
                f"'{shared.name}' is made already, and takes no arguments here",
                wrong.span,
                help=hint,
            )
        options = call_options(given, shared.layer.options, site.frame, self.evaluator)
        use = Use(shared.layer, alias, call.span, call, None, options, shared.owner, shared.name, shared.key)
        return self.apply(use, site, flow)

    def model_step(self, model: Defined, call: tree.Call, alias: tree.Name | None, site: Site, flow: Flow) -> Flow:
        """Apply a model as a layer; with the same arguments it is the same one, weights included."""
        parameters = self._models.parameter_names(model)
        plain, given = split_options(call, Functional.options, parameters)
        options = call_options(given, Functional.options, site.frame, self.evaluator)
        layer = self._model(model, plain, site.frame, self.hooks.get(site.path, NO_HOOKS).settings)
        key = (id(model.node), same([*layer.settings().items()], lambda _: str(layer)))
        if key not in self._uses:
            owner = self.assembly.declare(model.node.name.text, site.scope, call.span, given=False)
            self._uses[key] = Use(layer, None, call.span, None, None, NO_OPTIONS, owner, model.node.name.text)
        use = self._uses[key]._replace(alias=alias, span=call.span, options=options)
        return self.apply(use, site, flow)

    def _model(
        self, model: Defined, call: tree.Call, frame: Frame, settings: Mapping[str, Any] = MappingProxyType({})
    ) -> Functional:
        """A model as a layer, with values for its parameters."""
        names = self._models.parameter_names(model)
        known = [*names, *(name for name in Functional.names() if name not in names)]
        given = match_arguments(call.name.text, call.arguments or (), names, known, self._found)
        values = {name: self.evaluator.value(expression, frame) for name, expression in given.items()}
        values |= settings
        own = {} if "trainable" in names else {"trainable": values.pop("trainable", True)}
        if not isinstance(own.get("trainable", True), bool):
            message = f"'trainable' is true or false, not {text(own['trainable'])}"
            raise Problem(Slug.BAD_ARGUMENT, message, call.span)
        layer = Functional(self._models.submodel(model, values, call, self._found), **own)
        self.evaluator.steps.take(call.span, Steps.MODEL + Steps.NAME * len(layer.weights()))
        return layer

    def join(
        self, merge: tree.Call, alias: tree.Name | None, site: Site, ends: tuple[Flow, ...], skip: int | None
    ) -> Flow:
        """Merge what several bodies leave."""
        kind = merge_named(merge.name)
        layer = bind(kind, merge, lambda expression: self.evaluator.value(expression, site.frame), self._found)
        tensors = tuple(end for end in ends if isinstance(end, Tensor))
        if len(tensors) < len(ends):
            raise Skip
        return self.apply(Use(layer, alias, merge.span, merge, skip), site, list(tensors))

    # ------------------------------------------------------------------------------------------ edits

    def apply(self, use: Use, site: Site, flow: Flow) -> Flow:
        """Apply a layer, with what the edits of a variant do there."""
        if flow is None:
            raise nothing_entered(self.assembly.inputs, use.span)
        hooks = self.hooks.get(site.path)
        if hooks is None:
            return self._add(use, site, flow)
        if hooks.settings and use.owner is None:
            use = use._replace(layer=_changed(use.layer, hooks.settings))
        if hooks.options:
            use = use._replace(options={**use.options, **hooks.options})
        return self.hooked(hooks, lambda current: self._add(use, site, current), use.span, site, flow)

    def hooked(self, hooks: Hooks, step: Callable[[Current], Flow], span: Span, site: Site, current: Current) -> Flow:
        """Carry out a step between what edits insert before and after it, or what they put in its place."""
        for serial, body, frame in hooks.before:
            current = self._insert(body, frame, site, self.single(current, body.span, "`before`"), serial)
        if hooks.replacement:
            serial, body, frame = hooks.replacement
            current = self._insert(body, frame, site, current, serial)
        elif hooks.removed:
            current = self.single(current, span, "what follows a removed step")
        else:
            made = step(current)
            assert made is not None, "a step leaves something where something entered"
            current = made
        for serial, body, frame in reversed(hooks.after):
            current = self._insert(body, frame, site, current, serial)
        return current

    def _add(self, use: Use, site: Site, current: Current) -> Current:
        self.evaluator.steps.take(use.span, Steps.LAYER)
        kind = use.layer.graph.name if isinstance(use.layer, Functional) else type(use.layer).__name__
        names = tuple(name for name in (use.alias.text if use.alias else None, use.stem) if name and name != kind)
        self.applied.append(Applied(site.path, use.layer, kind, names, use.span, use.settings or site.path))
        if isinstance(current, Poison):
            return POISON
        made = self.assembly.apply(use, current if isinstance(current, list) else (current,), site.scope)
        return made[0] if len(made) == 1 else list(made)

    def single(self, flow: Flow, span: Span, what: str) -> Tensor | Poison:
        """What flows, where it is one tensor.

        Raises:
            Problem: it is several, or nothing has entered yet.
        """
        if isinstance(flow, list):
            raise Problem(
                Slug.SHAPE, f"{what} takes one tensor, not {len(flow)}", span, help="merge them first: `[a, b] -> Add`"
            )
        if flow is None:
            raise nothing_entered(self.assembly.inputs, span)
        return flow

    def check_declared(self) -> None:
        """Report the layers that are declared and that no step applies."""
        for shared, span in self._declared:
            if not self.assembly.is_applied(shared.owner):
                hint = "apply it, or remove it"
                self._found.add(Diagnostic(Slug.UNUSED, f"no step applies the layer '{shared.name}'", span, help=hint))


def _refuse_options(name: tree.Name, options: Mapping[str, tree.Expression]) -> None:
    """Refuse what belongs to a use of a layer where the layer is made.

    Raises:
        Problem: there is such an option.
    """
    for option, value in options.items():
        hint = f"say it where the layer is applied: `{name.text}({option}=...)`"
        message = f"'{option}' belongs to a use of the layer, not to the layer"
        raise Problem(Slug.MISPLACED, message, value.span, help=hint)


def _changed(layer: Layer, settings: Mapping[str, Any]) -> Layer:
    """A layer with some of its arguments set anew."""
    return type(layer)(**{**layer.arguments(), **settings}) if settings else layer
