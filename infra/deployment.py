"""The story of a deployment: one version goes into service, or the champion stays.

Started by a run, by a person who rolls back to any version or promotes a
challenger, and by the end of a deployment that was stopped. Everything that can
go wrong after the lease was taken remembers its cause in ``$failure``, and leads
back through the same cleaning up.
"""

from __future__ import annotations

from typing import Any

from infra.asl import State, machine
from infra.steps import alarms, endpoints, lambda_target, lease, offline, scale, serving, switch
from infra.steps.deployment_parts import DeploymentParts, on_failure, was_made_before
from infra.steps.endpoints import LIVE, NEW, SHADOWED, STAGED, STAGING

MADE, BACK = "Was it made before?", "Is there a version to restore?"
"""Where a creation that failed leads, and whatever fails once the live endpoint was touched."""
LONGEST_SECONDS = 32_400  # 6 hours of waiting at most (contract/deploying.py), and all else


def story(parts: DeploymentParts) -> dict[str, Any]:
    """Return the deployment's definition."""
    return machine(
        comment="A model version goes into service after its golden samples, or the champion stays.",
        timeout_seconds=LONGEST_SECONDS,
        states=_begin(parts)
        | _function(parts)
        | _offline(parts)
        | _endpoint(parts)
        | _prepare_traffic()
        | _move_traffic(parts)
        | _mend()
        | _end(parts),
    )


def _begin(parts: DeploymentParts) -> dict[str, State]:
    """The lease, the plan, and the way that its target takes."""
    return {
        "Take lease": lease.take(parts, then="Plan deployment", busy="Lease is held", seconds=LONGEST_SECONDS),
        "Plan deployment": lease.plan(parts, then="Is champion as evaluated?", failed="Release lease"),
        "Is champion as evaluated?": lease.is_as_evaluated(
            yes="Which target?", changed="Release lease", nothing_to_do="Tidy up"
        ),
        "Which target?": lease.which_target(
            endpoint="Create model",
            function="Make function version",
            offline="Write golden requests",
            unknown="Tidy up",
        ),
    }


def _function(parts: DeploymentParts) -> dict[str, State]:
    """A Lambda function: a version of its own, checked before the alias sends anybody to it."""
    return {
        "Make function version": lambda_target.make_version(
            parts, then="Check version's golden samples", failed="Tidy up"
        ),
        "Check version's golden samples": lambda_target.check_golden_samples(
            parts, then="Shift traffic", failed="Tidy up"
        ),
        "Shift traffic": lambda_target.shift(parts, then="Is all traffic shifted?", failed="Take traffic back"),
        "Is all traffic shifted?": lambda_target.is_all_there(yes="Make function champion", not_yet="Watch version"),
        "Watch version": lambda_target.watch(then="Shift traffic"),
        "Make function champion": switch.champion(parts, then="Tidy up", failed="Take traffic back"),
        "Take traffic back": lambda_target.take_back(parts, then="Tidy up"),
    }


def _offline(parts: DeploymentParts) -> dict[str, State]:
    """Nothing that waits for requests: a transform job answers the golden samples, as it will answer files."""
    return {
        "Write golden requests": offline.write_requests(parts, then="Create transform model", failed="Tidy up"),
        "Create transform model": offline.create_model(parts, then="Answer golden requests", failed=MADE),
        "Answer golden requests": offline.answer(parts, then="Are they answered?", failed="Tidy up"),
        "Are they answered?": offline.are_answered(yes="Check golden answers", no="Tidy up"),
        "Check golden answers": offline.check_answers(parts, then="Is it for the edge?", failed="Tidy up"),
        "Is it for the edge?": offline.is_for_edge(yes="Make bundle", no="Make champion without endpoint"),
        "Make bundle": offline.make_bundle(parts, then="Make champion without endpoint", failed="Tidy up"),
        "Make champion without endpoint": switch.champion(parts, then="Tidy up", failed="Tidy up"),
    }


def _endpoint(parts: DeploymentParts) -> dict[str, State]:
    """An endpoint: the version must answer on staging as it was evaluated, before any traffic."""
    return {
        # What an endpoint is made of.
        "Create model": serving.create_model(parts, then="Create endpoint configuration", failed=MADE),
        "Create endpoint configuration": serving.create_configuration(then="Create staging configuration", failed=MADE),
        # The version must answer as it was evaluated, before any traffic.
        "Create staging configuration": serving.create_staging_configuration(
            then="Create staging endpoint", failed=MADE
        ),
        "Create staging endpoint": endpoints.create(STAGING, STAGED, then="Wait for staging", failed=MADE),
        "Wait for staging": endpoints.pause(then="Describe staging"),
        "Describe staging": endpoints.describe(STAGING, then="Is staging in service?", failed="Tidy up"),
        "Is staging in service?": endpoints.is_in_service(
            STAGING, STAGED, yes="Check golden samples", not_yet="Wait for staging", no="Tidy up"
        ),
        "Check golden samples": endpoints.check_golden_samples(parts, then="Delete staging endpoint", failed="Tidy up"),
        "Delete staging endpoint": endpoints.delete(STAGING, then="Create alarms"),
        "Create alarms": alarms.put(then="Is there an endpoint?", failed="Tidy up"),
    }


