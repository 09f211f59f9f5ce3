"""What a spec means: scopes, values, edits, parameters, limits, and how mistakes are gathered."""

from __future__ import annotations

import re
from textwrap import dedent
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings

import specdsl
from specdsl import Graph, SpecError
from specdsl.declaration import Misuse
from specdsl.diagnostics import Diagnostic, Slug
from specdsl.graph import verify
from specdsl.layers import Layer, Shape
from specdsl.layers.shapes import show
from tests.spec_strategies import spec_texts, step_texts
from tests.strategies import NUMERIC, layers
from tests.yardstick import slowness

SINGLE = [kind for kind in NUMERIC if kind.arity == (1, 1)]


def graph(text: str, model: str | None = None, /, **parameters: Any) -> Graph:
    """The graph of a text's model, verified."""
    made = specdsl.loads(dedent(text)).model(model, **parameters)
    verify(made)
    return made


def body(steps: str, shape: str = "(8,)") -> Graph:
    return graph(f"model m {{ input x: {shape}\n{steps}\n}}")


def wrong(text: str) -> tuple[Diagnostic, ...]:
    """The mistakes in a text."""
    with pytest.raises(SpecError) as refused:
        specdsl.loads(dedent(text)).model()
    return refused.value.diagnostics


def shapes(made: Graph) -> list[Shape]:
    return [node.shape for node in made.nodes]


def units(made: Graph) -> list[Any]:
    return [node.layer.units for node in made.nodes if hasattr(node.layer, "units")]


# ---------------------------------------------------------------------------------------------- scopes


def test_a_block_sees_the_file_and_not_its_user() -> None:
    """Names are lexical: a block's body sees what encloses its definition, whatever stands where it is used."""
    assert units(graph("let n = 3\nblock b { Dense(n) }\nmodel m { input x: (8,); let n = 5; b; Dense(n) }")) == [3, 5]
    (mistake,) = wrong("block b { Dense(n) }\nmodel m { input x: (8,); let n = 5; b }")
    assert mistake.slug is Slug.UNKNOWN_NAME


def test_arguments_are_evaluated_where_they_stand() -> None:
    """An argument sees the names of the place that uses the block; a default the file's, and the parameters before."""
    text = """
        let n = 3
        block b(a, c=n, d=a * c) { Dense(a) -> Dense(c) -> Dense(d) }
        model m { input x: (8,); let n = 5; b(n); b(2, d=n) }
    """
    assert units(graph(text)) == [5, 3, 15, 2, 3, 5]


def test_braces_bind_for_themselves() -> None:
    """A name bound inside braces ends with them, and may be the same as one outside; each round of a loop is fresh."""
    made = body("let n = 2\nrepeat 2 { let n = n + 1; Dense(n) as h; h -> ReLU }\nDense(n) as h")
    assert units(made) == [3, 3, 2]
    (mistake,) = wrong("model m { input x: (8,); if true { let k = 2 }; Dense(k) }")
    assert mistake.slug is Slug.UNKNOWN_NAME
    (mistake,) = wrong("model m { input x: (8,); let k = 2; let k = 3; Dense(k) }")
    assert (mistake.slug, len(mistake.notes)) == (Slug.DUPLICATE, 1)


def test_the_variable_of_a_loop_is_a_name_of_its_body() -> None:
    """`for` binds its name anew in each round, and shadows one outside."""
    assert units(body("let n = 9\nfor n in [1, 2, 3] { Dense(n) }\nDense(n)")) == [1, 2, 3, 9]
    assert units(body("for pair in [(1, 2), (3, 4)] { Dense(pair[0] * pair[1]) }")) == [2, 12]


