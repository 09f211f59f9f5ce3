"""What a `train` block may name, for people: optimizers, losses, metrics and schedules, from their declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import cleandoc

from specdsl.backends import arguments
from specdsl.declaration import Declaration, text
from specdsl.recipes import LOSSES, METRICS, OPTIMIZERS, RATE_SCHEDULES, SCHEDULES, Loss, Metric, TrainRecipe
from specdsl.recipes.losses import ALIASES, LEFT_OUT
from specdsl.recipes.metrics import METRICS_LEFT_OUT

KINDS: Mapping[str, Mapping[str, type[Declaration]]] = {
    "optimizers": OPTIMIZERS,
    "losses": LOSSES,
    "metrics": METRICS,
    "schedules in epochs": SCHEDULES,
    "schedules in steps": RATE_SCHEDULES,
}
"""What there is, by kind and name; a name may stand for one of two kinds."""

_HEAD = """\
# What a recipe may name

The settings of a `train` block, and the optimizers, losses, metrics and learning rate schedules that stand in them.
All but the schedules in epochs are Keras's, with its names, arguments, order and defaults; `specdsl recipes NAME` tells
what each argument takes, and [Training](training.md) how they go together. `specdsl recipes --markdown` makes this
page, from the declarations that all else comes from.
"""

_INTRODUCTIONS = {
    "optimizers": "An optimizer is written as a call. Every one takes beside its own arguments, by name: {shared}.",
    "losses": "A loss is a call or, with its defaults, Keras's word for it in quotes; *targets* are what it is given,"
    " made from the labels or values of the data, and *ends* is what the model must end with.",
    "metrics": 'A metric is a call or Keras\'s word for it in quotes; `"accuracy"` is the one of the accuracies that'
    " suits the targets. *Better* says which way is up for `monitor`. The column of a history is the word, with the"
    " arguments that are no defaults behind it, or what `name=` says.",
    "schedules in epochs": "The value of `schedule`: factors on the optimizer's rate over the run, with a linear"
    " warm-up over `warmup` epochs that begins at `start` times the rate.",
    "schedules in steps": "Keras's own, as the learning rate of any optimizer: `Adam(CosineDecay(0.1, 1000))`.",
}


def overview(width: int = 100) -> str:
    """Everything by kind, for a terminal of `width` columns."""
    kinds = {kind: {name: _summary(one) for name, one in table.items()} for kind, table in KINDS.items()}
    return arguments.overview(kinds, "`specdsl recipes NAME` describes one of them.", width)


def pages(name: str, width: int = 100) -> str | None:
    """What a name stands for, each with its arguments, for a terminal of `width` columns; None if for nothing."""
    found = [_page(table[name], width) for table in KINDS.values() if name in table]
    return "\n".join(found) or None


def names() -> list[str]:
    """Everything that has a page."""
    return list(dict.fromkeys(name for table in KINDS.values() for name in table))


def markdown() -> str:
    """The page docs/recipes.md."""
    parts = [_HEAD, "\n".join(["## Settings", "", *_settings(), ""])]
    shared = ", ".join(f"`{name}`" for name in OPTIMIZERS["SGD"].keyword_only if name != "name")
    for kind, table in KINDS.items():
        introduction = _INTRODUCTIONS[kind].format(shared=shared)
        parts.append("\n".join([f"## {kind.capitalize()}", "", introduction, "", *_table(table), ""]))
    refused = [f"| `{name}` | {reason} |" for name, reason in [*LEFT_OUT.items(), *METRICS_LEFT_OUT.items()]]
    parts.append(
        "\n".join(["## What a recipe cannot have", "", "| in Keras | why not |", "| --- | --- |", *refused, ""])
    )
    return "\n".join(parts)


def _settings() -> Iterator[str]:
    yield "| setting | default | what it says |"
    yield "| --- | --- | --- |"
    told = cleandoc(TrainRecipe.__doc__ or "").partition("Args:\n")[2]
    said: dict[str, str] = {}
    for line in told.splitlines():
        if line.startswith("        "):
            said[next(reversed(said))] += " " + line.strip()
        else:
            name, _, words = line.strip().partition(": ")
            said[name] = words
    for name in TrainRecipe.names():
        default = getattr(TrainRecipe, name, None)
        shown = {
            "data": "the file's last, or signs drawn by program",
            "metrics": '["accuracy"]',
            "monitor": '"loss"',
        }.get(name)
        if shown is None:
            shown = text(default)
        yield f"| `{name}` | {shown if name == 'data' else f'`{shown}`'} | {said[name]} |"


def _page(kind: type[Declaration], width: int) -> str:
    notes = []
    if issubclass(kind, Loss):
        notes = [f"Its word: {_words(kind)}. Its targets: {', '.join(kind.takes)}."]
    elif issubclass(kind, Metric):
        word = f"Its word: {_words(kind)}. " if _words(kind) else ""
        notes = [f"{word}Its targets: {', '.join(kind.takes)}. Better: {_better(kind)}."]
    return "\n".join([*arguments.page(_name(kind), kind, notes, width), ""])


def _table(table: Mapping[str, type[Declaration]]) -> Iterator[str]:
    first = next(iter(table.values()))
    if issubclass(first, Loss):
        yield "| loss | what it computes | word | targets | ends |"
        yield "| --- | --- | --- | --- | --- |"
    elif issubclass(first, Metric):
        yield "| metric | what it computes | word | targets | better |"
        yield "| --- | --- | --- | --- | --- |"
    else:
        yield "| name | what it does |"
        yield "| --- | --- |"
    for kind in table.values():
        cells = [f"`{_name(kind)}({_short(kind)})`", _summary(kind)]
        if issubclass(kind, Loss):
            cells += [_words(kind), ", ".join(kind.takes), _ENDS[kind().outputs()]]
        elif issubclass(kind, Metric):
            cells += [_words(kind), ", ".join(kind.takes), _better(kind)]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


_ENDS = {
    "distribution": "softmax",
    "independent": "sigmoid",
    "probabilities": "numbers from 0 to 1",
    "scores": "scores",
    "positive": "numbers of at least 0",
    "values": "anything",
    "logits": "no activation",
}


def _short(kind: type[Declaration]) -> str:
    """The arguments by position, without the names that everything has."""
    required = kind.required()
    shown = [name for name in kind.positional() if name not in ("name", "dtype")]
    return ", ".join(name if name in required else f"{name}={_default(kind, name)}" for name in shown)


def _default(kind: type[Declaration], name: str) -> str:
    value = getattr(kind, name)
    return f"{value:g}" if isinstance(value, float) else text(value)


def _words(kind: type[Loss | Metric]) -> str:
    others = [alias for alias, name in ALIASES.items() if name == kind.__name__ and alias.islower()]
    try:
        kind()
    except ValueError:  # something must be said of it: of pydantic, or a Misuse
        return ""
    return ", ".join(f'`"{word}"`' for word in (kind.word(), *others))


def _better(kind: type[Metric]) -> str:
    return "larger" if kind.larger else "smaller"


def _name(kind: type[Declaration]) -> str:
    return next(name for table in KINDS.values() for name, one in table.items() if one is kind)


def _summary(kind: type[Declaration]) -> str:
    """The first paragraph of its documentation on one line."""
    return cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