def _prepare_traffic() -> dict[str, State]:
    """What comes before traffic: scaling stops, and the version may begin in the shadow."""
    return {
        # The first version has nothing to take traffic from.
        "Is there an endpoint?": endpoints.is_there_one(yes="Stop scaling", no="Create endpoint"),
        "Create endpoint": endpoints.create(LIVE, NEW, then="Wait for endpoint", failed=MADE),
        # Its instances stay as many as they are now.
        "Stop scaling": scale.stop(then="Look at live endpoint", failed="Tidy up"),
        "Look at live endpoint": endpoints.describe(LIVE, then="Is live endpoint steady?", failed="Tidy up"),
        "Is live endpoint steady?": scale.is_steady(yes="Begin in the shadow?", not_yet="Let scaling end"),
        "Let scaling end": endpoints.pause(then="Look at live endpoint"),
        # A copy of the champion's requests, and nobody sees the answers.
        "Begin in the shadow?": endpoints.begins_in_shadow(yes="Create shadow configuration", no="Update endpoint"),
        "Create shadow configuration": serving.create_shadow_configuration(then="Put into the shadow", failed=MADE),
        "Put into the shadow": endpoints.put_into_shadow(then="Wait for shadow", failed="Tidy up"),
        "Wait for shadow": endpoints.pause(then="Describe shadow"),
        "Describe shadow": endpoints.describe(LIVE, then="Is shadow in service?", failed=BACK),
        "Is shadow in service?": endpoints.is_in_service(
            LIVE, SHADOWED, yes="Watch shadow", not_yet="Wait for shadow", no=BACK, again="Put into the shadow"
        ),
        "Watch shadow": alarms.pause(then="Look at shadow's alarms"),
        "Look at shadow's alarms": alarms.look("shadow", then="Is shadow quiet?", failed=BACK),
        "Is shadow quiet?": alarms.are_quiet("shadow", yes="Update endpoint", not_yet="Watch shadow", no=BACK),
    }


def _move_traffic(parts: DeploymentParts) -> dict[str, State]:
    """Traffic moves, and the version becomes champion, or challenger."""
    return {
        # Traffic moves: at once, in steps, or a challenger's share. SageMaker takes it back when an alarm goes off.
        "Update endpoint": endpoints.update(then="Wait for endpoint", failed=BACK),
        "Wait for endpoint": endpoints.pause(then="Describe endpoint"),
        "Describe endpoint": endpoints.describe(LIVE, then="Is endpoint in service?", failed=BACK),
        "Is endpoint in service?": endpoints.is_in_service(
            LIVE, NEW, yes="Scale endpoint", not_yet="Wait for endpoint", no=BACK, again="Update endpoint"
        ),
        "Scale endpoint": scale.start("$deployment.scaling", then="Is it an A/B test?", catch=on_failure(BACK)),
        "Is it an A/B test?": endpoints.is_ab_test(yes="Watch challenger", no="Switch champion"),
        "Watch challenger": alarms.pause(then="Look at challenger's alarms"),
        "Look at challenger's alarms": alarms.look("challenger", then="Is challenger quiet?", failed=BACK),
        "Is challenger quiet?": alarms.are_quiet(
            "challenger", yes="Name challenger", not_yet="Watch challenger", no=BACK
        ),
        "Name challenger": switch.challenger(parts, then="Tidy up", failed=BACK),
        "Switch champion": switch.champion(parts, then="Tidy up", failed=BACK),
    }


def _mend() -> dict[str, State]:
    """What failed may be there all the same; the champion gets back."""
    return {
        # A creation that failed: an attempt whose answer was lost may have made it.
        MADE: was_made_before(
            {
                "Create transform model": "Answer golden requests",
                "Create model": "Create endpoint configuration",
                "Create endpoint configuration": "Create staging configuration",
                "Create staging configuration": "Create staging endpoint",
                "Create staging endpoint": "Wait for staging",
                "Create endpoint": "Wait for endpoint",
                "Create shadow configuration": "Put into the shadow",
            },
            no="Tidy up",
        ),
        # The champion gets back, where the new version got as far as the live endpoint.
        BACK: endpoints.what_to_restore(
            restore="Restore endpoint", replace="Delete failed endpoint", nothing="Tidy up"
        ),
        "Restore endpoint": endpoints.restore(then="Tidy up"),
        "Delete failed endpoint": endpoints.delete(LIVE, then="Put endpoint back"),
        "Put endpoint back": endpoints.put_back(then="Tidy up"),
    }


def _end(parts: DeploymentParts) -> dict[str, State]:
    """Every way ends tidy."""
    return {
        "Tidy up": endpoints.tidy(parts, then="Scale as before"),
        "Scale as before": scale.as_before(then="Release lease"),
        "Release lease": lease.release(parts, then="How did it end?"),
        "How did it end?": lease.how_did_it_end(well="Deployed", changed="Champion changed", badly="Deployment failed"),
        "Deployed": lease.deployed(),
        "Champion changed": lease.changed(),
        "Deployment failed": lease.failed(),
        "Lease is held": lease.busy(),
    }
