"""A file: its definitions, and the models that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specdsl.declaration import Declaration, text
from specdsl.diagnostics import Diagnostic, Note, Slug, SpecError, did_you_mean
from specdsl.graph import Expectation, Graph, Node
from specdsl.layers import NAMES, InputLayer
from specdsl.layers.objects import OBJECTS
from specdsl.resolve.binding import match_arguments
from specdsl.resolve.expansion import Expansion
from specdsl.resolve.hooks import Hooks, Key
from specdsl.resolve.scope import POISON, Collector, Frame, Limits, Poison, Problem, Skip, Tensor
from specdsl.resolve.values import Evaluator
from specdsl.resolve.variants import apply_edit
from specdsl.source import Source
from specdsl.syntax import Parsed, parse_all, tree

Definition = tree.Model | tree.Variant


class Program:
    """The definitions of one file. Models are expanded when they are asked for.

    Attributes:
        models: the definitions of models by name, in the order of the text.
        spec: the tree of the file.
    """

    def __init__(self, source: Source, limits: Limits | None = None) -> None:
        """Read a file.

        Raises:
            SpecError: nothing of it can be read.
        """
        self._parsed: Parsed = parse_all(source)
        self._limits = limits or Limits()
        self._found = Collector()
        self._found.extend(self._parsed.diagnostics)
        self.source = source
        self.spec = self._parsed.spec
        self.frame = Frame(None)
        self.evaluator = self.evaluator_for(self._found)
        self.models: dict[str, Definition] = {}
        for item in self.spec.items:
            self._define(item)

    def _define(self, item: tree.Item) -> None:
        if isinstance(item, tree.Hole):
            return
        value: Any = item
        try:
            if isinstance(item, tree.Let):
                value = self.evaluator.value(item.value, self.frame)
        except Problem as problem:
            self._found.add(problem.diagnostic)
            value = POISON
        except Skip:
            value = POISON
        try:
            if isinstance(item, tree.Block) and item.name.text in NAMES:
                message = f"'{item.name.text}' is a layer of Keras, so a block needs another name"
                raise Problem(Slug.DUPLICATE, message, item.name.span)
            self.frame.bind(item.name.text, value, item.name.span)
        except Problem as problem:
            self._found.add(problem.diagnostic)
            return
        if isinstance(item, tree.Model | tree.Variant):
            self.models[item.name.text] = item

    # ------------------------------------------------------------------------------------------ public

    def default_model(self) -> str:
        """The name of the file's only or last model.

        Raises:
            SpecError: the file has no model.
        """
        if not self.models:
            self.raise_mistakes()
            raise SpecError([Diagnostic(Slug.UNKNOWN_MODEL, f"{self.source.name} has no model")])
        return next(reversed(self.models))

    def graph(self, name: str | None = None, parameters: Mapping[str, Any] | None = None) -> Graph:
        """The graph of a model.

        Args:
            name: the model's name, by default the file's only or last one.
            parameters: values for the model's own parameters.

        Raises:
            SpecError: the file or the model is wrong; with all mistakes found.
        """
        name = name or self.default_model()
        if name not in self.models:
            self.raise_mistakes()
            hint = did_you_mean(name, self.models) or (f"there are {', '.join(self.models)}" if self.models else None)
            raise SpecError([Diagnostic(Slug.UNKNOWN_MODEL, f"{self.source.name} has no model '{name}'", help=hint)])
        found = Collector()
        found.extend(self._found.diagnostics)
        graph = self._graph(self.models[name], dict(parameters or {}), found)
        if graph is None or found:
            raise SpecError(found.diagnostics)
        return graph

    def required(self, name: str) -> list[str]:
        """The parameters of a model that have no default and must be given."""
        parameters = self.models[name].parameters or ()
        return [parameter.name.text for parameter in parameters if parameter.default is None]

    def mistakes(self) -> tuple[Diagnostic, ...]:
        """Everything wrong in definitions, models, and blocks that no model uses. Expectations are not tested."""
        found = Collector()
        found.extend(self._found.diagnostics)
        for definition in self.models.values():
            self._graph(definition, None, found)
            if found.hit_limit:  # the next model might take as long to fail
                return found.diagnostics
        for item in self.spec.items:
            if isinstance(item, tree.Block):
                self._dry_run(item, found)
        return found.diagnostics

    def evaluator_for(self, found: Collector, objects: Mapping[str, type[Declaration]] = OBJECTS) -> Evaluator:
        """An evaluator for expressions outside models, whose mistakes go to `found`."""
        return Evaluator(self._limits, found, self._parsed.lost_names, _no_shape, objects)

    def value(self, expression: tree.Expression, found: Collector) -> Any:
        """The value of an expression outside models.

        Raises:
            Problem: it has none.
            Skip: it depends on something that is already reported.
        """
        return self.evaluator_for(found).value(expression, self.frame)

    def is_lost(self, name: str) -> bool:
        """Whether a name stands in a part of the text that could not be read, which may have defined it."""
        return name in self._parsed.lost_names

    def raise_mistakes(self) -> None:
        """Raise what is wrong with the file's definitions, if anything is."""
        if self._found:
            raise SpecError(self._found.diagnostics)

    # ------------------------------------------------------------------------------------------ models

    def _graph(self, definition: Definition, parameters: dict[str, Any] | None, found: Collector) -> Graph | None:
        """The graph of a model; None where mistakes, now in `found`, prevent it.

        Without parameters given, those that have no default are unknown and only mistakes are looked for.
        """
        before = len(found.diagnostics)
        try:
            expansion, values = self._expand(definition, parameters, found)
        except RecursionError:
            message = f"'{definition.name.text}' nests too deeply to be expanded"
            found.add(Diagnostic(Slug.LIMIT, message, definition.name.span))
            return None
        except Problem as problem:
            found.add(problem.diagnostic)
            return None
        except Skip:
            return None
        unknown = any(isinstance(value, Poison) for value in values.values())
        if unknown or self._parsed.diagnostics or len(found.diagnostics) > before:
            return None
        self._check_outputs(definition, expansion, found)
        if len(found.diagnostics) > before:
            return None
        return Graph(
            name=definition.name.text,
            nodes=tuple(expansion.assembly.nodes.values()),
            outputs=tuple(name for name, _ in expansion.outputs),
            scopes=expansion.assembly.scopes,
            docstring=self._docstring(definition),
            parameters=values,
            expectations=tuple(_expectation(item, frame, self._limits) for item, frame in expansion.expectations),
        )

    def _expand(
        self, definition: Definition, parameters: dict[str, Any] | None, found: Collector
    ) -> tuple[Expansion, dict[str, Any]]:
        """Expand a model, and for a variant its base and then each edit in turn, on what those before it left."""
        lineage, root = self._lineage(definition)
        frames: list[Frame] = []
        given = parameters
        shown: dict[str, Any] = {}
        for generation in [*lineage, root]:
            given, frame = self._parameters(generation, given, found)
            shown = {key: value for key, (value, _) in frame.names.items()} | shown
            frames.append(frame)
            if isinstance(generation, tree.Variant):
                given = self._base_arguments(generation, given, frame, found)
        assert isinstance(root, tree.Model)
        hooks: dict[Key, Hooks] = {}
        edits = [
            (serial, edit, frame, variant)
            for variant, frame in reversed(list(zip(lineage, frames, strict=False)))
            for serial, edit in enumerate(variant.edits or ())
            if not isinstance(edit, tree.Expect)
        ]
        unseen = Collector() if edits else found
        expansion = self._run(root, frames[-1], hooks, unseen)
        failed = False
        for serial, edit, frame, variant in edits:
            evaluator = self.evaluator_for(found)
            try:
                mark = (variant.name.text, serial)
                apply_edit(edit, mark, frame, variant.base.name.text, expansion.applied, hooks, evaluator)
            except Problem as problem:
                # A selector cannot see what lies behind a mistake: then the mistake is what to speak of.
                found.extend(unseen.diagnostics or (problem.diagnostic,))
                failed = True
            except Skip:
                failed = True
            unseen = Collector() if edit is not edits[-1][1] else found
            expansion = self._run(root, frames[-1], hooks, unseen)
        if failed:
            raise Skip
        if lineage:  # what a model promises holds of itself, not of its variants
            own = lineage[0].edits or ()
            expansion.expectations = [(edit, frames[0]) for edit in own if isinstance(edit, tree.Expect)]
        return expansion, shown

    def _run(self, root: tree.Model, frame: Frame, hooks: dict[Key, Hooks], found: Collector) -> Expansion:
        expansion = Expansion(self._limits, self._parsed.lost_names, hooks, found)
        expansion.run(root.body, Frame(frame.parent, None, dict(frame.names)))
        return expansion

    def _lineage(self, definition: Definition) -> tuple[list[tree.Variant], Definition]:
        """The variants from a model down to its root, and the root, which has a body of its own."""
        variants: list[tree.Variant] = []
        while isinstance(definition, tree.Variant):
            if definition in variants:
                raise Problem(Slug.DUPLICATE, f"'{definition.name.text}' is a variant of itself", definition.base.span)
            variants.append(definition)
            name = definition.base.name.text
            bound = self.frame.lookup(name)
            if bound is None or not isinstance(bound[0], tree.Model | tree.Variant):
                if name in self._parsed.lost_names:
                    raise Skip
                hint = did_you_mean(name, self.models)
                raise Problem(Slug.UNKNOWN_MODEL, f"no model is called '{name}'", definition.base.name.span, help=hint)
            definition = bound[0]
        return variants, definition

    def _parameters(
        self, definition: Definition, given: dict[str, Any] | None, found: Collector
    ) -> tuple[dict[str, Any] | None, Frame]:
        """A frame with a model's parameters, and the values given that are not its own."""
        frame = Frame(self.frame)
        names = {parameter.name.text: parameter for parameter in definition.parameters or ()}
        own = {key: value for key, value in (given or {}).items() if key in names}
        rest = {key: value for key, value in (given or {}).items() if key not in names}
        evaluator = self.evaluator_for(found)
        for key, parameter in names.items():
            value: Any = POISON
            try:
                if key in own:
                    value = own[key]
                elif parameter.default is not None:
                    value = evaluator.value(parameter.default, frame)
                elif given is not None:
                    message = f"'{definition.name.text}' needs a value for '{key}'"
                    raise Problem(Slug.MISSING_ARGUMENT, message, parameter.span, help=f"give it one: --set {key}=...")
                frame.bind(key, value, parameter.name.span)
            except Problem as problem:
                found.add(problem.diagnostic)
                frame.names.setdefault(key, (POISON, parameter.name.span))
            except Skip:
                frame.names.setdefault(key, (POISON, parameter.name.span))
        inherits = isinstance(definition, tree.Variant) and definition.parameters is None
        if rest and not inherits:
            unknown = next(iter(rest))
            hint = did_you_mean(unknown, names) or (f"it has {', '.join(names)}" if names else "it has none")
            message = f"the model '{definition.name.text}' has no parameter '{unknown}'"
            raise Problem(Slug.UNKNOWN_ARGUMENT, message, definition.name.span, help=hint)
        return (None if given is None else rest), frame

    def _base_arguments(
        self, variant: tree.Variant, given: dict[str, Any] | None, frame: Frame, found: Collector
    ) -> dict[str, Any] | None:
        """The values that a variant gives to the parameters of its base."""
        base = self.frame.names[variant.base.name.text][0]
        if variant.base.arguments is None:
            return given
        parameters = [parameter.name.text for parameter in base.parameters or ()]
        matched = match_arguments(base.name.text, variant.base.arguments, parameters, parameters, found)
        evaluator = self.evaluator_for(found)
        values = {name: evaluator.value(expression, frame) for name, expression in matched.items()}
        return values | (given or {})

    def _dry_run(self, block: tree.Block, found: Collector) -> None:
        """Look for mistakes in a block whose parameters and entering tensor are unknown."""
        frame = Frame(self.frame, POISON)
        for parameter in block.parameters or ():
            frame.names[parameter.name.text] = (POISON, parameter.name.span)
        try:
            Expansion(self._limits, self._parsed.lost_names, {}, found).dry_run(block.body, frame)
        except Problem as problem:
            found.add(problem.diagnostic)
        except RecursionError:
            found.add(Diagnostic(Slug.LIMIT, f"'{block.name.text}' nests too deeply", block.name.span))

    # ------------------------------------------------------------------------------------------ the whole

    def _check_outputs(self, definition: Definition, expansion: Expansion, found: Collector) -> None:
        nodes = expansion.assembly.nodes
        name = definition.name.text
        if not any(isinstance(node.layer, InputLayer) for node in nodes.values()):
            hint = "a model begins with `input name: (28, 28, 3)`"
            found.add(Diagnostic(Slug.MISPLACED, f"the model '{name}' has no input", definition.name.span, help=hint))
        elif not expansion.outputs:
            hint = "name the tensors that leave it: `output a, b`"
            found.add(Diagnostic(Slug.MISPLACED, f"the model '{name}' has no output", definition.name.span, help=hint))
        else:
            for node in _unused(nodes, expansion.outputs):
                what = "the input" if isinstance(node.layer, InputLayer) else "the result of"
                note = tuple(Note("this is an output", span) for _, span in expansion.outputs[:3])
                message = f"{what} '{node.name}' reaches no output of '{name}'"
                found.add(
                    Diagnostic(Slug.UNUSED, message, node.span, note, "use it, declare it as an output, or remove it")
                )

    def _docstring(self, definition: Definition) -> str:
        own = definition.body.docstring if isinstance(definition, tree.Model) else None
        if own is None and len(self.models) == 1:
            own = self.spec.docstring
        return own.text.strip() if own else ""