def test_channels_and_shape_are_of_the_tensor_that_enters_the_braces() -> None:
    """Within braces they do not change from step to step; in a block they are those of where it is used."""
    assert units(body("Dense(4); repeat 1 { Dense(channels + 1) -> Dense(channels + 1) }")) == [4, 5, 5]
    text = "block b { Dense(channels * 2) -> Dense(channels) }\nmodel m { input x: (3,); b; Dense(5); b }"
    assert units(graph(text)) == [6, 3, 5, 10, 5]
    made = body("Conv2D(4, 3); if shape[0] == 8 { Dense(shape[0] + shape[-1]) }", "(8, 8, 2)")
    assert made.nodes[-1].shape == (6, 6, 10)
    made = body("Dense(4); shortcut concat { Dense(6) } via { Dense(channels); if channels == 4 { ReLU } }")
    assert [node.name for node in made.nodes if node.name.startswith("re_lu")] == ["re_lu"]


def test_only_the_branch_that_is_taken_makes_layers() -> None:
    """The other one need not even fit the tensor, and a loop of no rounds makes none either."""
    assert (
        len(body("if channels > 100 { Reshape((7, 7)) } else if channels == 8 { Dense(2) } else { Dense(3) }").nodes)
        == 2
    )
    assert len(body("repeat 0 { Dense(3) }\nfor n in [] { Dense(n) }\nDense(1)").nodes) == 2


def test_words_with_a_meaning_cannot_be_bound() -> None:
    """A layer's name and a constant mean one thing everywhere, whatever they would be bound to."""
    for text in ("let ReLU = 3", "Dense(3) as Dense", "let true = 3", "for Conv2D in [1] { ReLU }"):
        wrong_name = wrong(f"model m {{ input x: (8,)\n{text}\nReLU }}")
        assert wrong_name[0].slug is Slug.DUPLICATE, text
    assert wrong("block b(n, n) { Dense(n) }\nmodel m { input x: (8,); b(1, 2) }")[0].slug is Slug.DUPLICATE
    assert wrong("block Dense { ReLU }\nmodel m { input x: (8,); ReLU }")[0].slug is Slug.DUPLICATE


# ---------------------------------------------------------------------------------------------- a layer is its text


@settings(max_examples=150)
@given(layers(SINGLE))
def test_a_layer_means_what_its_text_says(drawn: tuple[Layer, tuple[Shape, ...]]) -> None:
    """The text of a layer makes just that layer, where its rule takes the shape, and is refused where it does not."""
    layer, (shape, *_) = drawn
    text = f"model m {{ input x: {show(shape)}; {layer} }}"
    expected, reason = None, ""
    try:
        expected = layer.infer(shape)
    except Misuse as misuse:
        reason = misuse.message
    if expected is None:
        assert wrong(text)[0].message == reason
    else:
        node = graph(text).nodes[-1]
        assert (node.layer, node.shapes) == (layer, expected)


@settings(max_examples=60)
@given(step_texts())
def test_a_block_is_its_text(drawn: tuple[Shape, str]) -> None:
    """Steps mean the same written out, in a block, in a loop of one round, and behind a condition that holds."""
    shape, steps = drawn
    head = f"model m {{ input probe: {show(shape)}"
    plain = graph(f"{head}\n{steps}\n}}")
    others = [
        f"block b {{ {steps}\n}}\n{head}; b }}",
        f"{head}; repeat 1 {{ {steps}\n}} }}",
        f"{head}; for round in (0,) {{ {steps}\n}} }}",
        f"{head}; if 1 < 2 {{ {steps}\n}} else {{ Reshape((7, 7, 7)) }} }}",
        f"{head} }}\nmodel n = m with {{ after probe_ {{ {steps}\n}} }}".replace(
            " }\nmodel n", "; Identity as probe_ }\nmodel n"
        ),
    ]
    for text in others:
        made = graph(text)
        mine = [node for node in made.nodes if node.name != "probe_"]
        assert [(node.layer, node.shape) for node in mine] == [(node.layer, node.shape) for node in plain.nodes], text


@settings(max_examples=100)
@given(spec_texts())
def test_every_graph_keeps_its_promises(text: str) -> None:
    """What `verify` states holds of every model of any valid spec, each time that it is asked for."""
    spec = specdsl.loads(text)
    for name in spec.models:
        made = spec.model(name)
        verify(made)
        assert made == spec.model(name)


# ---------------------------------------------------------------------------------------------- edits

