"""The specs that Hypothesis draws for the tests: texts of whole models, which the compiler takes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from math import prod
from typing import Any

from hypothesis import HealthCheck, Phase, assume, given, reject, seed, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from specdsl import Graph, SpecError, loads
from specdsl.declaration import Misuse
from specdsl.declaration import text as _text
from specdsl.layers import LAYERS, Layer, Shape
from specdsl.layers.categories import Categorical
from specdsl.layers.dtypes import FLOATS
from tests.strategies import _SIZES, NUMERIC, _arguments, _chance, _shapes


class _Typed(tuple[int | None, ...]):
    """A shape that knows the type of the values in it."""

    dtype: str


def _typed(shape: Shape, dtype: str) -> Shape:
    made = _Typed(shape)
    made.dtype = dtype
    return made


def _dtype(shape: Shape) -> str:
    return shape.dtype if isinstance(shape, _Typed) else "float32"


def _declared(shape: Shape) -> str:
    """What stands behind the name of an input: its shape, and its type where that is not the usual one."""
    return _text(shape) + (f" {_dtype(shape)}" if _dtype(shape) != "float32" else "")


@st.composite
def spec_texts(draw: st.DrawFn, featuring: type[Layer] | None = None) -> str:
    """A valid spec with one to three models: inputs of any rank, layers, shortcuts, blocks, loops, edits, names.

    It is written step by step, and a step stays when the compiler takes the text so far.

    Args:
        draw: draws from other strategies.
        featuring: a layer class that stands in the first model, perhaps within a block, a shortcut or another model.
    """
    return _Writer(draw, featuring=featuring).spec()


@cache
def drawn_texts(kind: type[Layer] | None, number: int) -> tuple[str, ...]:
    """So many specs, always the same ones, with a layer class or any. The simplest, which comes first, is left out."""
    texts: list[str] = []

    @seed(zlib.crc32(kind.__name__.encode()) if kind else 0)
    @settings(
        phases=[Phase.generate],
        max_examples=number + 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(spec_texts(featuring=kind))
    def draw(text: str) -> None:
        texts.append(text)

    draw()
    return tuple(texts[-number:])


@st.composite
def step_texts(draw: st.DrawFn) -> tuple[Shape, str]:
    """A shape, and steps without definitions of blocks that a tensor of that shape can flow through."""
    writer = _Writer(draw, blocks=False)
    shape = writer.shape()
    lines, _ = writer.steps(shape, depth=2, most=4)
    return shape, writer.join(lines or ["Identity"])


_POPULAR = [LAYERS[name] for name in ("Dense", "Conv1D", "Conv2D", "BatchNormalization", "ReLU", "Dropout", "Flatten")]
_MERGES = ["add", "concat", "multiply", "average", "maximum", "minimum", "subtract"]
_MERGES += ["concat(axis=1)", "dot(axes=-1)", 'add(dtype="mixed_float16")']
_GATHERS = ["Add", "Concatenate", "Multiply", "Average", "Maximum", "Minimum", "Subtract"]
_GATHERS += ["Concatenate(axis=1)", "Dot(axes=-1)", 'Add(dtype="bfloat16")']
TYPES = ["float16", "int32", "uint8", "float64", "bool", "bfloat16", "int64"]
"""Of inputs, where these are not float32."""
POLICIES = ["mixed_float16", "float64", "bfloat16", "float16", "mixed_bfloat16"]
_NAMES = ["h", "skip", "x", "y", "name", "lambda", "keras", "layers", "build_model", "é", "out", "x2", "dense"]
"""Names that a compiler to Python must take care of are among them."""
_DOCSTRINGS = [
    "What.",
    "Two\nlines.",
    "It's \\\\ a path.",
    'Says "so" now.',
    'Ends in a quote\\"',
    "é × ← 図",
    "a<b> & c",
]
_LENGTHS = ["ZeroPadding1D(1)", "Cropping1D((1, 0))", "MaxPooling1D(2)", "UpSampling1D(2)"]
"""Steps that make a sequence longer or shorter and leave its features."""
_CONTROL = re.compile(r"(repeat|for|if|let|layer|\[|\w+ ->)")
_SIZE_ARGUMENT = re.compile(r"\b(?:units|filters)=(\d+)|\b(?:Dense|Conv\dD)\((\d+)")
_LARGEST = 3_000
"""Values in a tensor at most, so that the models stay small."""


class _Writer:
    """Draws a spec. Each of its methods gives text that the compiler took when it was tried."""

    def __init__(self, draw: st.DrawFn, *, blocks: bool = True, featuring: type[Layer] | None = None) -> None:
        self.draw = draw
        self.blocks = blocks
        self.featuring = featuring
        self.definitions: list[str] = []
        self.calls: list[str] = []
        self.used: set[str] = set()

    def pick(self, options: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    def name(self, stem: str | None = None) -> str:
        """A name that the spec does not use yet."""
        stem = stem or self.pick(_NAMES)
        number, name = 2, stem
        while name in self.used:
            name, number = f"{stem}{number}", number + 1
        self.used.add(name)
        return name

    def shape(self) -> Shape:
        """A shape for an input: of any rank, seldom with a size that is unknown."""
        rank = self.pick([3, 1, 2, 3, 1, 2, 4, 0])
        sizes = self.draw(st.lists(_SIZES, min_size=rank, max_size=rank))
        if sizes and _chance(self.draw, 1, 6):
            sizes[self.draw(st.integers(0, len(sizes) - 1))] = None
        while prod(size or 1 for size in sizes) > _LARGEST:
            sizes = [size if size is None else -(-size // 2) for size in sizes]
        return _typed(tuple(sizes), self.pick(TYPES) if _chance(self.draw, 1, 3) else "float32")

    def categories(self, kind: type[Categorical]) -> tuple[Shape, str]:
        """A shape and a type for an input, and a layer that takes words or categories, which takes it."""
        every = {"floats": "float32", "integers": "int64", "strings": "string"}
        for _ in range(10):
            shape = _typed(self.pick([(4,), (1,), ()]), every[self.pick([*kind.taken, "integers"])])
            step = self.feature(shape)
            if step is not None:
                return shape, step
        return reject()

    # ------------------------------------------------------------------------------------------ trying

    def accepts(self, *models: str) -> Graph | None:
        """The last model of a text made of the definitions so far and these models, None where it is refused."""
        try:
            return loads("\n".join([*self.definitions, *models])).model()
        except SpecError:
            return None

    def leaving(self, shapes: Sequence[Shape], lines: Sequence[str]) -> Shape | None:
        """The shape that leaves some steps where tensors of these shapes enter, None where they are refused."""
        inputs = [f"input probe{number}: {_declared(shape)}" for number, shape in enumerate(shapes)]
        graph = self.accepts("\n".join(["model probe {", *inputs, *lines, "Identity", "}"]))
        if graph is None:
            return None
        sizes = [prod(size or 4 for size in node.shape) for node in graph.nodes]
        small = max(sizes) <= _LARGEST and len(graph.nodes) < 40 and graph.analyse().totals.params < 100_000
        return _output(graph) if small else None

    # ------------------------------------------------------------------------------------------ steps

    def steps(self, shape: Shape, depth: int, most: int = 3, *, first: Sequence[str] = ()) -> tuple[list[str], Shape]:
        """Steps that a tensor can flow through, after those that come first, and the shape that leaves them."""
        entering, lines = shape, list(first)
        if lines:
            leaving = self.leaving([entering], lines)
            shape = shape if leaving is None else leaving
        kinds = [self.layer] * 5
        if depth:
            kinds += [self.shortcut, self.branch, self.repeat, self.loop, self.condition, self.named, self.shared]
        if depth and len(shape) == 2:
            kinds += [self.states] * 3
        if depth and self.blocks:
            kinds += [self.block] * 2 + [self.model, self.joining_model]
        for _ in range(self.draw(st.integers(1, most))):
            step = self.pick(kinds)(shape, depth - 1)
            leaving = self.leaving([entering], [*lines, step])
            if leaving is not None:
                lines.append(step)
                shape = leaving
        return lines, shape

    def join(self, lines: Sequence[str]) -> str:
        """Statements as one text, one behind the other in any of the ways to write that."""
        text = (lines or [""])[0]
        for before, line in pairwise(lines):
            alone = _CONTROL.match(before) or _CONTROL.match(line)
            text += self.pick(["\n", "; "] if alone else ["\n", " -> "]) + line
        return text

    def body(self, shape: Shape, depth: int) -> str:
        lines, _ = self.steps(shape, depth)
        return self.join(lines)

    def layer(self, shape: Shape, depth: int = 0) -> str:
        """A layer that takes the shape, or a few steps that end in one."""
        if _chance(self.draw, 1, 3 if self.featuring else 6):
            step = self.feature(shape)
            if step:
                return step
        for _ in range(5):
            groups = [_POPULAR, _fitting(len(shape)), _fitting(len(shape), of_rank=True)]
            kind = self.pick(self.pick(groups) if _dtype(shape) in FLOATS else _taking(_dtype(shape)))
            arguments = self.draw(_arguments(kind, (shape,), wild=False))
            if _chance(self.draw, 1, 6):
                arguments["dtype"] = self.pick(POLICIES)
            try:
                layer = kind(**arguments)
                layer.result_dtypes(len(layer.infer(shape)), _dtype(shape))
            except (ValidationError, Misuse):
                continue
            text = self.said(layer)
            if kind.positional() and f"({kind.positional()[0]}=" in text and self.pick([True, False]):
                return text.replace(f"({kind.positional()[0]}=", "(", 1)
            return text.removesuffix("()") if self.pick([True, False]) else text
        return "Identity"

    def said(self, layer: Layer) -> str:
        """A layer as text, seldom with options of its call that are true or false."""
        flags = [name for name, what in layer.options.items() if what == "flag" and _chance(self.draw, 1, 8)]
        said = [f"{name}={self.pick(['false', 'true'])}" for name in flags]
        given = [str(layer).removesuffix(")").partition("(")[2]]
        return f"{type(layer).__name__}({', '.join(filter(None, [*given, *said]))})"

    def feature(self, shape: Shape) -> str | None:
        """A layer of the class that is featured, or of any, behind what makes the tensors that it takes.

        A cell stands in an RNN. None where none is found.
        """
        if self.featuring and not _may_take(self.featuring, _dtype(shape)):
            return None
        kind = self.featuring or self.pick(NUMERIC if _dtype(shape) in FLOATS else _taking(_dtype(shape)))
        for _ in range(6):
            suiting = self.draw(_shapes(LAYERS["RNN"] if kind.needed_options else kind))
            rank = len(shape if issubclass(kind, Categorical) else suiting[0])
            lead, first = self.reshaped(shape, rank)
            shapes, steps = [first], [lead]
            while len(shapes) < len(suiting):
                change = len(first) == 2 and _dtype(first) in FLOATS and _chance(self.draw, 1, 2)
                steps.append(self.pick(_LENGTHS if change else ["Identity", "ReLU"][: 1 + (_dtype(first) in FLOATS)]))
                beside = self.leaving([first], steps[-1:])
                shapes.append(first if beside is None else beside)
            try:
                layer = kind(**self.draw(_arguments(kind, tuple(shapes), wild=False)))
                layer = LAYERS["RNN"](cell=layer) if kind.needed_options else layer
                leaving = layer.infer(*shapes)
            except (ValidationError, Misuse):
                continue
            text = self.gathered(steps, self.said(layer)) + self.chosen(len(leaving))
            if self.leaving([shape], [text]) is not None:
                return text
        return None

    def reshaped(self, shape: Shape, rank: int) -> tuple[str, Shape]:
        """A step that gives a tensor so many axes, and its shape then; nothing of the kind where a size is unknown."""
        if len(shape) == rank or not rank or None in shape:
            return "Identity", shape
        rest, sizes = prod(size for size in shape if size), []
        for _ in range(rank - 1):
            sizes.append(self.pick([size for size in range(1, 9) if rest % size == 0][::-1]))
            rest //= sizes[-1]
        new = tuple(self.draw(st.permutations([*sizes, rest])))
        return f"Reshape({_text(new)})", _typed(new, _dtype(shape))

    def gathered(self, steps: Sequence[str], layer: str) -> str:
        """A layer behind one step, or over a tensor that a step gives and what others make of that tensor."""
        if len(steps) == 1:
            return layer if steps == ["Identity"] else f"{steps[0]} -> {layer}"
        first, *others = (self.name("tensor") for _ in steps)
        lines = [f"{steps[0]} as {first}"]
        lines += [f"{first} -> {step} as {name}" for step, name in zip(steps[1:], others, strict=True)]
        return "\n".join([*lines, f"[{', '.join([first, *others])}] -> {layer}"])

    def chosen(self, number: int) -> str:
        """What goes on with one of so many results, behind the step that gives them."""
        if number == 1:
            return ""
        name, place = self.name("result"), self.draw(st.integers(0, number - 1))
        return f" as {', '.join(name if index == place else '_' for index in range(number))}\n{name} -> Identity"

    def named(self, shape: Shape, depth: int) -> str:
        """Two layers whose outputs have names and are merged."""
        first, second = self.name(), self.name()
        if self.pick([True, False]):
            return f"{self.layer(shape)} as {first}\nIdentity as {second}\n[{first}, {second}] -> {self.pick(_GATHERS)}"
        return f"{self.layer(shape)} as {first}; {first} -> Dropout(0.5) as {second}; {second} -> {self.layer(shape)}"

    def shared(self, shape: Shape, depth: int) -> str:
        """A layer that is declared, and applied two times or more."""
        name = self.name("shared")
        kinds = ["ReLU", "BatchNormalization", "Dropout(0.5)"]
        if shape and shape[-1]:
            kinds += [f"Dense({shape[-1]})", "LayerNormalization", f'Dense({shape[-1]}, dtype="mixed_float16")']
        uses = self.pick([f"{name} -> {name}", f"{name}\n{name}", f"repeat 2 {{ {name} -> Identity }}"])
        return f"layer {name} = {self.pick(kinds)}\n{uses}"

    def states(self, shape: Shape, depth: int) -> str:
        """A recurrent layer whose output and states have names, and perhaps another that begins with the states."""
        kind, number = self.pick([("GRU", 1), ("SimpleRNN", 1), ("LSTM", 2)])
        both = self.pick([False, False, True])
        number = 2 * number if both else number
        names = [self.name(stem) for stem in ("out", *("state", "memory") * 2)[: number + 1]]
        start = self.name("steps")
        made, again = f"{kind}(3, return_state=true)", f"{kind}(3"
        if both:
            made, again = f'Bidirectional({made}, merge_mode="sum")', f'Bidirectional({kind}(3), merge_mode="sum"'
        lines = [f"Identity as {start}", f"{start} -> {made} as {', '.join(names)}"]
        if self.pick([True, False]):
            lines.append(f"{start} -> {again}, initial_state=[{', '.join(names[1:])}]) as {self.name('again')}")
            names.append(lines[-1].rpartition(" ")[2])
        return "\n".join([*lines, f"[{', '.join(names)}] -> {self.pick(['Concatenate', 'Add'])}"])

    def model(self, shape: Shape, depth: int) -> str:
        """A use, or two, of a model as a step, which is defined for it."""
        name, entering = self.name("inner"), self.name()
        body = self.body(shape, max(depth, 0)) or "Identity"
        self.definitions.append(f"model {name} {{ input {entering}: {_declared(shape)}\n{body}\n}}")
        step = self.pick([name, f"{name} -> {name}", f"{name}(trainable=false)", f"TimeDistributed({name})"])
        if self.leaving([shape], [step]) is None:
            step = name
        if self.leaving([shape], [step]) is None:
            self.definitions.pop()
            return "Identity"
        return step

    def joining_model(self, shape: Shape, depth: int) -> str:
        """A use of a model with two inputs, and with an output or two, which is defined for it."""
        name, first, second, left, right = map(self.name, ("joining", "a", "b", "left", "right"))
        other = self.pick(["ReLU", "Flatten", self.layer(shape)])
        beside = self.leaving([shape], [other])
        if beside is None:
            return "Identity"
        lines = [f"input {first}: {_declared(shape)}", f"input {second}: {_declared(beside)}"]
        lines += [f"{first} -> {self.layer(shape)} as {left}", f"{second} -> {self.layer(beside)} as {right}"]
        output = f"output {right}, {left}"
        for _ in range(2):
            joined = f"[{left}, {right}] -> {self.pick(_GATHERS)}"
            output = joined if self.accepts("\n".join(["model m {", *lines, joined, "}"])) else output
        self.definitions.append("\n".join([f"model {name} {{", *lines, output, "}"]))
        step = self.gathered(["Identity", other], name) + self.chosen(2 if output.startswith("output") else 1)
        if self.leaving([shape], [step]) is None:
            self.definitions.pop()
            return "Identity"
        return step

    def shortcut(self, shape: Shape, depth: int) -> str:
        body, leaving = self.steps(shape, depth)
        text = " {\n" + self.join(body) + "\n}"
        around = ["", " via { " + self.body(shape, 0) + " }"]
        if leaving and leaving[-1]:
            units = leaving[-1]
            around += [
                f" via {{ if channels != {units} {{ Dense({units}) }} }}",
                f" via {{ Flatten -> Dense({units}) }}",
            ]
        for _ in range(3):
            step = f"shortcut {self.pick(_MERGES)}{text}{self.pick(around)}"
            if self.leaving([shape], [step]) is not None:
                return step
        return f"shortcut add {{ {self.pick(['Dropout(0.5)', 'ReLU', 'BatchNormalization(trainable=false)'])} }}"

    def branch(self, shape: Shape, depth: int) -> str:
        """Bodies side by side, one of them perhaps empty."""
        bodies = [self.body(shape, 0), self.pick(["", self.body(shape, depth)])]
        bodies += [self.body(shape, 0)] if self.pick([False, True]) else []
        for _ in range(3):
            text = " and ".join(f"{{ {body} }}" for body in bodies)
            step = f"branch {self.pick(_MERGES)} {text}"
            if self.leaving([shape], [step]) is not None:
                return step
            bodies[self.draw(st.integers(0, len(bodies) - 1))] = self.pick(["ReLU", "Dropout(0.5)", ""])
        return "branch maximum { ReLU } and { }"

    def repeat(self, shape: Shape, depth: int) -> str:
        times = self.pick(["2", "0", "3", "len(shape)", "1 if channels == 4 else 2"])
        return f"repeat {times} {{\n{self.body(shape, depth)}\n}}"

    def loop(self, shape: Shape, depth: int) -> str:
        name = self.name("n")
        body, value = self.parametrized(self.body(shape, depth), name)
        values = self.pick([f"[{value}]", f"({value}, 3)", f"[{value}, 2, {value}]", f"range({value}, {value} + 2)"])
        return f"for {name} in {values} {{\n{body}\n}}"

    def condition(self, shape: Shape, depth: int) -> str:
        conditions = [
            "channels > 2",
            "true",
            "len(shape) == 2 and not shape[0] == 4",
            "divisible(channels) == channels",
        ]
        text = f"if {self.pick(conditions)} {{\n{self.body(shape, depth)}\n}}"
        if self.pick([True, False]):
            text += f" else if {self.pick(conditions)} {{ {self.body(shape, 0)} }}"
        return text + (f" else {{ {self.body(shape, 0)} }}" if self.pick([True, False]) else "")

    def parametrized(self, text: str, name: str) -> tuple[str, str]:
        """The text with a name in place of one of its numbers, and that number."""
        found = list(_SIZE_ARGUMENT.finditer(text))
        if not found:
            return text, "2"
        match = self.pick(found)
        group = 1 if match[1] else 2
        return text[: match.start(group)] + name + text[match.end(group) :], match[group]

    # ------------------------------------------------------------------------------------------ blocks

    def block(self, shape: Shape, depth: int) -> str:
        """A use of a block, which is defined by it where none suits."""
        if self.calls and _chance(self.draw, 2, 3):
            step = self.pick(self.calls)
            if "(" in step and self.pick([True, False]):
                step = re.sub(r"\(\w+", f"({self.pick([3, 2, 5])}", step)
            return step + (f" as {self.name()}" if self.pick([False, False, True]) else "")
        parameter, name = self.name(self.pick(["width", "filters", "units", "n"])), self.name("block")
        body, value = self.parametrized(self.body(shape, max(depth, 0)), parameter)
        default = self.pick(["", f"={value}"])
        extra = self.pick(["", ", rate=0.5", ", trainable=false"])
        docstring = f'"""{self.pick(_DOCSTRINGS)}"""\n' if _chance(self.draw, 1, 4) else ""
        definition = f"block {name}({parameter}{default}{extra if default else ''}) {{ {docstring}{body}\n}}"
        step = f"{name}({value})"
        self.definitions.append(definition)
        if self.leaving([shape], [step]) is None:
            self.definitions.pop()
            return "Identity"
        self.calls.append(step)
        return step

    # ------------------------------------------------------------------------------------------ models

    def spec(self) -> str:
        categories = self.featuring and issubclass(self.featuring, Categorical)
        model = self.chain() if categories or self.pick([True, False]) else self.wired()
        if self.featuring and not re.search(rf"\b{self.featuring.__name__}\b", "\n".join([*self.definitions, model])):
            model = self.chain()
        graph = loads("\n".join([*self.definitions, model])).model()  # its parts are good, and so must be the whole
        models = [model]
        for _ in range(self.pick([0, 0, 1, 2])):
            variant = self.variant(models, graph)
            accepted = self.accepts(*models, variant)
            if accepted is not None:
                models.append(variant)
                graph = accepted
        docstring = [f'"""{self.pick(_DOCSTRINGS)}"""'] if _chance(self.draw, 1, 4) else []
        return "\n".join([*docstring, *self.definitions, *models]) + "\n"

    def head(self) -> str:
        docstring = f'"""{self.pick(_DOCSTRINGS)}"""\n' if _chance(self.draw, 1, 3) else ""
        return f"{self.name('model_')}PARAMETERS {{\n{docstring}"

    def chain(self) -> str:
        """A model of one input and one output, whose tensors have no names; seldom with a parameter."""
        shape = self.shape()
        if self.featuring and issubclass(self.featuring, Categorical):
            shape, step = self.categories(self.featuring)
            first = [step]
        elif self.featuring and not _may_take(self.featuring, _dtype(shape)):
            first = ["Rescaling(1)"]
        else:
            first = []
        lines, leaving = self.steps(shape, depth=2, most=6, first=first)
        if self.featuring and not re.search(rf"\b{self.featuring.__name__}\b", "\n".join(lines)):
            step = self.feature(leaving)
            assume(step is not None and self.leaving([shape], [*lines, step]) is not None)
            lines.append(step or "")
        text, parameter = self.join(lines or ["Identity"]), ""
        if _chance(self.draw, 1, 3):
            text, value = self.parametrized(text, "size")
            parameter = f"(size={value})"
        head = f"model {self.head()}".replace("PARAMETERS", parameter)
        name = self.pick([self.name(), "input"])
        return f"{head}input {name}: {_declared(shape)}\n{text}\n}}"

    def wired(self) -> str:
        """A model of named tensors: each is used, or an output."""
        shapes: dict[str, Shape] = {}
        lines = []
        for _ in range(self.draw(st.integers(1, 3))):
            shape = self.shape() if not shapes or self.pick([True, False]) else self.pick(list(shapes.values()))
            name = self.name()
            shapes[name] = shape
            lines.append(f"input {name}: {_declared(shape)}")
        unused = list(shapes)
        for _ in range(self.draw(st.integers(1, 4))):
            start, sources, shape = self.start(shapes, unused)
            steps, shape = self.steps(shape, depth=1)
            if steps and _CONTROL.match(steps[0]):
                steps.insert(0, "Identity")
            if not steps or _CONTROL.match(steps[-1]) or " as " in steps[-1].split("\n")[-1]:
                steps.append("Identity")
            name = self.name()
            chain = f"{start} -> {self.join(steps)} as {name}"
            left = [name, *(other for other in unused if other not in sources)]
            graph = self.accepts("\n".join(["model m {", *lines, chain, f"output {', '.join(left)}", "}"]))
            if graph is not None:
                lines.append(chain)
                unused = left
                shapes[name] = _output(graph)
        lines, unused = self.masked(lines, shapes, unused)
        outputs = self.draw(st.permutations(unused))
        extra = [name for name in shapes if name not in unused and _chance(self.draw, 1, 6)]
        head = f"model {self.head()}".replace("PARAMETERS", "")
        return "\n".join([f"{head}{lines[0]}", *lines[1:], f"output {', '.join([*outputs, *extra])}", "}"])

    def masked(self, lines: list[str], shapes: dict[str, Shape], unused: list[str]) -> tuple[list[str], list[str]]:
        """The lines, seldom with an input of truth values and a layer that takes it as a mask, and what is unused."""
        sequences = [name for name, shape in shapes.items() if len(shape) == 2]
        if not sequences or not _chance(self.draw, 1, 2):
            return lines, unused
        source, mask, name = self.pick(sequences), self.name("mask"), self.name("found")
        steps = _text(shapes[source][0])
        kind = self.pick(["GRU(2, ", "LSTM(2, return_sequences=true, ", "Bidirectional(SimpleRNN(2), "])
        entering, layer = f"({steps},)", f"{kind}mask={mask})"
        if self.pick([True, False]):
            entering, layer = f"({steps}, {steps})", f"MultiHeadAttention(2, 1, attention_mask={mask})"
        more = [f"input {mask}: {entering} bool", *lines, f"{source} -> {layer} as {name}"]
        left = [name, *(other for other in unused if other != source)]
        graph = self.accepts("\n".join(["model m {", *more, f"output {', '.join(left)}", "}"]))
        return (lines, unused) if graph is None else (more, left)

    def start(self, shapes: dict[str, Shape], unused: list[str]) -> tuple[str, list[str], Shape]:
        """How a chain begins: with a tensor, or with several that are merged."""
        sources = [self.pick(unused)]
        if len(shapes) > 1 and self.pick([True, False]):
            sources += self.draw(st.lists(st.sampled_from(list(shapes)), min_size=1, max_size=2))
            for _ in range(3):
                merge = self.pick(_GATHERS)
                probes = ", ".join(f"probe{number}" for number in range(len(sources)))
                leaving = self.leaving([shapes[name] for name in sources], [f"[{probes}] -> {merge}"])
                if leaving is not None:
                    return f"[{', '.join(sources)}] -> {merge}", sources, leaving
        return sources[0], sources[:1], shapes[sources[0]]

    def variant(self, models: list[str], graph: Graph) -> str:
        """A model as an edit of the last one."""
        name, edits = self.name("variant_"), [""]
        targets = [node for node in graph.nodes if node.inputs] or [None]
        for _ in range(self.draw(st.integers(0, 3))):
            node = self.pick(targets)
            if node is None:
                break
            kind = type(node.layer)
            index = self.pick(["", "[0]", "[-1]"])
            insert = (
                "{ "
                + self.pick(
                    ["Identity", "Dropout(0.5)", "ReLU -> Identity", self.layer(_typed(node.shape, node.dtypes[0]))]
                )
                + " }"
            )
            settings = ["trainable = false"]
            settings += [f"{size} = {self.pick([3, 2, 6])}" for size in ("units", "filters") if size in kind.fields()]
            edit = self.pick(
                [
                    f"{self.pick(['after', 'before', 'replace'])} {kind.__name__}{index} {insert}",
                    f"remove {kind.__name__}{index}",
                    f"set {kind.__name__}{index}.{self.pick(settings)}",
                ]
            )
            tried = f"model {name} = {graph.name} with {{{'; '.join([*edits, edit])} }}"
            if self.accepts(*models, tried) is not None:
                edits.append(edit)
        return f"model {name} = {graph.name}" + (f" with {{{'; '.join(edits)} }}" if len(edits) > 1 else "")


def _output(graph: Graph) -> Shape:
    """The shape of the first output of a graph, with its type."""
    return _typed(graph.output_shapes[0], graph.dtype(graph.outputs[0]))


def _may_take(kind: type[Layer], dtype: str) -> bool:
    """Whether a layer class may take a tensor of that type."""
    return (
        dtype in FLOATS
        or kind.intake == "any"
        or issubclass(kind, Categorical)
        or (kind.intake != "floats" and dtype != "string")
    )


@cache
def _taking(dtype: str) -> list[type[Layer]]:
    """The layers over one tensor that may take tensors of that type."""
    words = [LAYERS[name] for name in ("StringLookup", "Hashing", "CategoryEncoding")]
    return [kind for kind in NUMERIC if kind.arity == (1, 1) and _may_take(kind, dtype)] + words


@cache
def _fitting(rank: int, *, of_rank: bool = False) -> list[type[Layer]]:
    """The layers over one tensor that may take a tensor of that many axes, or those made for just that many."""
    single = [kind for kind in NUMERIC if kind.arity == (1, 1)]
    made = [kind for kind in single if f"{rank - 1}D" in kind.__name__]
    return (made if of_rank else None) or [
        kind for kind in single if kind in made or not re.search(r"[123]D", kind.__name__)
    ]
