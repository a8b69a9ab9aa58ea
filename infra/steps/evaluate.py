"""Evaluate: one job measures the challenger as it would be served, and the champion on the same rows."""

from __future__ import annotations

from contract import keys, names
from contract.run import Outcome
from infra.asl import State, choice, code, expression, task, transient, when
from infra.steps.parts import Parts, report
from infra.steps.prepare import S3_ERRORS
from infra.steps.processing import local_input, processing_job


def job(parts: Parts, *, then: str) -> State:
    """Run training's evaluate; the input ``champion`` is there only when a version serves."""
    always = [
        local_input("code", parts.code),
        local_input("wheels", parts.wheels),
        local_input("request", parts.artifact(keys.REQUEST)),
        local_input("model", "{% $training.model %}"),
        local_input("dataset", parts.artifact(keys.DATASET)),
    ]
    champion = [local_input("champion", "{% $champion.model_uri %}")]
    return processing_job(
        parts,
        program="evaluate",
        inputs=expression(f"$append({code(always)}, $champion = null ? [] : {code(champion)})"),
        output=parts.artifact(keys.EVALUATE.rstrip("/")),
        instance="$plan.evaluate.instance",
        volume_gb="$plan.evaluate.volume_gb",
        seconds="$plan.evaluate.max_runtime_seconds",
        environment={
            names.CHAMPION_PACKAGE: "{% $champion = null ? '' : $champion.package_arn %}",
            names.CHAMPION_VERSION: "{% $champion = null ? '' : $string($champion.version) %}",
        },
        then=then,
    )


def read_report(parts: Parts, *, then: str) -> State:
    """Read evaluation_report.json, whose verdict is the release decision."""
    return task(
        "aws-sdk:s3:getObject",
        report(parts.artifacts_bucket, keys.EVALUATION_REPORT),
        then=then,
        seconds=60,
        retry=[transient(*S3_ERRORS)],
        assign={"evaluation": "{% $parse($states.result.Body) %}"},
        output="{% $parse($states.result.Body).{'verdict': verdict, 'metrics': metrics} %}",
    )


def gate(*, promote: str, keep: str) -> State:
    """Let a better challenger through; anything else keeps the champion, which is a success."""
    reasons = {"reasons": "{% $evaluation.verdict.reasons %}"}
    return choice(
        when("$evaluation.verdict.promote", promote, assign=reasons),
        otherwise=keep,
        assign={"outcome": Outcome.KEPT_CHAMPION.value} | reasons,
    )
