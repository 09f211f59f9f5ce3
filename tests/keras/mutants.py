"""Plants every mistake of `mutation.py` in the rules, one after the other, and counts what the comparison notices.

`python -m tests.keras.mutants` takes minutes. Calls of each layer class are drawn once, as the tests draw them. A
mistake is noticed where a call that gives another answer with it disagrees with Keras, or fails when it is run on
numbers. Mistakes in what is said of a graph are looked for with drawn specs; one that such a spec is refused for counts
for nothing, since the tests would not have drawn it.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import signal
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pkgutil import iter_modules
from typing import Any, NamedTuple

import click
from hypothesis import HealthCheck, Phase, given, seed, settings

import specdsl.layers
from specdsl import SpecError
from specdsl.layers import Layer
from tests.keras.mutation import Mutant, mutants, planted_in
from tests.keras.oracle import RefusalError, compare, compare_run, declared_facts
from tests.keras.test_models import check_random_spec
from tests.spec_strategies import drawn_texts
from tests.strategies import APPLICABLE, STEPS, Call, calls

RULES = [module.name for module in iter_modules(specdsl.layers.__path__, "specdsl.layers.")]
GRAPHS = ["specdsl.functional", "specdsl.graph", "specdsl.analyses.counting", "specdsl.backends.keras_model"]
SECONDS = 30
"""For one mistake; one that takes longer, such as a loop without end, is noticed."""


class Case(NamedTuple):
    """A call, what `compare` says of it, and what the layer table says: facts, or a refusal."""

    call: Call
    outcome: str
    ours: Any


def main() -> None:
    """Plant, count, and tell which mistakes nothing notices; exit code 1 where there are some that nobody knows."""
    warnings.simplefilter("ignore")
    run()


@click.command(help="Plant mistakes in MODULES, by default in all rules, and see whether the comparison notices.")
@click.argument("modules", nargs=-1)
@click.option("--calls", "number", default=150, show_default=True, help="drawn for each layer class")
@click.option("--graphs", default=2, show_default=True, help="specs drawn for each layer class")
def run(modules: tuple[str, ...], number: int, graphs: int) -> None:
    """The command."""
    chosen = modules or (*RULES, *GRAPHS)
    rules = [name for name in chosen if name not in GRAPHS]
    cases = drawn_cases(rules, number) if rules else []
    wanted = STEPS if set(chosen) & set(GRAPHS) else []
    texts = [text for kind in wanted for text in drawn_texts(kind, graphs)]
    click.echo(f"{len(cases):,} calls of layers, {len(texts):,} specs")
    noticed = total = 0
    unknown = []
    for module in chosen:
        began, here, left = time.monotonic(), 0, []
        for mutant in mutants(module, SPARED):
            here += 1
            if not (is_noticed(mutant, in_order(cases, module)) if module in rules else shows(mutant, texts)):
                left.append(mutant)
        known = [mutant for mutant in left if reason(mutant)]
        unknown += [mutant for mutant in left if not reason(mutant)]
        noticed, total = noticed + here - len(left), total + here - len(known)
        click.echo(
            f"{module}: {here - len(left)} of {here - len(known)} noticed"
            + (f", {len(known)} change nothing" if known else "")
            + f" ({time.monotonic() - began:.0f} s)"
        )
        for mutant in left:
            if not reason(mutant):
                click.echo(f"  {mutant}")
    click.echo(f"{noticed} of {total} mistakes noticed ({100 * noticed / max(total, 1):.1f} %)")
    sys.exit(bool(unknown))


SPARED = frozenset({
    # What no answer of Keras tells: work, receptive field, depth, what training changes.
    "macs", "operations", "reach", "depth", "modes", "activation_cost", "flops",
    # Words: of messages, of formulas, of the layer's page.
    "show", "own_name", "__str__", "__repr__", "__hash__", "_alike", "_near", "_list", "check_number", "seen",
    "_extent", "account", "_grown", "kept", "_differ", "_Normalization._parts", "GroupNormalization._parts",
})  # fmt: skip
"""Functions without a rule that Keras has too."""

EQUIVALENT: dict[str, str] = {}
"""Mistakes that change nothing: a part of what is printed of each, and why."""


def reason(mutant: Mutant) -> str | None:
    """Why a mistake changes nothing, None where it does."""
    return next((why for part, why in EQUIVALENT.items() if part in str(mutant)), None)


# ---------------------------------------------------------------------------------------------- calls of layers


def concerned(modules: Iterable[str]) -> list[type[Layer]]:
    """The layer classes that are made in some modules; all of them where one of these holds rules for others."""
    own = {
        module: [kind for kind in APPLICABLE if module in {base.__module__ for base in kind.__mro__[:3]}]
        for module in modules
    }
    return (
        APPLICABLE
        if not all(own.values())
        else [kind for kind in APPLICABLE if any(kind in some for some in own.values())]
    )


def drawn_cases(modules: Iterable[str], number: int) -> list[Case]:
    """So many calls of each class with what is true of them; those that disagree without any mistake are told."""
    cases: list[Case] = []
    for kind in concerned(modules):

        @seed(0)
        @settings(QUIET, max_examples=number)
        @given(calls([kind]))
        def draw(call: Call) -> None:
            try:
                cases.append(Case(call, compare(call), answer(call)))
            except Exception as disagreement:
                click.echo(f"left out: {disagreement}")

        draw()
    return cases


QUIET = settings(
    phases=[Phase.generate], database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False
)


def in_order(cases: list[Case], module: str) -> list[Case]:
    """The cases, those of classes that are made in a module first."""
    return sorted(cases, key=lambda case: all(base.__module__ != module for base in case.call.kind.__mro__[:3]))


def answer(call: Call) -> Any:
    """What the layer table says of a call: facts, a refusal in words, or the type of an error that is none."""
    try:
        return declared_facts(call)
    except RefusalError as refusal:
        return str(refusal)
    except Exception as error:
        return type(error)


def is_noticed(mutant: Mutant, cases: Iterable[Case]) -> bool:
    """Whether a call disagrees with Keras while the mistake is there."""
    with planted_in(mutant):
        try:
            with limited(SECONDS):
                tried = 0
                for case in cases:
                    wrong = answer(case.call)
                    same_kind = isinstance(wrong, str) and isinstance(case.ours, str) and case.outcome == "refused"
                    if wrong == case.ours or same_kind:
                        continue
                    tried += 1
                    if disagrees(case.call):
                        return True
                    if tried == 20:
                        return False
        except TimeoutError:
            return True
    return False


def disagrees(call: Call) -> bool:
    """Whether a test of this call would fail."""
    try:
        if compare(call) == "accepted":
            compare_run(call)
    except TimeoutError:
        raise
    except Exception:
        return True
    return False


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """End what takes longer.

    Raises:
        TimeoutError: it took longer.
    """

    def end(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# ---------------------------------------------------------------------------------------------- graphs


def shows(mutant: Mutant, texts: Iterable[str]) -> bool:
    """Whether a drawn spec disagrees with Keras while the mistake is there."""
    with planted_in(mutant):
        for text in texts:
            try:
                with limited(SECONDS):
                    check_random_spec(text)
            except SpecError:
                continue
            except Exception:
                return True
    return False


if __name__ == "__main__":
    main()
