"""States of a run that pay for jobs, by name, the one that plans them, and what bounds how often they are entered.

What a run may cost at worst is read from the state machine's definition itself
(``functions/worst_case.py``), which these numbers are part of.
"""

from __future__ import annotations

PLAN = "Plan compute"
PREPARE = "Prepare large dataset"
TRAIN_ON_SPOT = "Train on spot"
TRAIN_ON_DEMAND = "Train on demand"  # may follow Train on spot: a run can pay for both
TUNE = "Tune"  # one recipe
TUNE_AGAIN = "Tune from earlier search"  # one recipe, warm start
TUNE_RECIPES = "Tune recipes"  # recipe auto
EVALUATE = "Evaluate"

SEARCHES = (TUNE, TUNE_AGAIN, TUNE_RECIPES)
"""States that run a whole search; a run enters one of them, twice when spot machines were missing to its end."""

EVALUATIONS = 3
"""Evaluations of a run: one, and again each time another run changed the champion meanwhile."""

INTERNAL_ERROR_RETRIES = 2
"""Times SageMaker restarts a training job after its own InternalServerError."""

ENDS_EXECUTION = "Ends the execution. What follows is for a redrive, which a person starts and pays for."
"""Comment of a state that fails unless the execution was redriven (``functions/halt.py``)."""