BASE = "model base { input x: (8,); Dense(4) as first; ReLU; Dense(6); ReLU; Dense(2) }\n"


def edited(edits: str, more: str = "") -> list[str]:
    """The layers of a variant of `BASE`, as text."""
    made = graph(f"{BASE}model v = base with {{ {edits} }}\n{more}")
    return [str(node.layer) for node in made.nodes[1:]]


DENSE = ["Dense(units=4)", "ReLU()", "Dense(units=6)", "ReLU()", "Dense(units=2)"]


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ("after first { ELU }", [DENSE[0], "ELU()", *DENSE[1:]]),
        ("before Dense[1] { ELU }", [*DENSE[:2], "ELU()", *DENSE[2:]]),
        ("remove ReLU", [DENSE[0], DENSE[2], DENSE[4]]),
        ("remove ReLU[-1]", [*DENSE[:3], DENSE[4]]),
        ("replace ReLU[0] { ELU -> Dropout(0.5) }", [DENSE[0], "ELU()", "Dropout(rate=0.5)", *DENSE[2:]]),
        ("replace ReLU[0] {}", [DENSE[0], *DENSE[2:]]),
        ("set Dense(units=6).units = 7", [*DENSE[:2], "Dense(units=7)", *DENSE[3:]]),
        ("set Dense.use_bias = false; set Dense[0].units = 3", ["Dense(units=3, use_bias=false)", DENSE[1],
         "Dense(units=6, use_bias=false)", DENSE[3], "Dense(units=2, use_bias=false)"]),
        ("after first { ELU }; after first { Dropout(0.5) }", [DENSE[0], "Dropout(rate=0.5)", "ELU()", *DENSE[1:]]),
        ("before first { ELU }; before first { Dropout(0.5) }", ["ELU()", "Dropout(rate=0.5)", *DENSE]),
        ("after first { ELU as e }; after e { Dropout(0.5) }; remove e", [DENSE[0], "Dropout(rate=0.5)", *DENSE[1:]]),
        ("remove ReLU[0]; remove ReLU[0]", [DENSE[0], DENSE[2], DENSE[4]]),
        ("after Dense[0] { Dense(channels * 2) }", [DENSE[0], "Dense(units=8)", *DENSE[1:]]),
    ],
)  # fmt: skip
def test_edits(edits: str, expected: list[str]) -> None:
    """Each edit changes what it says, on what those before it left, and nothing else."""
    assert edited(edits) == expected


def test_edits_reach_into_blocks_loops_and_shortcuts() -> None:
    """A selector counts layers in the order of the expanded text, wherever they stand."""
    text = """
        block b(n) { Dense(n) -> ReLU }
        model base { input x: (8,); repeat 2 { b(8) }; shortcut add { b(8) } }
        model v = base with { set Dense[1].units = 5; after ReLU[2] { Dropout(0.5) }; replace Add { Concatenate } }
    """
    made = graph(text)
    assert units(made) == [8, 5, 8]
    assert list(map(str, made.by_name["b_2-dropout"].inputs)) == ["b_2-re_lu"]
    assert made.nodes[-1].shape == (13,)


def test_variants_of_variants() -> None:
    """A variant of a variant edits what that one has made, and its own base stays as it was."""
    more = """
        model w = v with { remove Dropout; after ELU { GaussianNoise(0.1) } }
        model z = w with { set ELU.alpha = 0.5 }
    """
    assert edited("after first { ELU -> Dropout(0.5) }", more) == [DENSE[0], "ELU(alpha=0.5)",
        "GaussianNoise(stddev=0.1)", *DENSE[1:]]  # fmt: skip
    spec = specdsl.loads(f"{BASE}model v = base with {{ remove ReLU }}\nmodel w = v with {{ remove Dense[1] }}")
    assert [len(spec.model(name).nodes) for name in spec.models] == [6, 4, 3]


