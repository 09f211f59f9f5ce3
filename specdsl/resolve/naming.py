"""Layer names: stable, hierarchical, and never two alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from specdsl.diagnostics import Note, Slug
from specdsl.graph import SEPARATOR
from specdsl.resolve.scope import Problem, refuse_taken
from specdsl.syntax import tree


class Names:
    """The names given out in one model.

    A layer that the text names with `as` keeps that name; any other is called after its class, as Keras does it:
    `conv2d`, `conv2d_1`. Within a block both follow the name of its instance: `conv_bn_1-conv2d`.
    """

    def __init__(self) -> None:
        self._reserved: set[str] = set()
        self._given: set[str] = set()
        self._counts: dict[str, int] = {}

    def reserve(self, body: tree.Body, scope: str) -> int:
        """Keep the names that the text of a body gives from being given to other layers; how many these are."""
        names = _given_names(body)
        self.keep(names, scope)
        return len(names)

    def keep(self, names: Iterable[str], scope: str) -> None:
        """Keep names from being given to layers that the text does not call so."""
        self._reserved.update(_join(scope, name) for name in names)

    def unique(self, scope: str, stem: str, *, given: bool) -> str:
        """A name that no layer has: the stem, or the stem with the next free number.

        Args:
            scope: the full name of the block instance, "" in the model's own body.
            stem: the name wanted.
            given: whether the text gives the name, so that it may be a reserved one.
        """
        name, count = self._next(_join(scope, stem), given=given)
        self._counts[_join(scope, stem)] = count + 1
        self._given.add(name)
        return name

    def would_be(self, scope: str, stem: str) -> str:
        """The name that `unique` would give now to a layer that the text does not name."""
        return self._next(_join(scope, stem), given=False)[0]

    def _next(self, wanted: str, *, given: bool) -> tuple[str, int]:
        count = self._counts.get(wanted, 0)
        name = wanted if count == 0 else f"{wanted}_{count}"
        while name in self._given or (name in self._reserved and not (given and count == 0)):
            count += 1
            name = f"{wanted}_{count}"
        return name, count


def check_name(name: tree.Name, *, model: bool = False) -> None:
    """Refuse a name for a layer, block or model that the back ends cannot use.

    Raises:
        Problem: it holds more than letters from a to z, digits and underscores, or that of a model begins with one.
    """
    if not name.text.isascii() or (model and name.text.startswith("_")):
        message = f"'{name.text}' cannot be the name of a {'model' if model else 'layer or a block'}"
        hint = "TensorFlow takes letters from a to z, digits and underscores" + (", a letter first" if model else "")
        raise Problem(Slug.MISPLACED, message, name.span, help=hint)


def check_parameters(parameters: Sequence[tree.Parameter] | None) -> None:
    """Refuse a list of parameters in which a name stands twice, or one that means something else.

    Raises:
        Problem: at the name at fault.
    """
    seen: dict[str, tree.Parameter] = {}
    for parameter in parameters or ():
        name = parameter.name.text
        refuse_taken(name, parameter.name.span)
        if name in seen:
            first = Note("it stands here first", seen[name].name.span)
            raise Problem(Slug.DUPLICATE, f"the parameter '{name}' stands twice", parameter.name.span, first)
        seen[name] = parameter


def _join(scope: str, name: str) -> str:
    return f"{scope}{SEPARATOR}{name}" if scope else name


def _given_names(body: tree.Body) -> list[str]:
    """The names that a body's text gives to tensors, those in braces inside it included."""
    names: list[str] = []
    waiting: list[tree.Body | tree.If | None] = [body]
    while waiting:
        current = waiting.pop()
        if isinstance(current, tree.If):
            waiting += [current.then, current.otherwise]
            continue
        for statement in current.statements if current else ():
            match statement:
                case tree.Input() | tree.Layer():
                    names.append(statement.name.text)
                case tree.Repeat() | tree.For():
                    waiting.append(statement.body)
                case tree.If():
                    waiting.append(statement)
                case tree.Chain():
                    for link in statement.links:
                        if isinstance(link, tree.Step):
                            names += [link.names[0].text] if len(link.names) == 1 else []
                            if isinstance(link.action, tree.Shortcut):
                                waiting += [link.action.body, link.action.via]
                            elif isinstance(link.action, tree.Branch):
                                waiting += link.action.bodies
    return names
