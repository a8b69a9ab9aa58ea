"""Settings of [deploy] that SageMaker cannot have together: refused with what to take instead."""

from __future__ import annotations

import re
from typing import Any

import pytest

from contract.config import Deploy
from contract.deploying import check_deploying, steps, waiting_minutes
from contract.errors import InvalidConfig
from contract.packages import deploy_properties, deploy_settings

FLEET: dict[str, Any] = {"target": "realtime", "instances": 2}
SCALED: dict[str, Any] = {"target": "realtime", "max_instances": 4, "invocations_per_instance": 600}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {**FLEET, "rollout": "canary"},
        {**FLEET, "rollout": "linear", "step_percent": 25, "max_latency_ms": 200},
        {**FLEET, "target": "async", "rollout": "canary"},
        {"target": "realtime", "shadow_percent": 50},
        {"target": "realtime", "ab_percent": 10},
        {"target": "realtime", "capture_percent": 20},
        {**SCALED, "concurrency_per_instance": 4.0},
        {**SCALED, "target": "async", "min_instances": 0, "invocations_per_instance": 0, "backlog_per_instance": 5.0},
        {"target": "realtime", "sleep": "20:00-07:00", "sleep_timezone": "Europe/Rome"},
        {"target": "realtime", "sleep": "idle 6h"},
    ],
    ids=lambda settings: "-".join(settings) or "defaults",
)
def test_what_sagemaker_can_do_is_accepted(settings: dict[str, Any]) -> None:
    check_deploying(Deploy(**settings))


@pytest.mark.parametrize(
    ("settings", "path", "fix"),
    [
        ({"rollout": "canary"}, "deploy.rollout", "It needs deploy.target 'realtime' or 'async' or 'lambda'"),
        ({"shadow_percent": 10}, "deploy.shadow_percent", "real-time endpoints only"),
        ({"capture_percent": 10}, "deploy.capture_percent", "captures nothing"),
        ({"target": "async", "ab_percent": 10}, "deploy.ab_percent", "no second version"),
        ({"target": "async", "shadow_percent": 10}, "deploy.shadow_percent", "real-time endpoints only"),
        ({"target": "async", "capture_percent": 10}, "deploy.capture_percent", "captures nothing"),
        ({"memory_mb": 2000}, "deploy.memory_mb", "a multiple of 1024"),
        ({"target": "realtime", "rollout": "canary"}, "deploy.instances", "at most half of the instances"),
        ({**FLEET, "rollout": "linear", "step_percent": 5}, "deploy.step_percent", "10 to 50"),
        ({**FLEET, "rollout": "canary", "bake_minutes": 0}, "deploy.bake_minutes", "Alarms need a minute"),
        ({**FLEET, "rollout": "canary", "max_error_percent": 10.0}, "deploy.max_error_percent", "never tell"),
        ({**FLEET, "rollout": "linear", "bake_minutes": 60}, "deploy.bake_minutes", "10 steps"),
        ({**FLEET, "rollout": "canary", "ab_percent": 10}, "deploy.rollout", "a person takes the next one"),
        ({"max_instances": 4}, "deploy.max_instances", "no instances to count"),
        ({"target": "realtime", "max_instances": 4}, "deploy.max_instances", "deploy.concurrency_per_instance"),
        ({"target": "async", "max_instances": 4}, "deploy.max_instances", "Set deploy.backlog_per_instance."),
        ({**SCALED, "target": "async"}, "deploy.invocations_per_instance", "scaled by its queue"),
        ({"target": "realtime", "concurrency_per_instance": 2.0}, "deploy.concurrency_per_instance", "at most"),
        ({**SCALED, "instance": "ml.t2.medium"}, "deploy.instance", "burstable"),
        ({"target": "realtime", "min_instances": 2}, "deploy.min_instances", "1 without deploy.max_instances"),
        ({**SCALED, "min_instances": 0}, "deploy.min_instances", "Only an asynchronous endpoint"),
        ({**SCALED, "instances": 5}, "deploy.instances", "1 to 4, as scaled"),
        ({**SCALED, "min_instances": 2}, "deploy.instances", "2 to 4, as scaled"),
        ({**SCALED, "shadow_percent": 5}, "deploy.shadow_percent", "take a canary instead"),
        ({"sleep": "20:00-07:00"}, "deploy.sleep", "cost nothing when idle"),
        ({"target": "realtime", "sleep": "8pm-7am"}, "deploy.sleep", "two times of day"),
        ({"target": "realtime", "sleep": "idle 0h"}, "deploy.sleep", "idle 6h"),
        ({"sleep": "idle 6h"}, "deploy.sleep", "cost nothing when idle"),
        ({"target": "realtime", "sleep": "07:00-07:00"}, "deploy.sleep", "two times of day"),
        (
            {"target": "realtime", "sleep": "20:00-07:00", "sleep_timezone": "Europe/Roma"},
            "deploy.sleep_timezone",
            "Did you mean 'Europe/Rome'?",
        ),
        ({"target": "realtime", "sleep_timezone": "Europe/Rome"}, "deploy.sleep_timezone", "when the model sleeps"),
    ],
)
def test_what_it_cannot_do_is_refused_with_what_to_take_instead(settings: dict[str, Any], path: str, fix: str) -> None:
    with pytest.raises(InvalidConfig, match=re.escape(fix)) as refused:
        check_deploying(Deploy(**settings))
    assert refused.value.path == path


def test_a_rollout_waits_after_each_step_and_in_the_shadow() -> None:
    assert steps(Deploy(rollout="linear", step_percent=30)) == 4
    assert waiting_minutes(Deploy(rollout="canary", bake_minutes=5, shadow_percent=10, shadow_minutes=20)) == 35


def test_a_package_remembers_what_is_not_the_default() -> None:
    deploy = Deploy(target="realtime", instances=3, rollout="canary", max_error_percent=2.5)
    recorded = deploy_properties(deploy)
    assert recorded == {
        "deploy.target": "realtime", "deploy.instances": "3", "deploy.rollout": "canary",
        "deploy.max_error_percent": "2.5",
    }  # fmt: skip
    assert deploy_settings(recorded) == deploy
