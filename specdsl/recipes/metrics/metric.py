"""What every metric has: the targets that it takes, what the outputs must be, the name of its column."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from specdsl.declaration import Misuse, snake_case
from specdsl.recipes.losses import Targets
from specdsl.recipes.naming import Dtype, InKeras, Worth

_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
CLASSED: tuple[Targets, ...] = ("one-hot", "binary")
"""The targets of what asks of each class, whether it is there."""

MEASURED: tuple[Targets, ...] = ("values", "one-hot", "binary")
"""The targets that outputs can be subtracted from."""


class Metric(InKeras):
    """A number that tells how good a model is on a set of examples."""

    module: ClassVar[str] = "metrics"
    setting: ClassVar[str | None] = "metrics"

    takes: ClassVar[tuple[Targets, ...]]
    """The targets that it can be given."""
    larger: ClassVar[bool] = False
    """Whether a larger value is better."""
    share: ClassVar[bool] = False
    """Whether it is the share of examples that are told rightly."""
    of_numbers: ClassVar[str | None] = None
    """Of one that takes one-hot targets, the word for what tells the same from the numbers of classes."""
    bounded: ClassVar[bool] = False
    """Whether it lies from 0 to 1, and is best at 1."""
    worth: ClassVar[Worth | None] = None
    """What it is the mean of over examples, where it is the mean of such a thing."""
    of: ClassVar[Literal["any", "probabilities", "independent", "distribution"]] = "any"
    """What the outputs must be, unless it says `from_logits`: anything; numbers from 0 to 1; such of which each stands
    on its own, as by a sigmoid; or such that sum to 1, as by a softmax."""

    free_threshold: ClassVar[bool] = False
    """Whether its threshold, where it is said, may be one of whatever the outputs are."""

    name: str | None = None
    dtype: Dtype = None

    def check(self) -> None:
        """Refuse names that no column can have."""
        name = vars(self).get("name")
        if name is not None and not _NAME.fullmatch(name):
            raise Misuse(
                f'a metric cannot be named "{name}": a name is of letters, digits and underscores', argument="name"
            )

    @property
    def column(self) -> str:
        """What it is called in histories: its name; without one, Keras's name and the arguments that are not defaults.

        `sparse_top_k_categorical_accuracy_k_3`, `f1_score_macro`, `auc_pr`.
        """
        given = self.arguments()
        if self.name is not None and "name" in given:
            return self.name
        parts = [self.word()]
        for name, value in given.items():
            if isinstance(value, bool) or value is None:
                parts.append(name)
            elif isinstance(value, str):
                parts.append(value)
            else:
                parts += [name, *(f"{item:g}" for item in (value if isinstance(value, tuple) else (value,)))]
        return re.sub(r"\W", "_", "_".join(parts)).lower()

    @classmethod
    def word(cls) -> str:
        """What Keras calls it by default."""
        name = getattr(cls, "name", None)
        return name if isinstance(name, str) else snake_case(cls.__name__.replace("IoU", "Iou"))

    def targets(self) -> tuple[Targets, ...]:
        """The targets that it can be given, with its arguments."""
        return self.takes

    def on_logits(self) -> bool:
        """Whether it can be given what is no probability yet."""
        said = self.free_threshold and "threshold" in self.arguments()
        return said or self.of == "any" or getattr(self, "from_logits", False)