def test_parameters_of_variants() -> None:
    """A variant inherits parameters it does not declare, passes values to its base, and may declare its own."""
    text = """
        model base(n=2, deep=false) { input x: (8,); Dense(n); if deep { Dense(n) } }
        model same = base with { after Dense[-1] { ReLU } }
        model fixed = base(deep=true)
        model scaled(k=3) = base(n=2 * k) with { after Dense { Dense(k) } }
        model again = scaled with { remove Dense[0] }
    """
    spec = specdsl.loads(dedent(text))
    assert units(spec.model("same", n=4, deep=True)) == [4, 4]
    assert units(spec.model("fixed", n=5)) == [5, 5]
    assert units(spec.model("scaled")) == [6, 3]
    assert units(spec.model("scaled", k=1)) == [2, 1]
    assert units(spec.model("again", k=4)) == [4]
    with pytest.raises(SpecError, match="has no parameter 'n'"):
        spec.model("scaled", n=1)


@pytest.mark.parametrize(
    ("edits", "slug"),
    [
        ("remove Dropout", Slug.SELECTOR),
        ("remove Dense[3]", Slug.SELECTOR),
        ("remove Dense(units=5)", Slug.SELECTOR),
        ("set Dense.unit = 3", Slug.UNKNOWN_ARGUMENT),
        ("set Dense.units = 0", Slug.BAD_ARGUMENT),
        ("set Dense.units = nothing", Slug.UNKNOWN_NAME),
        ("after first { Conv2D(3, 3) }", Slug.SHAPE),
        ("before first { Dens(3) }", Slug.UNKNOWN_STEP),
        ("remove ReLU; remove ReLU", Slug.SELECTOR),
        ("after first { input y: (3,) }", Slug.MISPLACED),
    ],
)
def test_wrong_edits_are_explained_once(edits: str, slug: Slug) -> None:
    """A wrong edit is one mistake, at its own place."""
    (mistake,) = wrong(f"{BASE}model v = base with {{ {edits} }}")
    assert mistake.slug is slug
    assert mistake.span is not None
    assert mistake.span.text in edits


def test_expectations_of_a_base_are_not_those_of_its_variants() -> None:
    """What a model promises holds of itself alone."""
    text = """
        model a { input x: (2,); Dense(2); expect params == 6 }
        model b = a with { set Dense.units = 3; expect params == 9 }
    """
    spec = specdsl.loads(text)
    assert [len(spec.model(name).expectations) for name in spec.models] == [1, 1]


# ---------------------------------------------------------------------------------------------- parameters


def test_parameters_without_default() -> None:
    """They must be given when the model is asked for; until then the file is good, and its mistakes are still found."""
    text = "model m(n) { input x: (8,); Dense(n); Dense(2) }"
    assert specdsl.loads(text).models == ("m",)
    with pytest.raises(SpecError, match="needs a value for 'n'"):
        specdsl.loads(text).model()
    assert units(graph(text, n=3)) == [3, 2]
    mistakes = wrong("model m(n) { input x: (8,); Dense(n) -> Dens(n); Conv2D(2) }")
    assert {mistake.slug for mistake in mistakes} == {Slug.UNKNOWN_STEP, Slug.MISSING_ARGUMENT}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"n": 0}, "must be greater than 0"),
        ({"n": "three"}, "must be a whole number"),
        ({"n": 2.0}, "must be a whole number"),
        ({"m": 3}, "has no parameter 'm'"),
        ({"n": True}, "must be a whole number"),
    ],
)
def test_values_for_parameters_are_checked_like_any(values: dict[str, Any], says: str) -> None:
    """A value from outside that makes no valid model is a mistake in the spec's words."""
    with pytest.raises(SpecError, match=says):
        graph("model m(n=2) { input x: (8,); Dense(n) }", **values)


@pytest.mark.parametrize("value", [[4, 2], (4, 2)])
def test_parameters_may_be_lists(value: Any) -> None:
    """A list or a tuple of Python goes through like one of the language."""
    assert units(graph("model m(sizes=[]) { input x: (8,); for n in sizes { Dense(n) } }", sizes=value)) == [4, 2]


# ---------------------------------------------------------------------------------------------- mistakes


