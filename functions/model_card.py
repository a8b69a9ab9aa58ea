"""The model card of a package.

Schema: "Model package model card schema" of the SageMaker developer guide
(model-registry-details.html#model-card-schema): a model card without
``model_package_details``, whose ``model_overview`` has two properties.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract.reports import EvaluationReport, Form
from contract.request import RunRequest

MOST_FEATURES = 20


def content(
    request: RunRequest, evaluation: EvaluationReport, origin: Mapping[str, str], model_url: str
) -> dict[str, Any]:
    """Return the card's content: what was asked, on what it learned, how it measured.

    Texts are cut to the schema's lengths.
    """
    kind = "Regression of" if evaluation.task == "regression" else "Classification into"
    purpose = f"{kind} {_few(evaluation.labels)} by recipe {request.recipe.name!r}."
    if request.script:
        purpose = f"What the script {request.recipe.options['program']} learned, in a format of its own."
    meant = request.evaluate.intended_use
    intended = {"intended_uses": meant[:2048]} if meant else {}
    return {
        "model_overview": {
            "model_creator": f"{request.tenant}/{request.project}, run {request.run}",
            "model_artifact": [model_url],
        },
        "intended_uses": {"purpose_of_model": purpose[:2048], **intended},
        "training_details": _training(request, origin),
        "evaluation_details": [_evaluation(evaluation)],
        "additional_information": {
            "custom_details": {"Released because": "; ".join(evaluation.verdict.reasons)[:1024]}
        },
    }


def _few(labels: tuple[str, ...]) -> str:
    shown = ", ".join(labels[:10])
    return shown if len(labels) <= 10 else f"{shown} and {len(labels) - 10} more"


def _training(request: RunRequest, origin: Mapping[str, str]) -> dict[str, Any]:
    train = request.train
    settings = {
        "epochs": train.epochs,
        "batch_size": train.batch_size,
        "learning_rate": train.learning_rate,
        "weight_decay": train.weight_decay,
        "seed": train.seed,
        **request.recipe.options,
    }
    return {
        "training_observations": f"Code {origin['code_uri']}, seed {train.seed}, {train.hosts} host(s)"[:1024],
        "training_job_details": {
            "training_arn": origin["training_job"],
            "training_datasets": [request.upload.uri[:1024]],
            "training_environment": {"container_image": [origin["training_image"]]},
            "user_provided_hyper_parameters": [{"name": k, "value": str(v)[:255] or "-"} for k, v in settings.items()],
        },
    }


def _evaluation(evaluation: EvaluationReport) -> dict[str, Any]:
    groups = [_metrics("held-out rows" if evaluation.rows else "training job", evaluation.metrics)]
    if evaluation.baseline:
        groups.append(_metrics("baseline", evaluation.baseline))
    if evaluation.champion and evaluation.champion.metrics:
        groups.append(_metrics(f"champion, version {evaluation.champion.version}", evaluation.champion.metrics))
    groups += [_form(evaluation.metric, form) for form in evaluation.forms]
    groups += _evidence(evaluation)
    baseline = [f"the baseline is {evaluation.baseline_name}"] if evaluation.baseline_name else []
    forms = [f"{form.name}: {form.note}" for form in evaluation.forms if form.note]
    return {
        "name": _name(evaluation),
        "evaluation_observation": "; ".join([*evaluation.verdict.reasons, *baseline, *forms])[:2096],
        "metric_groups": groups,
    }


def _evidence(evaluation: EvaluationReport) -> list[dict[str, Any]]:
    """Return whom the model serves worse, what it looks at and what it withstands, each where it was measured."""
    metric = evaluation.metric
    columns = {group.column: group for group in evaluation.groups}
    found = {
        f"{metric} by {column}": {group.value: group.metric for group in evaluation.groups if group.column == column}
        for column in columns
    }
    found[f"{metric} lost without a feature"] = dict(list(evaluation.importance.items())[:MOST_FEATURES])
    found[f"{metric} under disturbances"] = {each.name: each.metric for each in evaluation.robustness}
    return [_metrics(name, values) for name, values in found.items() if values]


def _name(evaluation: EvaluationReport) -> str:
    return f"{evaluation.chosen} on {evaluation.rows} held-out rows" if evaluation.rows else "as the script measured it"


def _form(metric: str, form: Form) -> dict[str, Any]:
    """Return what was measured of one form in which the model could be served."""
    values = {name: value for name, value in form.metrics.items() if name == metric}
    values |= {f"latency_{name}_ms": value for name, value in form.latency_ms.items()}
    return _metrics(f"form {form.name}", {**values, "bytes": form.bytes})


def _metrics(name: str, metrics: Mapping[str, float]) -> dict[str, Any]:
    data = [{"name": metric[:255], "type": "number", "value": value} for metric, value in metrics.items()]
    return {"name": name[:255], "metric_data": data}
