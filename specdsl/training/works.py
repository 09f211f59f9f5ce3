"""What is to be trained, as far as the choice of the way to train depends on it. Light: imports no framework."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from specdsl.analyses import Effort, effort
from specdsl.training.engine import Job
from specdsl.training.ways import ANY, Wanted


@dataclass(frozen=True)
class Work:
    """What is to be trained.

    Attributes:
        job: a trial of it.
        trials: how many.
        wanted: what was asked for.
        beside: how many trials of other models are trained in the same run.
    """

    job: Job
    trials: int
    wanted: Wanted = ANY
    beside: int = 0

    @cached_property
    def effort(self) -> Effort:
        """The work for one example, by kinds; sizes that the model leaves open are those of the data."""
        shape = self.job.recipe.data.shape_after(self.job.train.x.shape[1:])
        return effort(self.job.graph, shape)

    @property
    def trained(self) -> int:
        """How many examples all trials learn from in all their epochs."""
        return self.trials * self.job.recipe.epochs * len(self.job.train)

    @property
    def measured(self) -> int:
        """How many examples are measured after an epoch in which anything is."""
        return sum(len(self.job.examples(part)) for part in self.job.measured)
