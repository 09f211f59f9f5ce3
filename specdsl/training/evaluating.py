"""How many examples the fused engine evaluates at once: as many as need no more memory than training does. Light."""

from __future__ import annotations

from specdsl.analyses import Analysis, Regime, analyse
from specdsl.analyses.memory import peak_activation_bytes, training_activation_bytes
from specdsl.training.engine import Job

MOST = 8
"""How many times as large as in training a batch of evaluation is at the most."""


def times_larger(job: Job, analysis: Analysis, platform: str) -> int:
    """How many times as large as in training a batch of evaluation may be: it needs no more memory then.

    A step of training holds more activations than one of inference. Where the loss adds up, what is told of a batch
    depends on how many are in it, and on a processor larger batches are no faster: there it is as large as in training.

    Args:
        job: one of the trials.
        analysis: of its model, under the precision with which it is trained.
        platform: what evaluates.
    """
    if platform == "cpu" or sums_up(job):
        return 1
    training = training_activation_bytes(analysis)
    inference = peak_activation_bytes(analysis)
    if not training or not inference:
        return 1
    return max(1, min(MOST, training // inference))


def most_at_once(job: Job, platform: str) -> int:
    """How many examples may be evaluated at once.

    Args:
        job: one of the trials.
        platform: what evaluates.
    """
    analysis = analyse(job.graph, Regime(precision=job.recipe.precision))
    return job.recipe.batch * times_larger(job, analysis, platform)


def sums_up(job: Job) -> bool:
    """Whether the loss adds up: then what is told of a batch depends on how many are in it, in evaluation too."""
    return job.recipe.loss.reduction == "sum"


def even_batch(count: int, most: int) -> int:
    """The size of a batch of at most so many, so that the last of `count` is as large as the others, or nearly so.

    A smaller last batch is compiled apart. Where a size of more than half of `most` leaves none, it is that.
    """
    most = min(most, count)
    whole = next((size for size in range(most, most // 2, -1) if count % size == 0), None)
    return whole or -(-count // -(-count // most))
