"""The Python interface: a text, its models, and what can be had of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from specdsl import graph as _graph
from specdsl.analyses import Analysis, Regime, analyse
from specdsl.diagnostics import Diagnostic, SpecError
from specdsl.limits import Limits
from specdsl.resolve import Importer, Program, all_mistakes, training_steps
from specdsl.source import Source
from specdsl.syntax import read

__all__ = [
    "Diagnostic",
    "Graph",
    "Limits",
    "Regime",
    "Spec",
    "SpecError",
    "import_keras",
    "load",
    "load_results",
    "load_run",
    "loads",
    "read",
]

if TYPE_CHECKING:
    import keras

    from specdsl.backends.diagram import Diagram
    from specdsl.backends.difference import Difference
    from specdsl.backends.report import Report
    from specdsl.inference import TrainedRun
    from specdsl.results.summary import Results
    from specdsl.sweeps import Budget, Solution, Sweep
    from specdsl.symbolic import Symbolic


class Graph(_graph.Graph):
    """A model as a graph of layers, with everything that can be made of it. Each back end is loaded when it is used."""

    regime: ClassVar[Regime] = Regime()
    """How it is run where nothing else is said; a graph of a spec with a `train` block has one of its own."""

    @classmethod
    def of(cls, graph: _graph.Graph, regime: Regime | None = None) -> Graph:
        """The same graph with this class's methods."""
        made = cls(**{field.name: getattr(graph, field.name) for field in fields(graph)})
        if regime:
            vars(made)["regime"] = regime
        return made

    def analyse(self, regime: Regime | None = None) -> Analysis:
        """Weights, parameters, work, memory and behaviour of each layer and in all.

        Args:
            regime: the batches and the optimizer that memory is worked out for, by default those of the spec.
        """
        return analyse(self, regime or self.regime)

    def report(self, regime: Regime | None = None) -> Report:
        """The analysis, ready to be shown: on a terminal, in a notebook, or as data by `to_dict()`.

        Args:
            regime: the batches and the optimizer that memory is worked out for, by default those of the spec.
        """
        from specdsl.backends.report import Report

        return Report(self.analyse(regime))

    def diagram(self) -> Diagram:
        """A drawing of the model; shown in a notebook, or written by `save(path)`."""
        from specdsl.backends.diagram import Diagram

        return Diagram(self.analyse())

    def diff(self, other: _graph.Graph) -> Difference:
        """How another model differs from this one; false when it does not. Shown on a terminal and in a notebook."""
        from specdsl.backends.difference import Difference

        return Difference(self.analyse(), analyse(other))

    def to_python(self) -> str:
        """Python source that builds the same model with Keras and needs nothing else."""
        from specdsl.backends.python_source import python_source

        return python_source(self)

    def to_keras(self) -> keras.Model:
        """The Keras functional model, with fresh weights and not compiled. Imports Keras."""
        from specdsl.backends.keras_model import build

        return build(self)

    def to_onnx(self) -> bytes:
        """The model with fresh weights as an ONNX file, checked in onnxruntime. Imports Keras.

        Raises:
            ModuleNotFoundError: one of the packages of the extra `onnx` is not there.
            OnnxError: Keras's exporter cannot do this model.
        """
        from specdsl.backends.onnx_model import to_onnx

        return to_onnx(self, self.to_keras())

    def _repr_html_(self) -> str:
        return self.diagram().svg()


