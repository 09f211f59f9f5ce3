"""Models: parameters, variants and their edits, outputs, expectations; from a definition to a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, NamedTuple

from specdsl.declaration import text
from specdsl.diagnostics import Diagnostic, Note, Slug, did_you_mean
from specdsl.graph import Graph, Node, Tensor
from specdsl.layers import InputLayer
from specdsl.resolve.binding import match_arguments
from specdsl.resolve.expansion import Expansion
from specdsl.resolve.expectations import expectations
from specdsl.resolve.hooks import Hooks
from specdsl.resolve.scope import (
    POISON,
    Collector,
    Defined,
    Definition,
    Frame,
    Key,
    Limits,
    Poison,
    Problem,
    Skip,
    Steps,
)
from specdsl.resolve.values import Evaluator, no_shape
from specdsl.resolve.variants import apply_edit
from specdsl.source import Span
from specdsl.syntax import tree
from specdsl.traced.numbers import key as same


class _Generation(NamedTuple):
    """A model or variant with the values of its parameters."""

    node: Any
    frame: Frame


class ModelBuilder:
    """Makes graphs of definitions; what is wrong goes to `found`.

    Args:
        limits: how far a model may expand.
        lost_names: words in unreadable parts of the text, which may have been definitions.
        found: where mistakes go.
        steps: counts the steps, with those of the model that this one is a part of.
        within: the models that this one is a part of, outermost first.
    """

    def __init__(
        self,
        limits: Limits,
        lost_names: frozenset[str],
        found: Collector,
        steps: Steps | None = None,
        within: tuple[Definition, ...] = (),
    ) -> None:
        self._limits = limits
        self._lost_names = lost_names
        self._found = found
        self._steps = steps or Steps(limits)
        self._within = within
        self._fold = False
        self._submodels: dict[tuple[int, Any], Graph] = {}

    def graph(self, defined: Defined, parameters: dict[str, Any] | None, docstring: str = "") -> Graph | None:
        """The graph of a model; None where mistakes, now in `found`, prevent it.

        Without parameters given, those that have no default are unknown and only mistakes are looked for.
        """
        definition, found = defined.node, self._found
        before = found.reported
        if not self._within:
            self._within = (definition,)
            try:
                return self.graph(defined, parameters, docstring)
            finally:
                self._within = ()
        try:
            expansion, values = self._expand(defined, parameters)
        except RecursionError:
            message = f"'{definition.name.text}' nests too deeply to be expanded"
            found.add(Diagnostic(Slug.LIMIT, message, definition.name.span))
            return None
        except Problem as problem:
            found.add(problem.diagnostic)
            return None
        except Skip:
            return None
        if expansion.poisoned or found.reported > before:
            return None
        self._check_outputs(definition, expansion)
        if found.reported > before:
            return None
        own = definition.body.docstring if isinstance(definition, tree.Model) else None
        return Graph(
            name=definition.name.text,
            nodes=tuple(expansion.assembly.nodes.values()),
            outputs=tuple(tensor for tensor, _ in expansion.interface.outputs),
            scopes=expansion.assembly.scopes,
            docstring=own.text.strip() if own else docstring,
            parameters=values,
            expectations=expectations(expansion.expectations, self._limits),
        )

    def _expand(self, defined: Defined, parameters: dict[str, Any] | None) -> tuple[Expansion, dict[str, Any]]:
        """Expand a model: its root, and then each edit in turn, on what those before it left."""
        generations = self._generations(defined, parameters)
        *variants, root = generations
        shown = {name: value for one in reversed(generations) for name, (value, _) in one.frame.names.items()}
        edits = [
            (serial, edit, variant)
            for variant in reversed(variants)
            for serial, edit in enumerate(variant.node.edits or ())
            if not isinstance(edit, tree.Expect)
        ]
        self._fold = len(self._within) == 1 and not edits  # edits select among all layers, written out
        hooks: dict[Key, Hooks] = {}
        seen = Collector(self._limits, by_place=True)
        expansion = self._run(root, hooks, seen)
        if any(isinstance(value, Poison) for value in shown.values()):
            self._found.add(*seen.diagnostics)
            self._look_at(edits)
            raise Skip
        failed = False
        for serial, edit, variant in edits:
            mark, base = (variant.node.name.text, serial), variant.node.base.name.text
            try:
                evaluator = replace(expansion.application.evaluator, found=self._found)
                apply_edit(edit, mark, variant.frame, base, expansion.application.applied, hooks, evaluator)
            except Problem as problem:
                # A selector cannot see what lies behind a mistake: then the mistake is what to speak of.
                self._found.add(*(seen.diagnostics or (problem.diagnostic,)))
                failed = True
            except Skip:
                failed = True
            seen = Collector(self._limits, by_place=True)
            expansion = self._run(root, hooks, seen)
        notes = (Note(f"in the variant '{defined.node.name.text}'", defined.node.name.span),) if variants else ()
        self._found.add(*(wrong._replace(notes=wrong.notes + notes) for wrong in seen.diagnostics))
        if failed:
            raise Skip
        if variants:  # what a model promises holds of itself, not of its variants
            own = variants[0].node.edits or ()
            self._steps.take(defined.node.name.span, Steps.EXPECT * len(own))
            expansion.expectations = [(edit, variants[0].frame) for edit in own if isinstance(edit, tree.Expect)]
        return expansion, shown

    def _look_at(self, edits: Sequence[tuple[int, tree.Edit, _Generation]]) -> None:
        """Look for mistakes in what edits insert into a model whose parameters are unknown."""
        for _, edit, variant in edits:
            if isinstance(edit, tree.Insert):
                self._expansion({}, self._found).dry_run(edit.body, Frame(variant.frame, POISON))

    def _run(self, root: _Generation, hooks: dict[Key, Hooks], found: Collector) -> Expansion:
        expansion = self._expansion(hooks, found)
        assert isinstance(root.node, tree.Model)
        expansion.run(root.node.body, Frame(root.frame.parent, None, dict(root.frame.names)))
        return expansion

    def _expansion(self, hooks: dict[Key, Hooks], found: Collector) -> Expansion:
        return Expansion(self._limits, self._lost_names, hooks, found, self._steps, self, self._fold)

    def parameter_names(self, model: Defined) -> list[str]:
        """The parameters that a use of a model may give: its own, or those of its base where it has no list of its own.

        Raises:
            Problem: the base is no model.
            Skip: the base is reported already.
        """
        for one in self._lineage(model):
            assert isinstance(one.node, tree.Model | tree.Variant)
            if one.node.parameters is not None:
                return [parameter.name.text for parameter in one.node.parameters]
        return []

    def submodel(self, model: Defined, values: dict[str, Any], call: tree.Call, found: Collector) -> Graph:
        """The graph of a model that is a step of another one, with values for its parameters.

        Raises:
            Problem: it contains itself, or models stand within models too deep.
            Skip: it holds mistakes, which `found` now says, or its parameters are unknown.
        """
        name = model.node.name.text
        if any(model.node is one for one in self._within):
            raise Problem(Slug.DUPLICATE, f"the model '{name}' contains itself", call.span)
        if len(self._within) >= self._limits.depth:
            message = f"models stand within models more than {self._limits.depth} deep"
            raise Problem(Slug.LIMIT, message, call.span, help=self._limits.raising("depth"))
        if any(isinstance(value, Poison) for value in values.values()):
            raise Skip
        key = (id(model.node), same(sorted(values.items(), key=itemgetter(0)), _settings_text))
        if key not in self._submodels:
            inner = Collector(self._limits)
            builder = ModelBuilder(self._limits, self._lost_names, inner, self._steps, (*self._within, model.node))
            graph = builder.graph(model, values)
            notes = (Note(f"in the model '{name}', used here", call.span),)
            found.add(*(wrong._replace(notes=wrong.notes + notes) for wrong in inner.diagnostics))
            if graph is None:
                raise Skip
            self._submodels[key] = graph
        return self._submodels[key]

    def open_parameters(self, defined: Defined) -> list[str]:
        """The parameters of a model, and of its base, that have no default and must be given."""
        try:
            generations = self._generations(defined, None)
        except (Problem, Skip):
            return []
        values = [item for one in generations for item in one.frame.names.items()]
        return [name for name, (value, _) in values if isinstance(value, Poison)]

    def dry_run(self, block: tree.Block, home: Frame) -> None:
        """Look for mistakes in a block whose parameters and entering tensor are unknown."""
        frame = Frame(home, POISON)
        evaluator = self._evaluator()
        for parameter in block.parameters or ():
            try:
                if parameter.default is not None:
                    evaluator.value(parameter.default, Frame(home, None, frame.names))
            except Problem as problem:
                self._found.add(problem.diagnostic)
            except Skip:
                pass
            frame.names[parameter.name.text] = (POISON, parameter.name.span)
        try:
            self._expansion({}, self._found).dry_run(block.body, frame)
        except Problem as problem:
            self._found.add(problem.diagnostic)
        except RecursionError:
            self._found.add(Diagnostic(Slug.LIMIT, f"'{block.name.text}' nests too deeply", block.name.span))

    def _evaluator(self) -> Evaluator:
        return Evaluator(self._limits, self._found, self._lost_names, no_shape, self._steps)

    def _generations(self, defined: Defined, parameters: dict[str, Any] | None) -> list[_Generation]:
        """A model with the values of its parameters, and if it is a variant its base, and so on to the root.

        Args:
            defined: the model.
            parameters: the values given; None where those without a default are unknown.
        """
        given = dict(parameters or {})
        unknown = parameters is None
        place: Span | None = None
        generations: list[_Generation] = []
        for one in self._lineage(defined):
            definition = one.node
            assert isinstance(definition, tree.Model | tree.Variant)
            frame, given = self._parameters(definition, one.home, given, unknown, place)
            generations.append(_Generation(definition, frame))
            if isinstance(definition, tree.Variant):
                inherits = definition.parameters is None
                unknown = unknown and inherits
                place = None if inherits else definition.base.span
        return generations

    def _lineage(self, defined: Defined) -> list[Defined]:
        """A model, and if it is a variant its base, and so on to the root, which has a body of its own."""
        generations = [defined]
        while isinstance(variant := generations[-1].node, tree.Variant):
            name = variant.base.name.text
            bound = generations[-1].home.lookup(name)
            if bound is None or not is_model(bound[0]):
                if name in self._lost_names or (bound and isinstance(bound[0], Poison)):
                    raise Skip
                hint = did_you_mean(name, generations[-1].home.visible(is_model))
                raise Problem(Slug.UNKNOWN_MODEL, f"no model is called '{name}'", variant.base.name.span, help=hint)
            if any(bound[0].node is known.node for known in generations):
                raise Problem(Slug.DUPLICATE, f"'{name}' is a variant of itself", variant.base.span)
            if len(generations) > self._limits.depth:
                message = f"variants are variants of variants more than {self._limits.depth} deep"
                raise Problem(Slug.LIMIT, message, variant.base.span, help=self._limits.raising("depth"))
            generations.append(bound[0])
        return generations

    def _parameters(
        self,
        definition: tree.Model | tree.Variant,
        home: Frame,
        given: dict[str, Any],
        unknown: bool,
        place: Span | None,
    ) -> tuple[Frame, dict[str, Any]]:
        """A frame with a model's parameters, and the values for its base.

        Args:
            definition: the model.
            home: the frame of its file.
            given: values by name.
            unknown: whether a parameter that has no value is unknown rather than missing.
            place: the call that should give the missing ones, None where `--set` should.
        """
        frame = Frame(home)
        names = {parameter.name.text: parameter for parameter in definition.parameters or ()}
        rest = {key: value for key, value in given.items() if key not in names}
        evaluator = self._evaluator()
        for key, parameter in names.items():
            value: Any = POISON
            try:
                if key in given:
                    value = evaluator.bounded(given[key], place or parameter.span)
                elif parameter.default is not None:
                    value = evaluator.value(parameter.default, frame)
                elif not unknown:
                    hint = None if place else f"give it one: --set {key}=..."
                    message = f"'{definition.name.text}' needs a value for '{key}'"
                    raise Problem(Slug.MISSING_ARGUMENT, message, place or parameter.span, help=hint)
            except Problem as problem:
                self._found.add(problem.diagnostic)
            except Skip:
                pass
            frame.names[key] = (value, parameter.name.span)
        inherits = isinstance(definition, tree.Variant) and definition.parameters is None
        if rest and not inherits:
            wrong = next(iter(rest))
            hint = did_you_mean(wrong, names) or (f"it has {', '.join(names)}" if names else "it has none")
            bound = home.lookup(wrong)
            if bound is not None and bound[0] is not POISON and not isinstance(bound[0], Defined):
                written = ", ".join([*(["..."] if names else []), f"{wrong}={text(bound[0])}"])
                named = f"{definition.name.text}({written})"
                hint = f"`let {wrong}` is fixed in the text; as a parameter it can be set: {named}"
            message = f"the model '{definition.name.text}' has no parameter '{wrong}'"
            raise Problem(Slug.UNKNOWN_ARGUMENT, message, definition.name.span, help=hint)
        return frame, self._base_arguments(definition, frame, rest) if isinstance(definition, tree.Variant) else {}

    def _base_arguments(self, variant: tree.Variant, frame: Frame, given: dict[str, Any]) -> dict[str, Any]:
        """The values that a variant gives to the parameters of its base, those given to itself before its own."""
        if variant.base.arguments is None:
            return given
        bound = frame.lookup(variant.base.name.text)
        base = bound[0].node if bound and isinstance(bound[0], Defined) else None
        names = [one.name.text for one in base.parameters or ()] if isinstance(base, tree.Model | tree.Variant) else []
        if isinstance(base, tree.Variant) and base.parameters is None:  # it has those of its own base
            names = [argument.name.text for argument in variant.base.arguments if isinstance(argument, tree.Keyword)]
        matched = match_arguments(variant.base.name.text, variant.base.arguments, names, names, self._found)
        evaluator = self._evaluator()
        values: dict[str, Any] = dict.fromkeys(matched, POISON)
        for name, expression in matched.items():
            try:
                values[name] = evaluator.value(expression, frame)
            except Problem as problem:
                self._found.add(problem.diagnostic)
            except Skip:
                pass
        return values | given

    def _check_outputs(self, definition: Definition, expansion: Expansion) -> None:
        nodes = expansion.assembly.nodes
        name, found = definition.name.text, self._found
        if not any(isinstance(node.layer, InputLayer) for node in nodes.values()):
            hint = "a model begins with `input name: (28, 28, 3)`"
            found.add(Diagnostic(Slug.MISPLACED, f"the model '{name}' has no input", definition.name.span, help=hint))
        elif not expansion.interface.outputs:
            hint = "name the tensors that leave it: `output a, b`"
            found.add(Diagnostic(Slug.MISPLACED, f"the model '{name}' has no output", definition.name.span, help=hint))
        else:
            for node in _unused(nodes, expansion.interface.outputs):
                what = "the input" if isinstance(node.layer, InputLayer) else "the result of"
                note = tuple(Note("this is an output", span) for _, span in expansion.interface.outputs[:3])
                message = f"{what} '{node.name}' reaches no output of '{name}'"
                found.add(
                    Diagnostic(Slug.UNUSED, message, node.span, note, "use it, declare it as an output, or remove it")
                )


def _settings_text(settings: Sequence[tuple[str, Any]]) -> str:
    return text([(name, text(value)) for name, value in settings])


def is_model(value: Any) -> bool:
    """Whether a name stands for a model."""
    return isinstance(value, Defined) and isinstance(value.node, tree.Model | tree.Variant)


def _unused(nodes: Mapping[str, Node], outputs: list[tuple[Tensor, Any]]) -> list[Node]:
    """The nodes that lead to no output, without those that only lead to another one that is listed."""
    alive = {tensor.node for tensor, _ in outputs}
    fed: set[str] = set()
    unused: list[Node] = []
    for node in reversed(list(nodes.values())):
        sources = {tensor.node for tensor in node.sources}
        if node.name in alive:
            alive |= sources
        else:
            if node.name not in fed:
                unused.append(node)
            fed |= sources
    return list(reversed(unused))
