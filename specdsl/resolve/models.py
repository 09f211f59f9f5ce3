"""Models: parameters, variants and their edits, outputs, expectations; from a definition to a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specdsl.diagnostics import Diagnostic, Note, Slug, did_you_mean
from specdsl.graph import Graph, Node
from specdsl.layers import InputLayer
from specdsl.resolve.binding import match_arguments
from specdsl.resolve.expansion import Expansion
from specdsl.resolve.expectations import expectation
from specdsl.resolve.hooks import Hooks, Key
from specdsl.resolve.scope import POISON, Collector, Defined, Definition, Frame, Limits, Poison, Problem, Skip
from specdsl.resolve.values import Evaluator, no_shape
from specdsl.resolve.variants import apply_edit
from specdsl.syntax import tree


class ModelBuilder:
    """Makes graphs of definitions; what is wrong goes to `found`.

    Args:
        limits: how far a model may expand.
        lost_names: words in unreadable parts of the text, which may have been definitions.
        found: where mistakes go.
    """

    def __init__(self, limits: Limits, lost_names: frozenset[str], found: Collector) -> None:
        self._limits = limits
        self._lost_names = lost_names
        self._found = found

    def graph(self, defined: Defined, parameters: dict[str, Any] | None, docstring: str = "") -> Graph | None:
        """The graph of a model; None where mistakes, now in `found`, prevent it.

        Without parameters given, those that have no default are unknown and only mistakes are looked for.
        """
        definition, found = defined.node, self._found
        before = found.reported
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
        unknown = any(isinstance(value, Poison) for value in values.values())
        if unknown or expansion.poisoned or found.reported > before:
            return None
        self._check_outputs(definition, expansion)
        if found.reported > before:
            return None
        own = definition.body.docstring if isinstance(definition, tree.Model) else None
        return Graph(
            name=definition.name.text,
            nodes=tuple(expansion.assembly.nodes.values()),
            outputs=tuple(name for name, _ in expansion.outputs),
            scopes=expansion.assembly.scopes,
            docstring=own.text.strip() if own else docstring,
            parameters=values,
            expectations=tuple(expectation(item, frame, self._limits) for item, frame in expansion.expectations),
        )

    def _expand(self, defined: Defined, parameters: dict[str, Any] | None) -> tuple[Expansion, dict[str, Any]]:
        """Expand a model, and for a variant its base and then each edit in turn, on what those before it left."""
        found = self._found
        generations = self._lineage(defined)
        frames: list[Frame] = []
        given = parameters
        shown: dict[str, Any] = {}
        for younger, generation in zip([None, *generations], generations, strict=False):
            if younger is not None:
                given = self._base_arguments(younger, generation, given, frames[-1])
            given, frame = self._parameters(generation, given)
            shown = {key: value for key, (value, _) in frame.names.items()} | shown
            frames.append(frame)
        root = generations[-1].node
        assert isinstance(root, tree.Model)
        lineage = [one.node for one in generations if isinstance(one.node, tree.Variant)]
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
            evaluator = self._evaluator()
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
        expansion = Expansion(self._limits, self._lost_names, hooks, found)
        expansion.run(root.body, Frame(frame.parent, None, dict(frame.names)))
        return expansion

    def _evaluator(self) -> Evaluator:
        return Evaluator(self._limits, self._found, self._lost_names, no_shape)

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
            generations.append(bound[0])
        return generations

    def _parameters(self, defined: Defined, given: dict[str, Any] | None) -> tuple[dict[str, Any] | None, Frame]:
        """A frame with a model's parameters, and the values given that are not its own."""
        definition, found = defined.node, self._found
        assert isinstance(definition, tree.Model | tree.Variant)
        frame = Frame(defined.home)
        names = {parameter.name.text: parameter for parameter in definition.parameters or ()}
        own = {key: value for key, value in (given or {}).items() if key in names}
        rest = {key: value for key, value in (given or {}).items() if key not in names}
        evaluator = self._evaluator()
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
        self, younger: Defined, base: Defined, given: dict[str, Any] | None, frame: Frame
    ) -> dict[str, Any] | None:
        """The values that a variant gives to the parameters of its base."""
        variant, definition = younger.node, base.node
        assert isinstance(variant, tree.Variant)
        assert isinstance(definition, tree.Model | tree.Variant)
        if variant.base.arguments is None:
            return given
        names = [parameter.name.text for parameter in definition.parameters or ()]
        matched = match_arguments(definition.name.text, variant.base.arguments, names, names, self._found)
        evaluator = self._evaluator()
        values = {name: evaluator.value(expression, frame) for name, expression in matched.items()}
        return values | (given or {})

    def _check_outputs(self, definition: Definition, expansion: Expansion) -> None:
        nodes = expansion.assembly.nodes
        name, found = definition.name.text, self._found
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


def is_model(value: Any) -> bool:
    """Whether a name stands for a model."""
    return isinstance(value, Defined) and isinstance(value.node, tree.Model | tree.Variant)


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