class Spec:
    """A spec that holds no mistake.

    Attributes:
        name: what the text is called, usually its path.
        text: the text.
    """

    def __init__(self, source: Source, limits: Limits | None = None, path: Path | None = None) -> None:
        """Read a text; one with a path may import from files beside it.

        Raises:
            SpecError: it holds mistakes; with all of them.
        """
        self.name = source.name
        self.text = source.text
        self._path = path
        self._importer = Importer(path, limits or Limits()) if path else None
        self.program = Program(source, limits, self._importer)
        mistakes = all_mistakes(self.program)
        if mistakes:
            raise SpecError(mistakes)

    def texts(self) -> dict[Path, str]:
        """The text, and those of all files that it imports from, by their paths from the folder that holds them all.

        The text itself comes first.
        """
        if self._path is None or self._importer is None:
            return {Path(Path(self.name).name): self.text}
        files = {self._path.resolve(): self.text} | self._importer.texts
        folder = os.path.commonpath([file.parent for file in files])
        return {file.relative_to(folder): text for file, text in files.items()}

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models, in the order of the text."""
        return tuple(self.program.models)

    def model(self, name: str | None = None, /, **parameters: Any) -> Graph:
        """A model, by default the only or last one.

        Args:
            name: the model's name.
            **parameters: values for the model's own parameters.

        Raises:
            SpecError: there is no such model or parameter, or the values make no valid model.
        """
        return self.graph(name, parameters)

    def graph(self, name: str | None, parameters: Mapping[str, Any]) -> Graph:
        """A model with values for its parameters, as `model` gives it.

        Raises:
            SpecError: there is no such model or parameter, or the values make no valid model.
        """
        return Graph.of(self.program.graph(name, parameters), self.regime)

    @cached_property
    def regime(self) -> Regime | None:
        """How the spec's last `train` block runs a model, as far as memory depends on it; None without one."""
        steps = training_steps(self.program)
        return Regime(optimizer=steps[0], training_batch=steps[1], precision=steps[2]) if steps else None

    def default_graph(self, name: str) -> Graph | None:
        """A model with the defaults of its parameters; None when one of them has no default."""
        return None if self.program.required(name) else self.graph(name, {})

    def symbolic(self, names: Sequence[str], model: str | None = None, /, **values: Any) -> Symbolic:
        """A model's parameters and work as expressions in some of its own parameters, and what has to hold for them.

        Args:
            names: the parameters that are left open.
            model: the model's name, by default the only or last one.
            **values: values for parameters; for those left open, where the way through the text is taken from.

        Raises:
            SpecError: there is no such model or parameter, the values make no valid model, or what is to be left open
                is no number.
        """
        from specdsl.symbolic import symbolic

        return symbolic(self.program, names, model, values)

    def sweep(
        self,
        domains: Mapping[str, Sequence[Any] | str],
        models: Sequence[str] | None = None,
        *,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        front: str | None = None,
        jobs: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> Sweep:
        """Analyse every combination of values for the models' parameters, without a framework.

        Args:
            domains: the values of each parameter: a sequence, or a text such as `"16..256:16"`.
            models: the names of the models; by default the only or last one.
            columns: the quantities that are wanted, by the names that `expect` has for them.
            where: an expression over quantities and parameters; models that do not meet it are left out.
            front: what the Pareto front is of, by default `"min:macs,max:params"`.
            jobs: how many processes share the work; a script that asks for several begins with the
                `if __name__ == "__main__"` of `multiprocessing`.
            progress: is told how many combinations are done, and of how many.

        Raises:
            SpecError: there is no such model, parameter or quantity, or a text is not what it should be.
        """
        from specdsl import sweeps
        from specdsl.sweeps.pareto import DEFAULT_FRONT, goals
        from specdsl.sweeps.sweep import DEFAULT_COLUMNS

        read_ = {
            name: sweeps.domain(values, name, self.program.limits) if isinstance(values, str) else values
            for name, values in domains.items()
        }
        return sweeps.sweep(
            sweeps.Text(self.name, self.text, self._path, self.program.limits),
            read_,
            models,
            columns=columns or DEFAULT_COLUMNS,
            where=where,
            goals=goals(front) if front else DEFAULT_FRONT,
            jobs=jobs,
            progress=progress,
            program=self.program,
        )

    def solve(
        self,
        unknowns: Mapping[str, Sequence[Any] | str | None],
        budgets: Sequence[Budget] | Mapping[str, int],
        model: str | None = None,
        *,
        values: Mapping[str, Any] | None = None,
        where: str | None = None,
        maximise: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Solution:
        """The largest values of parameters with which a model keeps within all budgets, `best` of the solution.

        Every value that could be larger is analysed, unless the model's expressions prove that none above some value
        can fit.

        Args:
            unknowns: the parameters to look for, each with the values that it may have: a sequence, a text such as
                `"8..512:8"`, or None for all whole numbers from 1 on, which one alone may have.
            budgets: the most that the model may have of each quantity.
            model: the model's name, by default the only or last one.
            values: values for other parameters.
            where: an expression over quantities and parameters that must be true.
            maximise: a quantity that should be largest, in place of the values themselves.
            progress: is told how many models are analysed, and how many there are at the most.

        Raises:
            SpecError: there is no such model, parameter or quantity; a value has no order; or without a range, it
                cannot be proved that the budgets are passed from some value on.
        """
        from specdsl import sweeps

        listed = budgets.items() if isinstance(budgets, Mapping) else budgets
        read_ = {
            name: sweeps.domain(domain, name, self.program.limits) if isinstance(domain, str) else domain
            for name, domain in unknowns.items()
        }
        wanted = [sweeps.Budget(*budget) for budget in listed]
        return sweeps.solve(
            self.program, model, read_, wanted, values, where=where, maximise=maximise, progress=progress
        )

    def __repr__(self) -> str:
        return f"<Spec {self.name}: {', '.join(self.models)}>"


def load(path: str | Path, limits: Limits | None = None) -> Spec:
    """The spec in a file.

    Raises:
        SpecError: the file cannot be read, or holds mistakes.
    """
    return Spec(read(path, limits), limits, Path(path))


def loads(text: str, name: str = "<text>", limits: Limits | None = None) -> Spec:
    """The spec in a string.

    Raises:
        SpecError: the text holds mistakes.
    """
    return Spec(Source(name, text), limits)


def import_keras(path: str | Path, limits: Limits | None = None, *, fold: bool = False) -> Spec:
    """The spec of a model that Keras has written: as JSON, as a `.keras` archive or as HDF5.

    Keras is not needed for it, and nothing in the file is run. `text` of the spec is what to keep.

    Args:
        path: the file.
        limits: how large the model may be.
        fold: whether parts that are alike are written once, as blocks and loops; layers get new names by that.

    Raises:
        SpecError: the file cannot be read, or holds something that no spec can say; with all of that.
    """
    from specdsl.importing import import_file

    return Spec(Source(str(path), import_file(Path(path), str(path), limits, folded=fold).text), limits)


def load_results(*paths: str | Path, confidence: float = 0.95) -> Results:
    """The results of runs: of each model means, spreads and intervals over its trials; `compare` sets them in pairs.

    Args:
        *paths: folders of runs and of experiments.
        confidence: of the intervals, between 0 and 1.

    Raises:
        RunError: a folder holds no run, or what it holds is damaged.
        Misuse: no folder is named, one is named twice, or the confidence is none.
    """
    from specdsl.results.summary import load_results

    return load_results(paths, confidence)


def load_run(path: str | Path) -> TrainedRun:
    """What a run trained, to be used: `load_run("runs/signs").predict("sign.png")`.

    Args:
        path: the run's folder, or that of an experiment with one run.

    Raises:
        RunError: the folder holds no run, several, or one that is damaged.
    """
    from specdsl.inference import open_run

    return open_run(Path(path))
