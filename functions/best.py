"""Choose best model: of a search, the best training job's model, recipe and settings become the run's.

What SageMaker calls the best training job may have been stopped before it wrote its model; this is the best that
completed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from contract.config import Train
from contract.parsing import from_strings, to_dict
from contract.request import RunRequest
from contract.tuning import join_options
from functions import runs, searches, tuning
from functions.jobs import Described
from functions.shared import logger

SETTINGS = tuple(Train.__dataclass_fields__)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Choose the model of ``event["tuning_job"]``.

    Args:
        event: ``{"run", "dataset", "plan", "tuning_job", "failure"}``: RunRequest, DatasetReport, the plan; the tuning
            job's name, or None when it was never created; why it failed, or an empty text.
        context: unused.

    Returns:
        ``{"run", "training", "failure"}``: the request with the best recipe and settings; what the states know of a
        training job, or None and the reason.
    """
    if event["tuning_job"] is None:
        return {"run": event["run"], "training": None, "failure": event["failure"]}
    request, search = RunRequest.from_dict(event["run"]), searches.read(event["tuning_job"])
    board = searches.board(search)
    if board.best is None:
        failure = "\n".join(filter(None, [runs.why_stopped(request.run, search.trained), searches.why_none(search)]))
        logger.warning("the search has no model", extra={"run": request.run, "failure": failure})
        return {"run": event["run"], "training": None, "failure": failure}
    winner = searches.described(search, [board.best]).trained[board.best]
    run = with_winner(event["run"], winner["HyperParameters"])
    runs.note(request.run, {"recipe": run["recipe"]["name"]})
    tuning.remember(request, event["dataset"], event["plan"]["tune"], board.job, len(board.trials))
    logger.info("best model chosen", extra={"run": request.run, "job": board.best, "recipe": run["recipe"]["name"]})
    return {"run": run, "training": training(winner), "failure": ""}


def with_winner(run: Mapping[str, Any], hyperparameters: Mapping[str, str]) -> dict[str, Any]:
    """Return a request that asks for what the best training job did."""
    told = join_options(hyperparameters)
    train = from_strings(Train, {name: value for name, value in told.items() if name in SETTINGS}, "hyperparameters")
    options = json.loads(told.get("options", "{}"))
    return {**run, "recipe": {**run["recipe"], "name": told["recipe"], "options": options}, "train": to_dict(train)}


def training(job: Described) -> dict[str, Any]:
    """Return what the states know of a training job (infra/steps/train.py)."""
    return {
        "name": job["TrainingJobName"],
        "status": job["TrainingJobStatus"],
        "secondary_status": job["SecondaryStatus"],
        "model": (job.get("ModelArtifacts") or {}).get("S3ModelArtifacts"),
        "image": job["AlgorithmSpecification"]["TrainingImage"],
    }