def test_unused_blocks_are_read() -> None:
    """A block that no model uses is looked through, as far as can be known without its arguments and tensor."""
    text = """
        block unused(n, act="relu") {
            Dens(n)
            Dense(n, activaton=act) -> Conv2D(n)
            if n > 2 { Dropout(1.5) } else { nothing }
            repeat n { let k = n * 2; Dense(k) as h; h -> Relu }
            shortcut ad { Dense(channels) }
            Dense(2, "rel")
        }
        model m { input x: (8,); Dense(1) }
    """
    slugs = [mistake.slug for mistake in wrong(text)]
    assert sorted(slugs) == sorted(
        [Slug.UNKNOWN_STEP, Slug.UNKNOWN_ARGUMENT, Slug.MISSING_ARGUMENT, Slug.BAD_ARGUMENT, Slug.UNKNOWN_STEP,
         Slug.UNKNOWN_STEP, Slug.UNKNOWN_STEP, Slug.BAD_ARGUMENT]
    )  # fmt: skip


def test_reading_unused_blocks_finds_nothing_wrong_in_good_ones() -> None:
    """Unknown parameters, shapes and counts are no mistakes."""
    text = """
        block good(n, sizes, rate=0.5, deep=false) {
            let wide = n * sizes[0] + len(sizes) + min(n, 3)
            Dense(wide, "relu" if deep else none)
            for size in sizes { Dense(size) as h; [h, h] -> Add }
            repeat n - 1 { shortcut add { Dense(channels) } via { if channels != n { Dense(n) } } }
            if shape[0] > 3 and not deep { Reshape((-1, n)) } else if rate > 0 { Dropout(rate) }
        }
        block uses_good(n) { good(n, [n, 2]) -> good(2, sizes=[1]) as last }
        model m { input x: (8,); Dense(1) }
    """
    assert len(graph(text).nodes) == 2


def test_each_mistake_is_reported_once() -> None:
    """A block with a mistake that is used ten times, in two models and a variant, has one mistake."""
    text = """
        block b { Dens(3) }
        block c { b; b; repeat 3 { b } }
        model m { input x: (8,); repeat 10 { c } }
        model n { input x: (4,); c; b }
        model v = m with { after Dense { ReLU } }
    """
    assert [mistake.message for mistake in wrong(text)] == ["no layer, block or tensor is called 'Dens'"]


def test_what_depends_on_a_mistake_is_left_alone() -> None:
    """A wrong value or tensor is one mistake; what is made of it is none, but its own mistakes are found."""
    text = """
        let a = unknown_name + 1
        let b = a * 2
        model m {
            input x: (8,)
            Dense(b) as h
            h -> Conv2D(3, 3) as k
            [h, k] -> Concatenate
            Dense(-1)
        }
    """
    assert [mistake.slug for mistake in wrong(text)] == [Slug.UNKNOWN_NAME, Slug.BAD_ARGUMENT]


def test_mistakes_stand_in_the_order_of_the_text() -> None:
    """Whatever finds them: the parser, the definitions, the models or the blocks."""
    text = """
        let a = nothing
        model m { input x: (8,); Dense(0); Dense( }
        block b { Dens(3) }
        model n { input x: (8,); Drop(1) }
    """
    places = [mistake.span.start for mistake in wrong(text) if mistake.span]
    assert len(places) == 5
    assert places == sorted(places)


# ---------------------------------------------------------------------------------------------- limits

SOON = 4.0
"""Seconds of work of a machine of today: two, and as many for the tests' own burden."""

