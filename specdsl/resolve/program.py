"""A file: its definitions, and the models that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specdsl.declaration import Declaration
from specdsl.diagnostics import Diagnostic, Slug, SpecError, did_you_mean
from specdsl.graph import Graph
from specdsl.layers import NAMES
from specdsl.resolve.imports import Importer
from specdsl.resolve.models import ModelBuilder, is_model
from specdsl.resolve.naming import check_name, check_parameters
from specdsl.resolve.scope import CONSTANTS, POISON, Collector, Defined, Frame, Limits, Problem, Skip, Steps
from specdsl.resolve.values import VALUES, Evaluator, no_shape
from specdsl.source import Source
from specdsl.syntax import Parsed, parse_all, tree


class Program:
    """The definitions of one file. Models are expanded when they are asked for.

    Attributes:
        models: the definitions of models by name, in the order of the text.
        spec: the tree of the file.
        limits: how far models may expand.
        steps: what work outside models is counted with.
    """

    def __init__(self, source: Source, limits: Limits | None = None, importer: Importer | None = None) -> None:
        """Read a file, and the files that it imports from.

        Args:
            source: the text.
            limits: how far models may expand.
            importer: finds the files that the text names; None where it may name none.

        Raises:
            SpecError: nothing of it can be read.
        """
        self.limits = limits or Limits()
        self._parsed: Parsed = parse_all(source, self.limits)
        self._importer = importer
        self.steps = Steps(self.limits)
        self._graphs: dict[str, Graph] = {}
        self._found = Collector(self.limits)
        self._found.add(*self._parsed.diagnostics)
        self.source = source
        self.spec = self._parsed.spec
        self.frame = Frame(None)
        self.evaluator = self.evaluator_for(self._found)
        self.models: dict[str, tree.Model | tree.Variant] = {}
        for item in self.spec.items:
            self._define(item)

    def _define(self, item: tree.Item) -> None:
        match item:
            case tree.Hole():
                return
            case tree.Import():
                self._import(item)
                return
            case tree.Let():
                value: Any = self._let(item)
            case _:
                value = Defined(item, self.frame)
        try:
            if isinstance(item, tree.Block | tree.Model | tree.Variant):
                check_parameters(item.parameters)
                check_name(item.name, model=not isinstance(item, tree.Block))
            self.frame.bind(item.name.text, value, item.name.span)
        except Problem as problem:
            self._found.add(problem.diagnostic)
            if item.name.text not in (*NAMES, *CONSTANTS):  # what uses it is not to blame
                self.frame.names.setdefault(item.name.text, (POISON, item.name.span))
            return
        if isinstance(item, tree.Model | tree.Variant):
            self.models[item.name.text] = item

    def _let(self, item: tree.Let) -> Any:
        try:
            return self.evaluator.value(item.value, self.frame)
        except Problem as problem:
            self._found.add(problem.diagnostic)
        except Skip:
            pass
        return POISON

    def _import(self, item: tree.Import) -> None:
        """Bind names to what another file defines; to poison where that file cannot be had or holds mistakes."""
        values: dict[str, Any] = {}
        try:
            values = self._definitions(str(item.path.value), item)
        except Problem as problem:
            self._found.add(problem.diagnostic)
        except SpecError as error:
            self._found.add(*error.diagnostics)
        for name in item.names:
            try:
                if values and name.text not in values:
                    hint = did_you_mean(name.text, values) or f"it defines {', '.join(values)}"
                    message = f"'{item.path.value}' defines no '{name.text}'"
                    self._found.add(Diagnostic(Slug.UNKNOWN_NAME, message, name.span, help=hint))
                self.frame.bind(name.text, values.get(name.text, POISON), name.span)
            except Problem as problem:
                self._found.add(problem.diagnostic)

    def _definitions(self, path: str, item: tree.Import) -> dict[str, Any]:
        """What another file defines.

        Raises:
            Problem: the file cannot be had.
            SpecError: it holds mistakes.
        """
        if self._importer is None:
            message = "a text that is no file cannot import from files"
            raise Problem(Slug.UNREADABLE, message, item.path.span)
        self.steps.take(item.span, Steps.IMPORT)
        known = self._importer.known
        with self._importer.importing(path, item.path.span) as place:
            if place not in known:
                source = self._importer.read(place, item.path.span)
                try:
                    other = Program(source, self.limits, self._importer)
                    names = {name: value for name, (value, _) in other.frame.names.items()}
                    known[place] = names, other.mistakes()
                except SpecError as error:
                    known[place] = {}, error.diagnostics
        names, mistakes = known[place]
        if mistakes:
            raise SpecError(mistakes)
        return names

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
        model = self.model_named(name)
        if not parameters and name in self._graphs:
            return self._graphs[name]
        found = Collector(self.limits)
        found.add(*self._found.diagnostics)
        graph = self._builder(found).graph(model, dict(parameters or {}), self._docstring())
        if graph is None or found:
            raise SpecError(found.diagnostics)
        return graph

    def model_named(self, name: str) -> Defined:
        """The definition of a model, of this file or an imported one.

        Raises:
            SpecError: there is none of that name.
        """
        bound = self.frame.lookup(name)
        if bound is None or not is_model(bound[0]):
            self.raise_mistakes()
            models = list(self.frame.visible(is_model))
            hint = did_you_mean(name, models) or (f"there are {', '.join(models)}" if models else None)
            raise SpecError([Diagnostic(Slug.UNKNOWN_MODEL, f"{self.source.name} has no model '{name}'", help=hint)])
        model: Defined = bound[0]
        return model

    def _builder(self, found: Collector) -> ModelBuilder:
        return ModelBuilder(self.limits, self._parsed.lost_names, found)

    def _docstring(self) -> str:
        """What the text says of the only model in it."""
        docstring = self.spec.docstring if len(self.models) == 1 else None
        return docstring.text.strip() if docstring else ""

    def required(self, name: str) -> list[str]:
        """The parameters of one of the file's models that have no default and must be given."""
        return self.required_of(Defined(self.models[name], self.frame))

    def required_of(self, model: Defined) -> list[str]:
        """The parameters of a model, of this file or another, that have no default and must be given."""
        return self._builder(Collector()).open_parameters(model)

    def parameter_names(self, model: Defined) -> list[str]:
        """The parameters that a use of a model may give.

        Raises:
            Problem: it is a variant of what is no model.
            Skip: that is reported already.
        """
        return self._builder(Collector()).parameter_names(model)

    def parameters_of(self, name: str) -> list[str]:
        """The parameters that may be given to a model by its name, one of this file or an imported one.

        Raises:
            SpecError: there is no such model, or what it is a variant of is none.
        """
        try:
            return self.parameter_names(self.model_named(name))
        except (Problem, Skip):
            self.raise_mistakes()
            raise

    def mistakes(self) -> tuple[Diagnostic, ...]:
        """Everything wrong in definitions, models, and blocks that no model uses. Expectations are not tested."""
        found = Collector(self.limits)
        found.add(*self._found.diagnostics)
        builder = self._builder(found)
        for name, definition in self.models.items():
            graph = builder.graph(Defined(definition, self.frame), None, self._docstring())
            if graph and not found:
                self._graphs[name] = graph
            if found.hit_limit:  # the next model might take as long to fail
                return found.diagnostics
        for item in self.spec.items:
            if isinstance(item, tree.Block):
                builder.dry_run(item, self.frame)
        return found.diagnostics

    def evaluator_for(self, found: Collector, objects: Mapping[str, type[Declaration]] = VALUES) -> Evaluator:
        """An evaluator for expressions outside models, whose mistakes go to `found`."""
        return Evaluator(self.limits, found, self._parsed.lost_names, no_shape, self.steps, objects)

    def value(self, expression: tree.Expression, frame: Frame, found: Collector) -> Any:
        """The value of an expression outside models.

        Raises:
            Problem: it has none.
            Skip: it depends on something that is already reported.
        """
        return self.evaluator_for(found).value(expression, frame)

    def is_lost(self, name: str) -> bool:
        """Whether a name stands in a part of the text that could not be read, which may have defined it."""
        return name in self._parsed.lost_names

    def raise_mistakes(self) -> None:
        """Raise what is wrong with the file's definitions, if anything is."""
        if self._found:
            raise SpecError(self._found.diagnostics)
