"""The story of a deployment: one version goes into service, or the champion stays.

Started by a run, and by a person who rolls back to any version. Everything that
can go wrong after the lease was taken remembers its cause in ``$failure``, and
leads back through the same cleaning up.
"""

from __future__ import annotations

from typing import Any

from infra.asl import machine
from infra.steps import endpoints, lease, serving, switch
from infra.steps.deployment_parts import DeploymentParts
from infra.steps.endpoints import LIVE, STAGING

LONGEST_SECONDS = 10_800


def story(parts: DeploymentParts) -> dict[str, Any]:
    """Return the deployment's definition."""
    return machine(
        comment="A model version goes into service after its golden samples, or the champion stays.",
        timeout_seconds=LONGEST_SECONDS,
        states={
            "Take lease": lease.take(parts, then="Plan deployment", seconds=LONGEST_SECONDS),
            "Plan deployment": lease.plan(parts, then="Is champion as evaluated?", failed="Release lease"),
            "Is champion as evaluated?": lease.is_as_evaluated(yes="Create model", no="Release lease"),
            # What an endpoint is made of.
            "Create model": serving.create_model(parts, then="Create endpoint configuration", failed="Release lease"),
            "Create endpoint configuration": serving.create_configuration(
                then="Create staging endpoint", failed="Release lease"
            ),
            # The version must answer as it was evaluated, before any traffic.
            "Create staging endpoint": endpoints.create(
                STAGING, then="Wait for staging", failed="Delete staging endpoint"
            ),
            "Wait for staging": endpoints.pause(then="Describe staging"),
            "Describe staging": endpoints.describe(
                STAGING, then="Is staging in service?", failed="Delete staging endpoint"
            ),
            "Is staging in service?": endpoints.is_in_service(
                STAGING, yes="Check golden samples", not_yet="Wait for staging", no="Delete staging endpoint"
            ),
            "Check golden samples": endpoints.check_golden_samples(
                parts, then="Is there an endpoint?", failed="Delete staging endpoint"
            ),
            # All traffic at once.
            "Is there an endpoint?": endpoints.is_there_one(yes="Update endpoint", no="Create endpoint"),
            "Create endpoint": endpoints.create(LIVE, then="Wait for endpoint", failed="Delete staging endpoint"),
            "Update endpoint": endpoints.update(then="Wait for endpoint", failed="Delete staging endpoint"),
            "Wait for endpoint": endpoints.pause(then="Describe endpoint"),
            "Describe endpoint": endpoints.describe(
                LIVE, then="Is endpoint in service?", failed="Is there a version to restore?"
            ),
            "Is endpoint in service?": endpoints.is_in_service(
                LIVE, yes="Switch champion", not_yet="Wait for endpoint", no="Is there a version to restore?"
            ),
            "Switch champion": switch.champion(
                parts, then="Delete staging endpoint", failed="Is there a version to restore?"
            ),
            # The champion gets back, where the new version got as far as the live endpoint.
            "Is there a version to restore?": endpoints.what_to_restore(
                restore="Restore endpoint", delete="Delete endpoint", nothing="Delete staging endpoint"
            ),
            "Restore endpoint": endpoints.restore(then="Delete staging endpoint"),
            "Delete endpoint": endpoints.delete(LIVE, then="Delete staging endpoint"),
            # Every way ends tidy.
            "Delete staging endpoint": endpoints.delete(STAGING, then="Release lease"),
            "Release lease": lease.release(parts, then="How did it end?"),
            "How did it end?": lease.how_did_it_end(
                well="Deployed", changed="Champion changed", badly="Deployment failed"
            ),
            "Deployed": lease.deployed(),
            "Champion changed": lease.changed(),
            "Deployment failed": lease.failed(),
        },
    )
