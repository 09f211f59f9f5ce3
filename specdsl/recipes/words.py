"""Words in quotes that stand for a declaration with its defaults, as in Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specdsl.declaration import Declaration, Misuse, text
from specdsl.diagnostics import did_you_mean


def chosen(
    value: Any, what: str, kind: type[Declaration], words: Mapping[str, type[Declaration]], left_out: Mapping[str, str]
) -> Any:
    """The declaration that a value is or stands for; a value of another type as it is, for pydantic to refuse.

    Args:
        value: a declaration, or a word.
        what: what it is to be, in a word.
        kind: the class of what it is to be.
        words: the words that there are.
        left_out: words of Keras that cannot be had, with the reasons.

    Raises:
        Misuse: there is no such word, or the declaration is of another kind.
    """
    if isinstance(value, str):
        if value in words:
            named = words[value]
            if missing := named.required():
                usage = f"{named.__name__}({', '.join(f'{name}=...' for name in missing)})"
                raise Misuse(f'the {what} "{value}" needs {" and ".join(map(repr, missing))}', help=f"write {usage}")
            return named()
        for name, reason in left_out.items():
            if value.replace("_", "").lower() == name.lower():
                raise Misuse(f'a recipe cannot have the {what} "{value}": {reason}')
        hint = did_you_mean(value, words) or "`specdsl recipes` lists them"
        raise Misuse(f"there is no {what} named {text(value)}", help=hint)
    if isinstance(value, Declaration) and not isinstance(value, kind):
        raise Misuse(f"{type(value).__name__} is no {what}")
    return value
