"""The state of a run that plans, those that search, by name, and what bounds how often states that pay are entered.

What a run may cost at worst is read from the state machine's definition itself
(``functions/worst_case.py``), which these numbers are part of.
"""

from __future__ import annotations

PLAN = "Plan compute"
TUNE = "Tune"  # one recipe
TUNE_AGAIN = "Tune from earlier search"  # one recipe, warm start
TUNE_RECIPES = "Tune recipes"  # recipe auto

SEARCHES = (TUNE, TUNE_AGAIN, TUNE_RECIPES)
"""States that run a whole search; a run enters one of them, twice when spot machines were missing to its end."""

EVALUATIONS = 3
"""Evaluations of a run: one, and again each time another run changed the champion meanwhile."""

INTERNAL_ERROR_RETRIES = 2
"""Times SageMaker restarts a training job after its own InternalServerError."""

ENDS_EXECUTION = "Ends the execution. What follows is for a redrive, which a person starts and pays for."
"""Comment of a state that fails unless the execution was redriven (``functions/halt.py``).

It is how a definition's reader knows such a state, so its very text is a wire format: an execution runs the definition
that it began with, and one of an older deployment has this text. Another text makes those loops look as if they paid
without a bound.
"""
