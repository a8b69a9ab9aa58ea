"""Track: a settled run is told to the trackers of the installation, MLflow and TensorBoard.

It is started by the event of a settled run and reads run.json, so it holds nothing up and can fail
nothing; what trains is isolated and has no credentials to tell anybody itself. Told again, a run is
found again and not told twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contract import keys, names
from functions import documents
from functions.shared import logger, setting

SECTIONS = ("recipe", "prepare", "train", "tune", "evaluate", "gate", "optimise", "deploy")
"""Of a request, what a tracker shows as the run's parameters."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """What is told of a run.

    Attributes:
        name: its id.
        experiment: ``tenant/project``.
        started, ended: seconds since 1970.
        succeeded: whether the execution did.
        parameters: every setting, as text, by ``section.name``.
        epochs: metrics of each epoch, ``epoch`` among them.
        results: metrics of the held-out rows, the baseline's and the champion's, seconds and dollars.
        tags: outcome, version, upload, where the model is.
        report: the HTML report; empty when there is none.
    """

    name: str
    experiment: str
    started: float
    ended: float
    succeeded: bool
    parameters: Mapping[str, str]
    epochs: list[dict[str, float]]
    results: Mapping[str, float]
    tags: Mapping[str, str]
    report: str


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Tell of the run that ``event``, an EventBridge event ``Run Settled``, names.

    Returns:
        ``{"run", "told"}``: to whom it was told.
    """
    detail = event["detail"]
    if not (detail.get("tenant") and detail.get("execution_arn")):
        return {"run": detail["run"], "told": []}  # no project, or refused by intake: there is no run.json
    prefix = keys.run_prefix(detail["tenant"], detail["project"], detail["run"])
    story = read(prefix)
    told = []
    # Each is imported when it is wanted: MLflow's client takes a second.
    if server := setting(names.MLFLOW_SERVER):
        from functions import mlflow_server

        mlflow_server.tell(server, story)
        told.append("mlflow")
    if setting(names.TENSORBOARD) == names.ON:
        from functions import event_files

        event_files.write(prefix + keys.TENSORBOARD, story)
        told.append("tensorboard")
    logger.info("run tracked", extra={"run": story.name, "told": told})
    return {"run": story.name, "told": told}


def read(prefix: str) -> Story:
    """Return the story in a run's run.json.

    Raises:
        LookupError: when it is not there; settle writes it before its event.
    """
    run = documents.read(prefix + keys.RUN_DOCUMENT)
    if run is None:
        raise LookupError(f"there is no {prefix}{keys.RUN_DOCUMENT}")
    return Story(
        name=run["run"],
        experiment=f"{run['tenant']}/{run['project']}",
        started=datetime.fromisoformat(run["started"]).timestamp(),
        ended=datetime.fromisoformat(run["ended"]).timestamp(),
        succeeded=run["failure"] is None,
        parameters=_parameters(run["request"] or {}),
        epochs=run["epochs"],
        results=_results(run),
        tags=_tags(run),
        report=documents.read_text(prefix + keys.REPORT) or "",
    )


def _parameters(request: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{section}.{name}": str(value) for section in SECTIONS for name, value in (request.get(section) or {}).items()
    }


def _results(run: Mapping[str, Any]) -> dict[str, float]:
    evaluation = run["evaluation"] or {}
    measured = {
        "test": evaluation.get("metrics", {}),
        "baseline": evaluation.get("baseline", {}),
        "champion": (evaluation.get("champion") or {}).get("metrics", {}),
    }
    found = {f"{whose}_{name}": float(value) for whose, values in measured.items() for name, value in values.items()}
    return found | ({} if run["usd"] is None else {"usd": run["usd"]})


def _tags(run: Mapping[str, Any]) -> dict[str, str]:
    package = run["package"] or {}
    told = {
        names.TAG_RUN: run["run"],
        "outcome": run["outcome"],
        "reasons": "; ".join(run["reasons"]),
        "execution": run["execution_arn"],
        "upload": (run["request"] or {}).get("upload", {}).get("key", ""),
        "model_package": package.get("package_arn", ""),
        "version": str(package.get("version", "")),
    }
    return {name: value for name, value in told.items() if value}
