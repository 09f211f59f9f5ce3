"""The largest value of a parameter with which a model keeps within budgets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any, NamedTuple

from specdsl.analyses import QUANTITIES
from specdsl.declaration import text
from specdsl.diagnostics import Diagnostic, Slug, SpecError, did_you_mean
from specdsl.resolve import Program
from specdsl.sweeps.domains import MOST, Domain
from specdsl.sweeps.pareto import SHAPES
from specdsl.sweeps.sweep import Progress, Row, Space, space_of

DECIMAL = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

FIRST = 64
"""Up to this value a first one that makes a valid model is looked for, where there is no range."""

PATHS = 3
"""From so many values that make valid models, expressions are followed to find one that is known to grow."""


class Budget(NamedTuple):
    """The most that a model may have of a quantity."""

    quantity: str
    most: int

    def __str__(self) -> str:
        return f"{self.quantity} ≤ {self.most:,}"


def amount(written: str, quantity: str) -> int:
    """An amount as people write it: `1M`, `1.5k`, `12_000`; of a quantity in bytes also `4MiB`, `4 MB`, `512B`.

    Raises:
        SpecError: it is none.
    """
    in_bytes = quantity.endswith("_bytes")
    match = re.fullmatch(r"([0-9][0-9_,]*(?:\.[0-9]+)?)\s*((?:[KMGT]i|[kKMGT])?)(B?)", written.strip())
    if not match or ((match[3] or match[2] in BINARY) and not in_bytes):
        example = "4MiB, 500kB or 1_000_000" if in_bytes else "1M, 1.5k or 12_000"
        raise SpecError([Diagnostic(Slug.BAD_VALUE, f"an amount of {quantity} is written {example}, not '{written}'")])
    return int(Fraction(re.sub("[_,]", "", match[1])) * {**DECIMAL, **BINARY}[match[2]])


class Solution(NamedTuple):
    """The largest that fits, and what shows that it is.

    Attributes:
        best: the model that fits; None where none does.
        budgets: what it had to keep within.
        unknowns: the parameters that were looked for.
        next: what the next larger value of the first unknown gives: too much, or no valid model. None where there is
            no next one in the range.
        closest: where nothing fits, the valid model that is least above its budgets; None where no model is valid.
        failed: where no model is valid, what the first one has against it.
        tried: how many models were analysed.
        bound: why no value above those tried can fit, in words; None where the range ends.
    """

    best: Row | None
    budgets: tuple[Budget, ...]
    unknowns: tuple[str, ...]
    next: Row | None
    closest: Row | None
    failed: str | None
    tried: int
    bound: str | None


def solve(
    program: Program,
    model: str | None,
    unknowns: Mapping[str, Domain | None],
    budgets: Sequence[Budget],
    values: Mapping[str, Any] | None = None,
    *,
    where: str | None = None,
    maximise: str | None = None,
    progress: Progress | None = None,
) -> Solution:
    """The largest values of parameters with which a model keeps within all budgets.

    Every value that could be larger is analysed, unless the model's expressions prove that none above some value can
    fit: so the answer is right for quantities that fall here and there as the parameter grows, too.

    Args:
        program: the definitions of its text.
        model: its name, by default the file's only or last one.
        unknowns: the parameters to look for, each with the values that it may have; None for all whole numbers from 1
            on, which one alone may have. The first one should be largest, then the second one, and so on.
        budgets: the most that it may have, of one quantity at least.
        values: values for other parameters.
        where: an expression over quantities and parameters that must be true.
        maximise: a quantity that should be largest, in place of the values themselves.
        progress: is told how many models are analysed, and how many there are at the most.

    Raises:
        SpecError: there is no such model, parameter or quantity; a value has no order; or without a range, it cannot be
            proved that the budgets are passed from some value on.
    """
    if not budgets:
        raise _wrong("a budget is missing: what should the model keep within?", "for example --params 1M")
    model, fixed = model or program.default_model(), dict(values or {})
    for quantity in [budget.quantity for budget in budgets] + ([maximise] if maximise else []):
        _check(quantity)
    bound: str | None = None
    domains: dict[str, Domain] = {}
    for name, domain in unknowns.items():
        if domain is None:
            if len(unknowns) > 1:
                raise _wrong(f"of several unknowns each needs a range: {name}=?1..256", None)
            space_of(program, [model], {name: [1], **{key: [value] for key, value in fixed.items()}})
            end, bound = _end(program, model, name, budgets, fixed)
            domains[name] = range(1, max(end, 2))  # one at least, to say how far it is from what is wanted
        else:
            domains[name] = domain if maximise else _sorted(name, domain)
    columns = dict.fromkeys([*(budget.quantity for budget in budgets), "params", "macs"])
    if maximise:
        columns[maximise] = None
    settled: dict[str, Domain] = {name: [value] for name, value in fixed.items()}
    space = space_of(program, [model], {**settled, **domains}, tuple(columns), where, program.limits)
    return _search(program, space, domains, fixed, tuple(budgets), maximise, bound, progress)


def _check(quantity: str) -> None:
    numbers = [known for known in QUANTITIES if known not in SHAPES]
    if quantity not in numbers:
        hint = did_you_mean(quantity, numbers) or f"there are {', '.join(numbers)}"
        raise SpecError([Diagnostic(Slug.UNKNOWN_NAME, f"'{quantity}' is no quantity that can be a budget", help=hint)])


def _sorted(name: str, domain: Domain) -> Domain:
    if isinstance(domain, range):
        return domain
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in domain):
        raise _wrong(f"'{name}' has values of which none is the largest", "--maximise params says which is best")
    return sorted(domain)


def _search(
    program: Program,
    space: Space,
    domains: Mapping[str, Domain],
    fixed: Mapping[str, Any],
    budgets: tuple[Budget, ...],
    maximise: str | None,
    bound: str | None,
    progress: Progress | None,
) -> Solution:
    names = tuple(domains)
    best: Row | None = None
    closest: Row | None = None
    failed: str | None = None
    tried = 0
    for values in _downwards(domains):
        row = space.of(program, space.models[0], {**fixed, **values})
        tried += 1
        if progress:
            progress(tried, len(space))
        if row is None:
            continue
        if row.quantities is None:
            failed = failed or f"{_shown(values)}: {row.reason}"
            continue
        if not fits(row, budgets):
            closest = row if closest is None or _excess(row, budgets) < _excess(closest, budgets) else closest
            continue
        if maximise is None:
            best = row
            break
        if best is None or _known(row, maximise) > _known(best, maximise):  # the larger values came first
            best = row
    after = _after(program, space, domains, fixed, best, bound is not None) if best and maximise is None else None
    closest = None if best else closest
    return Solution(best, budgets, names, after, closest, None if best or closest else failed, tried, bound)


def _downwards(domains: Mapping[str, Domain]) -> Iterator[dict[str, Any]]:
    """All combinations, the largest first: the first parameter counts most."""
    if prod(map(len, domains.values())) > MOST:
        raise _wrong(f"there are more than {MOST:,} combinations", "a larger step, or fewer unknowns")
    for values in product(*(reversed(domain) for domain in domains.values())):
        yield dict(zip(domains, values, strict=True))


def fits(row: Row, budgets: Sequence[Budget]) -> bool:
    """Whether a model keeps within all budgets. A quantity that is unknown until run time is in no budget."""
    known = row.quantities or {}
    return all(known[one.quantity] is not None and known[one.quantity] <= one.most for one in budgets)


def _known(row: Row, quantity: str) -> float:
    value = (row.quantities or {}).get(quantity)
    return float("-inf") if value is None else float(value)


def _excess(row: Row, budgets: Sequence[Budget]) -> float:
    """How many times its budgets a model needs, at the most."""
    values = [((row.quantities or {})[one.quantity], one.most) for one in budgets]
    return max(float("inf") if value is None else value / max(most, 1) for value, most in values)


def _after(
    program: Program, space: Space, domains: Mapping[str, Domain], fixed: Mapping[str, Any], best: Row, on: bool
) -> Row | None:
    """What the next larger value of the first unknown gives that can be changed."""
    for name, domain in reversed(list(domains.items())):
        index = list(domain).index(best.values[name]) + 1
        if index < len(domain) or on:
            value = domain[index] if index < len(domain) else best.values[name] + 1
            return space.of(program, best.model, {**fixed, **best.values, name: value}, always=True)
    return None


def _shown(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={text(value)}" for name, value in values.items())


# ---------------------------------------------------------------------------------------------- without a range


def _end(
    program: Program, model: str, name: str, budgets: Sequence[Budget], fixed: Mapping[str, Any]
) -> tuple[int, str]:
    """A value from which on a budget is passed for certain, and why that is so.

    Raises:
        SpecError: there is none that can be proved, or no small value makes a valid model.
    """
    wrong: SpecError | None = None
    valid = 0
    for start in _starts(program, model, name, fixed):
        try:
            ends = list(_ends(program, model, name, budgets, {**fixed, name: start}))
        except SpecError as error:
            wrong = wrong or error
            continue
        if ends:
            return min(ends)
        valid += 1
        if valid == PATHS:
            break
    if wrong and not valid:
        raise wrong
    names = " and ".join(budget.quantity for budget in budgets)
    hint = f"give it a range, every value of which is looked at: --set {name}=?1..1024"
    raise _wrong(f"nothing shows how large '{name}' may become: no proof that {names} would grow with it", hint)


def _starts(program: Program, model: str, name: str, fixed: Mapping[str, Any]) -> Iterator[int]:
    """Values to follow expressions from: usual ones first, since small ones may take a way of their own."""
    seen: set[int] = set()
    if name not in program.required(model) if model in program.models else False:
        default = program.graph(model, fixed).parameters.get(name)
        if isinstance(default, int) and not isinstance(default, bool):
            seen.add(default)
            yield default
    for value in (64, 8, *range(1, FIRST + 1)):
        if value not in seen:
            seen.add(value)
            yield value


def _ends(
    program: Program, model: str, name: str, budgets: Sequence[Budget], values: Mapping[str, Any]
) -> Iterator[tuple[int, str]]:
    """Of each budget that is known to be passed from some value on, that value, and why that is so."""
    from specdsl.symbolic import symbolic
    from specdsl.symbolic.growth import grows_from

    found = symbolic(program, [name], model, values)
    for budget in budgets:
        formula = found.totals.get(budget.quantity)
        least = grows_from(found, name, formula) if formula else None
        if formula is None or least is None:
            continue
        low = high = max(least, 1)
        while (formula(**{name: high}) or 0) <= budget.most:
            low, high = high, 2 * high
        while low < high:
            middle = (low + high) // 2
            if (formula(**{name: middle}) or 0) > budget.most:
                high = middle
            else:
                low = middle + 1
        yield high, f"{budget.quantity} = {formula} grows with {name} from {least} on"


def _wrong(message: str, help: str | None) -> SpecError:
    return SpecError([Diagnostic(Slug.BAD_VALUE, message, help=help)])
