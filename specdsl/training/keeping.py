"""Which epoch's weights are a trial's result, and when it no longer gets better: by the validation part alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal


class Keeper:
    """Sees what an epoch's weights gave on the validation part, and nothing else: it can choose by no other.

    Args:
        keep: "last", or "best": the epoch whose monitored value is best, the first one of several alike.
        monitor: what is compared.
        larger: whether more of it is better.
        patience: epochs without improvement after which training ends, or None.
        min_delta: how much better counts as an improvement for patience.

    Attributes:
        chooses: whether it keeps the best epoch.
        kept: the epoch whose weights are kept, 0 before there is one.
        ended: whether patience has run out.
    """

    def __init__(
        self,
        keep: Literal["last", "best"] = "last",
        monitor: str = "loss",
        *,
        larger: bool = False,
        patience: int | None = None,
        min_delta: float = 0.0,
    ) -> None:
        self.chooses = keep == "best"
        self._monitor, self._sign = monitor, 1.0 if larger else -1.0
        self._patience, self._min_delta = patience, min_delta
        self.kept = 0
        self.ended = False
        self._best: float | None = None
        self._reference: float | None = None
        self._improved = 0

    def see(self, epoch: int, validation: Mapping[str, float] | None) -> bool:
        """Take note of an epoch, and say whether its weights are the ones to keep now.

        Args:
            epoch: its number, from 1.
            validation: loss and metrics on the validation part; None where they were not measured.
        """
        keeps = not self.chooses
        if validation is not None:
            value = self._sign * validation[self._monitor]
            if value == value and (self._best is None or value > self._best):
                self._best = value
                keeps = True
            if value == value and (self._reference is None or value > self._reference + self._min_delta):
                self._reference, self._improved = value, epoch
            self.ended = self._patience is not None and epoch - self._improved >= self._patience
        if keeps:
            self.kept = epoch
        return keeps

    def notes(self) -> dict[str, Any]:
        """What it has come to, as a checkpoint keeps it."""
        return {"kept": self.kept, "ended": self.ended, "best": self._best, "reference": self._reference,
                "improved": self._improved}  # fmt: skip

    def go_on(self, notes: Mapping[str, Any]) -> None:
        """Go on from what `notes` gave."""
        self.kept, self.ended = notes["kept"], notes["ended"]
        self._best, self._reference, self._improved = notes["best"], notes["reference"], notes["improved"]
