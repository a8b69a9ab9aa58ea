"""How often each paid state of a run can be billed: what a budget's worst case multiplies by.

The state machine bounds its loops with these numbers and ``Plan compute``
prices with the same ones. Creating a job is retried freely, because a job that
was never created costs nothing. A training job that SageMaker itself breaks is
retried by SageMaker (``RetryStrategy``) within the job's own MaxRuntimeInSeconds,
so it adds no price.
"""

from __future__ import annotations

PREPARE = "Prepare large dataset"
TRAIN_ON_SPOT = "Train on spot"
TRAIN_ON_DEMAND = "Train on demand"
TUNE = "Tune"  # one recipe
TUNE_AGAIN = "Tune from earlier search"  # one recipe, warm start
TUNE_RECIPES = "Tune recipes"  # recipe auto
EVALUATE = "Evaluate"

ATTEMPTS = {
    PREPARE: 1,
    TRAIN_ON_SPOT: 1,
    TRAIN_ON_DEMAND: 1,  # may follow Train on spot: a run can pay for both
    TUNE: 2,  # of each job of a search that begins on spot: all again on demand when capacity was missing to its end
    TUNE_AGAIN: 2,
    TUNE_RECIPES: 2,
    EVALUATE: 3,  # again each time another run changed the champion meanwhile
}
"""Jobs of each state that one execution can pay for (a redrive is a person's decision and pays again)."""

SEARCHES = (TUNE, TUNE_AGAIN, TUNE_RECIPES)
"""States that run a whole search; a run enters one of them. Their attempts are those of each of its jobs."""

INTERNAL_ERROR_RETRIES = 2
"""Times SageMaker restarts a training job after its own InternalServerError."""