def _unused(nodes: Mapping[str, Node], outputs: list[tuple[str, Any]]) -> list[Node]:
    """The nodes that lead to no output, without those that only lead to another one that is listed."""
    alive = {name for name, _ in outputs}
    fed: set[str] = set()
    unused: list[Node] = []
    for node in reversed(list(nodes.values())):
        if node.name in alive:
            alive.update(node.inputs)
        else:
            if node.name not in fed:
                unused.append(node)
            fed.update(node.inputs)
    return list(reversed(unused))


def _no_shape(tensor: Tensor) -> tuple[int | None, ...]:
    raise AssertionError(f"no tensor is in sight outside a model, not even {tensor}")


def _expectation(item: tree.Expect, frame: Frame, limits: Limits) -> Expectation:
    def check(quantities: Mapping[str, Any]) -> tuple[Diagnostic, ...]:
        found = Collector()
        names = {name: (value, item.span) for name, value in quantities.items()}
        evaluator = Evaluator(limits, found, frozenset(), _no_shape)
        inner = Frame(frame, None, dict(names))
        try:
            if evaluator.truth(item.condition, inner):
                return ()
        except Problem as problem:
            return (problem.diagnostic,)
        except Skip:
            return found.diagnostics
        mentioned = [name for name in dict.fromkeys(_mentioned(item.condition)) if name in quantities]
        facts = ", ".join(f"{name} is {text(quantities[name])}" for name in mentioned)
        message = f"this does not hold{f': {facts}' if facts else ''}"
        return (Diagnostic(Slug.EXPECTATION, message, item.condition.span),)

    return Expectation(item.span, check)


def _mentioned(expression: tree.Expression | tree.Keyword) -> list[str]:
    """The names that an expression mentions, in the order of the text."""
    match expression:
        case tree.Call():
            inner = [name for argument in expression.arguments or () for name in _mentioned(argument)]
            return inner if expression.arguments is not None else [expression.name.text]
        case tree.Keyword():
            return _mentioned(expression.value)
        case tree.Operation():
            return [name for operand in expression.operands for name in _mentioned(operand)]
        case tree.Sequence():
            return [name for item in expression.items for name in _mentioned(item)]
        case tree.Prefix():
            return _mentioned(expression.operand)
        case tree.Group():
            return _mentioned(expression.inner)
        case tree.Index():
            return _mentioned(expression.value) + _mentioned(expression.index)
        case tree.Ternary():
            return _mentioned(expression.condition) + _mentioned(expression.then) + _mentioned(expression.otherwise)
        case tree.Literal():
            return []
