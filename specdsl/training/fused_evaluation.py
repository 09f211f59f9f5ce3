"""What trials that are trained together give on a part of the data: asked for by one, worked out for all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from specdsl.training.engine import Job, Part, Stopped
from specdsl.training.evaluating import even_batch, most_at_once, sums_up
from specdsl.training.fused_portions import Portion
from specdsl.training.fused_program import Given, Program, Resident, Sums
from specdsl.training.fused_states import States


class Evaluation:
    """Measures all trials, and lets them answer.

    Args:
        job: one of them.
        program: what is compiled for them.
        states: where they stand.
        resident: gives the examples of a part on the device.
        fresh: sums of loss and metrics to begin with.
        split: whether devices share the batch of one trial: they divide that of training, and so multiples of it.
    """

    def __init__(
        self,
        job: Job,
        program: Program,
        states: States,
        resident: Callable[[Part], Resident],
        fresh: list[Any],
        split: bool,
    ) -> None:
        self._job, self._program, self._states = job, program, states
        self._resident, self._fresh = resident, fresh
        self._most = most_at_once(job, jax.default_backend())
        self._even = not split and not sums_up(job)
        self._portions = {"measure": Portion(), "answer": Portion()}
        self._known: dict[tuple[str, Part], Any] = {}
        self._since = states.changes

    def measured(self, part: Part, place: int, stopping: Callable[[], bool]) -> dict[str, float]:
        """Loss and metrics of a trial on a part.

        Raises:
            Stopped: `stopping` says so.
        """
        return {name: float(one[place]) for name, one in self._once("measure", part, stopping).items()}

    def answers(self, part: Part, place: int, stopping: Callable[[], bool]) -> NDArray[np.float32]:
        """What a trial gives for each example of a part.

        Raises:
            Stopped: `stopping` says so.
        """
        found: NDArray[np.float32] = self._once("answer", part, stopping)[place]
        return found

    def _once(self, what: str, part: Part, stopping: Callable[[], bool]) -> Any:
        """What is known of all trials as they stand, worked out where nobody has asked for it yet."""
        if self._since != self._states.changes:
            self._known.clear()
            self._since = self._states.changes
        if (what, part) not in self._known:
            find = self._measure if what == "measure" else self._answer
            self._known[what, part] = find(part, stopping)
        return self._known[what, part]

    def _measure(self, part: Part, stopping: Callable[[], bool]) -> dict[str, NDArray[Any]]:
        state, data = self._states.shown(), self._resident(part)

        def go_on(carried: Any, first: int, last: int, batch: int) -> Any:
            return self._program.measure(carried[0], state.trainable, data, first, last, batch)

        _, logs = self._steps("measure", part, (Sums(state.others, self._fresh), {}), go_on, stopping)
        return dict(jax.device_get(logs))

    def _answer(self, part: Part, stopping: Callable[[], bool]) -> NDArray[np.float32]:
        state, data = self._states.shown(), self._resident(part)

        def go_on(carried: Given, first: int, last: int, batch: int) -> Given:
            return self._program.answer(carried, state.trainable, data, first, last, batch)

        nothing = self._program.nothing_given(state, data, self._job.outputs)
        given = self._steps("answer", part, nothing, go_on, stopping)
        return np.asarray(given.outputs)

    def _steps(
        self, what: str, part: Part, carried: Any, go_on: Callable[[Any, int, int, int], Any],
        stopping: Callable[[], bool],
    ) -> Any:  # fmt: skip
        """What comes of all steps over a part, in order, handed over in portions as training is.

        Raises:
            Stopped: `stopping` says so.
        """
        count = len(self._job.examples(part))
        batch = even_batch(count, self._most) if self._even else self._most
        steps, first, portion = -(-count // batch), 0, self._portions[what]
        while first < steps:
            if stopping():
                raise Stopped
            last = min(first + portion.steps, steps)
            carried = go_on(carried, first, last, batch)
            portion.sent(last - first)
            if last < steps:
                jax.block_until_ready(carried)  # type: ignore[no-untyped-call]
                portion.done()
            first = last
        portion.forget()
        return carried
