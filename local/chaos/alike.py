"""Faults that a state cannot tell from each other: those that the same Retry and the same Catch of it answer."""

from __future__ import annotations

import json

from botocore.exceptions import ClientError

from local.chaos.catalogue import CATALOGUE, Place
from local.chaos.faults import ALWAYS, RefusedCall
from local.stepfunctions import tasks
from local.stepfunctions.retry import first_match
from local.stepfunctions.tasks.resource import parse


def alike(place: Place) -> dict[str, str]:
    """Return, for each fault that is like an earlier one at a state, that one's name.

    They are refusals that last: what differs is the name of the error, and the
    state looks at nothing but that. So it is not for states whose Catch leads
    to where the cause is read.
    """
    answered: dict[str, str] = {}
    like: dict[str, str] = {}
    for entry in CATALOGUE:
        fault = entry.make(place)
        if isinstance(fault, RefusedCall) and fault.times == ALWAYS:
            first = answered.setdefault(_answers(place, fault), entry.name)
            if first != entry.name:
                like[entry.name] = first
    return like


def _answers(place: Place, fault: RefusedCall) -> str:
    """Return the Retry and the Catch that answer a refusal."""
    response = {"Error": {"Code": fault.error, "Message": fault.message}}
    integration = tasks.find(parse(place.definition["Resource"]))
    failure = integration.failure(ClientError(response, "Call"))  # type: ignore[arg-type]
    return json.dumps([first_match(place.definition.get(field, ()), failure) for field in ("Retry", "Catch")])