NESTED = "block b0 { Dense(2) }\n" + "".join(f"block b{n} {{ b{n - 1} }}\n" for n in range(1, 100))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model m { input x: (2,); repeat 1000000 { Dense(2) } }", r"1,000,000 repetitions.* limit is 200,000"),
        ("model m { input x: (2,); repeat 200000 { Dense(2) } }", r"more than 25,000 layers"),
        (
            "model m { input x: (2,); repeat 500 { repeat 500 { repeat 500 { } } }; Dense(1) }",
            r"more than 200,000 steps",
        ),
        (
            "model m { input x: (2,); for i in range(1000000) { Dense(2) } }",
            r"1,000,000 items are too many; the limit is 50,000",
        ),
        ("let a = range(50000) + range(50000)\nmodel m { input x: (2,); Dense(1) }", r"items.* limit is 50,000"),
        (f"{NESTED}model m {{ input x: (2,); b99 }}", r"more than 64 deep"),
        ("block b { b }\nmodel m { input x: (2,); b }", r"more than 64 deep"),
        ("block a { b }\nblock b { a; a }\nmodel m { input x: (2,); a }", r"more than 64 deep"),
        ("let a = 10 ** 10 ** 10\nmodel m { input x: (2,); Dense(1) }", r"too large; the limit is 1,0{3}"),
        ("let a = 999999999999999999 * 999999999999999999\nmodel m { input x: (2,); Dense(1) }", r"too large"),
        ("let a = 2 ** 0.5 ** -9999\nmodel m { input x: (2,); Dense(1) }", r"too large|no value|division"),
        ("model m { input x: (2,); Dense(9999999999999999999) }", r"too large"),
    ],
)
def test_hostile_specs_end_soon_with_the_limit(text: str, says: str) -> None:
    """What would take for ever, or all memory, ends soon and says which limit it has met."""
    start = process_time()
    mistakes = wrong(text)
    assert process_time() - start < SOON * slowness()
    assert any(mistake.slug is Slug.LIMIT and re.search(says, mistake.message) for mistake in mistakes), mistakes


def test_a_billion_blocks_end_soon() -> None:
    """Blocks that double are stopped by the number of layers, and the mistake stays short."""
    lines = ["block b0 { Dense(2) }", *(f"block b{n} {{ b{n - 1}; b{n - 1} }}" for n in range(1, 40))]
    start = process_time()
    (mistake, *_) = wrong("\n".join([*lines, "model m { input x: (2,); b39 }"]))
    assert process_time() - start < SOON * slowness()
    assert mistake.slug is Slug.LIMIT
    assert len(mistake.notes) < 10


def test_a_name_of_two_things_means_the_one_that_fits() -> None:
    """`Identity` is a layer where a layer is taken, and an initializer elsewhere."""
    made = graph("model m { input x: (4, 4); TimeDistributed(Identity()) -> Dense(4, kernel_initializer=Identity()) }")
    layers: list[Any] = [node.layer for node in made.nodes]
    kinds = [type(layers[1].layer).__module__, type(layers[2].kernel_initializer).__module__]
    assert kinds == ["specdsl.layers.core", "specdsl.layers.objects"]


def test_a_file_can_name_layers_for_pipelines_and_wrappers() -> None:
    """A `let` at the head of a file holds layers as one in a body does."""
    made = graph(
        "let both = [RandomFlip(), RandomRotation(0.1)]\nlet dense = Dense(5)\n"
        "model m(within=dense) { input x: (8, 8, 3); Pipeline(both) -> TimeDistributed(within) }"
    )
    pipeline: Any = made.nodes[1].layer
    assert [type(layer).__name__ for layer in pipeline.layers] == ["RandomFlip", "RandomRotation"]
    assert made.nodes[2].shapes == ((8, 8, 5),)


def test_what_an_argument_is_held_at_is_said_in_words_of_the_language() -> None:
    (mistake,) = wrong("model m { input x: (4, 4); Pipeline([Flatten()], trainable=false) }")
    assert mistake.message == "'trainable' of Pipeline must be true, not false"


def test_a_large_bound_is_told_to_the_last_digit() -> None:
    (mistake,) = wrong("model m { input x: (4, 4, 3); RandomFlip(seed=99999999999) }")
    assert "less than 4294967296" in mistake.message


def test_a_model_in_a_wrapper_gives_out_the_type_of_its_layers() -> None:
    """Keras hands each step to the model as it is, and the model turns it into what its layers compute in."""
    inner = 'model inner { input x: (3,); Dense(2, dtype="float16") }'
    outer = graph(f"{inner}\nmodel m {{ input x: (4, 3); TimeDistributed(inner) }}", "m")
    assert outer.dtype(outer.outputs[0]) == "float16"
